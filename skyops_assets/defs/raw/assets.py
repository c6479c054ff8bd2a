"""Raw data: positions by the hour, and the reference rows that they are read against."""

from datetime import UTC, datetime

import dagster as dg

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNERS, batch_metadata
from skyops_assets.opensky.schema import STATE_VECTOR
from skyops_assets.settings import load_settings

HOURS = dg.HourlyPartitionsDefinition(start_date=load_settings().first_hour)


@dg.asset(
    key=["raw", "opensky_states"],
    group_name="raw",
    kinds={"postgres", "python"},
    owners=OWNERS,
    partitions_def=HOURS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(field.name, str(field.type)) for field in STATE_VECTOR]
            + [dg.TableColumn("source", "string"), dg.TableColumn("batch_id", "int64")]
        )
    },
)
def opensky_states(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> None:
    """One row per state vector (icao24, time_position, source), in SI units.

    Reads the hours asked for from the recording. Rows that cannot be true go to
    `raw.rejected_states` with a reason; loading the same hours again changes nothing.
    """
    from skyops_assets.opensky.load import load_states
    from skyops_assets.opensky.partitions import drop_old_partitions, index_finished_days
    from skyops_assets.opensky.recordings import demo_recording, read_recording

    whole = context.partition_time_window
    path = warehouse.settings.recording or demo_recording()
    recording = read_recording(path, whole.start, whole.end)
    database = warehouse.open()
    for key in context.partition_keys:
        hour = HOURS.time_window_for_partition_key(key)
        batch = load_states(
            database, recording.between(hour.start, hour.end), run_id=context.run.run_id
        )
        context.add_asset_metadata(batch_metadata(batch), partition_key=key)
        if not batch.read_rows:
            context.log.warning(f"{path.name} has no rows in the hour {key}.")
    now = datetime.now(UTC)
    for day, rows in drop_old_partitions(
        database, warehouse.settings.raw_retention_days, now
    ).items():
        context.log.info(f"Retention dropped {rows} positions of {day}.")
    index_finished_days(database, now)


@dg.asset(key=["raw", "airports"], group_name="raw", kinds={"postgres"}, owners=OWNERS)
def airports(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per airport with an ICAO code (airportsdata)."""
    from skyops_assets.warehouse import reference

    rows = reference.airports()
    batch = reference.replace_reference(
        warehouse.open(), "raw.airports", "airportsdata", rows, run_id=context.run.run_id
    )
    return dg.MaterializeResult(metadata=batch_metadata(batch))


@dg.asset(key=["raw", "runways"], group_name="raw", kinds={"postgres"}, owners=OWNERS)
def runways(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per runway with both its ends (OurAirports), where the file can be had.

    Without it the table stays as it is: runway directions come from the tracks, and only
    the letter of a parallel runway (L, C, R) is missing.
    """
    from skyops_assets.warehouse import reference

    try:
        rows = reference.runways(warehouse.settings)
    except reference.Unavailable as error:
        context.log.warning(f"{error} The runways stay as they are.")
        return dg.MaterializeResult(metadata={"unavailable": str(error)})
    batch = reference.replace_reference(
        warehouse.open(), "raw.runways", "ourairports", rows, run_id=context.run.run_id
    )
    return dg.MaterializeResult(metadata=batch_metadata(batch))
