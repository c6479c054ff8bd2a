"""Leases: locks in Dagster's database by which a process shows that it lives, wherever it runs.

A process that ends, however it ends, loses its session with the server and so what it holds: no
number of a process, port or host has to be known. A machine that vanished is noticed by the server
within `VANISHED_S`, as its keepalives are no longer answered.

Belongs here: holding locks, and looking who holds them. Does not: what follows for runs
(`executor`, `repair`) or the daemon (`storage`).
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.sessions import BEGIN_LONG

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from sqlalchemy import Connection as SqlConnection

IDLE_S, EVERY_S, TIMES = 10, 5, 3
VANISHED_S = IDLE_S + EVERY_S * TIMES
"""After so long without an answer either side takes the other for gone, as its kernel tells it: the
interpreter may be busy meanwhile."""
_OURS: dict[str, Any] = {
    "keepalives": 1, "keepalives_idle": IDLE_S, "keepalives_interval": EVERY_S,
    "keepalives_count": TIMES, "tcp_user_timeout": VANISHED_S * 1000,
}  # fmt: skip
_BEGIN = f"""{BEGIN_LONG};
    set local tcp_keepalives_idle = {IDLE_S};
    set local tcp_keepalives_interval = {EVERY_S};
    set local tcp_keepalives_count = {TIMES};
    set local tcp_user_timeout = {VANISHED_S * 1000}
"""
_TRY = "select pg_backend_pid(), pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
_IS_HELD = """
    locks.locktype = 'advisory'
    and locks.granted
    and locks.objsubid = 1
    and locks.database = (select oid from pg_database where datname = current_database())
    and (locks.classid::bigint << 32) | locks.objid::bigint = hashtextextended({name}, 0)
"""
# Within a transaction the server would tell of sessions as they were when it was first asked.
_HOLDERS = f"""
    select pg_stat_clear_snapshot();
    select
        activity.pid,
        activity.application_name,
        activity.client_addr::text,
        activity.backend_start
    from pg_locks as locks
    inner join pg_stat_activity as activity on locks.pid = activity.pid
    where {_IS_HELD.format(name="%s")}
"""  # noqa: S608
_FREE = f"""
    select
        extract(epoch from now())::float8,
        array(
            select names.name
            from unnest(cast(:names as text [])) as names (name)
            where not exists (
                select from pg_locks as locks where {_IS_HELD.format(name="names.name")}
            )
        )
