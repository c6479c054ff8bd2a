"""Roles of the database that may do less than SkyOps' own user: a reader's, and the service's.

Each logs in as itself: what a session gives up by `set role` or `read only`, a query takes back.
Roles belong to the whole server, so that their names begin with the database's.

Belongs here: making them, what they may, their addresses. Does not: who uses which.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from skyops_assets.errors import SkyOpsError
from skyops_assets.files import write_secret
from skyops_assets.settings import Settings
from skyops_assets.warehouse import sessions
from skyops_assets.warehouse.connection import Warehouse, parse_url
from skyops_assets.warehouse.embedded import unusable

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor
    from sqlalchemy.engine import URL

_LOCK = "select pg_advisory_xact_lock(hashtext('skyops.roles'))"
_LONGEST_DATABASE = 55
"""A role's name has at most 63 characters."""


@dataclass(frozen=True)
class Role:
    """What a role may.

    Attributes:
        schemas: whose tables and views it reads, those that dbt makes anew too.
        tables: of other schemas, that it reads too.
        hidden: tables of these that it does not read.
        inserts: tables that it adds rows to.
        updates: tables and those of their columns that it changes.
        watches: whether it sees what the server's other sessions do, where SkyOps' user may let it.
        setting: of an address that is used in its place.
        pins: what its sessions begin with, beside what SkyOps' all do.
    """

    suffix: str
    schemas: tuple[str, ...]
    tables: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    inserts: tuple[str, ...] = ()
    updates: Mapping[str, str] = field(default_factory=dict)
    watches: bool = False
    setting: str = ""
    pins: Mapping[str, str] = field(default_factory=dict)

    def name(self, warehouse: Warehouse, settings: Settings) -> str:
        """Of the address that a person set, or SkyOps' own."""
        if given := self.address(settings):
            return str(given.username)
        return f"{(warehouse.url.database or '')[:_LONGEST_DATABASE]}_{self.suffix}"

    def address(self, settings: Settings) -> URL | None:
        """The address that a person set.

        Raises:
            SkyOpsError: it is none, or names no user.
        """
        given = getattr(settings, self.setting)
        if given is None:
            return None
        with self.blamed():
            url = parse_url(given.get_secret_value())
        if not url.username:
            raise SkyOpsError(f"SKYOPS_{self.setting.upper()} names no user.")
        return url

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """What is wrong with an address is told of this setting's."""
        try:
            yield
        except SkyOpsError as error:
            variable = f"SKYOPS_{self.setting.upper()}"
            raise SkyOpsError(str(error).replace("SKYOPS_DATABASE_URL", variable)) from None


READER = Role(
    "reader",
    ("raw", "staging", "intermediate", "metrics", "features", "live", "ml", "audit"),
    hidden=("audit.api_keys",),
    setting="reader_database_url",
    # For a clear word from the server; what it may not do, it may not with this off either.
    pins={"default_transaction_read_only": "on"},
)
SERVICE = Role(
    "service",
    ("staging", "intermediate", "metrics", "features", "live", "ml", "audit"),
    tables=("raw.airports", "raw.ingest_batches", "raw.opensky_credits"),
    inserts=("ml.service_predictions", "audit.corrections"),
    updates={"audit.corrections": "undone_at, undone_by, undone_because"},
    watches=True,
    setting="service_database_url",
)
_LARGE_OBJECTS = (
    "lo_creat(integer)", "lo_create(oid)", "lo_from_bytea(oid, bytea)", "lo_open(oid, integer)",
    "lo_put(oid, bigint, bytea)", "lo_truncate(integer, integer)",
    "lo_truncate64(integer, bigint)", "lo_unlink(oid)", "lowrite(integer, bytea)",
)  # fmt: skip
_LACKING = """
    select 0, format('grant connect on database %%I to %%I', current_database(), %(role)s)
        as statement
    where not has_database_privilege(%(role)s, current_database(), 'connect')
    union all
    select 1, format('grant usage on schema %%I to %%I', nspname, %(role)s)
    from pg_namespace
    where
        (nspname = any(%(schemas)s::text[])
        or oid in (select relnamespace from pg_class where oid = any(%(tables)s::text[]::regclass[])))
        and not has_schema_privilege(%(role)s, oid, 'usage')
    union all
    select 2, format('grant select on %%s to %%I', pg_class.oid::regclass, %(role)s)
    from pg_class inner join pg_namespace on relnamespace = pg_namespace.oid
    where
        (nspname = any(%(schemas)s::text[]) or pg_class.oid = any(%(tables)s::text[]::regclass[]))
        and relkind in ('r', 'p', 'v', 'm')
        and not has_table_privilege(%(role)s, pg_class.oid, 'select')
        and pg_class.oid <> all(%(hidden)s::text[]::regclass[])
    union all
    select 3, format('revoke all on %%s from %%I', hidden, %(role)s)
    from unnest(%(hidden)s::text[]::regclass[]) as hidden
    where has_table_privilege(%(role)s, hidden, 'select')
    union all
    select 4, format('grant insert on %%s to %%I', to_regclass(name), %(role)s)
    from unnest(%(inserts)s::text[]) as name where not has_table_privilege(%(role)s, to_regclass(name), 'insert')
    union all
    select 5, format('grant update (%%s) on %%s to %%I', columns, to_regclass(name), %(role)s)
    from unnest(%(updated)s::text[], %(columns)s::text[]) as updates (name, columns)
    where not has_any_column_privilege(%(role)s, to_regclass(name), 'update')
    union all
    select 6, format('alter default privileges in schema %%I grant select on tables to %%I', name, %(role)s)
    from unnest(%(schemas)s::text[]) as name
    where not exists (
        select from pg_default_acl, aclexplode(defaclacl) as granted
        where
            defaclnamespace = to_regnamespace(quote_ident(name)) and defaclobjtype = 'r'
            and defaclrole = (select oid from pg_roles where rolname = current_user)
            and granted.grantee = (select oid from pg_roles where rolname = %(role)s)
            and granted.privilege_type = 'SELECT'
    )
    union all
    -- What other sessions do; a role that does not inherit takes it so since Postgres 16.
    select 7, format('grant pg_read_all_stats to %%I with inherit true', %(role)s)
    where
        %(watches)s
        and current_setting('server_version_num')::integer >= 160000
        and not pg_has_role(%(role)s, 'pg_read_all_stats', 'usage')
    order by 1
"""  # noqa: E501 (a statement a line)


