"""Two aircraft that send one address: their flights, against those of the same rows with an address each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from conftest import Databases, Dbt
from states import recording, seconds, state, turns, with_address

from skyops_assets.opensky.load import load_states
from skyops_assets.opensky.recordings import (
    DEMO_END,
    DEMO_START,
    Recording,
    demo_recording,
    read_recording,
)
from skyops_assets.warehouse import reference
from skyops_assets.warehouse.server import Warehouse

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]

Query = Callable[..., list[tuple[Any, ...]]]
TURNS_S = (1, 10, 60)
WAITING_FIXES = 9
"""So many of the second one's first positions are jumps of the first: the tenth makes an aircraft."""
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
        "and s.position_status <> 'jump' and s.positioned_at between f.first_seen_at and f.last_seen_at) "
        "from metrics.fct_flights as f order by 1, 2",
    )


@pytest.mark.parametrize("turn_s", TURNS_S)
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
        dbt_of(warehouse)("build", "--exclude-resource-type", "unit_test")
        found[name] = flights(query, warehouse)
        moved = query(
            warehouse,
            "select callsign, movement, airport, runway_direction, moved_at from metrics.fct_movements "
            "inner join metrics.fct_flights using (flight_id) order by 1, 2",
        )
        found[f"{name} movements"] = moved
        databases.drop(warehouse)
    print(*found["apart"], *found["shared"], sep="\n")
    assert [row[0] for row in found["shared"]] == [row[0] for row in found["apart"]]
    seconds_ = 0
    for one, other in zip(found["apart"], found["shared"], strict=True):
        is_second = other[1].endswith("-2")
        seconds_ += is_second
        assert other[2:4] == one[2:4]
        assert other[6] == one[6] - (WAITING_FIXES if is_second else 0)
        assert abs(other[5] - one[5]) <= timedelta(seconds=1)
        assert other[4] >= one[4] if is_second else other[4] == one[4]
    assert seconds_ == len(PAIRS)
    assert found["shared movements"] == found["apart movements"]


def test_wild_positions_make_no_aircraft() -> None:
    pass
