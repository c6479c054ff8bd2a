"""Lives of parts from events, configurations and exposure, and those that cannot be told."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from skyops_assets.reliability import lives
from skyops_assets.reliability.lives import Component, Life
from tests.support.components import EVENT

FITTED: dict[str, Any] = {
    "airframe": "N1",
    "part_number": "P1",
    "part_position": "",
    "quantity": 1,
    "fitted_from_on": date(2020, 1, 1),
    "fitted_until_on": None,
}
HALF_A_YEAR: list[dict[str, Any]] = [
    {"airframe": "N1", "month_on": date(2020, month, 1), "flight_hours": 300.0, "cycles": 150}
    for month in range(1, 7)
]


def told(
    events: list[dict[str, Any]],
    fitted: list[dict[str, Any]] | None = None,
    exposure: list[dict[str, Any]] | None = None,
    measure: str = "hours",
) -> Component:
    found = lives.of_parts([EVENT | event for event in events], fitted or [], exposure or [])
    return next(one for one in found if one.measure == measure)


def ages(component: Component) -> list[tuple[float, bool]]:
    return [(round(life.age, 1), life.is_failure) for life in component.lives]


def test_the_part_s_own_hours_come_first_and_those_since_overhaul_before_those_since_new() -> None:
    own = told([{"part_hours": 4100.0}, {"event_id": "E2", "part_hours": 9000.0,
                "part_hours_since": 1500.0, "part_cycles": 700}])  # fmt: skip
    assert ages(own) == [(4100, True), (1500, True)]
    assert not own.has_survivors
    # Cycles since new are not those since the overhaul.
    cycles = told([{"part_hours": 9000.0, "part_hours_since": 1500.0, "part_cycles": 700}],
                  measure="cycles")  # fmt: skip
    assert cycles.lives == []
    assert cycles.left_out == {lives.NO_AGE: 1}


def test_between_two_removals_the_airframe_s_hours_are_the_part_s() -> None:
    found = told([
        {"occurred_on": date(2020, 2, 1), "airframe_hours": 10_000.0, "airframe_cycles": 5000},
        {"event_id": "E2", "airframe_hours": 11_250.0, "airframe_cycles": 5600},
    ], [FITTED])  # fmt: skip
    assert ages(found) == [(1250, True)]
    assert found.lives[0].started_on == date(2020, 2, 1)
    # Before the first removal nobody knows, and on the day of the last nothing has flown since.
    assert found.left_out == {lives.NO_AGE: 1}


def test_two_removals_from_one_zone_are_not_of_one_part_after_the_other() -> None:
    """The FAA's reports name zones, in which there are several; without configurations, too."""
    found = told([
        {"occurred_on": date(2020, 2, 1), "airframe_hours": 10_000.0, "part_position": "ZONE 700"},
        {"event_id": "E2", "airframe_hours": 10_003.0, "part_position": "ZONE 700"},
    ])  # fmt: skip
    assert found.lives == []
    assert found.left_out == {lives.NO_AGE: 2}
    for measure in ("hours", "cycles"):
        assert not told([{"part_hours": 9.0, "part_cycles": 4}], measure=measure).has_survivors


def test_from_a_configuration_and_exposure_come_the_first_life_and_the_one_that_goes_on() -> None:
    found = told([{"occurred_on": date(2020, 3, 1)}], [FITTED], HALF_A_YEAR)
    assert found.lives == [
        Life(600, True, date(2020, 1, 1), date(2020, 3, 1)),
        Life(1200, False, date(2020, 3, 1), date(2020, 7, 1)),
    ]
    assert found.has_survivors
    cycles = told([{"occurred_on": date(2020, 3, 16)}], [FITTED], HALF_A_YEAR, "cycles")
    assert ages(cycles) == [(372.6, True), (527.4, False)]


