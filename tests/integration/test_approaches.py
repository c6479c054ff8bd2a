"""Go-arounds, holdings and masked values on real, dirty tracks of the recording's package."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recordings import demo_recording, iter_recording
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]

SAMPLES = demo_recording().parents[1]
NOISY = sorted((SAMPLES / "noisy").glob("*.json.gz"))


@pytest.fixture(
    scope="module", params=["runways" if "SKYOPS_DATA_MIRROR" in os.environ else "no_runways"]
)
def tracks(
    request: pytest.FixtureRequest, databases: Databases, dbt_of: Callable[[Warehouse], Dbt]
) -> Any:
    """A warehouse with the real circuits at Lelystad and the noisy tracks, transformed."""
    warehouse = databases.new()
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
    if request.param == "runways":
        settings = Settings(data_mirror=Path(os.environ["SKYOPS_DATA_MIRROR"]))
        reference.replace_reference(
            warehouse, "raw.runways", "ourairports", reference.runways(settings)
        )
    for path in (SAMPLES / "featured" / "belevingsvlucht.json.gz", *NOISY):
        for part in iter_recording(path):
            load_states(warehouse, part)
    dbt_of(warehouse)("build", "--exclude-resource-type", "unit_test")
    yield request.param, warehouse
    databases.drop(warehouse)


def test_six_approaches_and_five_go_arounds_at_lelystad(
    tracks: tuple[str, Warehouse], query: Query
) -> None:
    """What `traffic` finds. After the sixth the flight goes on to Amsterdam: no go-around."""
    kind, warehouse = tracks
    approaches = query(
        warehouse,
        "select to_char(aligned_from_at at time zone 'UTC', 'HH24:MI'), runway_direction, runway "
        "from intermediate.int_movements__approaches where airport = 'EHLE' order by 1",
    )
    assert [direction for _, direction, _ in approaches] == ["23", "05", "23", "05", "23", "23"]
    assert {runway for _, _, runway in approaches} == (
        {"23", "05"} if kind == "runways" else {None}
    )
    movements = query(
        warehouse,
        "select airport, movement, count(*) from metrics.fct_movements "
        "where icao24 = '484506' group by 1, 2 order by 1, 2",
    )
    # Its landing at Amsterdam is not told: the recording has no ground flag, and on the ground it
    # keeps the last speed and rate of descent sent in the air.
    assert movements == [("EHAM", "takeoff", 1), ("EHLE", "go_around", 5)]


def test_the_holding_of_that_flight_is_found(tracks: tuple[str, Warehouse], query: Query) -> None:
    _, warehouse = tracks
    found = query(
        warehouse,
        "select icao24, to_char(started_at at time zone 'UTC', 'HH24:MI'), round(turn_count) "
        "from metrics.fct_holdings order by 2",
    )
    assert found == [("484506", "15:44", 2)]


def test_what_was_masked_in_the_noisy_tracks_is_counted(
    tracks: tuple[str, Warehouse], query: Query
) -> None:
    """The counts add up to the rows of staging, and each noisy track has masked or stale rows."""
    _, warehouse = tracks
    assert query(
        warehouse,
        "select reason, sum(masked_count)::int, sum(row_count)::int "
        "from metrics.masked_values_hourly where source = 'recording:noisy_landing' "
        "and masked_count > 0 group by 1 order by 1",
    ) == [("altitude_spike", 15, 848), ("position_stale", 167, 848)]
    noisy = query(
        warehouse,
        "select distinct source from metrics.masked_values_hourly "
        "where masked_count > 0 and source like 'recording:noisy%%' order by 1",
    )
    assert [source for (source,) in noisy] == [
        f"recording:{path.name.removesuffix('.json.gz')}" for path in NOISY
    ]
    unequal = query(
        warehouse,
        "select reason, sum(masked_count) from metrics.masked_values_hourly group by 1 "
        "except select r.reason, count(*) filter (where r.reason = any("
        "string_to_array(s.masked_reasons, ',')) or r.reason = 'position_' || s.position_status) "
        "from staging.stg_opensky__states as s "
        "cross join (select distinct reason from metrics.masked_values_hourly) as r group by 1",
    )
    assert unequal == []
