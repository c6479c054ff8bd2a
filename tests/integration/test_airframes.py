"""Two aircraft that send one address: their flights, against those with an address each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    demo_recording,
    read_recording,
)
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt
from tests.support.states import recording, seconds, state, turns, with_address

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]

WAITING_FIXES = 9
"""So many positions of the second one are jumps of the first: the tenth makes an aircraft."""
PAIRS = (
    ("LMJ559R", "ETD57C"),  # To LFPB, and from LFPG.
    ("AFR71ZP", "AFR26TR"),  # To one runway, one behind the other.
    ("VPCAL", "AFR6724"),  # From LFPB and LFPG, seven seconds apart.
    ("TVF19YP", "EIN52V"),  # To LFPO, and to LFPG.
)


def flights(query: Query, warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return query(
        warehouse,
        "select callsign, icao24, departure_airport, arrival_airport, first_seen_at, last_seen_at, "
        "(select count(*) from staging.stg_opensky__states as s where s.icao24 = f.icao24 "
        "and s.position_status <> 'jump' "
        "and s.positioned_at between f.first_seen_at and f.last_seen_at) "
        "from metrics.fct_flights as f order by 1, 2",
    )


@pytest.mark.parametrize("turn_s", [1])
def test_two_aircraft_with_one_address_are_two_flights(
    databases: Databases, dbt_of: Callable[[Warehouse], Dbt], query: Query, turn_s: int
) -> None:
    states = read_recording(demo_recording(), DEMO_START, DEMO_END).states
    found = {}
    for name in ("apart", "shared"):
        tables = []
        for number, pair in enumerate(PAIRS):
            for parity, callsign in enumerate(pair):
                own = states.filter(pc.equal(states["callsign"], callsign))
                own = own.filter(turns(own, turn_s, parity))
                letter = "ab"[parity] if name == "apart" else "f"
                tables.append(with_address(own, f"{letter}{number:05x}"))
        rows = pa.concat_tables(tables)
        warehouse = databases.new()
        reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
        load_states(warehouse, Recording("paris", rows, rows))
        dbt_of(warehouse)("run")
        found[name] = flights(query, warehouse)
        moved = query(
            warehouse,
            "select callsign, movement, airport, runway_direction, moved_at "
            "from metrics.fct_movements "
            "inner join metrics.fct_flights using (flight_id) order by 1, 2",
        )
        found[f"{name} movements"] = moved
        databases.drop(warehouse)
    assert [row[0] for row in found["shared"]] == [row[0] for row in found["apart"]]
    keys = set()
    for one, other in zip(found["apart"], found["shared"], strict=True):
        is_second = other[1].endswith("-2")
        keys.add(other[1])
        assert other[2:4] == one[2:4]
        # A repeated position does not count for the ten.
        assert one[6] - other[6] in (range(WAITING_FIXES, WAITING_FIXES + 4) if is_second else (0,))
        assert other[5] == one[5]
        assert other[4] >= one[4] if is_second else other[4] == one[4]
    assert len(keys) == 2 * len(PAIRS)
    movements = zip(found["apart movements"], found["shared movements"], strict=True)
    for one, other in movements:
        assert other[:4] == one[:4]
        # A take-off is dated back from the first positions, of which some were jumps.
        assert abs(other[4] - one[4]) <= timedelta(seconds=WAITING_FIXES)


def moving(number: int) -> list[dict[str, Any]]:
    """So many seconds of an aircraft that flies east."""
    return [
        state(time_position=DEMO_START + timedelta(seconds=i), longitude_deg=2.5 + i / 1000)
        for i in range(number)
    ]


def statuses(query: Query, warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return query(
        warehouse,
        "select icao24, position_status, count(*)::int from staging.stg_opensky__states "
        "group by 1, 2 order by 1, 2",
    )


def test_wild_positions_are_no_aircraft(
    warehouse: Warehouse, dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    """One at the start, one within, one that OpenSky repeats for a minute, nine in a row."""
    flown = moving(300)
    flown[0] |= {"latitude_deg": 20.0}
    flown[50] |= {"latitude_deg": -30.0}
    for second in range(100, 160):
        flown[second] |= {"latitude_deg": 10.0, "longitude_deg": 10.0}
    for second in range(200, 209):
        flown[second] |= {"latitude_deg": 35.0}
    load_states(warehouse, recording(*flown))
    run = dbt_of(warehouse)
    run("run")
    # The first wild position is found out by the second good one; that of the minute is frozen.
    assert statuses(query, warehouse) == [
        ("3c6444", "fresh", 300 - 1 - 1 - 60 - 9),
        ("3c6444", "jump", 1 + 1 + 60 + 9),
    ]
    assert query(warehouse, "select count(*) from metrics.fct_flights") == [(1,)]
    # The tenth of a row, which comes late, makes an aircraft of it.
    late = DEMO_START + timedelta(seconds=209, milliseconds=500)
    load_states(
        warehouse, recording(state(time_position=late, latitude_deg=35.0, longitude_deg=2.7085))
    )
    run("run")
    assert query(
        warehouse,
        "select icao24, first_seen_at, position_count from metrics.fct_flights order by 1",
    ) == [("3c6444", DEMO_START, 300), ("3c6444-2", late, 1)]
    # Back to one when what made it an aircraft was the same second's worse row.
    better = state(
        time_position=late, longitude_deg=2.7085, last_contact=late + timedelta(seconds=1)
    )
    load_states(warehouse, recording(better))
    run("run")
    assert query(warehouse, "select distinct icao24 from staging.stg_opensky__states") == [
        ("3c6444",)
    ]
    for table in ("intermediate.int_positions__phased", "metrics.fct_flights"):
        assert query(warehouse, f"select distinct icao24 from {table}") == [("3c6444",)]


def test_the_first_of_two_goes_and_the_second_keeps_its_key(
    warehouse: Warehouse, dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    """Also over runs, while it is heard; after a silence the address is one aircraft's again."""
    run = dbt_of(warehouse)
    far = {"latitude_deg": 52.0, "longitude_deg": 13.0, "velocity_mps": None, "is_on_ground": True}
    later = [DEMO_START + timedelta(minutes=m) for m in (1, 2, 11, 20, 35)]
    load_states(warehouse, recording(*moving(60)))
    for start in later[:-1]:
        load_states(warehouse, recording(*seconds(60, start, **far)))
        run("run")
    load_states(warehouse, recording(*seconds(60, later[-1], **far)))
    run("run")
    found = "select icao24, first_seen_at from metrics.fct_flights order by 1, 2"
    expected = [
        ("3c6444", DEMO_START),
        ("3c6444", later[-1]),
        ("3c6444-2", later[0] + timedelta(seconds=WAITING_FIXES)),
    ]
    assert query(warehouse, found) == expected
    run("run", "--full-refresh")
    assert query(warehouse, found) == expected


