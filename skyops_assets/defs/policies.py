"""Policies of the assets by their keys: group, owners, and by when each is due again.

Belongs here: what follows from where an asset stands in the graph. Does not: what only one asset
has, such as its partitions or its automation condition.
"""

from datetime import timedelta
from typing import Any

import dagster as dg

from skyops_assets.defs.shared import OWNERS
from skyops_assets.sources.operator.kinds import KINDS

GROUPS = {
    "raw": "raw",
    "staging": "staging",
    "metrics": "metrics",
    "features": "features",
    "ml": "model",
    "live": "live",
    "audit": "monitoring",
}
"""The group of each schema."""
OF_FOLDER = {
    "staging.operator": "operator",
    "intermediate.flights": "int_flights",
    "intermediate.ground": "ground",
    "intermediate.movements": "int_movements",
    "intermediate.crossings": "int_crossings",
    "intermediate.asma": "int_asma",
    "fleet": "fleet",
    "reliability": "reliability",
}
"""Groups of dbt's folders, where they are not those of their schema."""
OF_ASSET = {
    "ml/predictions": "predictions",
    "ml/prediction_outcomes": "predictions",
    "ml/live_skill": "live",
    "ml/component_lives": "reliability",
    "ml/failure_outlook": "reliability",
    "metrics/flight_anomaly_scores": "anomalies",
    **dict.fromkeys(
        (
            "metrics/taxi_daily",
            "metrics/taxi_monthly",
            "metrics/taxi_references",
            "metrics/turnarounds",
            "metrics/turnarounds_daily",
        ),
        "ground",
    ),
    "audit/weekly_reports": "reports",
    "audit/monthly_reports": "reports",
    "audit/daily_summaries": "fleet",
    "audit/weekly_summaries": "fleet",
    "audit/monthly_summaries": "fleet",
    **{f"raw/{kind.name}": "operator" for kind in KINDS},
}
"""Groups other than those of their schema."""
TRANSFORM = (
    "staging",
    "int_flights",
    "int_movements",
    "int_crossings",
    "int_asma",
    "facts",
    "ground",
    "metrics",
)
"""The groups that dbt makes of positions and the history, up to the metrics."""


def _warns_after(time: timedelta, *, fails_after: timedelta) -> dg.FreshnessPolicy:
    # Dagster has no policy that only warns. Where nothing new comes, as after the demo, an asset
    # that is not built again is no fault, so the failure is long after the warning; the check
    # `loads_are_transformed` tells a late one from an idle one.
    return dg.FreshnessPolicy.time_window(warn_window=time, fail_window=fails_after)


MONTH = timedelta(days=30)
QUARTER = timedelta(days=92)
YEAR = timedelta(days=365)
# An hour for the schedule, one for a large load, one for it to be tried again.
FOLLOWS_LOADS = _warns_after(timedelta(hours=3), fails_after=MONTH)
# Airports and runways change with the AIRAC cycles of 28 days; in half a year few do.
REFERENCE = _warns_after(timedelta(days=180), fails_after=YEAR)

DAILY = _warns_after(timedelta(hours=27), fails_after=MONTH)
WEEKLY = _warns_after(timedelta(days=8), fails_after=MONTH)
MONTHLY = _warns_after(timedelta(days=32), fails_after=QUARTER)

BY_GROUP = {
    **dict.fromkeys(TRANSFORM, FOLLOWS_LOADS),
    "features": FOLLOWS_LOADS,
    "predictions": FOLLOWS_LOADS,
    # Its views show what is there: that they are made and tested anew is due each hour.
    "live": FOLLOWS_LOADS,
    # Every Monday, and a day.
    "model": WEEKLY,
    # Every day, and the three hours that predictions have.
    "monitoring": DAILY,
    "operator": DAILY,
    "fleet": DAILY,
    "reliability": DAILY,
    "anomalies": DAILY,
}
BY_KEY = {
    # An hour late, and one more for it to be tried again; a day without credits, and an hour.
    "raw/opensky_states": dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=2), fail_window=timedelta(hours=25)
    ),
    # Every hour where SKYOPS_METAR_URL is set; where it is not, nothing is ever due.
    "raw/metars": _warns_after(timedelta(days=1), fails_after=MONTH),
    "raw/airports": REFERENCE,
    "raw/runways": REFERENCE,
    "raw/aircraft": REFERENCE,
    **dict.fromkeys(
        (
            "metrics/component_reliability_weekly",
            "metrics/feed_reliability_weekly",
            "audit/weekly_summaries",
            "audit/weekly_reports",
        ),
        WEEKLY,
    ),
    **dict.fromkeys(
        (
            "metrics/fleet_monthly",
            "metrics/fleet_types_monthly",
            "metrics/dispatch_reliability_monthly",
            "ml/component_lives",
            "ml/failure_outlook",
            "audit/monthly_summaries",
            "audit/monthly_reports",
        ),
        MONTHLY,
    ),
    # raw/arrivals_history has none: it is of a past that does not change.
}


OWNERS_OF = {"fleet": ["team:fleet"], "reliability": ["team:fleet"], "operator": ["team:fleet"]}
"""Owners other than those of the platform: an alert of theirs can have a route of its own."""


def group_of(key: dg.AssetKey, folder: str = "") -> str:
    """The layer that an asset belongs to.

    Args:
        folder: of a dbt model, below `models/`, its parts separated by points.
    """
    name = key.to_user_string()
    if name.startswith("metrics/fct_"):
        return "facts"
    return OF_ASSET.get(name) or OF_FOLDER.get(folder) or GROUPS[key.path[0]]


def placed(*path: str, folder: str = "") -> dict[str, Any]:
    """The arguments of an asset's decorator that its place decides, its key included.

    Args:
        folder: as for `group_of`.

    Not mapped over the loaded definitions: an asset that two modules name is there twice then.
    """
    key = dg.AssetKey(path)
    group = group_of(key, folder)
    return {
        "key": key,
        "group_name": group,
        "owners": OWNERS_OF.get(group, OWNERS),
        "freshness_policy": BY_KEY.get(key.to_user_string(), BY_GROUP.get(group)),
    }
