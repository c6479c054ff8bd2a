"""Additional ASMA time against a fixed year, on generated arrivals of three airports.

What the three months of Zurich do not have: published sectors beside octants, bearings on the
border of two, days that begin at another hour than UTC's, helicopters, runways that nobody
knows, classes with too few arrivals, and a year before the reference year. The second
implementation goes row by row over the sectors and classes from which the arrivals were generated.
"""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.history import load, source
from skyops_assets.sources.history.schema import HEADER
from skyops_assets.warehouse.connection import Warehouse

pytestmark = [pytest.mark.xdist_group("asma_generated"), pytest.mark.timeout(900)]

Dbt = Callable[..., tuple[int, str]]
Query = Callable[..., list[tuple[Any, ...]]]
YEAR, MINIMUM, A_DAY = 2024, 10, 80
DAYS = {
    # The first year is not the reference year of this airport, as the test sets it for all.
    "EGLL": [date(2023, 12, 25 + k) for k in range(5)]
    + [date(2024, 1 + k % 12, 1 + k) for k in range(24)]
    + [date(2025, 3, 1 + k) for k in range(5)],
    "LIRF": [date(2024, 7, 1 + k) for k in range(12)] + [date(2025, 7, 1 + k) for k in range(3)],
    "NZAA": [date(2024, 5, 1 + k) for k in range(8)],
}
RUNWAYS = {"EGLL": ["09L", "27L", "27R"], "LIRF": ["16L", "34R"], "NZAA": ["05R", "23L"]}
OCTANTS = {
    name: (45 * k - 22.5, 45 * k + 22.5)
    for k, name in enumerate(["N", "NE", "E", "SE", "S", "SW", "W", "NW"])
}
SECTORS: dict[str, dict[str, tuple[float, float]]] = {
    "EGLL": {
        f"{low:03}-{high:03}": (low, high)
        for low, high in [(0, 110), (110, 170), (170, 230), (230, 300), (300, 360)]
    },
    "LIRF": OCTANTS,
    "NZAA": OCTANTS,
}
# Type, what Doc 8643 says of it, its class here, and how often it comes.
TYPES: list[tuple[str | None, str | None, str | None, int]] = [
    ("B77W", "L2J", "H", 15),
    ("A320", "L2J", "MJ", 50),
    ("AT76", "L2T", "MT", 12),
    ("C510", "L2J", "LJ", 6),
    ("PC12", "L1T", "LT", 3),
    ("PA34", "L2P", "LP", 1),
    ("EC35", "H2T", "helicopter", 3),
    (None, None, None, 10),
]
TABLES = ("asma_fixed_references", "asma_fixed_daily", "asma_fixed_monthly")


class Arrival(NamedTuple):
    """One generated arrival, and what it was generated from."""

    airport: str
    day: date
    icao24: str
    runway: str | None
    sector: str
    bearing_deg: float
    kind: str | None
    transit_s: int
    landed_at: datetime


def generated() -> list[Arrival]:
    """80 arrivals a day and airport; each cell of class, runway and sector has times of its own."""
    draw = random.Random(20241231)
    fleet = [
        (f"{0x400000 + number:06x}", kind)
        for number, kind in enumerate(
            draw.choices([one[2] for one in TYPES], [one[3] for one in TYPES], k=400)
        )
    ]
    found = []
    for airport, days in DAYS.items():
        for day in days:
            for icao24, kind in draw.sample(fleet, A_DAY):
                sector, (low, high) = draw.choice(list(SECTORS[airport].items()))
                # A published sector has its end, an octant its beginning.
                border = high if airport == "EGLL" else low
                bearing = border if draw.random() < 0.1 else draw.uniform(low + 0.1, high - 0.1)
                runway = draw.choice([*RUNWAYS[airport] * 6, None])
                base = 540 + sum(map(ord, f"{airport}{runway}{sector}{kind}")) % 400
                found.append(
                    Arrival(
                        airport, day, icao24, runway, sector, bearing % 360 or high, kind,
                        base + int(draw.expovariate(1 / 150)),
                        datetime(day.year, day.month, day.day, tzinfo=UTC)
                        + timedelta(seconds=draw.randrange(86_400)),
                    )
                )  # fmt: skip
    return found


