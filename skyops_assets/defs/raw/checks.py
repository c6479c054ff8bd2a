"""Checks at the boundary: nothing is computed from positions that do not pass."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from skyops_assets.defs.raw.assets import HOURS, arrivals_history, opensky_states
from skyops_assets.defs.resources import WarehouseResource


@dg.asset_check(asset=opensky_states, blocking=True)
def state_vectors_can_be_true(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """The Great Expectations suite `raw_opensky_states` on the positions loaded last.

    Blocks the transform. Its file says for each expectation what to do.
    """
    from skyops_assets.opensky.accounts import dropped_days, last_load, loaded_states
    from skyops_assets.quality.expectations import merged, report, validate

    database = warehouse.open()
    load = last_load(database, context.run.run_id)
    if load is None:
        return dg.AssetCheckResult(
            passed=False, description="No positions were loaded: check the hours and the source."
        )
    rows, parts = 0, []
    for frame in loaded_states(database, load):
        rows += len(frame)
        parts.append(validate(frame, "raw_opensky_states"))
    dropped = dropped_days(database, load.start, load.end)
    if not rows and (said := _dropped(dropped)):
        context.log.warning(said)
        return dg.AssetCheckResult(passed=True, description=said, metadata={"rows": 0})
    outcomes = merged(parts)
    broken = [outcome for outcome in outcomes if not outcome.is_met]
    return dg.AssetCheckResult(
        passed=not broken,
        description="; ".join(f"{item.expectation}: {item.advice}" for item in broken)
        or _dropped(dropped),
        metadata={
            "rows": rows,
            "window": f"{load.start.isoformat()} to {load.end.isoformat()}",
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
    from skyops_assets.opensky.accounts import dropped_days, last_load, stored_twice

    database = warehouse.open()
    load = last_load(database, context.run.run_id)
    found = stored_twice(database, load.start, load.end) if load else 0
    dropped = dropped_days(database, load.start, load.end) if load else []
    return dg.AssetCheckResult(
        passed=found == 0,
        description=f"{found} positions are stored twice: rows were written around the loader. "
        "Delete the later copies."
        if found
        else _dropped(dropped),
        metadata={"stored_twice": found},
    )


@dg.asset_check(asset=opensky_states, blocking=True)
def nothing_is_lost(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Over all loads: read = loaded + duplicates + rejected, and the tables hold just that."""
    from skyops_assets.opensky.load import TARGET

    return _balance(warehouse, TARGET, "hours")


@dg.asset_check(asset=opensky_states)
def volume_is_as_usual(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Each hour loaded last, once it is over, has about as many positions as that hour usually has.

    Usual is the median of the same UTC hour of the 28 days before, where at least three of them
    have positions. Warns below SKYOPS_RAW_LEAST_VOLUME_SHARE of it, and above its inverse.
    """
    from skyops_assets.opensky import accounts

    database = warehouse.open()
    load = accounts.last_load(database, context.run.run_id)
    window = _asked_for(context) or (load and (load.start, load.end))
    if window is None:
        return dg.AssetCheckResult(passed=True, description="No positions were ever loaded.")
    dropped = accounts.dropped_days(database, *window)
    hours = accounts.whole_hours(*window, datetime.now(UTC))
    volumes = accounts.hour_volumes(database, [h for h in hours if h.date() not in dropped])
    problem = accounts.volume_problem(volumes, warehouse.settings.raw_least_volume_share)
    compared = sum(volume.usual_rows is not None for volume in volumes)
    return dg.AssetCheckResult(
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem or _dropped(dropped),
        metadata={
            "compared_hours": compared,
            "hours_with_too_few_earlier_days": len(volumes) - compared,
            "newest_hours": "; ".join(map(str, volumes[-accounts.NAMED :])) or "none is over",
        },
    )


@dg.asset_check(asset=opensky_states)
def few_rows_are_rejected(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Of the new rows of the last day of loads, at most SKYOPS_RAW_MAX_REJECTED_SHARE are rejected.

    Warns: what was rejected is kept, and what was loaded is right.
    """
    from skyops_assets.opensky.accounts import rejections

    found = rejections(warehouse.open())
    problem = found.problem(warehouse.settings.raw_max_rejected_share)
    return dg.AssetCheckResult(
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem,
        metadata={
            "new_rows": found.judged_rows,
            "rejected_rows": found.rejected_rows,
            "rejected_share": found.share,
            "reasons": found.reasons,
        },
    )


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


def _asked_for(context: dg.AssetCheckExecutionContext) -> tuple[datetime, datetime] | None:
    """First and last time of the hours that the run loads; an hour without rows is in no batch."""
    tags = context.run.tags
    first = tags.get(ASSET_PARTITION_RANGE_START_TAG) or tags.get(PARTITION_NAME_TAG)
    last = tags.get(ASSET_PARTITION_RANGE_END_TAG) or first
    if first is None or last is None:
        return None
    end = HOURS.time_window_for_partition_key(last).end
    return HOURS.time_window_for_partition_key(first).start, end - timedelta(microseconds=1)


def _dropped(days: Sequence[date]) -> str | None:
    if not days:
        return None
    named = str(days[0]) if len(days) == 1 else f"{len(days)} days, {days[0]} to {days[-1]}"
    return (
        f"Nothing was looked at of {named}: SKYOPS_RAW_RETENTION_DAYS keeps no positions of so "
        "long ago, and they were dropped after they were loaded."
    )