def ensure(warehouse: Warehouse, settings: Settings) -> None:
    """Make the roles where they are missing and the server lets us, and what they lack.

    The schemas have to be there. Where roles cannot be made nothing happens: `connected` says it to
    who would use them.
    """
    from psycopg2 import Error

    database = str(warehouse.url.database)
    with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
        for role in (READER, SERVICE):
            name = role.name(warehouse, settings)
            is_there = _exists(cursor, name)
            if not is_there and (
                role.address(settings) or not _make(cursor, warehouse, settings, name)
            ):
                continue
            if role is READER and warehouse.is_embedded and settings.postgres_port:
                _let_in_by_password(cursor, settings, name)
            # A role that SkyOps has not made may be another's to set.
            with suppress(Error):
                sessions.store_pins(cursor, database, {**sessions.PINNED, **role.pins}, name)
            # Again in a database that was restored.
            _close_what_all_may(cursor, name)
            _grant(cursor, role, name)


def connected(warehouse: Warehouse, settings: Settings, role: Role) -> tuple[Warehouse, str | None]:
    """The warehouse as a role sees it; where the role cannot be used, as SkyOps' user, and why.

    Raises:
        SkyOpsError: a person has set the role's address, and it does not work.
    """
    if given := role.address(settings):
        found = replace(warehouse, url=given, is_embedded=False)
        with role.blamed():
            _try(found)
        return found, None
    name = role.name(warehouse, settings)
    password = None if warehouse.is_embedded else _password(settings, name)
    found = replace(warehouse, url=warehouse.url.set(username=name, password=password))
    user = warehouse.url.username
    with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
        if not _exists(cursor, name):
            why = f"user {user!r} may not create roles (alter role ... createrole)"
        elif password is None and not warehouse.is_embedded:
            why = (
                f"role {name!r} was made from another SKYOPS_HOME, whose file "
                f"{_file(settings, name).name} is needed here"
            )
        else:
            error = _logged_in(found, cursor)
            if error is None:
                return found, None
            why = f"role {name!r} cannot log in ({' '.join(error.split())[:300].rstrip('.')})"
    return warehouse, (
        f"{why}. Correct that, or set SKYOPS_{role.setting.upper()}; until then user {user!r} is "
        "used, who may write."
    )


def grant_reading(warehouse: Warehouse, database: str, role: str) -> None:
    """Let a role read all tables of another of SkyOps' databases, such as Dagster's."""
    with warehouse.connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select current_schema()")
        (schema,) = cursor.fetchone()  # type: ignore[misc]
        _grant(cursor, Role("", (schema,)), role)


def _logged_in(found: Warehouse, cursor: Cursor) -> str | None:
    """Why a role cannot log in, once its password is set again: it may have changed it itself.

    Args:
        cursor: of the user who made it.
    """
    from psycopg2 import Error

    for is_last in (False, True):
        try:
            _try(found)
            return None
        except SkyOpsError as error:
            said = str(error)
        if not is_last:
            with suppress(Error):
                _set_password(cursor, str(found.url.username), found.url.password)
    return said


def _try(warehouse: Warehouse) -> None:
    with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select 1")


