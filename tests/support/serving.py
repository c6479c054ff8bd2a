"""The service as a process of its own, on a test's warehouse."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from skyops_assets.audit.api_keys import SCOPES
from skyops_assets.runtime import environment, service_environment
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.roles import ensure
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


Start = Callable[..., Served]
"""The fixture `starts`: starts a service; takes a program and settings."""


@contextmanager
def served(
    warehouse: Warehouse,
    home: Path,
    variables: Mapping[str, str] | None = None,
    module: str = "skyops_assets.serving",
) -> Iterator[Served]:
    """Start the service, with its own role in the database, and end it afterwards.

    Args:
        variables: settings of its own, such as `SKYOPS_PREDICTIONS_A_MINUTE`, which is a million.
        module: the program.
    """
    port = free_port()
    # With an address: else each service would start an embedded server of its own.
    settings = Settings(home=home, database_url=SecretStr(warehouse.libpq()))
    ensure(warehouse, settings)
    given = {**os.environ, **environment(settings, warehouse)}
    with (home / "service.log").open("wb") as log:
        environ = service_environment(settings, warehouse, pytest.fail, given)
        process = subprocess.Popen(
            [sys.executable, "-m", module, "127.0.0.1"],
            env={**environ, "SKYOPS_DATABASE_URL": environ["SKYOPS_WAREHOUSE_URL"],
                 "SKYOPS_SERVICE_PORT": str(port), "SKYOPS_PREDICTIONS_A_MINUTE": "1000000",
                 **(variables or {})},
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


def told(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """The events of a stream of `/v1/events`, as they come."""
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def new_key(warehouse: Warehouse, *scopes: str, expires_at: datetime | str | None = None) -> str:
    """A key with these scopes, or with all; unlike `skyops key create` also one that is over."""
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
