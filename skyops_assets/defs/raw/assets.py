"""Raw data: positions by the hour, past arrivals and weather by the day, and the reference rows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from skyops_assets.defs.policies import placed
from skyops_assets.defs.raw.partitions import DAYS, HOURS, METAR_DAYS, OF_A_DAY, OF_A_MONTH
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import batch_metadata, batches_metadata, failed_once
from skyops_assets.errors import SkyOpsError, first_few
from skyops_assets.quality.contracts import raw_columns
from skyops_assets.settings import Settings
from skyops_assets.transform.declared import described
from skyops_assets.warehouse.connection import Warehouse


def _columns(table: str) -> dict[str, Any]:
    """A raw table's columns with what they mean, as dbt's file of sources says it, and units."""
    said = described(table)
    columns = [
        dg.TableColumn(name, kind, said.get(name)) for name, kind in raw_columns(table).items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns)}


class StatesConfig(dg.Config):
    """The source of past hours in this run: a path, or `demo`; by default SKYOPS_RECORDING."""

    recording: str | None = None


@dg.asset(
    **placed("raw", "opensky_states"),
    kinds={"postgres", "python"},
    partitions_def=HOURS,
    backfill_policy=OF_A_DAY,
    metadata={
        **_columns("raw.opensky_states"),
        "freshness": "Measured by when positions were last loaded, whatever their own time. A "
        "collector's positions count from the next hourly refresh. If only a recording was loaded, "
        "as in the demo, the policy fails after a day: no new data arrives, and nothing is broken.",
    },
)
def opensky_states(
    context: dg.AssetExecutionContext, config: StatesConfig, warehouse: WarehouseResource
) -> None:
    """One row per state vector (icao24, time_position, source), in SI units.

    Reads the requested hours from the recording or the folder of recordings. Without one, the
    present hour is loaded from OpenSky instead, with one live response per watched box, and a past
    hour fails; `skyops collect` polls continuously. Impossible rows go to `raw.rejected_states`
    with a reason. Loading the same hours again changes nothing. Files in a folder that are damaged
    or are not recordings cause a warning, and the others are loaded.
    """
    from skyops_assets.sources.opensky.loading.partitions import (
        days_to_drop,
        drop_old_partitions,
        index_finished_days,
    )
    from skyops_assets.sources.opensky.reading.recordings import named_recording

    settings = warehouse.settings
    now = datetime.now(UTC)
    database = warehouse.open()
    hours = {key: HOURS.time_window_for_partition_key(key) for key in context.partition_keys}
    days = {hour.start.date() for hour in hours.values()}
    for day in days_to_drop(days, settings.raw_retention_days, now):
        context.log.warning(
            f"{day} is older than SKYOPS_RAW_RETENTION_DAYS keeps: it is loaded and then dropped."
        )
    recording = config.recording or settings.recording
    # A poll that waited for its turn until its hour was over still asks.
    over = [key for key, hour in hours.items() if hour.end <= now - timedelta(hours=1)]
    if over and not recording:
        hours = _present(context, database, over, hours)
    problem = None
    if recording:
        path = named_recording(recording)
        if not config.recording and not path.exists():
            raise SkyOpsError(f"The recording {path} does not exist. Correct SKYOPS_RECORDING.")
        problem = _read(context, database, path, hours)
    else:
        for key in hours:
            _poll(context, settings, database, key)
    for day, rows in drop_old_partitions(database, settings.raw_retention_days, now).items():
        context.log.info(f"Retention dropped {rows} positions from {day}.")
    index_finished_days(database, now)
    if problem:
        # Of a folder the other files are there; this is all that was asked for.
        raise SkyOpsError(problem)


def _present(
    context: dg.AssetExecutionContext,
    database: Warehouse,
    over: Sequence[str],
    hours: Mapping[str, dg.TimeWindow],
) -> dict[str, dg.TimeWindow]:
    """The hours that can still be asked for; one that is over keeps the positions that it has."""
    from skyops_assets.sources.opensky.live.poll import hour_rows

    rows = hour_rows(database, {hours[key].start for key in over})
    if empty := [key for key in over if not rows[hours[key].start]]:
        raise SkyOpsError(
            "No recording is set, and OpenSky provides present positions only: "
            f"{first_few(empty)} cannot be loaded. Set SKYOPS_RECORDING to a recording or a folder "
            "of them, or `recording` in the run's configuration; `demo` names the demo's."
        )
    for key in over:
        context.add_asset_metadata(
            {"dagster/partition_row_count": rows[hours[key].start]}, partition_key=key
        )
    context.log.warning(
        f"No recording is set, so the collected positions of {first_few(over)} stay as they are."
    )
    return {key: hour for key, hour in hours.items() if key not in over}


def _read(
    context: dg.AssetExecutionContext,
    database: Warehouse,
    path: Path,
    hours: Mapping[str, dg.TimeWindow],
) -> str | None:
    """Load hours from a recording, or a folder of them; what is wrong with a single file."""
    from skyops_assets.sources.opensky.loading.files import load_hour, read_hours
    from skyops_assets.sources.text import shown

    last = list(hours.values())[-1]
    recordings, reports = read_hours(
        database,
        path,
        context.partition_time_window.start,
        last.end,
        run_id=context.run.run_id,
    )
    for key, hour in hours.items():
        batch = load_hour(database, recordings, hour.start, hour.end, run_id=context.run.run_id)
        context.add_asset_metadata(batch_metadata(batch), partition_key=key)
        if not batch.read_rows:
            context.log.warning(f"{shown(path)} has no rows in the hour {key}.")
    for text in filter(None, (one.foreign or one.failure for one in reports)):
        context.log.warning(text)
    return reports[0].error if path.is_file() else None


def _poll(
    context: dg.AssetExecutionContext, settings: Settings, database: Warehouse, key: str
) -> None:
    """Load one live response a box; its late positions lie in earlier hours and are told of too."""
    from skyops_assets.sources.opensky.live.collect import credit_figures
    from skyops_assets.sources.opensky.live.poll import hour_rows, poll_once

    written, credits = poll_once(settings, database, run_id=context.run.run_id)
    for answer in written:
        if answer.error:
            context.log.warning(f"{answer.error} It is kept in raw.rejected_states.")
    shown = batches_metadata([answer.batch for answer in written]) | credit_figures(credits)
    context.add_asset_metadata(shown, partition_key=key)
    touched = set().union(*(answer.hours for answer in written))
    for hour, count in hour_rows(database, touched).items():
        other = hour.strftime(HOURS.fmt)
        if other != key and HOURS.has_partition_key(other):
            context.log_event(
                dg.AssetMaterialization(
                    context.asset_key,
                    partition=other,
                    metadata={"dagster/partition_row_count": count, "loaded_with": key},
                )
            )


# Nothing can be computed without: a platform that goes live has never run the main job.
# Not `on_missing`: that is for what goes missing while somebody looks.
ONCE = (
    dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.in_progress()
    & (~dg.AutomationCondition.execution_failed() | failed_once())
).with_label("once, and again after its first failure")


@dg.asset(
    **placed("raw", "airports"),
    kinds={"postgres"},
    metadata=_columns("raw.airports"),
    automation_condition=ONCE,
)
def airports(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per airport with an ICAO code, from the open list `airportsdata`."""
    from skyops_assets.sources import reference

    batch = reference.load_airports(warehouse.open(), run_id=context.run.run_id)
    return dg.MaterializeResult(metadata=batch_metadata(batch))


