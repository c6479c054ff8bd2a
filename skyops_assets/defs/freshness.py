"""By when each layer is due again, for the freshness that the UI shows."""

from datetime import timedelta

import dagster as dg


def _warns_after(time: timedelta) -> dg.FreshnessPolicy:
    # Dagster has no policy that only warns: the failure is put beyond any use, 54 years away, whose
    # seconds are still a whole number that the UI's GraphQL can hold. Where nothing new
    # comes, as after the demo, an asset that is not built again is no fault; the check
    # `loads_are_transformed` tells a late one from an idle one.
    return dg.FreshnessPolicy.time_window(warn_window=time, fail_window=timedelta(days=20_000))


# An hour for the schedule, one for a large load, one for it to be tried again.
FOLLOWS_LOADS = _warns_after(timedelta(hours=3))
"""The transform, the features and the predictions."""

# Every Monday, and a day.
WEEKLY = _warns_after(timedelta(days=8))
"""The model loop."""

DAILY = _warns_after(timedelta(hours=27))
"""The verdict on the champion: every day, and the three hours that predictions have."""

# Every hour where SKYOPS_METAR_URL is set; where it is not, nothing is ever due.
WEATHER = _warns_after(timedelta(days=1))
"""The weather reports."""

# Airports and runways change with the AIRAC cycles of 28 days; in half a year few do.
REFERENCE = _warns_after(timedelta(days=180))
"""Airports, runways, aircraft. The open history has none: it is of a past that does not change."""
