"""SkyOps' databases: made as they must be, and refused in one sentence where they cannot serve.

Belongs here: what is looked at when a server is first met: version, encoding, rights, whether it
may be written. Does not: connecting (`connection`), what a session has set (`sessions`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.sessions import pins, store_pins

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

AS_MADE = "encoding 'UTF8' locale_provider libc locale 'C' template template0"
"""Of one encoding and one order of texts everywhere, whatever the server was made with; other
templates than template0 allow neither."""
_SCHEMAS = ["raw", "staging", "intermediate", "metrics", "features", "ml", "live", "audit"]


def refuse_server(cursor: Cursor, where: str, oldest: int) -> None:
    """Refuse a server that is too old, or that cannot be written.

    Args:
        where: the server's address as it is shown.
        oldest: the version that is needed, as psycopg2 counts them.

    Raises:
        SkyOpsError: it cannot be used; the message says what mends it.
    """
    version = cursor.connection.server_version
    if version < oldest:
        raise SkyOpsError(
            f"The warehouse {where} runs Postgres {version // 10000}; SkyOps needs "
            f"{oldest // 10000} or newer."
        )
    cursor.execute(
        "select pg_is_in_recovery(), setting, source, quote_ident(session_user), "
        "quote_ident(current_database()) "
        "from pg_settings where name = 'default_transaction_read_only'"
    )
    is_standby, is_read_only, source, role, database = cursor.fetchone()  # type: ignore[misc]
    if is_standby:
        raise SkyOpsError(
            f"The warehouse {where} is a standby, which cannot be written (pg_is_in_recovery). "
            "Name the primary server in SKYOPS_DATABASE_URL."
        )
    if is_read_only == "on":
        remedy = {
            "user": f"alter role {role} reset default_transaction_read_only",
            "database": f"alter database {database} reset default_transaction_read_only",
            "database user": f"alter role {role} in database {database} "
            "reset default_transaction_read_only",
            "client": "take default_transaction_read_only out of PGOPTIONS or SKYOPS_DATABASE_URL",
        }.get(source, "set default_transaction_read_only to off in the server's configuration")
        raise SkyOpsError(
            f"The warehouse {where} lets user {role} only read database {database} "
            f"(default_transaction_read_only is on). To let SkyOps write: {remedy}"
        )


def create_database(cursor: Cursor, name: str, where: str) -> bool:
    """Make a database, unless it is there; another process may be doing the same.

    Returns:
        Whether it is new.

    Raises:
        SkyOpsError: the user may not.
    """
    from psycopg2 import errors, sql

    cursor.execute("select 1 from pg_database where datname = %s", (name,))
    if cursor.fetchone():
        return False
    statement = sql.SQL("create database {} ").format(sql.Identifier(name)) + sql.SQL(AS_MADE)
    try:
        cursor.execute(statement)
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        pass  # Another process was first.
    except errors.InsufficientPrivilege:
        cursor.execute("select session_user, quote_ident(session_user)")
        role, quoted = cursor.fetchone()  # type: ignore[misc]
        raise SkyOpsError(
            f"Database {name!r} does not exist on {where} and user {role!r} may not create it. As "
            f"a superuser grant CREATEDB (alter role {quoted} createdb), or create it: "
            f"{statement.as_string(cursor)} owner {quoted}"
        ) from None
    # Before anyone connects: a pooler remembers the first session that it has seen.
    store_pins(cursor, name)
    return True


def refuse_database(cursor: Cursor, where: str) -> None:
    """Refuse the session's database if its encoding or its rights do not do.

    Raises:
        SkyOpsError: it cannot be used; the message names the role, the database and the statement
            that mends it.
    """
    cursor.execute(
        """
        select datname, quote_ident(datname), session_user, quote_ident(session_user),
            pg_encoding_to_char(encoding), pg_get_userbyid(datdba),
            has_database_privilege(datname, 'create')
        from pg_database where datname = current_database()
        """
    )
    row = cursor.fetchone()
    assert row is not None
    name, database, role, quoted, encoding, owner, may_create = row
    if encoding != "UTF8":
        raise SkyOpsError(
            f"Database {name!r} on {where} has the encoding {encoding}, in which not every text "
            "can be stored; SkyOps needs UTF8. Rename or drop it, and SkyOps makes a new one; or "
            f"restore a dump of it into: create database {database} {AS_MADE}"
        )

    def refused(what: str, grant: str) -> SkyOpsError:
        return SkyOpsError(
            f"User {role!r} {what} in database {name!r} on {where}. As {owner!r}, who owns the "
            f"database, or as a superuser, run there: {grant}"
        )

    if not may_create:
        raise refused("may not create schemas", f"grant create on database {database} to {quoted}")
    schema = pins(cursor)["search_path"]
    cursor.execute("select to_regnamespace(%s) is null", (schema,))
    if cursor.fetchone() == (True,):
        raise refused(
            f"finds no schema {schema} for tables",
            f"create schema {schema} authorization {quoted}",
        )
    cursor.execute(
        """
        select quote_ident(nspname) from pg_namespace
        where
            (nspname = any(%s) or oid = to_regnamespace(%s))
            and not (has_schema_privilege(oid, 'usage') and has_schema_privilege(oid, 'create'))
        order by 1 limit 1
        """,
        (_SCHEMAS, schema),
    )
    if row := cursor.fetchone():
        raise refused(
            f"may not create tables in schema {row[0]}",
            f"grant usage, create on schema {row[0]} to {quoted}",
        )
    cursor.execute(
        """
        select pg_class.oid::regclass::text, quote_ident(pg_get_userbyid(relowner))
        from pg_class inner join pg_namespace on relnamespace = pg_namespace.oid
        where
            (
                nspname = any(%s) and relkind in ('r', 'p', 'v', 'm')
                or pg_class.oid = to_regclass('alembic_version')
                or pg_class.oid = to_regclass('public.skyops_migrations')
            )
            and not pg_has_role(relowner, 'usage')
        order by 1 limit 1
        """,
        (_SCHEMAS,),
    )
    if row := cursor.fetchone():
        raise refused(
            f"does not own table {row[0]}, which belongs to {row[1]},",
            f"grant {row[1]} to {quoted}",
        )
