"""What every session with the server has set, whatever a shell, a role or a server has set before.

Belongs here: the settings on which results depend, and the environment that libpq reads. Does not:
connections (`connection`), rights and encodings of databases (`databases`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

PINNED = {
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "search_path": "public",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    # A load waits for another one, and must then see what that one has committed.
    "default_transaction_isolation": "read committed",
}
"""Kept as settings of the role in each of SkyOps' databases, which win over those of the role, of
the database and of the server, and which a pooler's sessions have as well."""

ENVIRONMENT = {"PGCLIENTENCODING": "UTF8", "PGTZ": "UTC", "PGDATESTYLE": "ISO, MDY"}
"""What libpq sends as a session starts, which wins over everything else, PGOPTIONS too. PgBouncer
takes just these three, and keeps them for its client from transaction to transaction."""

BEGIN_LONG = """
    begin;
    set local idle_in_transaction_session_timeout = 0;
    set local statement_timeout = 0;
    set local lock_timeout = 0
"""
"""Begins a transaction that holds a lock for as long as work takes elsewhere."""

_MEANT_FOR_OTHERS = (
    # These name a server, and two of them win over an address: the warehouse's is whole.
    "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGSERVICEFILE",
    "PGTARGETSESSIONATTRS", "PGLOADBALANCEHOSTS",
    # A session would start with this planner's setting, which PgBouncer refuses.
    "PGGEQO",
)  # fmt: skip
_OF_A_LOGIN = ("PGPASSWORD", "PGREQUIREAUTH", "PGREQUIREPEER", "PGCHANNELBINDING", "PGGSSENCMODE")
"""What another server's login needs, and the embedded server cannot give."""


def pin_environment(*, is_embedded: bool) -> None:
    """Give this process, and so its children, the variables of libpq (PG...) that SkyOps needs.

    PGOPTIONS, PGSSL..., PGPASSFILE, PGCONNECT_TIMEOUT and others stay as the user has set them.
    What is right already is not written again: other threads may be reading.
    """
    for name in _MEANT_FOR_OTHERS + (_OF_A_LOGIN if is_embedded else ()):
        os.environ.pop(name, None)
    for name, value in ENVIRONMENT.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def is_pooled(cursor: Cursor) -> bool:
    """Whether a pooler stands before the server: it gives each client a number of its own."""
    cursor.execute("select pg_backend_pid()")
    return bool(cursor.fetchone() != (cursor.connection.get_backend_pid(),))


def store_pins(
    cursor: Cursor, database: str, wanted: Mapping[str, str] = PINNED, role: str | None = None
) -> None:
    """Keep what is pinned as settings of a role in a database, unless it is there.

    Each role may set its own, with no right on the database.

    Args:
        role: whose; the session's own by default.
    """
    from psycopg2 import errors, sql

    cursor.execute(
        "select lower(split_part(setting, '=', 1)), substr(setting, strpos(setting, '=') + 1) "
        "from pg_db_role_setting, unnest(setconfig) as setting "
        "where setrole = (select oid from pg_roles where rolname = coalesce(%s, session_user)) "
        "and setdatabase = (select oid from pg_database where datname = %s)",
        (role, database),
    )
    stored = dict(cursor.fetchall())
    if role is None:
        cursor.execute("select session_user")
        (role,) = cursor.fetchone()  # type: ignore[misc]
    if stored.items() >= wanted.items():
        return
    statements: list[sql.Composable] = [
        sql.SQL("select pg_advisory_xact_lock(hashtext('skyops.sessions'))")
    ]
    for name, value in wanted.items():
        # A list of schemas is no text: it would be one schema's name.
        shown = sql.SQL(value) if name == "search_path" else sql.Literal(value)
        statements.append(
            sql.SQL("alter role {} in database {} set {} = {}").format(
                sql.Identifier(role), sql.Identifier(database), sql.SQL(name), shown
            )
        )
    # Sent at once they are one transaction. Another process may be at it from another database,
    # where the lock is another one.
    with suppress(errors.InternalError_, errors.UniqueViolation):
        cursor.execute(sql.SQL("; ").join(statements))


def pins(cursor: Cursor) -> dict[str, str]:
    """What is pinned in the session's database.

    Its schema is `public`, unless Dagster's or MLflow's tables lie in another one already.
    """
    cursor.execute(
        "select quote_ident(nspname) from pg_class inner join pg_namespace "
        "on relnamespace = pg_namespace.oid where pg_class.oid = to_regclass('alembic_version')"
    )
    row = cursor.fetchone()
    return {**PINNED, "search_path": row[0]} if row else PINNED


def unpinned(cursor: Cursor) -> dict[str, str]:
    """What this session has set in another way, and to what."""
    wanted = pins(cursor)
    cursor.execute(
        "select lower(name), setting from pg_settings where lower(name) = any(%s)", (list(wanted),)
    )
    return {name: setting for name, setting in cursor.fetchall() if setting != wanted[name]}