@pytest.mark.parametrize(
    ("event", "is_failure"),
    [
        ({"is_scheduled": False, "is_confirmed": None}, True),
        ({"is_scheduled": None, "is_confirmed": True}, True),
        ({"is_scheduled": True, "is_confirmed": None}, False),
        # Taken off, and the shop found nothing.
        ({"is_scheduled": False, "is_confirmed": False}, False),
        # A report of a failure that does not say whether the part came off.
        ({"is_scheduled": False, "is_confirmed": None, "is_removal": None}, True),
    ],
)
def test_planned_and_unconfirmed_removals_are_censored(
    event: dict[str, Any], is_failure: bool
) -> None:
    assert ages(told([{**event, "part_hours": 100.0}])) == [(100, is_failure)]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"is_scheduled": None, "is_confirmed": None, "part_hours": 9.0}, lives.NO_SCHEDULE),
        ({"part_hours": 100.0, "part_hours_since": 200.0}, lives.OVERHAUL),
        ({"part_hours": 0.0}, lives.NOT_POSITIVE),
        ({}, lives.NO_AGE),
        ({"airframe": None}, lives.NO_AGE),
    ],
)
def test_what_cannot_be_told_is_left_out_with_the_reason(
    event: dict[str, Any], reason: str
) -> None:
    found = told([event])
    assert found.lives == []
    assert found.left_out == {reason: 1}


def test_a_finding_that_took_nothing_off_ends_no_life() -> None:
    found = told(
        [{"is_removal": False}, {"event_id": "E2", "is_scheduled": True, "is_removal": None}],
        [FITTED],
        HALF_A_YEAR,
    )
    assert ages(found) == [(1800, False)]


@pytest.mark.parametrize(
    ("fitted", "reason"),
    [
        ([FITTED | {"quantity": 2}], lives.SEVERAL),
        ([FITTED, FITTED | {"fitted_from_on": date(2020, 2, 1)}], lives.OVERLAP),
        ([FITTED | {"part_position": "L"}, FITTED | {"part_position": "R"}], lives.NO_POSITION),
    ],
)
def test_where_nobody_knows_which_of_several_came_off_nothing_is_made_up(
    fitted: list[dict[str, Any]], reason: str
) -> None:
    found = told([{"occurred_on": date(2020, 3, 1)}], fitted, HALF_A_YEAR)
    assert found.lives == []
    assert found.left_out[reason] == 1 + len(fitted)


def test_one_position_needs_no_naming_and_two_have_lives_of_their_own() -> None:
    both = [FITTED | {"part_position": "L"}, FITTED | {"part_position": "R"}]
    found = told([{"occurred_on": date(2020, 3, 1), "part_position": "L"}], both, HALF_A_YEAR)
    assert sorted(ages(found)) == [(600, True), (1200, False), (1800, False)]
    one = told([{"occurred_on": date(2020, 3, 1)}], both[:1], HALF_A_YEAR)
    assert ages(one) == [(600, True), (1200, False)]


def test_a_configuration_that_ends_without_an_event_ends_a_life_that_did_not_fail() -> None:
    ended = FITTED | {"fitted_until_on": date(2020, 4, 1)}
    assert ages(told([], [ended], HALF_A_YEAR)) == [(900, False)]
    with_event = told([{"occurred_on": date(2020, 4, 1)}], [ended], HALF_A_YEAR)
    assert ages(with_event) == [(900, True)]


def test_hours_over_a_month_that_nobody_told_are_not_known() -> None:
    gap = [row for row in HALF_A_YEAR if row["month_on"].month != 3]
    found = told([{"occurred_on": date(2020, 5, 1)}], [FITTED], gap)
    assert ages(found) == [(600, False)]
    assert found.left_out == {lives.NO_AGE: 1}


def test_totals_that_go_backwards_are_not_used() -> None:
    found = told([
        {"occurred_on": date(2020, 2, 1), "airframe_hours": 10_000.0},
        {"event_id": "E2", "airframe_hours": 9_000.0},
    ], [FITTED])  # fmt: skip
    assert found.lives == []
    assert found.left_out == {lives.NO_AGE: 2, lives.NOT_POSITIVE: 1}


def test_parts_that_failed_too_seldom_are_pooled_by_their_chapter() -> None:
    events = [EVENT | {"event_id": f"E{i}", "part_number": part, "part_hours": 100.0 + i}
              for i, part in enumerate(["P1"] * 12 + ["P2"] * 3 + ["P3"] * 4)]  # fmt: skip
    parts = lives.of_parts(events, [], [])
    named = lives.chapters(events, [{"part_number": "P3", "jasc_code": "2710"}])
    assert named == {"P1": "32", "P2": "32", "P3": "27"}
    pools = {(one.name, one.measure): one.failures for one in lives.of_chapters(parts, named, 10)}
    assert pools["32", "hours"] == 3
    assert pools["27", "hours"] == 4
