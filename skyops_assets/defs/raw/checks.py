"""Checks at the boundary: nothing is computed from positions that do not pass."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from skyops_assets.defs.raw.assets import (
    aircraft,
    airports,
    arrivals_history,
    metars,
    opensky_states,
    runways,
)
from skyops_assets.defs.raw.partitions import HOURS
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, columns_result, suite_result, warning
from skyops_assets.instance.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)


@dg.asset_check(asset=opensky_states, blocking=True, metadata=OWNED)
def state_vectors_are_plausible(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """The Great Expectations suite `raw_opensky_states` passes on the positions loaded last.

    Blocks the transform. The suite's file says what to do about each expectation. A load that
    brought only known or rejected rows passes.
    """
    from skyops_assets.quality.expectations import validate_parts
    from skyops_assets.quality.reconciliation import (
        dropped_days,
        last_load,
        loaded_states,
        read_rows,
    )

    database = warehouse.open()
    load = last_load(database, context.run.run_id)
    if load is None:
        read = read_rows(database)
        return dg.AssetCheckResult(
            passed=read > 0,
            description=f"There are no positions yet: all {read:,} rows read were rejected. "
            "raw.rejected_states has the reasons."
            if read
            else "No positions were loaded: check the hours and the source.",
        )
    settings = warehouse.settings
    found = validate_parts(loaded_states(database, load), "raw_opensky_states", settings)
    dropped = dropped_days(database, load.start, load.end)
    if not found.rows and (said := _dropped(dropped)):
        context.log.warning(said)
        return dg.AssetCheckResult(passed=True, description=said, metadata={"rows": 0})
    if not found.rows and not load.loaded_rows:
        said = "The loads that no model holds yet brought only positions that were already stored."
        return dg.AssetCheckResult(passed=True, description=said, metadata={"rows": 0})
    window = f"{load.start.isoformat()} to {load.end.isoformat()}"
    return suite_result(found, settings, _dropped(dropped), window=window)


@dg.asset_check(asset=opensky_states, blocking=True, metadata=OWNED)
def no_position_is_stored_twice(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """No (icao24, time_position, source) occurs twice in the time range loaded last.

    The table has no key while rows are loaded; this check proves what the loader promises.
    """
    from skyops_assets.quality.reconciliation import dropped_days, last_load, stored_twice

    database = warehouse.open()
    load = last_load(database, context.run.run_id)
    found = stored_twice(database, load.start, load.end) if load else 0
    dropped = dropped_days(database, load.start, load.end) if load else []
    return dg.AssetCheckResult(
        passed=found == 0,
        description=f"{found} positions are stored twice: rows were written without the loader. "
        "Delete the later copies."
        if found
        else _dropped(dropped),
        metadata={"stored_twice": found},
    )


@dg.asset_check(asset=opensky_states, blocking=True, metadata=OWNED)
def nothing_is_lost(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Over all loads, read = loaded + duplicates + rejected, and the tables hold those rows."""
    from skyops_assets.sources.opensky.loading.states import TARGET

    return _balance(warehouse, TARGET, "hours")