@dg.asset(
    **placed("raw", "runways"),
    kinds={"postgres"},
    metadata=_columns("raw.runways"),
    automation_condition=ONCE,
)
def runways(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per runway with both its ends, from OurAirports, if the file can be fetched.

    Without the file the table stays as it is; an empty table gets the runways around Paris, for
    the demo. Elsewhere runway directions then come from the tracks, and only the letter of a
    parallel runway (L, C, R) is missing.
    """
    from skyops_assets.sources import reference

    batch, problem = reference.load_runways(
        warehouse.open(), warehouse.settings, run_id=context.run.run_id
    )
    if problem:
        context.log.warning(problem)
    return dg.MaterializeResult(
        metadata={
            **(batch_metadata(batch) if batch else {}),
            **({"unavailable": problem} if problem else {}),
        }
    )


@dg.asset(
    **placed("raw", "arrivals_history"),
    kinds={"postgres", "python"},
    partitions_def=DAYS,
    backfill_policy=OF_A_MONTH,
    metadata=_columns("raw.arrivals_history"),
)
def arrivals_history(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> None:
    """One row per arrival in the open per-arrival history (EUROCONTROL PRU, CC0), in SI units.

    Reads the requested days for the airports in SKYOPS_HISTORY_AIRPORTS. Impossible rows go to
    `raw.rejected_states` with a reason. Loading a day again changes nothing. Files for other
    airports and days are read from the mirror and reported as unpinned. A day without a file
    loads no rows and logs a warning.
    """
    from skyops_assets.sources.history.load import load_file
    from skyops_assets.sources.history.source import history_file, known_days

    settings = warehouse.settings
    database = warehouse.open()
    missing: dict[str, list[str]] = {}
    unpinned: dict[str, list[str]] = {}
    for key in context.partition_keys:
        batches = []
        for airport in settings.history_airports:
            file = history_file(airport, date.fromisoformat(key), settings)
            batches.append(load_file(database, file, settings, run_id=context.run.run_id))
            if not file.exists:
                missing.setdefault(airport, []).append(key)
            elif file.unpinned:
                unpinned.setdefault(airport, []).append(key)
        context.add_asset_metadata(batches_metadata(batches), partition_key=key)
    for airport, days in unpinned.items():
        context.log.warning(
            f"{len(days)} files for {airport} from SKYOPS_DATA_MIRROR are unpinned, the first from "
            f"{days[0]}: they are loaded without a check that they match the published files."
        )
    for airport, days in missing.items():
        context.log.warning(
            f"The per-arrival history has no file for {airport} on {len(days)} of the requested "
            f"days, the first {days[0]}; it has these days: {known_days(airport)}. Files for other "
            "days are read from arrivals/ in the folder that SKYOPS_DATA_MIRROR names."
        )


@dg.asset(
    **placed("raw", "metars"),
    kinds={"postgres", "python"},
    partitions_def=METAR_DAYS,
    backfill_policy=OF_A_MONTH,
    metadata=_columns("raw.metars"),
)
def metars(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> None:
    """One row per weather report (METAR) of an airport, in SI units, if SKYOPS_METAR_URL is set.

    Reads the requested days for the watched airports, and for the airports in
    SKYOPS_HISTORY_AIRPORTS on the days that the history covers. Rows that are not reports go to
    `raw.rejected_states` with a reason. Loading a day again adds only new reports. Without the
    setting, or on days without reports, the weather features are null.
    """
    from skyops_assets.sources.weather.load import airports, load_place
    from skyops_assets.sources.weather.source import place

    settings = warehouse.settings
    if settings.metar_url is None:
        unavailable = {"unavailable": "SKYOPS_METAR_URL is not set."}
        for key in context.partition_keys:
            context.add_asset_metadata(unavailable, partition_key=key)
        return
    database = warehouse.open()
    empty = []
    for key in context.partition_keys:
        day = date.fromisoformat(key)
        batches = []
        for airport in airports(day, settings):
            found = place(settings.metar_url, airport, day)
            batches.append(load_place(database, found, run_id=context.run.run_id))
            if not batches[-1].read_rows:
                empty.append(f"{airport} on {key}")
        context.add_asset_metadata(batches_metadata(batches), partition_key=key)
    if empty:
        context.log.warning(f"SKYOPS_METAR_URL has no reports for {first_few(empty)}.")


@dg.asset(
    **placed("raw", "aircraft"),
    kinds={"postgres", "python"},
    metadata=_columns("raw.aircraft"),
)
def aircraft(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per airframe (icao24) with type and operator, if SKYOPS_AIRCRAFT_CSV names a file.

    Without a file the table stays as it is. The type of an airframe that is not in it is unknown.
    """
    from skyops_assets.sources.aircraft import load_aircraft

    path = warehouse.settings.aircraft_csv
    if path is None:
        return dg.MaterializeResult(metadata={"unavailable": "SKYOPS_AIRCRAFT_CSV is not set."})
    batch = load_aircraft(warehouse.open(), path, run_id=context.run.run_id)
    return dg.MaterializeResult(metadata=batch_metadata(batch))