def write(folder: Path, arrivals: list[Arrival]) -> None:
    """The arrivals as files of the history; of the rings only the one at 40 NM is crossed."""
    files: dict[Any, list[Arrival]] = defaultdict(list)
    for one in arrivals:
        files[one.airport, one.day].append(one)
    for (airport, day), rows in files.items():
        with (folder / source.file_name(airport, day)).open("w", newline="") as file:
            writer = csv.DictWriter(file, HEADER, restval="NA")
            writer.writeheader()
            for number, one in enumerate(rows):
                crossed_at = one.landed_at - timedelta(seconds=one.transit_s)
                writer.writerow(
                    {
                        "UID": f"{one.icao24}-TST{number}-{day}-0",
                        "ARR": "TRUE",
                        "RWY": one.runway or "NA",
                        "THR_TIME": f"{one.landed_at:%Y-%m-%dT%H:%M:%SZ}",
                        "C40_TIME": f"{crossed_at:%Y-%m-%dT%H:%M:%SZ}",
                        "C40_BRG": repr(one.bearing_deg),
                        "C40_ALT": "9000",
                        "C40_DIST": "74080",
                        **dict.fromkeys(("C40_LAT", "C40_LON", "C40_OFFSET"), "0"),
                    }
                )


def percentile(seconds: list[int]) -> float:
    """By hand, in minutes: the value at rank 0.2 (n - 1), on the line between its neighbours."""
    ordered = sorted(seconds)
    whole, fifths = divmod(len(ordered) - 1, 5)
    above = ordered[min(whole + 1, len(ordered) - 1)]
    return (ordered[whole] + (above - ordered[whole]) * fifths / 5) / 60


def expected(arrivals: list[Arrival], year: int) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """References by airport, class, runway and sector; figures by airport, day and month."""
    counted = [one for one in arrivals if one.kind != "helicopter"]
    cells: dict[Any, list[int]] = defaultdict(list)
    for one in counted:
        if one.day.year == year and one.runway:
            for kind in filter(None, (one.kind, "all")):
                cells[one.airport, kind, one.runway, one.sector].append(one.transit_s)
    references = {
        cell: (len(times), percentile(times) if len(times) >= MINIMUM else None)
        for cell, times in cells.items()
    }
    figures: dict[Any, Any] = defaultdict(lambda: [0, 0, 0, 0, 0.0, 0.0])
    for one in arrivals:
        places = [
            figures[one.airport, one.day],
            figures[one.airport, one.day.replace(day=1), "month"],
        ]
        known = [
            references.get((one.airport, kind, one.runway, one.sector), (0, None))[1]
            for kind in (one.kind, "all")
        ]
        unimpeded = known[1] if known[0] is None else known[0]
        for place in places:
            place[0] += 1
            if one.kind == "helicopter":
                continue
            place[1] += 1
            if unimpeded is not None:
                place[2] += 1
                place[3] += known[0] is not None
                place[4] += one.transit_s / 60
                place[5] += unimpeded
    return references, dict(figures)


@pytest.fixture(scope="module")
def arrivals(
    shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory, dbt: Dbt
) -> Iterator[list[Arrival]]:
    """The arrivals, loaded in three parts in no order of time, with a run after each."""
    found = generated()
    mirror = tmp_path_factory.mktemp("mirror")
    (mirror / "arrivals").mkdir()
    write(mirror / "arrivals", found)
    settings = Settings(data_mirror=mirror)
    reference.replace_reference(
        shared_warehouse, "raw.airports", "airportsdata", reference.airports()
    )
    files = sorted({(one.airport, one.day) for one in found})
    random.Random(7).shuffle(files)
    for part in range(3):
        for airport, day in files[part::3]:
            batch = load.load_file(
                shared_warehouse, source.history_file(airport, day, settings), settings
            )
            assert batch.loaded_rows == A_DAY, batch
        if part == 0:
            give_types(shared_warehouse, found)
        if part == 0:
            run(dbt, "+asma_fixed_references +asma_fixed_monthly", "--full-refresh")
        else:
            run(dbt, LATER)
    yield found