"""  # noqa: S608
DAEMON = "skyops.daemon"
PAUSE_S = 0.5
LOOKED_S = 5.0
"""A session whose end another thread met first may not wake the one that watches."""

Act = Callable[[], None]


def free(connection: SqlConnection, names: Sequence[str]) -> tuple[float, list[str]]:
    """When the database was asked (seconds since 1970, by its clock), and what nobody holds."""
    from sqlalchemy import text

    row: Any = connection.execute(text(_FREE), {"names": list(names)}).one()
    return float(row[0]), list(row[1])


def of_daemon(url: str, on_taken: Callable[[SkyOpsError], None]) -> Lease:
    """The lease of the one daemon that works on Dagster's database.

    One whose machine has vanished is waited for, until the server has noticed.

    Args:
        on_taken: called where another daemon has it after a lost connection, in another thread.

    Raises:
        LeaseTaken: another daemon has it.
        SkyOpsError: the server cannot be reached.
    """
    held = Lease(url, "daemon", lambda: on_taken(refusal()))

    def refusal() -> LeaseTaken:
        by = ", ".join(map(str, held.holders(DAEMON)))
        return LeaseTaken(
            f"Another daemon works on Dagster's database {held.database} ({by}). With two, every "
            "run would be started twice. End that one: `skyops down` in its home, or its "
            "container; or give this home another database (SKYOPS_DAGSTER_DATABASE)."
        )

    deadline = time.monotonic() + VANISHED_S
    while not held.take(DAEMON):
        if time.monotonic() > deadline:
            error = refusal()
            held.release()
            raise error
        time.sleep(PAUSE_S)
    return held


class LeaseTaken(SkyOpsError):
    """Another process holds it."""


@dataclass(frozen=True)
class Holder:
    """A session that holds a lease.

    Attributes:
        name: what it says that it is, such as "skyops daemon on host".
        address: where it connects from; None for a socket of the server's machine.
        since: when the session began.
    """

    pid: int
    name: str
    address: str | None
    since: datetime

    def __str__(self) -> str:
        where = f" from {self.address}" if self.address else ""
        return f"{self.name!r}{where}, connected since {self.since:%Y-%m-%d %H:%M:%S} UTC"


class Lease:
    """Locks that this process holds until it ends or gives them back.

    They are of an open transaction, so that a pooler cannot give the session to another client; it
    has read nothing, so it keeps no old rows. A connection that is lost (the server was started
    again) is noticed at once and the locks are taken again; where another process has one of them
    by then, ``on_taken`` is called, in a thread of its own.
    """

    def __init__(self, url: str, who: str, on_taken: Act) -> None:
        """Connect.

        Args:
            url: of Dagster's database, as SQLAlchemy or libpq reads it.
            who: what the session is, for whoever looks: "run 1a2b", "daemon".

        Raises:
            SkyOpsError: the server cannot be reached.
        """
        import psycopg2

        from skyops_assets.warehouse.connection import Warehouse, connection_error, parse_url

        warehouse = Warehouse(parse_url(url), False)
        self._url, self.database = warehouse.libpq(), warehouse.safe_url
        self._who = who
        # The server cuts it to 63 bytes.
        self._application = f"skyops {who} on {socket.gethostname()}"
        self._on_taken = on_taken
        self._names: list[str] = []
        self._mutex = threading.RLock()
        self._end, self._ended = socket.socketpair()
        self._pids: set[int] = set()
        try:
            self._connection = self._connect()
        except psycopg2.OperationalError as error:
            raise connection_error(warehouse, str(error)) from None
        self.is_taken = False
        """Whether another process has one of the locks now."""
        self._watcher = threading.Thread(target=self._watch, name="lease", daemon=True)
        self._watcher.start()

    def take(self, name: str) -> bool:
        """Take one more lock; False where another has it, or the connection is just lost."""
        import psycopg2

        with self._mutex:
            try:
                is_ours = self._try(self._connection, name)
            except psycopg2.Error:
                return False
            if is_ours:
                self._names.append(name)
            return is_ours

    def require(self) -> None:
        """Wait until the locks are held, where the connection was just lost.

        Raises:
            LeaseTaken: another process has one of them.
        """
        while True:
            with self._mutex:
                if self.is_taken:
                    raise LeaseTaken(f"Another process holds what {self._who} has lost.")
                # Nobody asks meanwhile, so what there is to read is the watcher's to look at.
                if not (self._connection.closed or self._readable(0, self._connection)):
                    return
            time.sleep(0.02)

    def holders(self, name: str) -> list[Holder]:
        """Who holds a lock, as far as can be asked."""
        import psycopg2

        try:
            with self._mutex, self._connection.cursor() as cursor:
                cursor.execute(_HOLDERS, (name,))
                return [Holder(*row) for row in cursor.fetchall()]
        except psycopg2.Error:
            return []

    def release(self) -> None:
        """Give all back; once this returns, others can take it."""
        import psycopg2

        self._end.close()
        if threading.current_thread() is not self._watcher:
            self._watcher.join()
        # A closed connection's session may hold its locks for a moment longer.
        with suppress(psycopg2.Error), self._connection.cursor() as cursor:
            cursor.execute("rollback")
        self._connection.close()
        self._ended.close()

    def _connect(self) -> Connection:
        import psycopg2

        connection = psycopg2.connect(
            self._url, connect_timeout=5, application_name=self._application, **_OURS
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(_BEGIN)
        return connection

    def _try(self, connection: Connection, name: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_TRY, (name,))
            pid, is_ours = cursor.fetchone()  # type: ignore[misc]
            self._pids.add(pid)
            return bool(is_ours)

    def _watch(self) -> None:
        """Sleep until the server ends the session, and take all again."""
        while self._is_lost():
            with self._mutex:
                if not self._take_again():
                    return
        if self.is_taken:
            self._on_taken()

    def _is_lost(self) -> bool:
        """Wait until it is; False where it was given back, or taken by another."""
        import psycopg2

        while not self.is_taken:
            try:
                ready = self._readable(LOOKED_S, self._ended, self._connection)
            except (psycopg2.Error, OSError):
                return True  # Another thread met its end, and so it is closed.
            if self._ended in ready:
                return False
            if not ready and not self._connection.closed:
                continue
            # What came may be a notice, or the answer to another thread.
            with self._mutex:
                try:
                    with self._connection.cursor() as cursor:
                        cursor.execute("select 1")
                except psycopg2.Error:
                    return True
        return False

    def _take_again(self) -> bool:
        """Connect and take all; False where it was given back meanwhile."""
        import psycopg2

        with suppress(psycopg2.Error):
            self._connection.close()
        while not self._readable(PAUSE_S, self._ended):
            with suppress(psycopg2.Error):
                self._connection = self._connect()
                if all(self._try(self._connection, name) for name in self._names):
                    return True
                others = {one.pid for name in self._names for one in self.holders(name)}
                # The server may not know yet that a session of this process is gone.
                if others - self._pids:
                    self.is_taken = True
                    return True
                self._connection.close()
        return False

    @staticmethod
    def _readable(timeout_s: float, *files: Any) -> list[Any]:
        """Those of the files that have something to read, or have come to their end."""
        with selectors.DefaultSelector() as selector:
            for file in files:
                selector.register(file, selectors.EVENT_READ)
            return [key.fileobj for key, _ in selector.select(timeout_s)]
