"""What Prometheus is told of fleets and of the areas that the feed hears.

Belongs here: queries of the tables that a day or a week makes anew, which have few rows. Does not:
what is of now (`warehouse_metrics`).
"""

from __future__ import annotations

from skyops_assets.serving.exported import Exported, Part
from skyops_assets.serving.warehouse_metrics import SLOW_S

FLEET = Part(
    "fleet",
    "warehouse",
    """
    select
        extract(epoch from flown_on::timestamp) as day_epoch,
        sum(airframe_count) as airframe_count,
        sum(flight_count) as flight_count,
        3600 * sum(airborne_h) as airborne_s,
        sum(heard_h) / sum(perhaps_airborne_h) as coverage_share
    from metrics.fleet_types_daily
    where flown_on = (select max(flown_on) from metrics.fleet_types_daily)
    group by flown_on
    """,
    tuple(
        Exported(name, column, f"{meaning} For the newest day in fleet_daily.")
        for name, column, meaning in (
            ("skyops_fleet_day_timestamp_seconds", "day_epoch", "Its start."),
            ("skyops_fleet_airframes", "airframe_count", "Airframes that flew."),
            ("skyops_fleet_flights", "flight_count", "Flights that left the ground."),
            ("skyops_fleet_airborne_seconds", "airborne_s", "Time in the air of all airframes."),
            ("skyops_fleet_coverage_share", "coverage_share",
             "Share of the time flown or possibly flown in which the airframes were heard."),
        )
    ),
    SLOW_S,
)  # fmt: skip
AREAS = Part(
    "areas",
    "warehouse",
    """
    select
        watched.airport,
        latest.*
    from unnest(%(airports)s::text[]) as watched (airport)
    cross join lateral (
        select
            coverage_share,
            gap_count,
            rejected_share,
            stale_share
        from metrics.feed_reliability_weekly
        where area = watched.airport
        order by week_on desc
        limit 1
    ) as latest
    """,
    tuple(
        Exported(name, column, f"{meaning} Within 100 NM, for the newest week.", ("airport",))
        for name, column, meaning in (
            ("skyops_area_coverage_share", "coverage_share",
             "Share of the minutes of flights in the air that have a position."),
            ("skyops_area_gaps", "gap_count",
             "Silences of more than two minutes of flights in the air."),
            ("skyops_area_rejected_share", "rejected_share", "Rejected rows."),
            ("skyops_area_stale_share", "stale_share",
             "Share of positions that repeat an older one."),
        )
    ),
    SLOW_S,
)  # fmt: skip

FLEET_PARTS = (FLEET, AREAS)
