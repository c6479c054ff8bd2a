"""Jobs and schedules of what goes by the day, week and month."""

import dagster as dg

from skyops_assets.defs.shared import TAGS

FLEET = dg.AssetSelection.groups("fleet", "reliability", "operator")
WEEKLY = dg.AssetSelection.assets(
    "metrics/component_reliability_weekly",
    "metrics/feed_reliability_weekly",
    "audit/weekly_summaries",
    "audit/weekly_reports",
)
MONTHLY = dg.AssetSelection.assets(
    "metrics/fleet_monthly",
    "metrics/fleet_types_monthly",
    "metrics/dispatch_reliability_monthly",
    "ml/component_lives",
    "ml/failure_outlook",
    "audit/monthly_summaries",
    "audit/monthly_reports",
)
ANOMALOUS = dg.AssetSelection.assets("metrics/flight_anomaly_scores")
DAILY = (FLEET | ANOMALOUS) - WEEKLY - MONTHLY

daily_job = dg.define_asset_job(
    "daily_operations",
    selection=DAILY,
    tags=TAGS,
    description="Load operators' inputs; build daily fleet figures, punctuality, maintenance due "
    "and anomalous flights.",
)
weekly_job = dg.define_asset_job(
    "weekly_reliability",
    selection=WEEKLY,
    tags=TAGS,
    description="Build the weekly reliability of components and of the feed, and the weekly "
    "reports.",
)
monthly_job = dg.define_asset_job(
    "monthly_fleet",
    selection=MONTHLY,
    tags=TAGS,
    description="Build monthly fleet figures by airframe and type, dispatch reliability, "
    "maintenance intervals recommended from component lives, and the monthly reports.",
)


# After the night's weather and before the daily look at the champion; one after the other.
daily_operations = dg.ScheduleDefinition(
    name="daily_operations",
    job=daily_job,
    cron_schedule="15 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 05:15 UTC: operators' inputs, daily fleet figures and anomalous "
    "flights.",
)
weekly_reliability = dg.ScheduleDefinition(
    name="weekly_reliability",
    job=weekly_job,
    cron_schedule="30 5 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 05:30 UTC: reliability of components and of the feed, and weekly "
    "reports.",
)
monthly_fleet = dg.ScheduleDefinition(
    name="monthly_fleet",
    job=monthly_job,
    cron_schedule="45 5 1 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="On the first of each month at 05:45 UTC: monthly fleet figures, intervals and "
    "reports.",
)
