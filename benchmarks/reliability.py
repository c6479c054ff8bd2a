"""Reliability and punctuality, measured: a year of scheduled arrivals, five years of a fleet.

`skyops exec -- python -m benchmarks.reliability`. Schedules, landings, hours and events are drawn;
the tables of flights and movements are filled directly, since what they cost is `transform`'s.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.storage import Row, scratch, show
from benchmarks.transform import dbt, explain, load_reference

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

DAILY, DAYS = 425, 365
AIRFRAMES, MONTHS, EVENTS = 100, 60, 20_000
ALLOWED_S = 20
"""Shared with the fleet's tables (benchmarks.transform)."""
BATCH = """
    insert into raw.ingest_batches (
        batch_id, target, source, started_at, finished_at, read_rows, loaded_rows, duplicate_rows,
        rejected_rows
    ) overriding system value
    values (0, 'bench', 'bench', now(), now(), 0, 0, 0, 0)
"""
YEAR = f"""
    select setseed(0.5);
    create temporary table drawn as
    select
        number,
        lpad(to_hex(4000000 + number % 900), 6, '0') as icao24,
        'AFR' || number % {DAILY} as callsign,
        timestamptz '2024-01-01 04:00Z' + number / {DAILY} * interval '1 day'
        + number % {DAILY} * interval '165 seconds' as due_at,
        (-20 + 60 * random() ^ 3 + 300 * (random() < 0.02)::int * random()) * interval '1 minute'
            as late
    from generate_series(0, {DAILY * DAYS - 1}) as numbers (number);
    insert into raw.schedules (
        callsign, scheduled_departure_at, scheduled_arrival_at, departure_airport, arrival_airport,
        is_cancelled, departure_delay_min, is_technical, source, source_row, batch_id
    )
    select
        callsign, due_at - interval '90 minutes', due_at, 'EGLL', 'LFPG', number % 100 = 0,
        10, number % 3 = 0, 'bench', number, 0
    from drawn;
    insert into metrics.fct_flights (
        flight_id, icao24, callsign, first_seen_at, last_seen_at, departure_airport_reason,
        arrival_airport_reason, position_count, status
    )
    select
        icao24 || '_' || number, icao24, callsign, due_at - interval '1 hour', due_at + late, 'x',
        'x', 1, 'landed'
    from drawn;
    insert into metrics.fct_movements (
        movement_id, flight_id, icao24, airport, movement, moved_at, method, label_quality,
        known_at, last_fix_at
    )
    select
        icao24 || '_' || number || '_landing', icao24 || '_' || number, icao24, 'LFPG', 'landing',
        due_at + late, 'ground_contact', 'observed', due_at + late, due_at + late
    from drawn
    where number % 50 > 0;
    analyze metrics.fct_flights, metrics.fct_movements, raw.schedules;
"""
FLEET = f"""
    select setseed(0.5);
    insert into raw.exposure (
        airframe, month_on, flight_hours, cycles, source, source_row, batch_id
    )
    select
        'A' || airframe, (date '2020-01-01' + month * interval '1 month')::date, 250, 120, 'bench',
        1, 0
    from
        generate_series(1, {AIRFRAMES}) as airframes (airframe),
        generate_series(0, {MONTHS - 1}) as months (month);
    insert into raw.configurations (
        airframe, part_number, quantity, fitted_from_on, source, source_row, batch_id
    )
    select 'A' || airframe, 'P' || part, 1 + part % 4, '2019-01-01', 'bench', 1, 0
    from
        generate_series(1, {AIRFRAMES}) as airframes (airframe),
        generate_series(0, 99) as parts (part);
    insert into raw.maintenance_programmes (
        task, interval_hours, interval_days, source, source_row, batch_id
    )
    select 'P' || part, 600, 400, 'bench', part, 0 from generate_series(0, 99) as parts (part);
    insert into raw.maintenance_events (
        event_id, occurred_on, airframe, jasc_code, part_number, is_removal, is_confirmed, task,
        source, source_row, batch_id
    )
    select
        number::text, date '2020-01-01' + (random() * {30 * MONTHS})::int,
        'A' || 1 + (random() * {AIRFRAMES - 1})::int, 20 + part / 10 || '10', 'P' || part,
        number % 2 = 0, number % 4 = 0, case when number % 5 = 0 then 'P' || part end, 'bench',
        number, 0
    from (
        select number, (random() * random() * 400)::int as part
        from generate_series(1, {EVENTS}) as numbers (number)
    ) as drawn;
    analyze raw.exposure, raw.configurations, raw.maintenance_events;
"""


def measure() -> Iterator[Row]:
    """Rows of the benchmark's table."""
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        load_reference(warehouse)
        dbt(warehouse, Path(folder), "run")
        run(warehouse, BATCH)
        run(warehouse, YEAR)
        yield built(warehouse, Path(folder), f"{DAILY * DAYS:,} scheduled arrivals")
        run(warehouse, "truncate raw.schedules")
        run(warehouse, FLEET)
        what = f"{AIRFRAMES} airframes of {MONTHS // 12} years, {EVENTS:,} events"
        yield built(warehouse, Path(folder), what)


def run(warehouse: Warehouse, statement: str) -> None:
    """Run statements, in one transaction."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def built(warehouse: Warehouse, folder: Path, what: str) -> Row:
    """Build the models of reliability."""
    found = dbt(warehouse, folder, "run", "--select", "models/reliability")
    explain(what, found)
    return (
        f"reliability and punctuality, {what}",
        f"{found.sql_s:.1f} s of SQL ({found.wall_s:.1f} s in all)",
        f"allowed {ALLOWED_S} s, with the fleet's tables",
        f"{found.sql_s / ALLOWED_S:.2f}",
    )


if __name__ == "__main__":
    show(measure())
