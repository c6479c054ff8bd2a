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
    "staging": "transform",
    "intermediate": "transform",
    "metrics": "transform",
    "features": "features",
    "ml": "model",
    "live": "live",
    "audit": "monitoring",
}
"""The stage of each schema."""
OF_STAGE = {
    "ml/predictions": "predictions",
    "ml/prediction_outcomes": "predictions",
    "ml/live_skill": "live",
    "ml/component_lives": "fleet",
    "ml/failure_outlook": "fleet",
    "metrics/flight_anomaly_scores": "anomalies",
    "audit/weekly_reports": "reports",
    "audit/monthly_reports": "reports",
    **{f"raw/{kind.name}": "operator" for kind in KINDS},
}
"""Stages other than that of their schema."""


def _warns_after(time: timedelta) -> dg.FreshnessPolicy:
    # Dagster has no policy that only warns: the failure is put beyond any use, 54 years away, whose
    # seconds are still a whole number that the UI's GraphQL can hold. Where nothing new
    # comes, as after the demo, an asset that is not built again is no fault; the check
    # `loads_are_transformed` tells a late one from an idle one.
    return dg.FreshnessPolicy.time_window(warn_window=time, fail_window=timedelta(days=20_000))


# An hour for the schedule, one for a large load, one for it to be tried again.
FOLLOWS_LOADS = _warns_after(timedelta(hours=3))
# Airports and runways change with the AIRAC cycles of 28 days; in half a year few do.
REFERENCE = _warns_after(timedelta(days=180))

DAILY = _warns_after(timedelta(hours=27))
WEEKLY = _warns_after(timedelta(days=8))
MONTHLY = _warns_after(timedelta(days=32))

BY_GROUP = {
    "transform": FOLLOWS_LOADS,
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
    "anomalies": DAILY,
}
BY_KEY = {
    # An hour late, and one more for it to be tried again; a day without credits, and an hour.
    "raw/opensky_states": dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=2), fail_window=timedelta(hours=25)
    ),
    # Every hour where SKYOPS_METAR_URL is set; where it is not, nothing is ever due.
    "raw/metars": _warns_after(timedelta(days=1)),
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


OWNERS_OF = {"fleet": ["team:fleet"]}
"""Owners other than those of the platform: an alert of theirs can have a route of its own."""


def group_of(key: dg.AssetKey) -> str:
    """The stage that an asset belongs to."""
    return OF_STAGE.get(key.to_user_string()) or GROUPS[key.path[0]]


def placed(*path: str, stage: str | None = None) -> dict[str, Any]:
    """The arguments of an asset's decorator that its place decides, its key included.

    Args:
        stage: its group, where that does not follow from its key.

    Not mapped over the loaded definitions: an asset that two modules name is there twice then.
    """
    key = dg.AssetKey(path)
    group = stage or group_of(key)
    return {
        "key": key,
        "group_name": group,
        "owners": OWNERS_OF.get(group, OWNERS),
        "freshness_policy": BY_KEY.get(key.to_user_string(), BY_GROUP.get(group)),
    }