def _exists(cursor: Cursor, name: str) -> bool:
    cursor.execute("select 1 from pg_roles where rolname = %s", (name,))
    return cursor.fetchone() is not None


def _make(cursor: Cursor, warehouse: Warehouse, settings: Settings, name: str) -> bool:
    """Make a role that can log in; False where SkyOps' user may not."""
    from psycopg2 import errors, sql

    cursor.execute("select rolcreaterole or rolsuper from pg_roles where rolname = current_user")
    if cursor.fetchone() != (True,):
        return False
    # Before the role: killed in between, the next one takes it from there.
    password = None if warehouse.is_embedded else _password(settings, name, is_new=True)
    cursor.execute("begin")
    try:
        cursor.execute(_LOCK)
        if not _exists(cursor, name):
            cursor.execute(
                sql.SQL(
                    "create role {} login nosuperuser nocreatedb nocreaterole noinherit "
                    "noreplication nobypassrls"
                ).format(sql.Identifier(name))
            )
            if password:
                _set_password(cursor, name, password)
        cursor.execute("commit")
    except errors.InsufficientPrivilege:
        cursor.execute("rollback")
        return False
    return True


def _let_in_by_password(cursor: Cursor, settings: Settings, name: str) -> None:
    """See that a role of the embedded server, which else needs none, has the password of its file.

    A new one where the file or the role's password is not there.
    """
    if READER.address(settings):
        return  # Its password is what the person has set.
    cursor.execute("begin")
    cursor.execute(_LOCK)
    cursor.execute("select rolpassword is null from pg_authid where rolname = %s", (name,))
    if _password(settings, name) is None or cursor.fetchone() == (True,):
        _set_password(cursor, name, _password(settings, name, is_new=True))
    cursor.execute("commit")


def _set_password(cursor: Cursor, name: str, password: str | None) -> None:
    """As what the server keeps of it: its log may hold statements."""
    from psycopg2 import sql
    from psycopg2.extensions import encrypt_password

    if password is None:
        return
    kept = encrypt_password(password, name, cursor.connection, "scram-sha-256")
    cursor.execute(
        sql.SQL("alter role {} password {}").format(sql.Identifier(name), sql.Literal(kept))
    )


def _close_what_all_may(cursor: Cursor, name: str) -> None:
    """By Postgres' defaults anybody may fill the disk, in a session that only reads too.

    Where SkyOps' user owns the database, or the server; else nothing happens.
    """
    from psycopg2 import Error, sql

    cursor.execute(
        "select datname from pg_database where datname = current_database()"
        " and pg_has_role(datdba, 'usage') and has_database_privilege(%s, oid, 'temp')",
        (name,),
    )
    row = cursor.fetchone()
    if row is None:
        return
    database = sql.Identifier(row[0])
    for statement in (
        sql.SQL("revoke temporary on database {} from public").format(database),
        sql.SQL("revoke create on schema public from public"),
        *(
            sql.SQL("revoke execute on function pg_catalog.{} from public").format(sql.SQL(one))
            for one in _LARGE_OBJECTS
        ),
    ):
        with suppress(Error):
            cursor.execute(statement)


def _grant(cursor: Cursor, role: Role, name: str) -> None:
    """Let a role do what it may and cannot yet."""
    from psycopg2 import Error, errors, sql

    values = {"role": name, "schemas": list(role.schemas), "tables": list(role.tables),
              "hidden": list(role.hidden), "inserts": list(role.inserts),
              "updated": list(role.updates), "columns": list(role.updates.values()),
              "watches": role.watches}  # fmt: skip
    # dbt makes them when it builds; what is to be in them is granted before.
    cursor.execute("select name from unnest(%(schemas)s::text[]) as name"
                   " where to_regnamespace(quote_ident(name)) is null", values)  # fmt: skip
    for (schema,) in cursor.fetchall():
        # Of several processes at once one makes it; "if not exists" does not wait for the other.
        with suppress(errors.UniqueViolation):
            cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
    cursor.execute(_LACKING, values)
    for _, statement in cursor.fetchall():
        # A table that dbt has put another in the place of, or another process that does the same:
        # what lacks is found by the next who opens the warehouse.
        with suppress(Error):
            cursor.execute(statement)


def _file(settings: Settings, name: str) -> Path:
    return settings.home / f"{quote(name, safe='')}.password"


def _password(settings: Settings, name: str, *, is_new: bool = False) -> str | None:
    """A role's password, which lies in SKYOPS_HOME; where it does not, None, or a new one.

    Raises:
        SkyOpsError: SKYOPS_HOME cannot be written to.
    """
    path = _file(settings, name)
    if is_new:
        write_secret(path, secrets.token_urlsafe(32), keep=True)
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SkyOpsError(unusable(settings.home, error)) from None
