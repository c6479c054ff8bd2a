"""Dagster's Postgres storage with connections that are kept, as dagster.yaml names it.

dagster-postgres opens a connection for nearly each statement (SQLAlchemy's NullPool): 3,100 in a
run of the main job, and for every one the server starts a process. Only its web server keeps some.

Belongs here: how connections are kept, and that one daemon uses them. Does not: what is stored,
which is all Dagster's own.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, NoReturn
from weakref import WeakSet

import sqlalchemy as db
from dagster_postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    PostgresRunStorage,
)
from dagster_postgres.utils import create_pg_engine, pg_url_from_config

from skyops_assets.errors import SkyOpsError
from skyops_assets.instance import lease
from skyops_assets.instance.lease import Lease
from skyops_assets.instance.private import ConfigurableClassData

KEPT = 1
"""Connections that stay open between two statements. A run needs one at a time, and few processes
hold an instance: with a pooler before the server, or many runs, there is room for all."""
AT_MOST = 20
"""Connections of one process while many threads ask at once, as the daemon's sensors do."""
RENEWED_AFTER_S = 1800
TRUSTED_S = 1.0
"""A connection that was used so shortly before is not tried again: a run asks 2,300 times, and each
trial is a way to the server and back."""

_pools: WeakSet[db.Engine] = WeakSet()


def _leave_to_the_parent() -> None:
    """After a fork: a connection that two processes use breaks for both."""
    for engine in _pools:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_to_the_parent)


def _try_what_was_idle(engine: db.Engine) -> None:
    """Try a connection before it is used, if it was idle; open another if it is dead."""

    def on_checkout(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("used_at", time.monotonic()) < TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            # With all that are as old: what ended one ended the others.
            raise db.exc.InvalidatePoolError("The server has closed it.") from error

    def on_checkin(_: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    db.event.listen(engine, "checkout", on_checkout)
    db.event.listen(engine, "checkin", on_checkin)


class OneDaemonRunStorage(PostgresRunStorage):
    """Dagster's runs, whose daemon is the only one: two would start every run twice.

    Each part of the daemon tells that it lives before it does anything. The first to tell takes the
    daemon's lease; the process of a second daemon ends there, whatever started it.
    """

    _lease: Lease | None = None
    _taking = threading.Lock()

    def add_daemon_heartbeat(self, daemon_heartbeat: Any) -> None:
        """Store that a part of this process's daemon lives."""
        with self._taking:
            if self._lease is None:
                self._lease = self._only_daemon()
        super().add_daemon_heartbeat(daemon_heartbeat)

    def _only_daemon(self) -> Lease:
        """The daemon's lease. Where another daemon has it, this process ends."""
        while True:
            try:
                return lease.of_daemon(self.postgres_url, _end)
            except lease.LeaseTaken as error:
                _end(error)
            except SkyOpsError as error:
                # A part that cannot tell would go on without, so it waits here.
                print(error, file=sys.stderr, flush=True)
                time.sleep(lease.PAUSE_S)

    def dispose(self) -> None:
        """Close what the instance has open."""
        super().dispose()
        with self._taking:
            if self._lease is not None:
                self._lease.release()
                self._lease = None


def _end(error: SkyOpsError) -> NoReturn:
    """End this process: raised in one of the daemon's threads, an error would end nothing."""
    print(f"Error: {error}", file=sys.stderr, flush=True)
    os._exit(1)


class PooledEventLogStorage(PostgresEventLogStorage):
    """Dagster's event log, whose end is the end of the pool."""

    _has_checks = False

    @property
    def supports_asset_checks(self) -> bool:
        """Whether there is a table for results of checks, asked until it is there.

        Dagster asks the database before each of the 700 events of checks in a run.
        """
        self._has_checks = self._has_checks or super().supports_asset_checks
        return self._has_checks

    def dispose(self) -> None:
        """Close what the instance has open."""
        super().dispose()
        self._engine.dispose()


class PooledPostgresStorage(DagsterPostgresStorage):
    """Dagster's storage in Postgres; runs, events and schedules share one pool of connections.

    A connection that was idle is tried before it is used, so that a server which was started again,
    or a pooler that closes what is idle, goes unnoticed as before. Dagster's web server puts pools
    of its own in the place of this one.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ):
        super().__init__(postgres_url, should_autocreate_tables, inst_data)
        # The tables are there by now.
        self._run_storage = OneDaemonRunStorage(postgres_url, False)
        self._event_log_storage = PooledEventLogStorage(postgres_url, False)
        engine = create_pg_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT,
            max_overflow=AT_MOST - KEPT,
            pool_recycle=RENEWED_AFTER_S,
        )
        _try_what_was_idle(engine)
        _pools.add(engine)
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = engine

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        """From dagster.yaml, whose keys are those of Dagster's own storage."""
        return cls(
            pg_url_from_config(config_value),
            config_value.get("should_autocreate_tables", True),
            inst_data,
        )
