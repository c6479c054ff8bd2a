"""What a person wants to know of some hours of traffic: the demo's answer.

Belongs here: asking the warehouse, and the sentences. Does not: printing them (`cli.demo`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import RING_NM
from skyops_assets.arrivals.store.versions import model_name
from skyops_assets.errors import first_few
from skyops_assets.warehouse.query import fetch_all, fetch_one

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

QUESTIONS = {
    "When did the Paris airports change runway direction?":
        "select airport, changed_at, from_direction, to_direction from "
        "metrics.runway_configuration_changes order by 2",
    "How many minutes is it from 40 NM to the runway?":
        "select airport, count(*), round(avg(transit_min)::numeric, 1) as minutes from "
        "metrics.fct_arrivals where ring_nm = 40 group by 1 order by 2 desc",
    "Which airlines landed most?":
        "select left(callsign, 3) as airline, count(*) from metrics.fct_flights where status = "
        "'landed' group by 1 order by 2 desc, 1 limit 5",
    "Which flights made the longest detours?":
        "select callsign, airport, round(extra_nm) as extra_nm from metrics.fct_terminal_paths "
        "join metrics.fct_flights using (flight_id) where ring_nm = 40 order by extra_nm desc "
        "limit 5",
    "How far off were the predicted landings?":
        "select ring_nm, airport, count(*), round(avg(abs(error_min))::numeric, 1) as minutes from "
        "ml.prediction_outcomes where outcome = 'landed' group by 1, 2 order by 1, 3 desc",
}  # fmt: skip
"""Questions for a newcomer, and the SQL that answers each; without double quotes or backslashes,
so that a shell takes it within them."""


def highlights(warehouse: Warehouse, start: datetime, end: datetime) -> Iterator[tuple[str, str]]:
    """What happened from ``start`` to ``end``: a word for it, and a sentence, the answer first."""
    hours = {"start": start, "end": end}
    yield "Flights", _flights(warehouse, hours)
    yield "Landings", _landings(warehouse, hours)
    yield "Runways", _changes(warehouse, hours)
    yield "Busiest hour", _busiest(warehouse, hours)
    yield "Holding", _holding(warehouse, hours)
    yield "Longest way", _detour(warehouse, hours)
    yield "Model", verdict(warehouse)


def _flights(warehouse: Warehouse, hours: dict[str, Any]) -> str:
    found = _row(
        warehouse,
        "select count(*) as flights, count(*) filter (where arrival_airport is not null) as landed,"
        " sum(position_count) as positions from metrics.fct_flights "
        "where last_seen_at >= %(start)s and first_seen_at < %(end)s",
        hours,
    )
    times = f"{hours['start']:%Y-%m-%d %H:%M} to {hours['end']:%H:%M} UTC"
    return (
        f"{found['flights']} from {found['positions'] or 0:,} positions, {times}; "
        f"{found['landed']} observed landing"
    )


def _landings(warehouse: Warehouse, hours: dict[str, Any]) -> str:
    found = fetch_all(
        warehouse,
        "select airport, count(*) as landings from metrics.fct_movements where movement = 'landing'"
        " and last_fix_at >= %(start)s and last_fix_at < %(end)s group by 1 order by 2 desc, 1",
        hours,
    )
    return ", ".join(f"{one['airport']} {one['landings']}" for one in found) or "none"


def _changes(warehouse: Warehouse, hours: dict[str, Any]) -> str:
    found = fetch_all(
        warehouse,
        "select airport, changed_at, from_direction, to_direction "
        "from metrics.runway_configuration_changes "
        "where changed_at >= %(start)s and changed_at < %(end)s order by 2, 1",
        hours,
    )
    turned = [
        f"{one['airport']} {one['from_direction']} to {one['to_direction']} at "
        f"{one['changed_at']:%H:%M}"
        for one in found
    ]
    return f"turned round: {', '.join(turned)}" if turned else "no direction changed"


def _busiest(warehouse: Warehouse, hours: dict[str, Any]) -> str:
    found = fetch_one(
        warehouse,
        "select airport, hour_at, throughput_count as movements, arrival_count as landings "
        "from metrics.airport_hourly where hour_at >= %(start)s and hour_at < %(end)s "
        "order by 3 desc, 2, 1 limit 1",
        hours,
    )
    if not found:
        return "none"
    return (
        f"{found['airport']} from {found['hour_at']:%H:%M} on: {found['movements']} movements, "
        f"{found['landings']} of them landings"
    )


def _holding(warehouse: Warehouse, hours: dict[str, Any]) -> str:
    found = fetch_one(
        warehouse,
        "select callsign, airport, started_at, duration_min from metrics.fct_holdings "
        "inner join metrics.fct_flights using (flight_id, icao24) "
        "where started_at >= %(start)s and started_at < %(end)s order by 4 desc, 1 limit 1",
        hours,
    )
    if not found:
        return "no aircraft flew a holding"
    return (
        f"the longest took {found['duration_min']:.0f} minutes: {found['callsign']} at "
        f"{found['started_at']:%H:%M}"
    )


def _detour(warehouse: Warehouse, hours: dict[str, Any]) -> str:
    found = fetch_one(
        warehouse,
        "select callsign, airport, extra_nm, direct_nm from metrics.fct_terminal_paths "
        "inner join metrics.fct_flights using (flight_id, icao24) "
        "where ring_nm = 40 and crossed_at >= %(start)s and crossed_at < %(end)s "
        "order by 3 desc, 1 limit 1",
        hours,
    )
    if not found:
        return "none: no arrival at a watched airport was observed from 40 NM"
    return (
        f"{found['callsign']} flew {found['extra_nm']:.0f} NM more than the direct "
        f"{found['direct_nm']:.0f} from the 40 NM ring to {found['airport']}"
    )


def verdict(warehouse: Warehouse) -> str:
    """The gatekeeper's last decision at 40 NM, and why it is right, in one sentence."""
    decision = fetch_one(
        warehouse,
        "select training_run_id, is_promoted, reasons from ml.promotion_decisions "
        "where model_name = %(name)s order by decision_id desc limit 1",
        {"name": model_name(RING_NM)},
    )
    if decision is None:
        return "none was trained"
    model = fetch_one(
        warehouse,
        "select challenger.mae_min, challenger.scored_rows, challenger.skill_low, "
        "challenger.skill_high, challenger.test_days, reference.mae_min as reference_mae_min "
        "from ml.evaluations as challenger left join ml.evaluations as reference "
        "on challenger.training_run_id = reference.training_run_id and reference.is_reference "
        "where challenger.training_run_id = %(training_run_id)s "
        "and challenger.role = 'challenger' and challenger.mae_min is not null",
        decision,
    )
    failed = {one["rule"]: one for one in decision["reasons"] if not one["is_passed"]}
    if decision["is_promoted"]:
        return "promoted; it makes the predictions from now on"
    why = first_few((one["text"] for one in failed.values()), 3)
    if model is None:
        return f"none: {next(iter(failed.values()))['text']}" if failed else "none"
    if not {"test_rows", "test_days"} & failed.keys():
        return f"not promoted: {why}"
    off = f"it was off by {model['mae_min']:.1f} minutes"
    if model["reference_mae_min"] is not None:
        off += f", the best baseline by {model['reference_mae_min']:.1f}"
    chance = ""
    if model["skill_low"] is not None and model["skill_low"] <= 0:
        chance = f" (95% interval of the gain: {model['skill_low']:+.0%} to "
        chance += f"{model['skill_high']:+.0%})"
    days = "1 day" if model["test_days"] == 1 else f"{model['test_days']} days"
    return (
        f"not promoted, and rightly: {off}, but {model['scored_rows']} arrivals on {days} prove "
        f"nothing{chance}; the baseline goes on predicting"
    )


def _row(warehouse: Warehouse, query: str, values: dict[str, Any]) -> dict[str, Any]:
    row = fetch_one(warehouse, query, values)
    assert row is not None, "an aggregate always has a row"
    return row
