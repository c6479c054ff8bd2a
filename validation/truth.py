"""How right SkyOps is about simulated flights: phases, flights, airports, movements.

`skyops exec -- python -m validation.truth [FLIGHTS DAYS SEED [LAYOUT]]` simulates, loads, runs dbt
in a database of its own, and prints shares. Flights that share an address with another airframe are
left out. Only rows with a fresh position count for phases.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.storage import scratch
from benchmarks.transform import dbt, load_reference

if TYPE_CHECKING:
    from skyops_assets.simulate.write import Simulation
    from skyops_assets.warehouse.connection import Warehouse

# A row belongs to the true flight that was in its time; the frozen tail of one ends at the next.
OWNED = """
create table truth.owned as
select p.flight_id, p.positioned_at, p.position_status, p.phase, t.flight_key,
    s.phase as true_phase, s.height_m
from intermediate.int_positions__phased as p
inner join truth.seconds as s on s.icao24 = p.icao24 and s.at = p.positioned_at
inner join truth.flights as t on t.flight_key = s.flight_key
where not t.is_address_shared
"""
# Where one flight ends and the next begins on the apron is a convention: the air decides.
MATCHED = """
create table truth.matched as
with pairs as (
    select flight_key, flight_id, count(*) as fixes
    from truth.owned
    where position_status = 'fresh' and true_phase <> 'GROUND'
    group by flight_key, flight_id
)
select flight_key,
    count(*) as pieces,
    bool_or(flight_id in (
        select flight_id from pairs group by flight_id having count(*) > 1
    )) as is_merged,
    (array_agg(flight_id order by fixes desc))[1] as flight_id
from pairs
group by flight_key
"""


def found_of(movement: str) -> str:
    """Of the true movements of a kind those that were found."""
    return f"""
        select count(*) filter (where exists (
            select from metrics.fct_movements as m
            where m.icao24 = t.icao24 and m.movement = '{movement}' and m.airport = t.airport
                and abs(extract(epoch from m.moved_at - t.moved_at)) <= 60)), count(*)
        from truth.movements as t where t.movement = '{movement}'"""


def untrue_of(said: str, *true: str) -> str:
    """Of the movements of a kind that were said those of which none of these kinds is true."""
    kinds = ", ".join(f"'{kind}'" for kind in true)
    return f"""
        select count(*) filter (where not exists (
            select from truth.movements as t
            where m.icao24 = t.icao24 and t.movement in ({kinds})
                and m.airport = t.airport
                and abs(extract(epoch from m.moved_at - t.moved_at)) <= 180)), count(*)
        from metrics.fct_movements as m where m.movement = '{said}'"""


SCORES = {
    "phase right, of fresh seconds": """
        select count(*) filter (where phase = true_phase), count(*)
        from truth.owned where position_status = 'fresh'""",
    "... cruise and level taken as one": """
        select count(*) filter (
            where phase = true_phase
                or (phase in ('LEVEL', 'CRUISE') and true_phase in ('LEVEL', 'CRUISE'))), count(*)
        from truth.owned where position_status = 'fresh'""",
    "flights recovered exactly": """
        select count(*) filter (where pieces = 1 and not is_merged), count(*) from truth.matched""",
    "flights wrongly merged": """
        select count(*) filter (where is_merged), count(*) from truth.matched""",
    "flights split": """
        select count(*) filter (where pieces > 1), count(*) from truth.matched""",
    "airports answered, where the flight has one": """
        select count(found), count(*) from truth.ends where airport is not null""",
    "airports right, of those answered": """
        select count(*) filter (where found = airport), count(*)
        from truth.ends where found is not null""",
    "landings found at their field within 60 s": found_of("landing"),
    "take-offs found at their field within 60 s": found_of("takeoff"),
    # Half of a touch-and-go is a landing.
    "landings said that are none": untrue_of("landing", "landing", "touch_and_go"),
    "go-arounds found at their field within 60 s": found_of("go_around"),
    "go-arounds said that are none": untrue_of("go_around", "go_around"),
    "touch-and-goes found at their field within 60 s": found_of("touch_and_go"),
    "touch-and-goes said that are none": untrue_of("touch_and_go", "touch_and_go"),
    "holdings found": """
        select count(*) filter (where exists (
            select from metrics.fct_holdings as h
            where h.icao24 = t.icao24
                and t.moved_at between h.started_at - interval '5 min' and h.ended_at)), count(*)
        from truth.movements as t where t.movement = 'holding'""",
    "holdings said that are none": """
        select count(*) filter (where not exists (
            select from truth.movements as t
            where h.icao24 = t.icao24 and t.movement = 'holding'
                and t.moved_at between h.started_at - interval '5 min' and h.ended_at)), count(*)
        from metrics.fct_holdings as h""",
}
TAKEOFF_ERRORS = """
with errors as (
    select abs(extract(epoch from m.moved_at - t.moved_at))::double precision as error_s
    from metrics.fct_movements as m
    inner join truth.movements as t
        on m.icao24 = t.icao24 and m.movement = t.movement and m.airport = t.airport
    where m.movement = 'takeoff' and m.method = 'signal_gained'
        and abs(extract(epoch from m.moved_at - t.moved_at)) <= 180
)
select count(*), percentile_cont(0.5) within group (order by error_s),
    percentile_cont(0.9) within group (order by error_s)