LATE = [
    (step_s, gap_s, late_s, longitude_deg)
    for step_s, gap_s, late_s in ((1, 10, 34), (1, 20, 50), (1, 20, 26), (5, 10, 34), (1, 5, 60))
    for longitude_deg in (2.5, 179.95)
]
"""Seconds between positions, of the gap, and by which the one after it is late; and where it is."""


def test_a_position_that_comes_late_is_the_jump_and_no_holding(
    warehouse: Warehouse, dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    """Flights straight to the east at 250 m/s: after a gap comes first where it was long ago."""
    rows, expected = [], []
    for number, (step_s, gap_s, late_s, longitude_deg) in enumerate(LATE):
        for at in (*range(0, 301, step_s), *range(300 + gap_s, 600, step_s)):
            is_late = at == 300 + gap_s
            longitude = longitude_deg + 250 * (at - late_s * is_late) / 78850
            row = state(
                icao24=f"ab{number:04x}",
                time_position=DEMO_START + timedelta(seconds=at),
                latitude_deg=45.0,
                longitude_deg=longitude - 360 if longitude > 180 else longitude,
                velocity_mps=250.0,
                true_track_deg=90.0,
                baro_altitude_m=10000.0,
                geo_altitude_m=None,
                vertical_rate_mps=0.0,
            )
            rows.append(row)
            if is_late:
                expected.append((row["icao24"], row["time_position"]))
    load_states(warehouse, recording(*rows))
    dbt_of(warehouse)("run")
    jumps = query(
        warehouse,
        "select icao24, positioned_at from staging.stg_opensky__states "
        "where position_status = 'jump' or length(icao24) > 6 order by 1",
    )
    assert jumps == expected
    assert query(warehouse, "select count(*) from metrics.fct_holdings") == [(0,)]
