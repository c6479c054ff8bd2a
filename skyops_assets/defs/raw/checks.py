"""Checks at the boundary: nothing is computed from positions that do not pass."""

import dagster as dg

from skyops_assets.defs.raw.assets import arrivals_history, opensky_states
from skyops_assets.defs.resources import WarehouseResource


@dg.asset_check(asset=opensky_states, blocking=True)
def state_vectors_can_be_true(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """The Great Expectations suite `raw_opensky_states` on the positions loaded last.

    Blocks the transform. Its file says for each expectation what to do.
    """
    from skyops_assets.opensky.accounts import loaded_window, states_between
    from skyops_assets.quality.expectations import report, validate

    database = warehouse.open()
    window = loaded_window(database, context.run.run_id)
    if window is None:
        return dg.AssetCheckResult(
            passed=False, description="No positions were loaded: check the hours and the source."
        )
    frame = states_between(database, *window)
    outcomes = validate(frame, "raw_opensky_states")
    broken = [outcome for outcome in outcomes if not outcome.is_met]
    return dg.AssetCheckResult(
        passed=not broken,
        description="; ".join(f"{item.expectation}: {item.advice}" for item in broken) or None,
        metadata={
            "rows": len(frame),
            "window": f"{window[0].isoformat()} to {window[1].isoformat()}",
            "expectations": dg.MetadataValue.md(report(outcomes)),
        },
    )


@dg.asset_check(asset=opensky_states, blocking=True)
def no_position_is_stored_twice(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """No (icao24, time_position, source) twice in the time that was loaded last.

    The table has no key while rows are loaded; this proves what the loader promises.
    """
    from skyops_assets.opensky.accounts import loaded_window, stored_twice

    database = warehouse.open()
    window = loaded_window(database, context.run.run_id)
    found = stored_twice(database, *window) if window else 0
    return dg.AssetCheckResult(
        passed=found == 0,
        description=f"{found} positions are stored twice: rows were written around the loader. "
        "Delete the later copies."
        if found
        else None,
        metadata={"stored_twice": found},
    )


@dg.asset_check(asset=opensky_states, blocking=True)
def nothing_is_lost(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Over all loads: read = loaded + duplicates + rejected, and the tables hold just that."""
    from skyops_assets.opensky.load import TARGET

    return _balance(warehouse, TARGET, "hours")


@dg.asset_check(asset=arrivals_history, blocking=True)
def no_arrival_is_lost(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Over all loads: read = loaded + duplicates + rejected, and the tables hold just that."""
    from skyops_assets.history.load import TARGET

    return _balance(warehouse, TARGET, "days")


def _balance(warehouse: WarehouseResource, target: str, partitions: str) -> dg.AssetCheckResult:
    from skyops_assets.opensky.accounts import accounts

    found = accounts(warehouse.open(), target)
    return dg.AssetCheckResult(
        passed=found.is_balanced,
        description=None
        if found.is_balanced
        else "Rows were written or removed around the loader; compare raw.ingest_batches with "
        f"the tables, then load the affected {partitions} again.",
        metadata=vars(found),
    )
