"""Garbage altitudes: what is masked of them, what is not, and the greatest height of the flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recordings import DEMO_START
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt
from tests.support.states import recording, state

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]

Altitudes = list[tuple[float, float]]
"""Seconds since the start, and the altitude in metres."""

CRUISE_M = 10000.0


def cruise(step_s: int, count: int, garbage_m: float, start: int, length: int) -> Altitudes:
    """A cruise in which so many altitudes, from one on, are off by so much."""
    return [
        (n * step_s, CRUISE_M + (garbage_m if start <= n < start + length else 0))
        for n in range(count)
    ]


def manoeuvre(step_s: int, from_m: float, to_m: float, rate_mps: float) -> Altitudes:
    """Ten minutes of level flight, a climb or descent, and ten minutes more."""
    steep_s = (to_m - from_m) / rate_mps
    return [
        (at, from_m + rate_mps * min(max(at - 600, 0), steep_s))
        for at in range(0, int(1200 + steep_s), step_s)
    ]


GARBAGE = {
    **{
        f"{length} of {off_m:+} m at {step_s} s": cruise(step_s, 160, off_m, 80, length)
        for step_s, off_m, lengths in (
            (1, 300, (1, 5, 7)),
            (1, 1000, (1, 5, 40)),
            (1, 9000, (1, 5, 60)),
            (1, -9000, (5, 60)),
            (10, 1000, (1, 2)),
            (10, 9000, (1, 5, 40)),
            (30, 3000, (1, 4)),
            (30, 9000, (1, 5, 10)),
            (205, 9000, (1,)),
        )
        for length in lengths
    },
    "5 of +9000 m at the end": cruise(1, 160, 9000, 155, 5),
    "60 of +9000 m at the end": cruise(1, 160, 9000, 100, 60),
}
AT_THE_START = {
    f"{length} of {off_m:+} m first, at {step_s} s": cruise(step_s, 160, off_m, 0, length)
    for step_s in (1, 10)
    for off_m in (9000, -9000)
    for length in (1, 5, 10)
}
WITH_GEO = {
    f"geo: {length} of {off_m:+} m from {start} on, at {step_s} s": cruise(
        step_s, 160, off_m, start, length
    )
    for step_s in (10, 205)
    for off_m in (3000, 9000, -9000)
    for start, length in ((0, 5), (80, 1), (80, 5), (80, 60), (150, 10))
}
TRUE = {
    f"{name} at {step_s} s": manoeuvre(step_s, from_m, to_m, rate_mps)
    for step_s in (1, 10, 30, 205)
    for name, from_m, to_m, rate_mps in (
        ("emergency descent", 11000.0, 3000.0, -40.0),
        ("steep climb", 500.0, 12000.0, 50.0),
    )
}
ALL = {**GARBAGE, **AT_THE_START, **WITH_GEO, **TRUE}
ADDRESSES = {name: f"ab{number:04x}" for number, name in enumerate(ALL)}


def rates(altitudes: Altitudes, is_true: bool) -> list[float]:
    """The rate of climb that is sent: garbage has no part in it."""
    found = [0.0]
    for (at, altitude), (then, other) in zip(altitudes[1:], altitudes[:-1], strict=True):
        found.append((altitude - other) / (at - then) if is_true else 0.0)
    return found


@pytest.fixture(scope="module")
def judged(databases: Databases, dbt_of: Callable[[Warehouse], Dbt]) -> Iterator[Warehouse]:
    """A warehouse with every case, an address each; with rates of climb, one of two geometric."""
    warehouse = databases.new()
    reference.replace_reference(
        warehouse, "raw.airports", "airportsdata", reference.airports().slice(0, 100)
    )
    rows = [
        state(
            icao24=ADDRESSES[name],
            callsign=f"T{ADDRESSES[name]}".upper(),
            time_position=DEMO_START + timedelta(seconds=at),
            # Where no field is near, so that the height is the altitude.
            latitude_deg=-40.0 + number * 0.002 * (altitudes[1][0] - altitudes[0][0]) ** 0.5,
            longitude_deg=-30.0,
            velocity_mps=200.0,
            baro_altitude_m=altitude,
            geo_altitude_m=CRUISE_M + 120 if name in WITH_GEO else None,
            vertical_rate_mps=rate,
        )
        for name, altitudes in ALL.items()
        for number, ((at, altitude), rate) in enumerate(
            zip(altitudes, rates(altitudes, name in TRUE), strict=True)
        )
    ]
    load_states(warehouse, recording(*rows))
    dbt_of(warehouse)("run")
    yield warehouse
    databases.drop(warehouse)


def altitudes_of(
    query: Query, warehouse: Warehouse, name: str
) -> list[tuple[float | None, str | None]]:
    return query(
        warehouse,
        "select altitude_m, masked_reasons from staging.stg_opensky__states "
        "where icao24 = %s order by positioned_at",
        ADDRESSES[name],
    )


def greatest(query: Query, warehouse: Warehouse, name: str) -> float:
    [(height,)] = query(
        warehouse,
        "select max(max_height_m) from metrics.fct_flights where icao24 = %s",
        ADDRESSES[name],
    )
    return float(height)


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_masked_and_nothing_else(judged: Warehouse, query: Query, name: str) -> None:
    for (_, sent), (altitude, reasons) in zip(
        GARBAGE[name], altitudes_of(query, judged, name), strict=True
    ):
        is_good = sent == CRUISE_M
        assert (altitude, reasons) == ((sent, None) if is_good else (None, "altitude_spike"))
    assert greatest(query, judged, name) == CRUISE_M


@pytest.mark.parametrize("name", AT_THE_START)
def test_garbage_at_the_start_is_found_out_by_what_lasts_longer(
    judged: Warehouse, query: Query, name: str
) -> None:
    """Only the past is asked: at first it is all there is, and as much of the rest is doubted."""
    found = [altitude for altitude, _ in altitudes_of(query, judged, name)]
    length = sum(sent != CRUISE_M for _, sent in AT_THE_START[name])
    assert all(altitude is not None for altitude in found[:length])
    assert found[2 * length :] == [CRUISE_M] * (160 - 2 * length)
    assert greatest(query, judged, name) == CRUISE_M


@pytest.mark.parametrize("name", WITH_GEO)
def test_the_geometric_altitude_tells_garbage_of_any_length(
    judged: Warehouse, query: Query, name: str
) -> None:
    found = altitudes_of(query, judged, name)
    for place, ((_, sent), (altitude, _)) in enumerate(zip(WITH_GEO[name], found, strict=True)):
        if sent == CRUISE_M:
            assert altitude == CRUISE_M
        elif WITH_GEO[name][0][1] == CRUISE_M:
            assert altitude is None, place
    assert greatest(query, judged, name) == CRUISE_M


@pytest.mark.parametrize("name", TRUE)
def test_a_true_climb_or_descent_is_not_masked(judged: Warehouse, query: Query, name: str) -> None:
    found = altitudes_of(query, judged, name)
    assert [altitude for altitude, _ in found] == [altitude for _, altitude in TRUE[name]]
    assert {reasons for _, reasons in found} == {None}
