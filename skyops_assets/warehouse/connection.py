"""Finds and checks the Postgres server that is the warehouse, and connects to it.

Belongs here: addresses, connections, clear connection errors, databases. Does not: the embedded
server's life (`embedded`), the schema (`migrate`), rows (`bulk`, `query`).
"""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse import citus, databases, sessions
from skyops_assets.warehouse.embedded import start_embedded

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from sqlalchemy.engine import URL


OLDEST_SERVER = 150000
LONGEST_PAUSE_S = 5.0
FORGOTTEN_AFTER_S = 20.0
"""PgBouncer remembers for 15 s that there was no such database."""
TLS_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
SESSIONS_TRIED = 20
"""A pooler keeps about so many sessions that may have begun before the present settings."""


@dataclass(frozen=True)
class Warehouse:
    """A reachable Postgres server and the names of SkyOps' databases on it."""

    url: URL
    is_embedded: bool
    connect_timeout_s: int = 5

    def libpq(self, database: str | None = None) -> str:
        """The address as libpq, ADBC and psycopg2 read it, password included."""
        url = self.url.set(drivername="postgresql")
        if database:
            url = url.set(database=database)
        # SQLAlchemy leaves spaces as they are; newer libpqs refuse them, and print the password.
        return url.render_as_string(hide_password=False).replace(" ", "%20")

    def sqlalchemy(self, database: str | None = None) -> str:
        """The address for SQLAlchemy users (Dagster, MLflow), which need psycopg2 named."""
        return self.libpq(database).replace("postgresql://", "postgresql+psycopg2://", 1)

    @property
    def safe_url(self) -> str:
        """The address without secrets."""
        from sqlalchemy.engine import URL

        shown = {k: v for k, v in self.url.query.items() if k in ("host", "port", "sslmode")}
        return URL.create(
            "postgresql", self.url.username, None, self.url.host, self.url.port, self.url.database,
            shown,
        ).render_as_string()  # fmt: skip

    @property
    def parts(self) -> dict[str, str]:
        """host, port, user, password, dbname and, if given, TLS, as dbt's profile takes them."""
        query = self.url.query
        return {
            "host": str(query.get("host") or self.url.host or "localhost"),
            "port": str(query.get("port") or self.url.port or 5432),
            "user": self.url.username or "postgres",
            "password": str(self.url.password or ""),
            "dbname": self.url.database or "skyops",
            **{name: str(query[name]) for name in TLS_OPTIONS if name in query},
        }

    @contextmanager
    def connect(
        self, database: str | None = None, *, autocommit: bool = False
    ) -> Iterator[Connection]:
        """A psycopg2 connection: committed at the end, rolled back on an error, then closed.

        Args:
            autocommit: each statement commits for itself and no transaction stays open.

        Raises:
            SkyOpsError: the server cannot be reached, refuses the login, or goes away.
        """
        import psycopg2

        connection = _connect(self, database)
        try:
            if autocommit:
                connection.autocommit = True
                yield connection
            else:
                with connection:
                    yield connection
        except psycopg2.Error as error:
            if connection.closed:
                # The rollback's error hides the one that says why.
                raise connection_lost(self, str(error.__context__ or error)) from error
            raise
        finally:
            connection.close()


