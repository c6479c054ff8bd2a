"""The simulated truth is possible, and its recording is as bad as the real ones, and no worse."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from skyops_assets.cli import app
from skyops_assets.errors import SkyOpsError
from skyops_assets.simulate import geometry, profiles, truth
from skyops_assets.simulate.fields import AIRPORTS, Field, RunwayEnd, fields
from skyops_assets.simulate.flights import (
    APPROACH,
    CLIMB,
    DESCENT,
    GROUND,
    LANDING,
    LEVEL,
    PHASES,
    TAKEOFF,
    Flight,
    Plan,
)
from skyops_assets.simulate.reception import Quality
from skyops_assets.simulate.truth import airframes
from skyops_assets.simulate.write import Layout, Simulation, check_empty, simulate, write
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import iter_recording

PLAN = Plan(3, datetime(2024, 1, 31, tzinfo=UTC), 1, AIRPORTS)
FLIGHTS = 150

# What may follow what: a level-off, a go-around and a touch-and-go can interrupt anything.
LEGAL = {
    "GROUND": {"TAKEOFF"},
    "TAKEOFF": {"CLIMB"},
    "CLIMB": {"LEVEL", "CRUISE", "DESCENT", "APPROACH"},
    "LEVEL": {"CLIMB", "CRUISE", "DESCENT", "APPROACH", "LANDING"},
    "CRUISE": {"DESCENT", "LEVEL"},
    "DESCENT": {"LEVEL", "APPROACH"},
    "APPROACH": {"LEVEL", "LANDING"},
    "LANDING": {"GROUND", "TAKEOFF"},
}


@pytest.fixture(scope="module")
def flights() -> list[Flight]:
    """All flights of the first 80 airframes."""
    return [flight for chain in islice(airframes(PLAN), 80) for flight in chain]


@pytest.fixture(scope="module")
def traffic() -> Simulation:
    return simulate(PLAN, flights=FLIGHTS, quality=Quality(), layout=Layout.traffic)


@pytest.fixture(scope="module")
def history() -> Simulation:
    return simulate(PLAN, flights=FLIGHTS, quality=Quality())


def points(flight: Flight) -> geometry.Floats:
    return geometry.unit(flight.latitude_deg, flight.longitude_deg)


def ends() -> dict[tuple[str, str], tuple[Field, RunwayEnd]]:
    return {
        (place.icao, end.name): (place, end)
        for place in fields()
        for direction in place.directions
        for end in direction
    }


# Truth


def test_every_kind_of_flight_and_movement_occurs(flights: list[Flight]) -> None:
    assert {flight.kind for flight in flights} == {
        "airline", "inbound", "outbound", "overflight", "circuits", "taxi", "rejected_takeoff",
    }  # fmt: skip
    assert {one.kind for flight in flights for one in flight.movements} == {
        "takeoff", "landing", "touch_and_go", "go_around", "holding", "rejected_takeoff",
    }  # fmt: skip
    assert {flight.arrival.icao for flight in flights if flight.arrival} == set(AIRPORTS)


def test_fields_lie_between_the_sea_and_8000_ft_and_runways_point_where_they_are_named() -> None:
    assert min(place.elevation_m for place in fields()) < 0
    assert max(place.elevation_m for place in fields()) > 2_380
    for (_, name), (_, end) in ends().items():
        # Painted numbers are magnetic, and Denver's are one off to tell its runways apart.
        assert abs((end.course_deg - 10 * int(name[:2]) + 180) % 360 - 180) < 22, name


def test_nobody_jumps_and_nobody_climbs_like_a_rocket(flights: list[Flight]) -> None:
    for flight in flights:
        assert np.all(np.diff(flight.at) == 1)
        place = points(flight)
        moved = geometry.distance_m(place[1:], place[:-1])
        assert moved.max() < 270, flight.key
        assert np.abs(moved - flight.velocity_mps[:-1]).max() < 12, flight.key
        assert np.abs(flight.vertical_rate_mps).max() < 25, flight.key
        assert np.abs(np.diff(flight.altitude_m)).max() < 25, flight.key


def test_turns_are_flown_not_jumped(flights: list[Flight]) -> None:
    for flight in flights:
        in_air = ~flight.is_on_ground
        turned = np.abs((np.diff(flight.track_deg) + 180) % 360 - 180)[in_air[1:] & in_air[:-1]]
        assert turned.max(initial=0) < 6, flight.key


def test_landings_touch_400_m_behind_the_threshold_on_the_runways_course(
    flights: list[Flight],
) -> None:
    known, seen = ends(), 0
    for flight in flights:
        for one in flight.movements:
            if one.kind not in ("landing", "touch_and_go"):
                continue
            place, end = known[one.airport, str(one.runway)]
            second = one.moved_at - int(flight.at[0])
            assert flight.is_on_ground[second]
            assert not flight.is_on_ground[second - 1]
            aim = geometry.offset(end.threshold, end.course_deg, truth.TOUCHDOWN_M)
            assert geometry.distance_m(points(flight)[second], aim) < 80, flight.key
            final = flight.track_deg[second - 60 : second]
            assert np.abs((final - end.course_deg + 180) % 360 - 180).max() < 0.5
            assert abs(flight.altitude_m[second] - place.elevation_m) < 60
            seen += 1
    assert seen > 100


def test_aircraft_lift_off_from_the_runway_they_lined_up_on(flights: list[Flight]) -> None:
    known = ends()
    for flight in flights:
        if one := flight.first("takeoff"):
            _, end = known[one.airport, str(one.runway)]
            second = one.moved_at - int(flight.at[0])
            gone = geometry.distance_m(points(flight)[second], end.threshold)
            assert 500 < gone < end.length_m, flight.key
            assert abs((flight.track_deg[second] - end.course_deg + 180) % 360 - 180) < 0.5


def test_phases_follow_each_other_as_they_can(flights: list[Flight]) -> None:
    for flight in flights:
        changes = np.flatnonzero(np.diff(flight.phase, prepend=-1))
        order = [PHASES[flight.phase[second]] for second in changes]
        for before, after in pairwise(order):
            assert after in LEGAL[before], (flight.key, order)
        assert np.array_equal(flight.phase == GROUND, flight.is_on_ground)


def test_phases_keep_to_their_definitions(flights: list[Flight]) -> None:
    for flight in flights:
        # Smoothing the altitude shifts it by some metres against the phase's limit.
        for phase, low, high in (
            (TAKEOFF, -60, 470), (CLIMB, 430, 13_000), (DESCENT, 980, 13_000),
            (APPROACH, 430, 1_020), (LANDING, -60, 470),
        ):  # fmt: skip
            height = flight.height_m[flight.phase == phase]
            if len(height):
                assert low <= height.min(), (flight.key, PHASES[phase])
                assert height.max() <= high, (flight.key, PHASES[phase])


def test_holding_is_level_and_turns_round_within_10_nm(flights: list[Flight]) -> None:
    found = 0
    for flight in flights:
        for one in flight.movements:
            if one.kind != "holding":
                continue
            part = slice(one.moved_at - int(flight.at[0]), one.ended_at - int(flight.at[0]))
            assert set(flight.phase[part]) == {LEVEL}
            turned = np.abs((np.diff(flight.track_deg[part]) + 180) % 360 - 180).sum()
            # One lap, less half of the corners at which it begins and ends.
            assert turned > 250
            span = geometry.distance_m(points(flight)[part], points(flight)[part][0])
            assert span.max() < 10 * 1_852 + 2_700
            found += 1
    assert found


def test_an_airframe_is_in_one_place_and_leaves_from_where_it_came(flights: list[Flight]) -> None:
    pauses = []
    for one, other in pairwise(flights):
        if one.key.split("-")[0] == other.key.split("-")[0]:
            assert one.arrival == other.departure
            assert geometry.distance_m(points(one)[-1], points(other)[0]) < 10
            pauses.append(int(other.at[0] - one.at[-1]))
            assert pauses[-1] >= 1
    # Some keep their transponder on from one flight to the next.
    assert 1 in pauses
    assert max(pauses) > 1_200


def test_some_turn_round_in_20_to_40_minutes(flights: list[Flight]) -> None:
    ground_min = [
        (other.first("takeoff").moved_at - one.first("landing").moved_at) / 60
        for one, other in pairwise(flights)
        if one.icao24 == other.icao24 and one.first("landing") and other.first("takeoff")
    ]
    assert sum(20 <= minutes <= 40 for minutes in ground_min) > 10


def test_flights_cross_midnight_and_the_month_and_runways_turn(flights: list[Flight]) -> None:
    midnight = datetime(2024, 2, 1, tzinfo=UTC).timestamp()
    assert any(flight.at[0] < midnight < flight.at[-1] for flight in flights)
    used = Counter(
        (one.airport, str(one.runway)[:2])
        for flight in flights
        for one in flight.movements
        if one.runway
    )
    for airport in AIRPORTS:
        assert len([1 for place, _ in used if place == airport]) >= 2, airport


def test_one_address_in_two_hundred_is_shared_and_all_others_are_not() -> None:
    owners: dict[str, set[str]] = {}
    for chain in islice(airframes(replace(PLAN, airports=("EHAM",))), 102):
        for flight in chain:
            owners.setdefault(flight.icao24, set()).add(flight.key.split("-")[0])
            assert flight.is_address_shared == (flight.key[:5] in ("00099", "00100"))
            assert int(flight.icao24, 16) >= truth.FIRST_ADDRESS
    assert [sorted(keys) for keys in owners.values() if len(keys) > 1] == [["00099", "00100"]]


# Reception


def test_the_same_arguments_make_the_same_bytes_and_another_seed_makes_others() -> None:
    plan = replace(PLAN, airports=("LSZH", "EHAM"))
    one, same = (simulate(plan, flights=5, quality=Quality()) for _ in range(2))
    other = simulate(replace(plan, seed=4), flights=5, quality=Quality())
    for name in ("states", "flights", "movements", "seconds"):
        assert getattr(one, name).equals(getattr(same, name)), name
        assert not getattr(one, name).equals(getattr(other, name)), name


def test_more_flights_change_nothing_of_the_first() -> None:
    plan = replace(PLAN, airports=("LSZH", "EHAM"))
    few, more = (simulate(plan, flights=number) for number in (5, 20))
    keys = few.flights["flight_key"]
    again = more.flights.filter(pc.is_in(more.flights["flight_key"], keys.combine_chunks()))
    assert again.equals(few.flights)


def test_enough_rows_are_made_and_they_are_sorted(traffic: Simulation) -> None:
    made = simulate(replace(PLAN, airports=("LSZH",)), rows=30_000)
    assert len(made.states) >= 30_000
    assert np.all(np.diff(traffic.states["timestamp"].cast(pa.int64()).to_numpy()) >= 0)


def test_a_clean_recording_is_the_truth() -> None:
    made = simulate(replace(PLAN, airports=("LSZH", "EHAM")), flights=10)
    assert len(made.states) == len(made.seconds)
    truth_rows = made.seconds.set_column(1, "icao24", made.seconds["icao24"].cast(pa.string()))
    truth_rows = truth_rows.sort_by([("at", "ascending"), ("icao24", "ascending")])
    assert made.states["lat"].to_pylist() == truth_rows["latitude_deg"].to_pylist()
    assert made.states["baroaltitude"].to_pylist() == truth_rows["altitude_m"].to_pylist()


def read(folder: Path, made: Simulation) -> Recording:
    write(folder, made, PLAN)
    return Recording.concat(list(iter_recording(folder / "recording")))


def test_the_recording_is_as_bad_as_real_ones(tmp_path: Path, traffic: Simulation) -> None:
    found = read(tmp_path / "made", traffic)
    assert found.source == "synthetic:seed-3"
    states = found.states.sort_by([("icao24", "ascending"), ("time_position", "ascending")])
    column = {name: states[name].to_numpy(zero_copy_only=False) for name in states.column_names}
    same = column["icao24"][1:] == column["icao24"][:-1]
    later = column["time_position"][1:] > column["time_position"][:-1]
    still = np.diff(column["latitude_deg"]) == 0
    still &= np.diff(column["longitude_deg"]) == 0
    assert 0.16 < np.mean(same & later & still) < 0.23
    assert 0.004 < np.mean(same & ~later) < 0.012
    rows = len(states)
    assert 0.39 < states["squawk"].null_count / rows < 0.59
    assert 0.07 < states["geo_altitude_m"].null_count / rows < 0.13
    assert {len(call) for call in traffic.states["callsign"].to_pylist() if call} == {8}
    reasons = Counter(found.reasons.drop_null().to_pylist())
    assert set(reasons) <= {
        "baro_altitude_m outside -1500 to 30480",
        "velocity_mps outside 0 to 700",
        "vertical_rate_mps outside -150 to 150",
    }
    assert 0 < sum(reasons.values()) < rows / 1_000


def test_the_history_layout_repeats_what_is_old_and_says_so(
    tmp_path: Path, history: Simulation
) -> None:
    found = read(tmp_path / "made", history)
    assert found.source == "synthetic:seed-3"
    reasons = Counter(found.reasons.to_pylist())
    stale = reasons["stale: last contact over 15 s before its time"]
    assert 0.05 < stale / len(found.states) < 0.15
    age = pc.subtract(history.states["time"], history.states["lastcontact"])
    assert pc.max(age).as_py() == 300
    assert pc.min(age).as_py() == 0


def test_files_are_marked_and_the_mark_outlives_another_name(
    tmp_path: Path, history: Simulation
) -> None:
    paths = write(tmp_path / "made", history, PLAN)
    assert all(path.name.startswith("synthetic-") for path in paths)
    days = [path.stem for path in paths if path.parent.name == "recording"]
    assert days[:2] == ["synthetic-2024-01-31", "synthetic-2024-02-01"]
    paths[0].rename(tmp_path / "real.parquet")
    assert next(iter_recording(tmp_path / "real.parquet")).source == "synthetic:seed-3"


def test_receivers_lose_the_ground_at_some_fields_and_not_at_others(traffic: Simulation) -> None:
    grounded = traffic.states.filter(pc.field("onground")).group_by("icao24").aggregate([])
    heard = set(grounded["icao24"].to_pylist())
    rows = traffic.flights.filter(pc.field("kind") == "airline").to_pylist()
    at_eham = [row["icao24"] in heard for row in rows if row["departure_airport"] == "EHAM"]
    assert all(at_eham)
    both_lost = [
        row["last_received_at"] < row["landing_at"]
        for row in rows
        if row["arrival_airport"] in ("LFPG", "LEMD") and row["last_received_at"]
    ]
    assert both_lost
    assert sum(both_lost) / len(both_lost) > 0.9


def test_movements_and_flights_tell_the_same_story(traffic: Simulation) -> None:
    landed = {
        row["flight_key"]: row["moved_at"]
        for row in traffic.movements.to_pylist()
        if row["movement"] == "landing"
    }
    for row in traffic.flights.to_pylist():
        assert row["landing_at"] == landed.get(row["flight_key"])
        if row["takeoff_at"]:
            assert row["first_at"] <= row["off_block_at"] < row["takeoff_at"]


# Refusals


def test_what_cannot_be_simulated_is_refused_with_what_can(tmp_path: Path) -> None:
    with pytest.raises(SkyOpsError, match=r"no runway of EDDF, XXXX; name some of EHAM"):
        simulate(replace(PLAN, airports=("EHAM", "EDDF", "XXXX")), flights=1)
    for flights, rows in ((None, None), (1, 1), (0, None)):
        with pytest.raises(SkyOpsError, match="number of flights or of rows"):
            simulate(PLAN, flights=flights, rows=rows)
    (tmp_path / "something").touch()
    with pytest.raises(SkyOpsError, match="not an empty folder"):
        check_empty(tmp_path)


def test_it_works_in_a_plain_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """openap, which drew the profiles, is a development dependency."""
    for name in ("openap", "openap.gen"):
        monkeypatch.setitem(sys.modules, name, None)
    profiles.profiles.cache_clear()
    assert next(airframes(replace(PLAN, seed=99)))


def test_the_profiles_kept_are_those_that_openap_draws() -> None:
    from openap.gen import FlightGenerator

    for kind, variant in ((0, 0), (4, 3), (9, 1)):
        kept = profiles.profiles(seed=2)[kind * profiles.VARIANTS + variant]
        assert kept.aircraft_type == profiles.TYPES[kind]
        up, down = profiles.drawn(FlightGenerator(kept.aircraft_type, random_seed=8 + variant))
        for fresh, height, speed in (
            (up, kept.climb_m, kept.climb_mps),
            (down, kept.descent_m, kept.descent_mps),
        ):
            assert len(fresh) == len(height) == len(speed)
            assert np.abs(fresh[:, 0] - height).max() < 0.51
            assert np.abs(fresh[:, 1] - speed).max() < 0.051


# The command


def test_the_command_writes_what_load_reads_and_says_how(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    arguments = ["simulate", str(folder), "--flights", "3", "--airports", "lszh, eham"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    read_rows = sum(len(chunk.states) for chunk in iter_recording(folder / "recording"))
    written = [pq.read_metadata(path).num_rows for path in (folder / "recording").iterdir()]
    assert read_rows == sum(written) > 1_000
    assert all(f"{rows:,}" in done.output for rows in written)
    assert f"skyops load {folder / 'recording'}" in done.output
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, SkyOpsError)
    assert "not an empty folder" in str(again.exception)


# Geometry


@given(
    st.floats(-60, 60), st.floats(-180, 180), st.floats(0, 360), st.floats(1, 5e5),
    st.floats(-5e5, 5e5),
)  # fmt: skip
def test_an_offset_lies_as_far_as_asked(
    latitude: float, longitude: float, course: float, ahead: float, right: float
) -> None:
    start = geometry.unit(latitude, longitude)
    end = geometry.offset(start, course, ahead, right)
    assert geometry.distance_m(start, end) == pytest.approx(np.hypot(ahead, right), rel=1e-6)
    angle = geometry.bearing_deg(start, end) - course - np.degrees(np.arctan2(right, ahead))
    assert abs((angle + 180) % 360 - 180) < 1e-3


def test_a_way_goes_through_its_ends_and_rounds_its_corners() -> None:
    start = geometry.unit(47.0, 8.0)
    corner = geometry.offset(start, 90.0, 40e3)
    end = geometry.offset(corner, 180.0, 40e3)
    along = geometry.way([start, corner, end])
    latitude, longitude, course = along.place(np.array([0.0, along.length_m]))
    assert (latitude[0], longitude[0]) == pytest.approx((47.0, 8.0))
    assert geometry.distance_m(geometry.unit(latitude[1], longitude[1]), end) < 1
    assert course == pytest.approx([90, 180], abs=0.5)
    assert 77e3 < along.length_m < 79.5e3
    assert geometry.distance_m(along.points, corner).min() > 500
