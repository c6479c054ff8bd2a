"""Jobs and schedules that load: the open history, weather reports, live positions."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from skyops_assets.defs.platform.checks import PERIODIC
from skyops_assets.defs.raw.partitions import HOURS, METAR_DAYS
from skyops_assets.defs.shared import TAGS
from skyops_assets.settings import load_settings

RAW = dg.AssetKey(["raw", "opensky_states"])
HISTORY_KEY = dg.AssetKey(["raw", "arrivals_history"])
METARS_KEY = dg.AssetKey(["raw", "metars"])


# By the day, where positions go by the hour: a job has one kind of partition.
HISTORY = dg.AssetSelection.assets(HISTORY_KEY)
METARS = dg.AssetSelection.assets(METARS_KEY)


history_job = dg.define_asset_job(
    "load_history",
    selection=HISTORY - PERIODIC,
    tags=TAGS,
    description="Load the open per-arrival history for the chosen days.",
)

metars_job = dg.define_asset_job(
    "load_metars",
    selection=METARS - PERIODIC,
    tags=TAGS,
    description="Load the weather reports for the chosen days, if SKYOPS_METAR_URL is set.",
)


@dg.schedule(
    job=metars_job,
    # Just before the refresh: what counts as known by now is there, and goes with it.
    cron_schedule="3 * * * *",
    execution_timezone="UTC",
    description="Every hour, if SKYOPS_METAR_URL is set: load the present day's weather reports.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_metars(
    context: dg.ScheduleEvaluationContext,
) -> list[dg.RunRequest] | dg.SkipReason:
    """The present day's reports, and in the first hours the day before's, which may come late."""
    if load_settings().metar_url is None:
        return dg.SkipReason(
            "SKYOPS_METAR_URL is not set, so there are no weather reports to load."
        )
    at = context.scheduled_execution_time
    days = [at, at - timedelta(days=1)] if at.hour < 3 else [at]
    return [
        # Dagster wants keys of several; this one holds no run back.
        dg.RunRequest(run_key=f"{day:%F} at {at}", partition_key=day.strftime(METAR_DAYS.fmt))
        for day in days
    ]


poll_job = dg.define_asset_job(
    "poll",
    selection=dg.AssetSelection.assets(RAW) - PERIODIC,
    tags=TAGS,
    description="Load one live OpenSky response per watched box into the present hour.",
)


@dg.schedule(
    job=poll_job,
    cron_schedule="*/5 * * * *",
    execution_timezone="UTC",
    description="Every five minutes: load live positions, for installations that do not run "
    "`skyops collect`. At this interval about two thirds of the landings are found "
    "(docs/validation.md). Off by default, because it spends your OpenSky credits.",
)
def poll_opensky() -> dg.RunRequest | dg.SkipReason:
    """One live response for each box, into the present hour."""
    present = datetime.now(UTC).strftime(HOURS.fmt.replace("%M", "00"))
    if not HOURS.has_partition_key(present):
        return dg.SkipReason(
            f"The graph ends with {HOURS.get_last_partition_key()}: set SKYOPS_FIRST_HOUR, such as "
            f"{datetime.now(UTC):%Y-%m-%dT%H}:00, and unset SKYOPS_LAST_HOUR."
        )
    return dg.RunRequest(partition_key=present)
