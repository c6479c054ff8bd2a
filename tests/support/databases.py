"""Databases for tests, on one embedded Postgres server for each worker.

Belongs here: starting, copying and removing them. Does not: the fixtures, which are in `conftest`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from skyops_assets.warehouse.roles import ensure
from tests.support.servers import Server

Query = Callable[..., list[tuple[Any, ...]]]
"""The fixture `query`: runs a statement on a warehouse and returns its rows, if it has any."""


def short_dir() -> Path:
    """A folder with a short path: a Unix socket's may have 107 characters, pytest's are longer."""
    return Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp" if os.path.isdir("/tmp") else None))


def stop_server(data_dir: Path) -> None:
    """Stop the server of a data folder, whoever started it."""
    import psutil

    try:
        process = psutil.Process(int((data_dir / "postmaster.pid").read_text().split()[0]))
        # Of one that was killed the number may be another server's by now.
        if process.name() == "postgres" and Path(process.cwd()) == data_dir.resolve():
            process.send_signal(3)  # SIGQUIT: at once, with its children; nothing is kept.
            patience = time.monotonic() + 20
            # One that its parent took no note of yet is over too.
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < patience:
                time.sleep(0.02)
    except (OSError, ValueError, IndexError, psutil.Error):
        pass


class Databases:
    """Databases on this worker's embedded server, made from a migrated template."""

    template = "skyops"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server = open_warehouse(Settings(home=home))
        # Nothing here outlives the tests, so nothing needs to survive a power cut.
        for statement in ("alter system set fsync = off", "select pg_reload_conf()"):
            with self.server.connect(autocommit=True) as c, c.cursor() as cursor:
                cursor.execute(statement)
        migrate(self.server)
        self._numbers = count(1)

    def new(self, *, is_migrated: bool = True, template: str | None = None) -> Warehouse:
        """A database that nobody else uses, as a copy of another one where that is named."""
        name = f"t{next(self._numbers)}"
        template = template or (self.template if is_migrated else "template1")
        with self.server.connect("postgres", autocommit=True) as c, c.cursor() as cursor:
            cursor.execute(f"create database {name} template {template} strategy file_copy")
        return Warehouse(self.server.url.set(database=name), True)

    def drop(self, warehouse: Warehouse) -> None:
        """Remove a database, whoever still holds it open."""
        with self.server.connect("postgres", autocommit=True) as c, c.cursor() as cursor:
            cursor.execute(f"drop database if exists {warehouse.url.database} with (force)")


def outside(server: Server, home: Path, user: str, **more: Any) -> tuple[Settings, Warehouse]:
    """A warehouse on another server, opened by one of its users as SkyOps opens it."""
    settings = Settings(
        home=home, database_url=server.address(user, f"of_{user}"),
        dagster_database=f"dagster_{user}", mlflow_database=f"mlflow_{user}", **more,
    )  # fmt: skip
    warehouse = open_warehouse(settings)
    migrate(warehouse)
    ensure(warehouse, settings)
    return settings, warehouse