@dg.asset_check(asset=opensky_states, metadata=OWNED)
def volume_is_as_usual(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Each hour loaded last has about as many positions as usual, once the hour is over.

    The usual number is the median of the same UTC hour on the 28 days before, if at least three of
    them have positions. Warns below SKYOPS_RAW_MIN_VOLUME_SHARE of it and above its inverse.
    """
    from skyops_assets.quality import reconciliation, volumes

    database = warehouse.open()
    load = reconciliation.last_load(database, context.run.run_id)
    window = _asked_for(context) or (load and (load.start, load.end))
    if window is None:
        return dg.AssetCheckResult(passed=True, description="No positions have been loaded yet.")
    dropped = reconciliation.dropped_days(database, *window)
    hours = volumes.whole_hours(*window, datetime.now(UTC))
    found = volumes.hour_volumes(database, [h for h in hours if h.date() not in dropped])
    problem = volumes.volume_problem(found, warehouse.settings.raw_min_volume_share)
    compared = sum(volume.usual_rows is not None for volume in found)
    return dg.AssetCheckResult(
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem or _dropped(dropped),
        metadata={
            "compared_hours": compared,
            "hours_with_too_few_earlier_days": len(found) - compared,
            "newest_hours": "; ".join(map(str, found[-volumes.NAMED :])) or "none is over",
        },
    )


@dg.asset_check(asset=opensky_states, metadata=OWNED)
def few_rows_are_rejected(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """At most SKYOPS_RAW_MAX_REJECTED_SHARE of the new rows in the last day of loads are rejected.

    Only warns: rejected rows are kept, and the loaded rows are right.
    """
    from skyops_assets.quality.reconciliation import rejections

    found = rejections(warehouse.open())
    problem = found.problem(warehouse.settings.raw_max_rejected_share)
    return warning(
        problem,
        new_rows=found.judged_rows,
        rejected_rows=found.rejected_rows,
        rejected_share=found.share,
        reasons=found.reasons,
    )


@dg.asset_check(asset=opensky_states, metadata=OWNED)
def nulls_are_as_usual(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """In each hour loaded last, key columns are null about as often as usual, once it is over.

    The usual share is the median of the same UTC hour on the 28 days before, if at least three of
    them have 100 positions. Warns SKYOPS_RAW_MAX_NULL_RISE above it.
    """
    from skyops_assets.quality import reconciliation, volumes
    from skyops_assets.quality.nulls import null_problem, null_shares

    database = warehouse.open()
    load = reconciliation.last_load(database, context.run.run_id)
    if load is None:
        return dg.AssetCheckResult(passed=True, description="No positions have been loaded yet.")
    shares = null_shares(database, volumes.whole_hours(load.start, load.end, datetime.now(UTC)))
    return warning(
        null_problem(shares, warehouse.settings.raw_max_null_rise),
        compared=sum(one.usual_share is not None for one in shares),
        without_usual_share=sum(one.usual_share is None for one in shares),
    )


@dg.asset_check(asset=arrivals_history, blocking=True, metadata=OWNED)
def arrivals_are_plausible(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """The Great Expectations suite `raw_arrivals_history` passes on arrivals not yet in a model.

    Blocks the transform. Passes if there are no new arrivals.
    """
    from skyops_assets.quality.expectations import validate_parts
    from skyops_assets.sources.history.loaded import loaded_arrivals

    settings = warehouse.settings
    frame = loaded_arrivals(warehouse.open(), context.run.run_id)
    note = None
    if not len(frame):
        note = "No new arrivals were loaded: all of them are in the models already."
    found = validate_parts([frame], "raw_arrivals_history", settings)
    return suite_result(found, settings, note)


@dg.asset_check(asset=arrivals_history, blocking=True, metadata=OWNED)
def no_arrival_is_lost(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Over all loads, read = loaded + duplicates + rejected, and the tables hold those rows."""
    from skyops_assets.sources.history.load import TARGET

    return _balance(warehouse, TARGET, "days")


@dg.asset_check(asset=metars, blocking=True, metadata=OWNED)
def no_report_is_lost(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Over all loads, read = loaded + duplicates + rejected, and the tables hold those rows."""
    from skyops_assets.sources.weather.load import TARGET

    return _balance(warehouse, TARGET, "days")


def _columns_are_as_declared(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    table = ".".join(asset.key.path)

    @dg.asset_check(
        asset=asset,
        name="columns_are_as_declared",
        blocking=True,
        metadata=OWNED,
        description=f"{table} has the columns and types that the code declares. Blocks the "
        "transform. Additional columns are allowed.",
    )
    def check(warehouse: WarehouseResource) -> dg.AssetCheckResult:
        from skyops_assets.quality.contracts import difference, raw_columns, stored_columns

        found = difference(raw_columns(table), stored_columns(warehouse.open(), table))
        return columns_result(
            table,
            found,
            "The table was altered outside SkyOps: restore the columns with `alter table`, then "
            "load the affected rows again.",
        )

    return check


opensky_states_columns = _columns_are_as_declared(opensky_states)
arrivals_history_columns = _columns_are_as_declared(arrivals_history)
airports_columns = _columns_are_as_declared(airports)
runways_columns = _columns_are_as_declared(runways)
metars_columns = _columns_are_as_declared(metars)
aircraft_columns = _columns_are_as_declared(aircraft)


def _balance(warehouse: WarehouseResource, target: str, partitions: str) -> dg.AssetCheckResult:

    from skyops_assets.quality.reconciliation import accounts

    found = accounts(warehouse.open(), target)
    return dg.AssetCheckResult(
        passed=found.is_balanced,
        description=None
        if found.is_balanced
        else "Rows were written or removed without the loader; compare raw.ingest_batches with "
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
        f"{named} could not be checked: its positions are older than SKYOPS_RAW_RETENTION_DAYS "
        "keeps, and were dropped after loading."
    )
