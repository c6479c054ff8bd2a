"""dbt in a process forked from one that has imported it, which saves two seconds a start."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from skyops_assets.runtime import environment
from skyops_assets.settings import Settings
from skyops_assets.transform.dbt import DBT_PROJECT, PARSED, lay_parsed, parse_for_any_server
from skyops_assets.warehouse.connection import Warehouse

Dbt = Callable[..., str]
"""Runs `skyops-dbt` with these arguments and returns what it printed."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "adbc_driver_postgresql.dbapi",
        "dbt.adapters.postgres",
        "dbt.cli.main",
        "psycopg2",
        "skyops_assets.settings",
        "skyops_assets.warehouse.connection",
        "sqlalchemy.dialects.postgresql",
        "sqlparse",
    ]
)


def dbt_environment(home: Path, target: Path, warehouse: Warehouse) -> dict[str, str]:
    """The variables of a dbt that works on a warehouse and writes its artifacts into a folder."""
    return {
        **os.environ,
        **environment(Settings(home=home), warehouse),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        # Two seconds of each run, for what no test reads.
        "DBT_LOG_LEVEL_FILE": "none",
        "DBT_WRITE_JSON": "false",
        "SKYOPS_DBT_THREADS": "2",
    }


def run_dbt(
    log: Path, variables: Mapping[str, str], *arguments: str, ours: bool
) -> tuple[int, str]:
    """Run `skyops-dbt` (`ours`) or dbt itself; returns its exit code and what it printed."""
    target = Path(variables["DBT_TARGET_PATH"])
    if not (target / PARSED).exists():
        lay_parsed(target, variables["SKYOPS_PG_DBNAME"])
    process = _CONTEXT.Process(target=_main, args=(str(log), dict(variables), arguments, ours))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode, log.read_text()


def _main(log: str, variables: dict[str, str], arguments: tuple[str, ...], ours: bool) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(DBT_PROJECT)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["skyops-dbt" if ours else "dbt", *arguments]
    if ours:
        from skyops_assets.transform.dbt import main
    else:
        parse_for_any_server()
        from dbt.cli.main import cli as main
    main()


def call_tested(warehouse: Warehouse) -> None:
    """Say that dbt's tests have passed, where a test runs the models without them."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("truncate audit.pending_ranges, audit.pending_hours")
        cursor.execute("update audit.transform_state set is_whole_pending = false")