@contextmanager
def only_one(warehouse: Warehouse, name: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the warehouse's lock ``name``; it is free again when this process ends, however.

    The lock is of an open transaction, so that a pooler cannot give the session that holds it to
    another client. It has read nothing, so it keeps no old rows.

    Args:
        on_wait: called once if another process holds the lock, before waiting for it.
    """
    with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sessions.BEGIN_LONG)
        cursor.execute("select pg_try_advisory_xact_lock(hashtext(%s))", (name,))
        if cursor.fetchone() != (True,):
            on_wait()
            cursor.execute("select pg_advisory_xact_lock(hashtext(%s))", (name,))
        yield


def _connect(warehouse: Warehouse, database: str | None = None) -> Connection:
    import psycopg2

    try:
        return psycopg2.connect(
            warehouse.libpq(database),
            connect_timeout=warehouse.connect_timeout_s,
            application_name="skyops",
        )
    except psycopg2.OperationalError as error:
        raise connection_error(warehouse, str(error)) from error
    except psycopg2.ProgrammingError as error:
        # An option in the URL that libpq does not know.
        raise SkyOpsError(
            f"SKYOPS_DATABASE_URL has an option that cannot be used: {str(error).strip()}"
        ) from None


class DatabaseMissing(SkyOpsError):
    """The server answered, but the named database does not exist."""


class ServerUnreachable(SkyOpsError):
    """Nothing answers at the address, or what answers is still starting: it may pass."""


def connection_error(warehouse: Warehouse, message: str) -> SkyOpsError:
    """Turn libpq's words into one sentence that says what to do."""
    where, user = warehouse.safe_url, warehouse.url.username
    text = " ".join(message.split())
    if "password authentication failed" in text or "no password supplied" in text:
        return SkyOpsError(
            f"The warehouse {where} refuses the login: user {user!r} or its "
            "password is wrong. Correct SKYOPS_DATABASE_URL."
        )
    if "no pg_hba.conf entry" in text:
        return SkyOpsError(
            f"The warehouse {where} allows no login from this machine (pg_hba.conf): {text}"
        )
    if re.search(r'database ".*" does not exist', text):
        return DatabaseMissing(f"The warehouse {where} has no such database: {text}")
    if denied := re.search(r'permission denied for database "(.*?)"', text):
        return SkyOpsError(
            f"The warehouse {where} does not let user {user!r} into database {denied[1]!r}. As its "
            f'owner or a superuser, run: grant connect on database "{denied[1]}" to "{user}"'
        )
    if "unsupported startup parameter" in text:
        return SkyOpsError(
            f"The pooler at {where} refuses what a session is to start with ({text}). Take "
            "PGOPTIONS out of the environment and options out of SKYOPS_DATABASE_URL, or have the "
            "pooler ignore them: ignore_startup_parameters = options in pgbouncer.ini."
        )
    if "no such database" in text or "no such user" in text:
        return SkyOpsError(
            f"The pooler at {where} does not know a database or a user ({text}). Add it to its "
            "configuration, the databases of Dagster and MLflow too."
        )
    if re.search("too many (clients|connections)|connection slots are reserved|no more conn", text):
        return ServerUnreachable(
            f"The warehouse {where} has no connection left for user {user!r} ({text}). Raise "
            "max_connections, or the limit of the role or the database, or close idle connections."
        )
    if "could not translate host name" in text:
        return ServerUnreachable(
            f"The warehouse {where} has an unknown host name. Correct SKYOPS_DATABASE_URL."
        )
    return ServerUnreachable(
        f"The warehouse {where} cannot be reached ({text}). Is the server running, and does "
        "SKYOPS_DATABASE_URL name the right host and port?"
    )


def connection_lost(warehouse: Warehouse, message: str) -> ServerUnreachable:
    """The error of a connection that ended within its work."""
    # ADBC adds the whole statement.
    said = " ".join(message.partition("Query was:")[0].split())
    return ServerUnreachable(
        f"The connection to the warehouse {warehouse.safe_url} was lost ({said}). What was "
        "committed before is kept, the rest is undone: check that the server runs, and try again."
    )


def parse_url(value: str) -> URL:
    """Read a Postgres URL.

    Raises:
        SkyOpsError: it is not a Postgres URL, or names no database.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    example = "postgresql://user:password@host:5432/skyops"
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise SkyOpsError(
            f"SKYOPS_DATABASE_URL is not a database URL; it looks like {example}"
        ) from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise SkyOpsError(
            f"SKYOPS_DATABASE_URL names {url.get_backend_name()!r}; SkyOps' warehouse is "
            f"Postgres: {example}"
        )
    if "@" in (url.host or ""):
        # The rest of the password would be taken, and shown, as the host.
        raise SkyOpsError(
            "SKYOPS_DATABASE_URL holds more than one '@': write one in the password as %40"
        )
    if not url.database:
        raise SkyOpsError(f"SKYOPS_DATABASE_URL names no database; it looks like {example}")
    return url.set(drivername="postgresql")


def _whole(url: URL, settings: Settings) -> URL:
    """An address that says everything: what it lacks is as libpq takes it (PGHOST and others)."""
    import getpass

    if not (url.host or "host" in url.query):
        host = os.environ.get("PGHOST") or "localhost"
        # A folder of sockets cannot be the host of a URL.
        url = url.update_query_dict({"host": host}) if "/" in host else url.set(host=host)
    if (port := os.environ.get("PGPORT")) and not (url.port or "port" in url.query):
        url = url.update_query_dict({"port": port})
    user = url.username or os.environ.get("PGUSER")
    if not user:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            # As in a container, whose user has a number alone.
            raise SkyOpsError(
                "SKYOPS_DATABASE_URL names no user, and this process's has no name; it looks like "
                "postgresql://user:password@host:5432/skyops"
            ) from None
    given = settings.postgres_password
    password = given.get_secret_value() if given else os.environ.get("PGPASSWORD")
    return url.set(username=user, password=url.password or password)


def open_warehouse(settings: Settings) -> Warehouse:
    """The running warehouse, with its databases made and its server checked.

    Starts the embedded server where none is configured. It stops with the last process
    that uses it.

    Raises:
        SkyOpsError: the URL, login, server or its version is unusable; within seconds, but
            for a server that cannot be reached only after ``wait_for_warehouse_s``.
    """
    given = settings.warehouse_url or settings.database_url
    is_embedded = settings.database_url is None
    # Before the environment loses what the address lacks.
    url = None if given is None else _whole(parse_url(given.get_secret_value()), settings)
    sessions.pin_environment(is_embedded=is_embedded)
    if url is None:
        url = start_embedded(settings.home / "postgres", settings.postgres_port)
        url = url.set(database="skyops")
    warehouse = Warehouse(url, is_embedded, settings.connect_timeout_s)
    if settings.warehouse_url is None:
        names = [str(url.database), settings.dagster_database, settings.mlflow_database]
        _retry_until(
            lambda: _ensure_databases(warehouse, names),
            settings.wait_for_warehouse_s,
            lambda left: print(
                f"No answer yet from {warehouse.safe_url}; trying for {left:.0f} s more.",
                file=sys.stderr,
            ),
        )
        if settings.citus:
            citus.require(warehouse)
        if is_embedded:
            _commit_events_without_waiting(warehouse, settings.dagster_database)
    return warehouse


def server_version(warehouse: Warehouse) -> str:
    """The server's version as it prints it, such as ``18.4``."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("show server_version")
        return str(cursor.fetchone()[0])  # type: ignore[index]


def _retry_until(act: Callable[[], None], wait_s: float, on_pause: Callable[[float], None]) -> None:
    """Repeat ``act``, with growing pauses, while the server cannot be reached.

    Args:
        on_pause: called before each pause with the seconds left.

    Raises:
        ServerUnreachable: it still cannot be after ``wait_s`` seconds.
        SkyOpsError: anything that waiting does not mend, such as a wrong password; at once.
    """
    deadline = time.monotonic() + wait_s
    pause = 0.5
    while True:
        try:
            return act()
        except ServerUnreachable:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            on_pause(left)
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE_S)


