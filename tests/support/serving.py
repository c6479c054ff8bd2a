"""The service as a process of its own, on a test's warehouse."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from skyops_assets.runtime import environment
from skyops_assets.serving.access import SCOPES
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.servers import free_port


@dataclass
class Served:
    """A service that answers.

    Attributes:
        client: of httpx, with the service's address and a key that may do everything.
    """

    warehouse: Warehouse
    home: Path
    port: int
    process: subprocess.Popen[bytes]
    client: httpx.Client

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.home / "service.log").read_text()


@contextmanager
def served(
    warehouse: Warehouse, home: Path, variables: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Start the service and end it afterwards.

    Args:
        variables: settings of its own, such as `SKYOPS_WATCH_AIRPORTS`.
    """
    port = free_port()
    settings = Settings(home=home)
    with (home / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "skyops_assets.serving", "127.0.0.1"],
            env={**os.environ, **environment(settings, warehouse),
                 "SKYOPS_SERVICE_PORT": str(port), **(variables or {})},
            stdout=log, stderr=log,
        )  # fmt: skip
    headers = {"Authorization": f"Bearer {new_key(warehouse)}"}
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20)
    one = Served(warehouse, home, port, process, client)
    try:
        _wait(one)
        yield one
    finally:
        client.close()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def new_key(warehouse: Warehouse, *scopes: str, expires_at: str | None = None) -> str:
    """A key with these scopes, or with all."""
    key = "sk_" + secrets.token_urlsafe(32)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into audit.api_keys (key_id, key_sha256, owner, scopes, created_by, expires_at)"
            " values (%s, %s, 'tests', %s, 'tests', %s)",
            (f"key-{secrets.token_hex(4)}", hashlib.sha256(key.encode()).digest(),
             list(scopes or SCOPES), expires_at),
        )  # fmt: skip
    return key


def _wait(one: Served) -> None:
    patience = time.monotonic() + 60
    while True:
        assert one.process.poll() is None, one.log
        try:
            if one.client.get("/health/live").is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < patience, one.log
        time.sleep(0.1)