from errors
"""
HOURS = """
with flown as (
    select s.icao24, (s.at at time zone 'UTC')::date as flown_on,
        count(*) filter (where s.phase <> 'GROUND') / 3600.0::double precision as true_h
    from truth.seconds as s inner join truth.flights as t on s.flight_key = t.flight_key
    where not t.is_address_shared
    group by 1, 2
)
select count(*), sum(f.airborne_h), sum(t.true_h),
    percentile_cont(0.9) within group (order by abs(f.airborne_h / t.true_h - 1)),
    max(abs(f.airborne_h / t.true_h - 1))
from metrics.fleet_daily as f inner join flown as t
    on f.icao24 = t.icao24 and f.flown_on = t.flown_on and t.true_h > 0
where f.coverage_share >= 0.95
"""
ENDS = """
create table truth.ends as
select 'departure' as side, t.flight_key, t.kind, t.departure_airport as airport,
    f.departure_airport as found, f.departure_airport_reason as reason, m.flight_id
from truth.flights as t
inner join truth.matched as m on t.flight_key = m.flight_key
inner join metrics.fct_flights as f on m.flight_id = f.flight_id
union all
select 'arrival', t.flight_key, t.kind, t.arrival_airport, f.arrival_airport,
    f.arrival_airport_reason, m.flight_id
