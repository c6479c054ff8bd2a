"""Which rows cannot be state vectors: each reason with the row that has it and no other."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyops_assets.sources.opensky.schema import LIMITS, STATE_VECTOR, rejection_reasons
from tests.support.states import state, states


def reason(**changes: Any) -> str | None:
    return rejection_reasons(states(state(**changes)))[0].as_py()


ADDRESS = "icao24 is not six hexadecimal digits"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"icao24": None}, ADDRESS),
    ({"icao24": ""}, ADDRESS),
    ({"icao24": "3c644"}, ADDRESS),
    ({"icao24": "3c64444"}, ADDRESS),
    ({"icao24": "3C6444"}, ADDRESS),
    ({"icao24": "3c644g"}, ADDRESS),
    ({"time_position": None}, "no time of position"),
    ({"latitude_deg": None}, "no position"),
    ({"longitude_deg": None}, "no position"),
    ({"latitude_deg": math.nan}, "no position"),
    ({"longitude_deg": math.nan}, "no position"),
    ({"latitude_deg": 0.0, "longitude_deg": 0.0}, "position is 0, 0"),
    ({"latitude_deg": 90.01, "longitude_deg": 100.0}, "latitude_deg outside -90 to 90"),
    ({"latitude_deg": 103.99, "longitude_deg": 1.36}, "latitude and longitude look swapped"),
    ({"latitude_deg": -math.inf}, "latitude_deg outside -90 to 90"),
    ({"longitude_deg": -180.01}, "longitude_deg outside -180 to 180"),
    ({"baro_altitude_m": 37_856.0}, "baro_altitude_m outside -1500 to 30480"),
    ({"baro_altitude_m": -1_500.1}, "baro_altitude_m outside -1500 to 30480"),
    ({"geo_altitude_m": 30_480.1}, "geo_altitude_m outside -1500 to 30480"),
    ({"velocity_mps": -0.1}, "velocity_mps outside 0 to 700"),
    ({"velocity_mps": 2_441.6}, "velocity_mps outside 0 to 700"),
    ({"true_track_deg": 360.1}, "true_track_deg outside 0 to 360"),
    ({"vertical_rate_mps": 165.6}, "vertical_rate_mps outside -150 to 150"),
    ({"vertical_rate_mps": -math.inf}, "vertical_rate_mps outside -150 to 150"),
]


@pytest.mark.parametrize(("changes", "expected"), WRONG, ids=str)
def test_each_reason_has_a_row_that_shows_it(changes: dict[str, Any], expected: str) -> None:
    assert reason(**changes) == expected


def test_a_good_row_has_no_reason() -> None:
    assert reason() is None


def test_what_may_be_missing_is_no_reason() -> None:
    needed = {"icao24", "time_position", "latitude_deg", "longitude_deg"}
    assert reason(**{name: None for name in STATE_VECTOR.names if name not in needed}) is None


@pytest.mark.parametrize("name", LIMITS)
def test_both_limits_are_still_inside(name: str) -> None:
    for value in LIMITS[name]:
        assert reason(**{name: float(value)}) is None
        beyond = math.nextafter(value, math.copysign(math.inf, value or -1))
        assert reason(**{name: beyond}) is not None


def test_the_equator_and_the_meridian_are_places_but_their_crossing_is_a_fault() -> None:
    assert reason(latitude_deg=0.0) is None
    assert reason(longitude_deg=0.0) is None
    assert reason(latitude_deg=0.0, longitude_deg=0.0) == "position is 0, 0"


def test_the_most_basic_reason_comes_first() -> None:
    assert reason(icao24="x", time_position=None, velocity_mps=9e9) == ADDRESS
    assert reason(latitude_deg=None, velocity_mps=9e9) == "no position"


def test_reasons_keep_the_order_of_the_rows_and_an_empty_table_has_none() -> None:
    table = states(state(), state(velocity_mps=701.0), state(), state(latitude_deg=None))
    assert rejection_reasons(table).to_pylist() == [
        None, "velocity_mps outside 0 to 700", None, "no position",
    ]  # fmt: skip
    assert len(rejection_reasons(states())) == 0


within = st.fixed_dictionaries(
    {
        name: st.floats(low, high, allow_nan=False)
        | (st.nothing() if name in ("longitude_deg", "latitude_deg") else st.none())
        for name, (low, high) in LIMITS.items()
    }
).filter(lambda row: (row["latitude_deg"], row["longitude_deg"]) != (0, 0))


@given(within)
def test_a_row_within_the_limits_is_never_rejected(row: dict[str, Any]) -> None:
    assert reason(**row) is None


@given(
    within,
    st.sampled_from(["latitude_deg", "longitude_deg"]),
    st.sampled_from([None, math.nan]),
)
def test_a_row_without_a_position_is_always_rejected(
    row: dict[str, Any], missing: str, value: float | None
) -> None:
    assert reason(**row | {missing: value}) == "no position"


@given(within, st.sampled_from(sorted(LIMITS)), st.floats(1e-3, 1e9), st.booleans())
def test_a_row_outside_any_limit_is_always_rejected(
    row: dict[str, Any], name: str, by: float, is_above: bool
) -> None:
    low, high = LIMITS[name]
    assert reason(**row | {name: high + by if is_above else low - by}) is not None
