"""Ways on the ground drawn a second at a time: what is told of them, and when nothing is.

Each is of its own aircraft at EHAM's runway 24; all go through one warehouse, in two loads with
rows that come late, and after a full refresh.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from skyops_assets.simulate.geometry import offset
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.warehouse.connection import Warehouse
from tests.support import tracks
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt
from tests.support.models import contents
from tests.support.states import recording
from tests.support.tracks import Pen, Row, changed, landing, runway, takeoff, unheard

pytestmark = [pytest.mark.xdist_group("taxi"), pytest.mark.usefixtures("manifest")]

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
END = runway("EHAM", "24")
ASIDE = END.course_deg + 90
SHORT_M, PUSHED_M = 1000, 60
OUT_MIN = (PUSHED_M / 1.5 + 120 + (SHORT_M + PUSHED_M - 60) / 8) / 60
"""Pushed back at 1.5 m/s, two minutes' halt, and at 8 m/s to 60 m beside the runway's middle."""
OUT_S = 60 / 8 + 60 + 38
"""To the middle, a minute's wait, and the roll to lift-off."""
IN_MIN = 1.54
"""At 8 m/s through the turn's last 37 degrees and for a minute, and 20 s slower; see `arrives`."""
SELECTED = ("+taxi_daily", "taxi_monthly", "+turnarounds_daily")
MODELS = (
    "intermediate.int_ground__taxied", "metrics.taxi_references", "metrics.fct_taxi_times",
    "metrics.taxi_daily", "metrics.taxi_monthly", "metrics.turnarounds",
    "metrics.turnarounds_daily",
)  # fmt: skip


def leaves(icao24: str, at: datetime, *, stood_s: int = 120, aside_m: float = SHORT_M,
           rows: list[Row] | None = None) -> list[Row]:  # fmt: skip
    """From a stand beside the threshold: pushed back, halted, to the runway and away."""
    stand = offset(END.at(tracks.LINED_UP_M), ASIDE, aside_m)
    pen = Pen(icao24, at, stand, ASIDE, END.elevation_m, rows=rows or [])
    pen.roll(stood_s, 0).roll(40, 1.5).roll(120, 0)
    return goes(pen, round((aside_m + PUSHED_M) / 8))


def goes(pen: Pen, seconds: int) -> list[Row]:
    """To the runway, on which it waits for a minute, and away."""
    pen.track_deg = ASIDE + 180
    pen.roll(seconds, 8)
    return [*pen.rows, *takeoff(pen.icao24, END, pen.at + timedelta(seconds=98)).rows]


def towed(icao24: str, at: datetime) -> list[Row]:
    """To another stand, where it stands for twenty minutes."""
    pen = Pen(icao24, at, offset(END.at(tracks.LINED_UP_M), ASIDE, 1600), ASIDE + 180,
              END.elevation_m)  # fmt: skip
    pen.roll(300, 0).roll(200, 3)
    return leaves(icao24, pen.at, stood_s=1200, rows=pen.rows)


def arrives(icao24: str, at: datetime, stood_s: int = 120) -> list[Row]:
    """Down, off the runway, for a minute at 8 m/s and slowly to its stand."""
    pen = landing(icao24, END, at)
    del pen.rows[-tracks.GROUND_S :]
    pen.at -= timedelta(seconds=tracks.GROUND_S)
    return pen.roll(20, 8, 1).roll(stood_s, 0).rows


def frozen(rows: list[Row], start: datetime, number: int) -> list[Row]:
    """With the position of `start` for so many seconds, as receivers keep it."""
    [kept] = [row for row in rows if row["time_position"] == start]
    place = {name: kept[name] for name in ("latitude_deg", "longitude_deg", "velocity_mps")}
    return changed(rows, start, number, lambda _: place)


def jumping(rows: list[Row], luck: random.Random) -> list[Row]:
    """With single positions at the stand that lie up to 100 m off."""
    return [
        {**row, "latitude_deg": row["latitude_deg"] + luck.uniform(-0.001, 0.001)}
        if row["velocity_mps"] == 0 and luck.random() < 0.1 else row
        for row in rows
    ]  # fmt: skip


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def lost_rolling(icao24: str) -> list[Row]:
    return [row for row in arrives(icao24, AT) if row["time_position"] < after(100)]


def frozen_rolling(icao24: str) -> list[Row]:
    """Heard no more, and its last position sent for five minutes on."""
    rows = lost_rolling(icao24)
    return [*rows, *({**rows[-1], "time_position": after(100 + n)} for n in range(300))]


def at_the_holding_point(icao24: str) -> list[Row]:
    """First heard there, where it waits for three minutes."""
    pen = Pen(icao24, AT, offset(END.at(tracks.LINED_UP_M), ASIDE, 96), ASIDE, END.elevation_m)
    return goes(pen.roll(180, 0), 12)


def turns_round(icao24: str) -> list[Row]:
    """Heard throughout: 40 minutes at a stand, from which it is pushed."""
    rows = arrives(icao24, AT, 2400)
    [last] = rows[-1:]
    pen = Pen(icao24, last["time_position"] + timedelta(seconds=1), tracks.unit(
        last["latitude_deg"], last["longitude_deg"]), 0, END.elevation_m, rows=rows)  # fmt: skip
    pen.roll(40, 1.5).roll(60, 0).fly_to(END.at(tracks.LINED_UP_M), 8, END.elevation_m)
    ground = [{**row, "is_on_ground": True} if row["time_position"] > last["time_position"] else row
              for row in pen.rows]  # fmt: skip
    return [*ground, *takeoff(icao24, END, pen.at + timedelta(seconds=98)).rows]


