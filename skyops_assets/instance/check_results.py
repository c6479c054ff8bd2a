"""Dagster's own table of check results, where its interface is too slow for years of hourly runs.

Belongs here: the last results, an index for them, and results whose run is gone. Does not: runs and
events (`retention`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from skyops_assets.instance.private import index_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from skyops_assets.instance.private import BaseAssetGraph

INDEX = """
create index if not exists skyops_check_results on asset_check_executions
(asset_key, check_name, id)
"""
ORPHANS = """
delete from asset_check_executions as results
where
    results.run_id <> ''
    and (
        results.run_id = any(:thinned)
        or not exists (select from runs where runs.run_id = results.run_id)
    )
    and exists (
        select from asset_check_executions as newer
        where
            newer.asset_key = results.asset_key
            and newer.check_name = results.check_name
            and newer.id > results.id
            and newer.execution_status in ('SUCCEEDED', 'FAILED')
    )
"""


LAST = """
with checks (asset_key, check_name) as (values {keys})

select
    checks.asset_key,
    checks.check_name
from checks
where
    'FAILED' = (
        select results.execution_status
        from asset_check_executions as results
        where
            results.asset_key = checks.asset_key
            and results.check_name = checks.check_name
            and results.execution_status in ('SUCCEEDED', 'FAILED')
        order by results.id desc
        limit 1
    )
"""


def _failed(connection: Connection, checks: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the checks (asset key as Dagster stores it, name) whose last result is a failure.

    All in one question: Dagster's storage opens a connection for each.
    """
    from sqlalchemy import text

    if not checks:
        return []
    keys = ", ".join(f"(:asset_{i}, :name_{i})" for i in range(len(checks)))
    values: dict[str, str] = {}
    for i, (asset, name) in enumerate(checks):
        values |= {f"asset_{i}": asset, f"name_{i}": name}
    rows = connection.execute(text(LAST.format(keys=keys)), values)
    return [(str(asset), str(name)) for asset, name in rows]


def tidy(connection: Connection, thinned: Sequence[str] = ()) -> int:
    """Index the results of checks, and remove those of removed and thinned runs; how many went.

    Without the index the latest result of each check is found by reading all there ever were: with
    those of a year, ten seconds. Dagster removes none with its run. A check's latest result stays,
    and what was told without a run. On another database than Postgres nothing is done.
    """
    from sqlalchemy import text

    if connection.dialect.name != "postgresql":
        return 0
    connection.execute(text(INDEX))
    return int(connection.execute(text(ORPHANS), {"thinned": list(thinned)}).rowcount)


def failed_checks(
    instance: dg.DagsterInstance, graph: BaseAssetGraph, asset: dg.AssetKey
) -> tuple[str, ...]:
    """The blocking checks of all that an asset is made from whose last result is a failure.

    A check that was planned and not evaluated, as its run ended before, has the result before that.
    """
    keys = [
        check
        for key in graph.get_ancestor_asset_keys(asset)
        for check in graph.get(key).check_keys
        if graph.get(check).blocking
    ]
    named = {(key.asset_key.to_string(), key.name): key for key in keys}
    with index_connection(instance) as connection:
        red = [named[one] for one in _failed(connection, list(named))]
    return tuple(sorted(f"{key.name} of {key.asset_key.to_user_string()}" for key in red))
