"""What Dagster's own tables in Postgres lack for years of hourly runs.

Belongs here: an index, and results of checks whose run is gone. Does not: runs and events, which
are removed through Dagster (`defs.platform.repair`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

INDEX = """
create index if not exists skyops_check_results on asset_check_executions
(asset_key, check_name, id)
"""
ORPHANS = """
delete from asset_check_executions as results
where
    results.run_id <> ''
    and not exists (select from runs where runs.run_id = results.run_id)
    and exists (
        select from asset_check_executions as newer
        where
            newer.asset_key = results.asset_key
            and newer.check_name = results.check_name
            and newer.id > results.id
            and newer.execution_status in ('SUCCEEDED', 'FAILED')
    )
"""


def tidy(connection: Connection) -> int:
    """Index the results of checks, and remove those of removed runs; how many went.

    Without the index the latest result of each check is found by reading all there ever were: with
    those of a year, ten seconds. Dagster removes none with its run. A check's latest result stays,
    and what was told without a run. On another database than Postgres nothing is done.
    """
    from sqlalchemy import text

    if connection.dialect.name != "postgresql":
        return 0
    connection.execute(text(INDEX))
    return int(connection.execute(text(ORPHANS)).rowcount)