FLAGS_OFF = {"is_on_ground": False}
CASES: dict[str, tuple[Callable[[str], list[Row]], Any, Any]] = {
    "leaves": (lambda a: leaves(a, AT), OUT_MIN, OUT_S),
    "towed": (lambda a: towed(a, AT), OUT_MIN, OUT_S),
    "queues": (lambda a: leaves(a, AT, stood_s=3600), OUT_MIN, OUT_S),
    "flag_flickers": (
        lambda a: changed(leaves(a, AT), after(300), 15, lambda _: FLAGS_OFF), OUT_MIN, OUT_S,
    ),
    "freezes_on_the_way": (lambda a: frozen(leaves(a, AT), after(300), 40), OUT_MIN, OUT_S),
    "every_ten_seconds": (lambda a: leaves(a, AT)[::10], OUT_MIN, OUT_S),
    "gap_on_the_way": (lambda a: unheard(leaves(a, AT), after(165), 150), "reception_gap", OUT_S),
    "first_heard_rolling": (
        lambda a: [row for row in leaves(a, AT) if row["time_position"] > after(320)],
        "stand_not_seen", OUT_S,
    ),
    "first_heard_at_holding_point": (at_the_holding_point, "stand_not_seen", (96 / 8) - 4.5 + 98),
    "entry_not_heard": (
        lambda a: unheard(leaves(a, AT), after(360), 60), "runway_not_seen", "runway_not_seen",
    ),
    "arrives": (lambda a: arrives(a, AT), IN_MIN, 63),
    "wild_at_the_stand": (lambda a: jumping(arrives(a, AT, 400), random.Random(1)), IN_MIN, 63),
    "lost_rolling": (lost_rolling, "stand_not_seen", 63),
    "frozen_rolling": (frozen_rolling, "stand_not_seen", 63),
    "exit_not_heard": (
        lambda a: unheard(arrives(a, AT), after(30), 50), "runway_not_seen", "runway_not_seen",
    ),
    "threshold_not_heard": (
        lambda a: unheard(arrives(a, AT), after(-30), 45), IN_MIN, "threshold_not_seen",
    ),
}  # fmt: skip
ADDRESSES = {name: f"4b{number:04x}" for number, name in enumerate([*CASES, "turns_round"])}


@pytest.fixture(scope="module")
def sky(databases: Databases, dbt_of: Callable[[Warehouse], Dbt]) -> Iterator[Warehouse]:
    """Everything, loaded in two parts of which some rows come late; dbt ran after each."""
    warehouse = databases.new()
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
    reference.replace_reference(warehouse, "raw.runways", "ourairports", tracks.raw_runways())
    rows = [row for name, (draw, *_) in CASES.items() for row in draw(ADDRESSES[name])]
    rows += turns_round(ADDRESSES["turns_round"])
    luck = random.Random(4)
    late = [row["time_position"] > after(330) or luck.random() < 0.05 for row in rows]
    run = dbt_of(warehouse)
    for part in (False, True):
        some = [row for row, is_late in zip(rows, late, strict=True) if is_late is part]
        load_states(warehouse, recording(*some))
        run("run", "--select", *SELECTED, "--vars",
            "{taxi_reference_count: 5}")  # fmt: skip
    yield warehouse
    databases.drop(warehouse)


@pytest.mark.parametrize("name", CASES)
def test_what_is_told(sky: Warehouse, query: Query, name: str) -> None:
    _, taxi, occupancy = CASES[name]
    [(taxi_min, taxi_reason, occupancy_s, occupancy_reason)] = query(
        sky,
        "select taxi_min, taxi_reason, occupancy_s, occupancy_reason from metrics.fct_taxi_times "
        "where icao24 = %s",
        ADDRESSES[name],
    )
    for told, reason, expected, within in (
        (taxi_min, taxi_reason, taxi, 0.4), (occupancy_s, occupancy_reason, occupancy, 4),
    ):  # fmt: skip
        if isinstance(expected, str):
            assert (told, reason) == (None, expected)
        else:
            assert reason is None
            assert told == pytest.approx(expected, abs=within)


def test_a_turnaround_is_from_stand_to_stand(sky: Warehouse, query: Query) -> None:
    [(stand_min, reason)] = query(sky, "select stand_min, stand_reason from metrics.turnarounds")
    assert reason is None
    assert stand_min == pytest.approx(40, abs=0.5)


def test_additional_time_is_against_the_fifth_of_all_ways(sky: Warehouse, query: Query) -> None:
    """Computed anew with numpy, from the times alone."""
    import numpy as np

    found = query(sky, "select direction, taxi_min, additional_min from metrics.fct_taxi_times "
                       "where taxi_min is not null")  # fmt: skip
    outs = [taxi for direction, taxi, _ in found if direction == "taxi_out"]
    assert len(outs) > 5
    for direction, taxi, additional in found:
        if direction == "taxi_out":
            assert additional == pytest.approx(taxi - np.percentile(outs, 20), abs=1e-9)
    [(told, all_of_them, share)] = query(
        sky, "select told_count, movement_count, told_share from metrics.taxi_daily "
             "where direction = 'taxi_out'"
    )  # fmt: skip
    assert told == len(outs)
    assert share == pytest.approx(told / all_of_them)


def test_increments_equal_a_full_refresh(
    sky: Warehouse, query: Query, dbt_of: Callable[[Warehouse], Dbt]
) -> None:
    found = contents(query, sky, MODELS)
    dbt_of(sky)("run", "--full-refresh", "--select", *SELECTED,
                "--vars", "{taxi_reference_count: 5}")  # fmt: skip
    assert found == contents(query, sky, MODELS)
    assert all(found.values())
