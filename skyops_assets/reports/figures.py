"""What a report says, read from the metrics: each figure of a period, as numbers.

Belongs here: the questions. Does not: comparing and drawing (`page`).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from skyops_assets.reports.periods import Period
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all

MAX_AIRPORTS = 8
"""Without watched airports, so many of those with the most movements."""
MIN_MOVEMENTS = 20
"""With fewer in a period an airport that nobody watches has no report."""

_AIRPORTS = """
    select movements.airport, airports.name, airports.timezone,
        min(movements.moved_at) as oldest_at, max(movements.moved_at) as newest_at
    from metrics.fct_movements as movements
    inner join raw.airports as airports on movements.airport = airports.icao
    where %(watched)s::text[] is null or movements.airport = any(%(watched)s)
    group by movements.airport, airports.name, airports.timezone
    having %(watched)s::text[] is not null or count(*) >= %(least)s
    order by count(*) desc, movements.airport
    limit %(most)s
"""
_TRAFFIC = """
    select
        count(*) filter (where movement in ('landing', 'touch_and_go'))::float8 as arrivals,
        count(*) filter (where movement in ('takeoff', 'touch_and_go'))::float8 as departures,
        count(*) filter (where movement = 'go_around')::float8 as go_arounds,
        count(distinct airline)::float8 as airlines,
        count(distinct (moved_at at time zone %(zone)s)::date)::float8 as days
    from metrics.fct_movements
    where airport = %(airport)s and moved_at >= %(start)s and moved_at < %(end)s
"""
_HOURS = """
    select extract(hour from moved_at at time zone %(zone)s)::integer as hour,
        count(*) filter (where movement in ('landing', 'touch_and_go'))::float8 as arrivals,
        count(*) filter (where movement in ('takeoff', 'touch_and_go'))::float8 as departures
    from metrics.fct_movements
    where airport = %(airport)s and moved_at >= %(start)s and moved_at < %(end)s
    group by 1
"""
_DAYS = """
    select (moved_at at time zone %(zone)s)::date as day,
        count(*) filter (where movement in ('landing', 'touch_and_go'))::float8 as arrivals,
        count(*) filter (where movement in ('takeoff', 'touch_and_go'))::float8 as departures
    from metrics.fct_movements
    where airport = %(airport)s and moved_at >= %(start)s and moved_at < %(end)s
    group by 1 order by 1
"""
_BUSIEST = """
    select date_trunc('hour', moved_at at time zone %(zone)s) as local_hour,
        date_trunc('hour', moved_at) as hour_at, count(*) as movements
    from metrics.fct_movements
    where airport = %(airport)s and moved_at >= %(start)s and moved_at < %(end)s
        and movement <> 'go_around'
    group by 1, 2 order by 3 desc, 2 limit 1
"""
_TIMES = """
    select
        count(*) filter (where exclusion_reason is null)::float8 as counted,
        avg(transit_min) filter (where exclusion_reason is null) as transit_min,
        avg(additional_min) as additional_min,
        percentile_cont(0.9) within group (order by additional_min) as p90_additional_min
    from metrics.fct_arrivals
    where airport = %(airport)s and ring_nm = %(ring)s and source = 'positions'
        and landed_at >= %(start)s and landed_at < %(end)s
"""
_FIXED = """
    select sum(total_additional_min) / nullif(sum(with_reference_count), 0) as fixed_additional_min
    from metrics.asma_fixed_daily
    where airport = %(airport)s and source = 'positions'
        and day >= %(first)s and day < %(past)s
"""
_GROUND = """
    select
        avg(taxi_min) filter (where direction = 'taxi_out') as taxi_out_min,
        avg(additional_min) filter (where direction = 'taxi_out') as additional_taxi_out_min,
        avg(taxi_min) filter (where direction = 'taxi_in') as taxi_in_min,
        avg(additional_min) filter (where direction = 'taxi_in') as additional_taxi_in_min,
        count(taxi_min)::float8 / nullif(count(*), 0) as taxi_share,
        avg(occupancy_s) as occupancy_s,
        count(occupancy_s)::float8 / nullif(count(*), 0) as occupancy_share
    from metrics.fct_taxi_times
    where airport = %(airport)s and moved_at >= %(start)s and moved_at < %(end)s
"""
_HOLDINGS = """
    select count(*)::float8 as holdings, sum(duration_min) as holding_min
    from metrics.fct_holdings
    where airport = %(airport)s and started_at >= %(start)s and started_at < %(end)s
"""
_SCHEDULED = """
    select sum(landed_count)::float8 as landed,
        sum(on_time_count)::float8 / nullif(sum(landed_count), 0) as on_time_share,
        sum(mean_arrival_delay_min * landed_count) / nullif(sum(landed_count), 0) as delay_min,
        sum(cancelled_count)::float8 as cancelled
    from metrics.punctuality_daily
    where airport = %(airport)s and arrives_on >= %(first)s and arrives_on < %(past)s
