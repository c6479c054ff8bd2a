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
    description="Operators' inputs, what airframes did by day, punctuality, what maintenance is "
    "due, anomalous flights.",
)
weekly_job = dg.define_asset_job(
    "weekly_reliability",
    selection=WEEKLY,
    tags=TAGS,
    description="The reliability of components and of the feed by week, and the week's reports.",
)
monthly_job = dg.define_asset_job(
    "monthly_fleet",
    selection=MONTHLY,
    tags=TAGS,
    description="What airframes and types did by month, dispatch reliability, and intervals of "
    "maintenance that the lives of components recommend, and the month's reports.",
)


# After the night's weather and before the daily look at the champion; one after the other.
daily_operations = dg.ScheduleDefinition(
    name="daily_operations",
    job=daily_job,
    cron_schedule="15 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 05:15 UTC: operators' inputs and what follows, anomalous flights.",
)
weekly_reliability = dg.ScheduleDefinition(
    name="weekly_reliability",
    job=weekly_job,
    cron_schedule="30 5 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 05:30 UTC: the reliability of components, of the feed, and reports.",
)
monthly_fleet = dg.ScheduleDefinition(
    name="monthly_fleet",
    job=monthly_job,
    cron_schedule="45 5 1 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="On the first of a month at 05:45 UTC: the fleet's month, intervals, reports.",
)
