"""What is flown by day and month, measured: a year of arrivals, of 10 million positions.

`skyops exec -- python -m benchmarks.fleet [FLIGHTS]` runs only this. Generated are the tables that
the fleet's are made from: flights, their landings, and the minutes in which they were heard. A
minute is six positions, as a feed that is asked every ten seconds has them, and a flight is heard
for eleven minutes before it has landed; so 155,000 flights are 10.2 million positions.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.storage import Row, scratch, show
from benchmarks.transform import Run, dbt, explain, load_reference

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

FLIGHTS = 155_000
AIRFRAMES = 2_000
MINUTES, POSITIONS_A_MINUTE = 11, 6
ALLOWED_SQL_S = 20
FOLLOWS_DATA = ("int_flights__split_by_day", "int_feed__heard_hourly")
"""Built by the hourly refresh, where new positions came; here whole."""
REBUILT = "path:models/fleet"
FILLED = (
    "metrics.fct_flights",
    "metrics.fct_movements",
    "metrics.phase_counts_1m",
    "intermediate.int_positions__sampled_1m",
)
_FLIGHTS = f"""
    insert into metrics.fct_flights (flight_id, icao24, callsign, airline, typecode, first_seen_at,
        last_seen_at, departure_airport_reason, arrival_airport, arrival_airport_reason, arrived_at,
        position_count, status)
    select 'f' || number, to_hex(4194304 + number %% {AIRFRAMES}), 'AFR' || number %% 10000, 'AFR',
        'A320', began, began + interval '{MINUTES - 1} minutes', 'out_of_area', 'LFPG',
        'ground_contact', began + interval '{MINUTES - 2} minutes',
        {MINUTES * POSITIONS_A_MINUTE}, 'landed'
    from generate_series(1, %(flights)s) as numbers (number)
    cross join lateral (
        select timestamptz '2024-01-01 00:00+00' + number * interval '365 days' / %(flights)s
    ) as moments (began)
"""
_MOVEMENTS = """
    insert into metrics.fct_movements (movement_id, flight_id, icao24, airport, movement, moved_at,
        method, label_quality, known_at, last_fix_at)
    select flight_id || '_landing', flight_id, icao24, 'LFPG', 'landing', arrived_at,
        'ground_contact', 'observed', arrived_at, arrived_at
    from metrics.fct_flights
"""
_MINUTES = f"""
    insert into intermediate.int_positions__sampled_1m (flight_id, icao24, positioned_at, phase,
        latitude_deg, longitude_deg, altitude_m, ground_speed_mps, position_count, stale_count,
        is_speed_abnormal, is_altitude_abnormal, is_vertical_rate_abnormal)
    select flight_id, icao24, first_seen_at + minute * interval '1 minute',
        (array['CRUISE', 'DESCENT', 'DESCENT', 'GROUND'])[1 + minute * 3 / {MINUTES - 1}],
        50.4 - minute * 1.4 / {MINUTES - 1}, 2.5, 9000 - minute * 800, 230 - minute * 15,
        {POSITIONS_A_MINUTE - 1}, 1, false, false, false
    from metrics.fct_flights
    cross join generate_series(0, {MINUTES - 1}) as minutes (minute)
"""
_COUNTS = """
    insert into metrics.phase_counts_1m (minute_at, phase, aircraft_count)
    select date_trunc('minute', positioned_at), phase, count(*)
    from intermediate.int_positions__sampled_1m
    group by 1, 2
"""


def measure(flights: int = FLIGHTS) -> Iterator[Row]:
    """Rows of the benchmark's table."""
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        load_reference(warehouse)
        dbt(warehouse, Path(folder), "run")
        _fill(warehouse, flights)
        positions = flights * MINUTES * POSITIONS_A_MINUTE
        whole = _timed(warehouse, Path(folder), *FOLLOWS_DATA)
        yield (
            f"what follows the data, whole: {flights:,} flights, {positions:,} positions",
            f"{whole.sql_s:.1f} s of SQL ({whole.wall_s:.1f} s in all)",
            "the hourly refresh: only where positions are new",
            "-",
        )
        fleet = _timed(warehouse, Path(folder), REBUILT)
        allowed_s = ALLOWED_SQL_S * flights / FLIGHTS
        yield (
            "tables of the fleet and of the feed's weeks, made anew from it",
            f"{fleet.sql_s:.1f} s of SQL ({fleet.wall_s:.1f} s in all)",
            f"allowed {allowed_s:g} s",
            f"{fleet.sql_s / allowed_s:.2f}",
        )


def _timed(warehouse: Warehouse, folder: Path, *models: str) -> Run:
    """These models from nothing; their tables are there, and empty or as the last time."""
    made = dbt(warehouse, folder, "run", "--full-refresh", "--select", *models)
    explain(" ".join(models), made)
    return made


def _fill(warehouse: Warehouse, flights: int) -> None:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        for statement in (_FLIGHTS, _MOVEMENTS, _MINUTES, _COUNTS):
            cursor.execute(statement, {"flights": flights})
        for table in FILLED:
            cursor.execute(f"analyze {table}")


def main() -> None:
    """This table alone; a number of flights makes it quicker."""
    show(measure(*(int(argument) for argument in sys.argv[1:] if argument.isdigit())))


if __name__ == "__main__":
    main()