from truth.flights as t
inner join truth.matched as m on t.flight_key = m.flight_key
inner join metrics.fct_flights as f on m.flight_id = f.flight_id
"""
CAUSES = {
    "movements of circuits, by what they are called": """
        select concat_ws(' ', t.movement, 'called', coalesce(m.movement, 'nothing'), m.method),
            count(*)
        from truth.movements as t left join metrics.fct_movements as m on m.icao24 = t.icao24
            and m.airport = t.airport and abs(extract(epoch from m.moved_at - t.moved_at)) <= 90
        where t.movement in ('go_around', 'touch_and_go') group by 1""",
    "phases confused": """
        select true_phase || ' called ' || phase, count(*) from truth.owned
        where position_status = 'fresh' and phase <> true_phase group by 1""",
    "flights not exact, by kind": """
        select t.kind || case when m.is_merged then ' merged' else ' split' end, count(*)
        from truth.matched as m inner join truth.flights as t on m.flight_key = t.flight_key
        where pieces > 1 or is_merged group by 1""",
    "merged flights, by the callsign of the next one": """
        select case when x.callsign = y.callsign then 'the same' else 'another' end, count(*)
        from truth.matched as one inner join truth.matched as other
            on one.flight_id = other.flight_id and one.flight_key < other.flight_key
        inner join truth.flights as x on one.flight_key = x.flight_key
        inner join truth.flights as y on other.flight_key = y.flight_key group by 1""",
    "airports not right, by what else is wrong": """
        select case when m.is_merged then 'merged' when m.pieces > 1 then 'split'
            else 'nothing' end, count(*)
        from truth.ends as e inner join truth.matched as m on e.flight_key = m.flight_key
        where e.found is not null and e.found is distinct from e.airport group by 1""",
    "airports wrong": """
        select side || ' ' || coalesce(airport, 'none') || ' called ' || found, count(*)
        from truth.ends where found <> airport or (airport is null and found is not null)
        group by 1""",
    "why no airport is answered": """
        select concat_ws(' ', side, reason), count(*)
        from truth.ends where found is null group by 1""",
    "airports not answered": """
        select concat_ws(' ', side, e.airport, reason, case side when 'departure'
            then t.departure_runway else t.arrival_runway end), count(*)
        from truth.ends as e inner join truth.flights as t on e.flight_key = t.flight_key
        where e.airport is not null and found is null group by 1""",
}


def scores(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    """Right or found, and of how many, of each of `SCORES`; the models are there."""
    for statement in (OWNED, MATCHED, ENDS):
        query(warehouse, statement)
    found = {}
    for name, statement in SCORES.items():
        ((part, whole),) = query(warehouse, statement)
        found[name] = (part, whole)
    return found


def takeoff_errors_s(warehouse: Warehouse) -> tuple[int, float, float]:
    """Take-offs first heard in the climb: how many, median and 90th percentile of their error."""
    ((count, median_s, ninth_s),) = query(warehouse, TAKEOFF_ERRORS)
    return count, median_s or 0.0, ninth_s or 0.0


@dataclass(frozen=True)
class Hours:
    """Hours in the air of the days of airframes that were covered to 95 %.

    Attributes:
        days: how many.
        airborne_h, true_h: as the models have them, and as they were.
        ninth_share, worst_share: how far off a day is, by its true hours: of ten the worst but
            one, and of all the worst.
    """

    days: int
    airborne_h: float
    true_h: float
    ninth_share: float
    worst_share: float


def flown_hours(warehouse: Warehouse) -> Hours:
    """How right the hours of `fleet_daily` are."""
    (found,) = query(warehouse, HOURS)
    return Hours(*(value or 0 for value in found))


def main(flights: int = 300, days: int = 2, seed: int = 1, layout: str = "traffic") -> None:
    from skyops_assets.simulate.fields import AIRPORTS
    from skyops_assets.simulate.flights import Plan
    from skyops_assets.simulate.reception import Quality
    from skyops_assets.simulate.write import Layout, simulate, write

    plan = Plan(seed, datetime(2024, 1, 31, tzinfo=UTC), days, AIRPORTS)
    made = simulate(plan, flights=flights, quality=Quality(), layout=Layout(layout))
    console = Console(width=120, highlight=False)
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        write(Path(folder) / "made", made, plan)
        load(warehouse, Path(folder) / "made" / "recording", made)
        transform(warehouse, Path(folder))
        table = Table("what", "share", "of")
        for name, (part, whole) in scores(warehouse).items():
            table.add_row(name, f"{100 * part / max(whole, 1):.2f} %", f"{whole:,}")
        console.print(table)
        count, median_s, ninth_s = takeoff_errors_s(warehouse)
        console.print(f"take-offs first heard in the climb: {count:,}, off by {median_s:.1f} s "
                      f"(median), {ninth_s:.1f} s (90th percentile)")  # fmt: skip
        hours = flown_hours(warehouse)
        console.print(f"hours of {hours.days:,} days of airframes covered to 95 %: "
                      f"{hours.airborne_h:,.1f}, truly {hours.true_h:,.1f}; a day is off by up to "
                      f"{100 * hours.ninth_share:.1f} % (nine of ten), "
                      f"{100 * hours.worst_share:.1f} % (all)")  # fmt: skip
        for name, statement in CAUSES.items():
            rows = query(warehouse, f"{statement} order by 2 desc limit 15")
            console.print(f"{name}: " + ("; ".join(f"{what} {n:,}" for what, n in rows) or "none"))


def load(warehouse: Warehouse, recording: Path, made: Simulation) -> None:
    """The recording, the reference rows, and the truth beside them."""
    from skyops_assets.sources.opensky.loading.files import load_file
    from skyops_assets.warehouse import bulk

    for path in sorted(recording.iterdir()):
        report = load_file(warehouse, path)
        assert report.error is None, report.error
    load_reference(warehouse)
    query(warehouse, "create schema truth")
    with bulk.transaction(warehouse) as cursor:
        for name in ("flights", "movements", "seconds"):
            table = getattr(made, name)
            plain = [pa.field(f.name, pa.string()) if pa.types.is_dictionary(f.type) else f
                     for f in table.schema]  # fmt: skip
            cursor.adbc_ingest(name, table.cast(pa.schema(plain)), mode="create",
                               db_schema_name="truth")  # fmt: skip
    query(warehouse, "create index on truth.seconds (icao24, at)")
    query(warehouse, "analyze truth.seconds")


def transform(warehouse: Warehouse, folder: Path) -> None:
    """All models, without their tests: a simulation is no reason to fail."""
    dbt(warehouse, folder, "run", "--select", "+fct_flights", "+fct_holdings", "+fleet_daily")


def query(warehouse: Warehouse, statement: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:4]]
    main(*numbers, layout=sys.argv[4] if len(sys.argv) > 4 else "traffic")
