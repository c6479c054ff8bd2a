"""What the day, the week and the month came to, in a few sentences, and what is to be done.

Belongs here: the questions and their sentences. Does not: the tables that they are asked of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from skyops_assets.reporting.markdown import table
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all

QUIET, LOOK = "quiet", "look"
DUE_WITHIN_DAYS = 7

_INPUTS = """
    select count(*) as loads, coalesce(sum(loaded_rows), 0)::bigint as rows,
        coalesce(sum(rejected_rows), 0)::bigint as rejected
    from raw.ingest_batches
    where finished_at > now() - interval '1 day' and target = any(%(targets)s)
"""
_FLEET_DAY = """
    select flown_on as day, count(*) as airframes, sum(flight_count)::bigint as flights,
        sum(airborne_h) as hours
    from metrics.fleet_daily
    where flown_on = (select max(flown_on) from metrics.fleet_daily)
    group by flown_on
"""
_ANOMALOUS = """
    select count(*) as anomalous, max(anomaly_score) as highest,
        (array_agg(coalesce(flights.callsign, scores.icao24) order by anomaly_score desc))[1]
        as highest_flight
    from metrics.flight_anomaly_scores as scores
    inner join metrics.fct_flights as flights using (icao24, flight_id)
    where
        scores.is_anomalous
        and scores.last_seen_at
        > (select max(last_seen_at) - interval '1 day' from metrics.flight_anomaly_scores)
"""
_PUNCTUALITY = """
    select arrives_on as day, sum(landed_count)::bigint as landed,
        sum(on_time_count)::float8 / nullif(sum(landed_count), 0) as on_time,
        sum(cancelled_count)::bigint as cancelled
    from metrics.punctuality_daily
    where arrives_on
        = (select max(arrives_on) from metrics.punctuality_daily where landed_count > 0)
    group by arrives_on
"""
_DUE = """
    select count(*) filter (where due_status = 'overdue') as overdue,
        count(*) filter (where due_status = 'open' and forecast_on <= current_date + %(days)s)
        as soon
    from metrics.maintenance_due
"""
_COMPONENTS = """
    select week_on as week, fleet, ata_chapter, part_number, alert_level, trend
    from metrics.component_reliability_weekly
    where is_current and (alert_level = 'alert' or trend = 'rising')
    order by alert_level = 'alert' desc nulls last, fleet, ata_chapter, part_number
"""
_TYPES = """
    select month_on as month, count(*) as types, sum(flight_count)::bigint as flights,
        sum(airborne_h) as hours
    from metrics.fleet_types_monthly
    where month_on = (select max(month_on) from metrics.fleet_types_monthly)
    group by month_on
"""
_DISPATCH = """
    select month_on as month, sum(departure_count)::bigint as departures,
        sum(technical_count)::bigint as technical
    from metrics.dispatch_reliability_monthly
    where month_on = (select max(month_on) from metrics.dispatch_reliability_monthly)
    group by month_on
"""
_INTERVALS = """
    select count(*) as components, count(recommended_interval) as recommended
    from ml.component_lives
"""
_UNITS = """
    select count(*) as units, count(*) filter (where is_at_limit) as at_limit
    from ml.failure_outlook
"""


@dataclass
class Summary:
    """What was found; `to_do` is what a person should see to."""

    said: list[str] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Whether a person should look."""
        return LOOK if self.to_do else QUIET

    @property
    def details(self) -> dict[str, Any]:
        """All of it, for the audit log."""
        return {"said": self.said, "to_do": self.to_do}

    def markdown(self) -> str:
        """A table for the UI."""
        rows = [("to do", one) for one in self.to_do] + [("", one) for one in self.said]
        return table(("", "finding"), rows)


Asked = Callable[..., list[dict[str, Any]]]


def daily(warehouse: Warehouse, inputs: tuple[str, ...]) -> Summary:
    """Inputs of the last day, flights of the latest day, anomalous flights, punctuality, due tasks.

    Args:
        inputs: tables of operators' inputs.
    """
    ask, found = _asking(warehouse), Summary()
    [loads] = ask(_INPUTS, targets=list(inputs))
    found.said.append(
        f"Operators' inputs: {loads['rows']:,} rows loaded, {loads['rejected']:,} rejected."
        if loads["loads"]
        else "Operators' inputs: nothing new."
    )
    for row in ask(_FLEET_DAY):
        found.said.append(
            f"{_day(row)}: {row['airframes']:,} airframes, {row['flights']:,} flights, "
            f"{row['hours'] or 0:,.0f} h in the air at least."
        )
    [strange] = ask(_ANOMALOUS)
    found.said.append(
        f"Anomalous flights in the latest 24 h of data: {strange['anomalous']}"
        + (f"; the highest score has {strange['highest_flight']}." if strange["anomalous"] else ".")
    )
    for row in ask(_PUNCTUALITY):
        found.said.append(
            f"{_day(row)}: {row['on_time']:.0%} of {row['landed']:,} arrivals on time, "
            f"{row['cancelled']:,} cancelled."
        )
    [due] = ask(_DUE, days=DUE_WITHIN_DAYS)
    found.said.append(f"Maintenance due within {DUE_WITHIN_DAYS} days: {due['soon']}.")
    if due["overdue"]:
        found.to_do.append(f"Overdue maintenance: {due['overdue']} (/v1/maintenance/due).")
    return found


def weekly(warehouse: Warehouse) -> Summary:
    """The components whose reliability has worsened."""
    found = Summary()
    rows = _asking(warehouse)(_COMPONENTS)
    for row in rows:
        part = f"part {row['part_number']}" if row["part_number"] else "as a whole"
        where = f"{row['fleet']}, ATA {row['ata_chapter']}, {part}, week of {row['week']}"
        if row["alert_level"] == "alert":
            found.to_do.append(f"{where}: above its alert level.")
        else:
            found.said.append(f"{where}: rising.")
    if not rows:
        found.said.append("No component is in alert, and none is rising.")
    return found


def monthly(warehouse: Warehouse) -> Summary:
    """The fleet's month, dispatch reliability, and what is recommended of intervals."""
    ask, found = _asking(warehouse), Summary()
    for row in ask(_TYPES):
        found.said.append(
            f"{row['month']:%Y-%m}: {row['types']} types, {row['flights']:,} flights, "
            f"{row['hours'] or 0:,.0f} h in the air at least."
        )
    for row in ask(_DISPATCH):
        share = 1 - row["technical"] / row["departures"] if row["departures"] else None
        shown = f"{share:.2%} of" if share is not None else "unknown of"
        found.said.append(
            f"{row['month']:%Y-%m}: dispatch reliability {shown} {row['departures']:,} departures."
        )
    [lives] = ask(_INTERVALS)
    found.said.append(
        f"Intervals recommended: {lives['recommended']} of {lives['components']} components."
    )
    [units] = ask(_UNITS)
    if units["at_limit"]:
        found.to_do.append(f"Units at their limit: {units['at_limit']} of {units['units']}.")
    return found


def _asking(warehouse: Warehouse) -> Asked:
    return lambda query, **values: fetch_all(warehouse, query, values)


def _day(row: dict[str, Any]) -> date:
    day: date = row["day"]
    return day