LATER = (
    "stg_history__arrivals int_arrivals__unioned int_arrivals__asma_eligibility "
    "int_arrivals__asma_classed " + " ".join(TABLES)
)


def run(dbt: Dbt, models: str, *arguments: str) -> None:
    code, said = dbt(
        "run", "--select", *models.split(), "--vars", f"asma_reference_year: {YEAR}", *arguments
    )
    assert code == 0, said


def give_types(warehouse: Warehouse, arrivals: list[Arrival]) -> None:
    of_kind = {kind: (typecode, description) for typecode, description, kind, _ in TYPES}
    rows = {one.icao24: of_kind[one.kind] for one in arrivals if one.kind}
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into raw.aircraft (icao24, typecode, icao_type_description, source, batch_id) "
            "values (%s, %s, %s, 'test', (select max(batch_id) from raw.ingest_batches))",
            [(icao24, *told) for icao24, told in rows.items()],
        )


def test_references_equal_those_computed_row_by_row(
    shared_warehouse: Warehouse, arrivals: list[Arrival], query: Query
) -> None:
    wanted, _ = expected(arrivals, YEAR)
    found = {
        tuple(row[:4]): row[4:]
        for row in query(
            shared_warehouse,
            "select airport, aircraft_class, runway, sector, arrival_count, percentile_min, "
            "reason, reference_year from metrics.asma_fixed_references",
        )
    }
    assert found.keys() == wanted.keys()
    for cell, (count, minutes) in wanted.items():
        assert found[cell][0] == count
        assert (found[cell][2], found[cell][3]) == (
            None if minutes is not None else "fewer_than_10_arrivals", YEAR,
        )  # fmt: skip
        assert (found[cell][1] is None) == (minutes is None)
        assert minutes is None or abs(found[cell][1] - minutes) < 0.001
    # It is not one of empty cells, and some are too small.
    assert sum(minutes is not None for _, minutes in wanted.values()) > 100
    assert sum(minutes is None for _, minutes in wanted.values()) > 20


@pytest.mark.parametrize("period", ["day", "month"])
def test_figures_equal_those_computed_row_by_row(
    shared_warehouse: Warehouse, arrivals: list[Arrival], query: Query, period: str
) -> None:
    _, figures = expected(arrivals, YEAR)
    wanted = {
        key[:2]: row for key, row in figures.items() if (len(key) == 3) == (period == "month")
    }
    table = "asma_fixed_daily" if period == "day" else "asma_fixed_monthly"
    found = {
        (airport, at): row
        for airport, at, *row in query(
            shared_warehouse,
            f"select airport, {period}, arrival_count, counted_count, with_reference_count, "
            "class_reference_count, transit_min, unimpeded_min, additional_min, reference_share, "
            f"excluded_helicopter_count from metrics.{table}",
        )
    }
    assert found.keys() == wanted.keys()
    for key, (count, counted, with_reference, of_class, transit, unimpeded) in wanted.items():
        row = found[key]
        assert row[:4] == [count, counted, with_reference, of_class]
        assert row[8] == count - counted
        assert with_reference
        assert abs(row[4] - transit / with_reference) < 0.001
        assert abs(row[5] - unimpeded / with_reference) < 0.001
        assert abs(row[6] - (transit - unimpeded) / with_reference) < 0.001
        assert abs(row[7] - with_reference / counted) < 1e-9


def test_what_came_in_parts_equals_a_full_refresh(
    shared_warehouse: Warehouse, arrivals: list[Arrival], query: Query, dbt: Dbt
) -> None:
    def contents() -> list[Any]:
        return [
            query(shared_warehouse, f"select t::text from metrics.{table} as t order by 1")
            for table in TABLES
        ]

    before = contents()
    assert all(before)
    run(dbt, LATER, "--full-refresh")
    assert contents() == before
