"""What `skyops up` takes for a service that ended, and how often it starts one again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import supervise
from skyops_assets.settings import Settings

PARENT = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process with one child, as the code server is."""
    process = subprocess.Popen([sys.executable, "-c", PARENT])
    known = psutil.Process(process.pid)
    while not known.children():
        time.sleep(0.01)
    left = [*known.children(), known]
    try:
        yield process
    finally:
        for one in left:
            if one.is_running():
                one.kill()
        process.wait()


def test_a_service_is_over_when_its_process_ended(parent: subprocess.Popen[bytes]) -> None:
    assert not supervise._is_over("daemon", parent, 0)
    parent.kill()
    parent.wait()
    assert supervise._is_over("daemon", parent, 0)


def test_the_code_server_is_over_when_the_process_behind_it_is(
    parent: subprocess.Popen[bytes],
) -> None:
    assert not supervise._is_over("code-server", parent, 60)
    (child,) = psutil.Process(parent.pid).children()
    child.kill()
    while child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert supervise._is_over("code-server", parent, 60)
    # It takes a while to start one, and no other service needs one.
    assert not supervise._is_over("code-server", parent, 59)
    assert not supervise._is_over("ui", parent, 60)


def test_what_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    times: list[float] = []
    for _ in range(supervise.RESTARTS):
        times = supervise._again(settings, "ui", times)
    with pytest.raises(
        SkyOpsError, match=r"exited unexpectedly 6 times within 600 s; see .*ui\.log"
    ):
        supervise._again(settings, "ui", times)
    long_ago = [at - supervise.RESTARTS_WITHIN_S for at in times]
    assert len(supervise._again(settings, "ui", long_ago)) == 1