def _ensure_databases(warehouse: Warehouse, names: list[str]) -> None:
    """Make the databases that are missing, and see that SkyOps can work with each."""

    def create(database: str | None) -> bool:
        with (
            warehouse.connect(database, autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            databases.refuse_server(cursor, warehouse.safe_url, OLDEST_SERVER)
            made = [databases.create_database(cursor, name, warehouse.safe_url) for name in names]
            return any(made)

    try:
        is_new = create(None)
    except DatabaseMissing:
        is_new = create("postgres")
    for name in names:
        _retry_until(
            functools.partial(_meet, warehouse, name),
            FORGOTTEN_AFTER_S if is_new else 0,
            lambda _: None,
        )


def _meet(warehouse: Warehouse, name: str) -> None:
    """Pin what a database's sessions have set, see that they have it, and what they may do."""
    import psycopg2

    where = warehouse.safe_url
    wrong: dict[str, str] = {}
    for _ in range(SESSIONS_TRIED):
        with (
            warehouse.connect(name, autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            databases.refuse_server(cursor, where, OLDEST_SERVER)
            sessions.store_pins(cursor, name, sessions.pins(cursor))
            wrong = sessions.unpinned(cursor)
            if not wrong:
                databases.refuse_database(cursor, where)
                return
            if sessions.is_pooled(cursor):
                # It began before, and the pooler would give it to the next who asks.
                with suppress(psycopg2.OperationalError):
                    cursor.execute("select pg_terminate_backend(pg_backend_pid())")
    found = ", ".join(f"{setting} = {value}" for setting, value in sorted(wrong.items()))
    raise SkyOpsError(
        f"Sessions in database {name!r} on {where} have {found}, which SkyOps cannot work with: "
        "take it out of PGOPTIONS and of the options in SKYOPS_DATABASE_URL. A pooler that "
        "remembers it from before forgets it with RECONNECT in its admin console."
    )


def _commit_events_without_waiting(warehouse: Warehouse, database: str) -> None:
    """Let Dagster's database answer a commit before it is on the disk.

    A run commits some 2,000 times: with a disk that takes 10 ms, 20 s. A crash of the server, or a
    power cut, loses the last half second of Dagster's events: such a run is found without its
    process, and tried again. The warehouse itself waits.
    """
    from psycopg2 import errors, sql

    with (
        warehouse.connect("postgres", autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "select exists (select from pg_db_role_setting as settings "
            "inner join pg_database as databases on settings.setdatabase = databases.oid "
            "where databases.datname = %s and settings.setrole = 0 "
            "and 'synchronous_commit=off' = any(settings.setconfig))",
            (database,),
        )
        if cursor.fetchone() == (True,):
            return
        statement = sql.SQL("alter database {} set synchronous_commit = off")
        # Another process may be doing the same.
        with suppress(errors.InternalError_, errors.UniqueViolation):
            cursor.execute(statement.format(sql.Identifier(database)))
