"""Prometheus, Alertmanager and Pushgateway as processes of a test's own.

Belongs here: finding, starting and asking them. Does not: what they are asked for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from skyops_assets.settings import PROJECT_ROOT
from tests.support.servers import free_port

FILES = PROJECT_ROOT / "docker" / "prometheus"


def program(*names: str) -> str:
    """Where one of these programs is; without it the test is skipped, and in CI it fails."""
    for name in names:
        if path := shutil.which(name):
            return path
    said = f"There is no {names[0]} (on Debian: apt-get install {names[-1]})"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{said}, and in CI the metrics must be looked at")
    pytest.skip(said)


@contextmanager
def running(arguments: list[str], folder: Path, ready: str) -> Iterator[httpx.Client]:
    """A server on a free port, which `{port}` stands for; ends it afterwards.

    Args:
        ready: the path that answers once it is.
    """
    port = free_port()
    name = Path(arguments[0]).name
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [one.replace("{port}", str(port)) for one in arguments], stdout=log, stderr=log
        )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
    try:
        patience = time.monotonic() + 30
        while True:
            assert process.poll() is None, (folder / f"{name}.log").read_text()
            try:
                if client.get(ready).is_success:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < patience, (folder / f"{name}.log").read_text()
            time.sleep(0.1)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(20)


@contextmanager
def prometheus(config: str, folder: Path) -> Iterator[httpx.Client]:
    """A Prometheus with this configuration."""
    path = folder / "prometheus.yml"
    path.write_text(config)
    arguments = [
        program("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder / 'tsdb'}",
        "--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with running(arguments, folder, "/-/ready") as client:
        yield client


@contextmanager
def alertmanager(config: str, folder: Path) -> Iterator[httpx.Client]:
    """An Alertmanager with this configuration."""
    path = folder / "alertmanager.yml"
    path.write_text(config)
    arguments = [
        program("alertmanager", "prometheus-alertmanager"), f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager'}", "--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with running(arguments, folder, "/-/ready") as client:
        yield client


@contextmanager
def pushgateway(folder: Path) -> Iterator[httpx.Client]:
    """A Pushgateway."""
    found = program("pushgateway", "prometheus-pushgateway")
    arguments = [
        found, "--web.listen-address=127.0.0.1:{port}",
        # Debian's keeps what it was told in a folder of the system.
        f"--persistence.file={folder / 'pushed'}",
    ]  # fmt: skip
    with running(arguments, folder, "/-/ready") as client:
        yield client