"""
_RUNWAYS = """
    select coalesce(runway, runway_direction, 'not known') as runway,
        count(*) filter (where movement in ('landing', 'touch_and_go'))::float8 as arrivals,
        count(*) filter (where movement in ('takeoff', 'touch_and_go'))::float8 as departures
    from metrics.fct_movements
    where airport = %(airport)s and moved_at >= %(start)s and moved_at < %(end)s
        and movement <> 'go_around'
    group by 1 order by 2 + 3 desc, 1
"""
_CHANGES = """
    select count(*)::float8 as changes
    from metrics.runway_configuration_changes
    where airport = %(airport)s and changed_at >= %(start)s and changed_at < %(end)s
"""
_OPERATORS = """
    select coalesce(airline, 'none or not known') as airline, count(*)::float8 as movements
    from metrics.fct_movements
    where airport = %(airport)s and moved_at >= %(start)s and moved_at < %(end)s
    group by 1 order by 2 desc, 1 limit 8
"""
_FLEET = """
    select count(distinct icao24)::float8 as airframes, sum(flight_count)::float8 as flights,
        sum(airborne_h) as airborne_h,
        sum(airborne_h * coverage_share) / nullif(sum(airborne_h), 0) as coverage_share
    from metrics.fleet_daily
    where flown_on >= %(first)s and flown_on < %(past)s
"""
_COMPONENTS = """
    select fleet, ata_chapter, coalesce(part_number, 'as a whole') as part, alert_level, trend
    from metrics.component_reliability_weekly
    where is_current and (alert_level is not null or trend = 'rising')
    order by alert_level = 'alert' desc nulls last, fleet, ata_chapter, part_number limit 20
"""
_MODELS = """
    select outcomes.model_name, outcomes.ring_nm, count(*)::float8 as landed,
        avg(abs(error_min)) as mae_min, avg(error_min) as bias_min,
        percentile_cont(0.9) within group (order by abs(error_min)) as p90_min,
        coalesce(bool_or(versions.is_champion), false) as is_champion
    from ml.prediction_outcomes as outcomes
    left join ml.model_versions as versions
        on outcomes.model_name = versions.model_name
        and outcomes.model_version = versions.version
    where outcomes.outcome = 'landed' and airport = %(airport)s
        and landed_at >= %(start)s and landed_at < %(end)s
    group by 1, 2 order by 2, 4
"""


class Asked:
    """Questions about one period at one airport."""

    def __init__(
        self, warehouse: Warehouse, airport: str, zone: ZoneInfo, period: Period, ring_nm: int
    ) -> None:
        self._warehouse = warehouse
        start, end = period.bounds(zone)
        self._values = {
            "airport": airport, "zone": zone.key, "start": start, "end": end, "ring": ring_nm,
            # Tables by the day are by UTC's.
            "first": period.starts_on, "past": period.ends_on,
        }  # fmt: skip

    def rows(self, query: str) -> list[dict[str, Any]]:
        """All rows of a question."""
        return fetch_all(self._warehouse, query, self._values)

    def figures(self) -> dict[str, float | None]:
        """Every single number."""
        found: dict[str, float | None] = {}
        for query in (
            _TRAFFIC,
            _TIMES,
            _FIXED,
            _HOLDINGS,
            _SCHEDULED,
            _CHANGES,
            _GROUND,
            _FLEET,
        ):
            [row] = self.rows(query)
            found |= row
        return found

    def by_hour(self) -> dict[int, tuple[float, float]]:
        """Arrivals and departures of each hour of the local day."""
        return {r["hour"]: (r["arrivals"], r["departures"]) for r in self.rows(_HOURS)}

    def by_day(self) -> dict[date, tuple[float, float]]:
        """Arrivals and departures of each local day that has any."""
        return {r["day"]: (r["arrivals"], r["departures"]) for r in self.rows(_DAYS)}

    def busiest(self) -> tuple[datetime, datetime, int] | None:
        """The hour with the most movements: local, UTC, how many."""
        for row in self.rows(_BUSIEST):
            return row["local_hour"], row["hour_at"], row["movements"]
        return None

    def runways(self) -> list[dict[str, Any]]:
        """Arrivals and departures of each runway end."""
        return self.rows(_RUNWAYS)

    def operators(self) -> list[dict[str, Any]]:
        """The airlines with the most movements."""
        return self.rows(_OPERATORS)

    def components(self) -> list[dict[str, Any]]:
        """Components in alert or rising now."""
        return self.rows(_COMPONENTS)

    def models(self) -> list[dict[str, Any]]:
        """Errors of each model's predictions, by ring."""
        return self.rows(_MODELS)


def airports(warehouse: Warehouse, watched: tuple[str, ...]) -> list[dict[str, Any]]:
    """Airports to report on: the watched ones; without any, those with the most movements."""
    values = {
        "watched": list(watched) or None, "least": MIN_MOVEMENTS,
        "most": max(len(watched), MAX_AIRPORTS),
    }  # fmt: skip
    return fetch_all(warehouse, _AIRPORTS, values)
