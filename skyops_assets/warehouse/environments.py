"""What a warehouse's environment is called, and that no other environment uses it.

Belongs here: the names in `audit.environments`. Does not: the setting's form (`setting_values`).
"""

from __future__ import annotations

from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.connection import Warehouse

_INSERT = "insert into audit.environments (name, actor, reason) values (%s, %s, %s)"


def names(warehouse: Warehouse) -> list[str]:
    """All names that a warehouse had, the present one last; none before its first use."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        # Before its migration, too.
        cursor.execute("select to_regclass('audit.environments')")
        if cursor.fetchone() == (None,):
            return []
        cursor.execute("select name from audit.environments order by environment_id")
        return [name for (name,) in cursor.fetchall()]


def require(warehouse: Warehouse, name: str) -> None:
    """See that a warehouse is of this environment, or of none yet.

    Raises:
        SkyOpsError: it is of another one.
    """
    known = names(warehouse)
    if known and known[-1] != name:
        raise SkyOpsError(
            f"The warehouse {warehouse.safe_url} is of the environment {known[-1]!r}, and "
            f"SKYOPS_ENV is {name!r}. Set SKYOPS_ENV={known[-1]}, or name the database of {name!r} "
            "in SKYOPS_DATABASE_URL (or its SKYOPS_HOME). If this warehouse itself is to have "
            f"another name: `skyops rename-env {name} --reason TEXT`."
        )


def remember(warehouse: Warehouse, name: str) -> None:
    """Give a warehouse its first name, once its tables are there.

    Raises:
        SkyOpsError: it has another one.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        # Of two that come first, one is.
        cursor.execute("select pg_advisory_xact_lock(hashtext('skyops.environment'))")
        cursor.execute("select audit.environment() is null")
        if cursor.fetchone() == (True,):
            cursor.execute(_INSERT, (name, None, None))
    require(warehouse, name)


def rename(warehouse: Warehouse, name: str, actor: str, reason: str) -> str | None:
    """Give a warehouse another name, and return the one before.

    What was trained under a name before stays its own.

    Raises:
        SkyOpsError: it has this name already, or the reason is empty.
    """
    if not reason.strip():
        raise SkyOpsError("The reason is empty; say in --reason why the environment is renamed.")
    known = names(warehouse)
    if known and known[-1] == name:
        raise SkyOpsError(f"The warehouse {warehouse.safe_url} is called {name!r} already.")
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(_INSERT, (name, actor, reason.strip()))
    return known[-1] if known else None
