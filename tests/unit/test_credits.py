"""Credits: what boxes cost, which boxes to ask for, and how often."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as some

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.live.boxes import (
    BoundingBox,
    boxes_around,
    cost_of,
    merge_boxes,
    watch_boxes,
)
from skyops_assets.sources.opensky.live.credits import (
    account_name,
    daily_credits,
    floor_s,
    polling_interval_s,
    seconds_left_of_day,
)

PARIS = (49.0097, 2.5479)
ORLY = (48.7233, 2.3794)
ZURICH = (47.4581, 8.5555)
TOKYO = (35.5494, 139.7798)


@pytest.mark.parametrize(
    ("height", "width", "cost"),
    [(5, 5, 1), (0, 0, 1), (5, 5.01, 2), (10, 10, 2), (10, 10.01, 3), (20, 20, 3), (20, 20.01, 4)],
)
def test_a_box_costs_by_its_area(height: float, width: float, cost: int) -> None:
    assert cost_of(BoundingBox(0, 0, height, width)) == cost


def test_the_world_costs_most() -> None:
    assert cost_of(None) == 4
    assert cost_of(BoundingBox(-90, -180, 90, 180)) == 4


@pytest.mark.parametrize(
    "corners",
    [(1, 0, 0, 1), (0, 1, 1, 0), (-91, 0, 0, 1), (0, 0, 1, 181), (math.nan, 0, 1, 1)],
)
def test_a_box_that_is_none_is_refused(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(SkyOpsError, match="A box cannot reach from"):
        BoundingBox(*corners)


def distance_nm(a: tuple[float, float], b: tuple[float, float]) -> float:
    """As the dbt project measures it: a sphere of 6,371,008.8 m."""
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, point)) for point in (a, b))
    h = math.sin((lat2 - lat1) / 2) ** 2
    h += math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371008.8 * math.asin(min(1, math.sqrt(h))) / 1852


latitudes, longitudes = some.floats(-90, 90), some.floats(-180, 180)


@given(latitudes, longitudes, some.floats(1, 500), some.floats(0, 1), some.floats(0, 360))
def test_every_place_within_the_radius_lies_in_a_box(
    latitude: float, longitude: float, radius_nm: float, share: float, bearing: float
) -> None:
    angle = math.radians(radius_nm * share / 60.0405)
    lat, course = math.radians(latitude), math.radians(bearing)
    sine = math.sin(lat) * math.cos(angle) + math.cos(lat) * math.sin(angle) * math.cos(course)
    north = math.degrees(math.asin(max(-1, min(1, sine))))
    east = longitude + math.degrees(
        math.atan2(
            math.sin(course) * math.sin(angle) * math.cos(lat),
            math.cos(angle) - math.sin(lat) * sine,
        )
    )
    east = (east + 180) % 360 - 180
    assert distance_nm((latitude, longitude), (north, east)) <= radius_nm * 1.001
    boxes = boxes_around(latitude, longitude, radius_nm)
    assert any(box.contains(north, east) for box in boxes)


def test_a_box_at_the_date_line_is_two() -> None:
    west, east = sorted(boxes_around(-17.0, 179.5, 100), key=lambda box: box.min_longitude_deg)
    assert (west.min_longitude_deg, east.max_longitude_deg) == (-180, 180)
    assert west.area_deg2 + east.area_deg2 < 25


def test_a_box_at_a_pole_spans_all_longitudes() -> None:
    assert boxes_around(89.5, 0, 100)[0].max_longitude_deg == 180


@pytest.mark.parametrize("arguments", [(91, 0, 10), (0, 181, 10), (0, 0, 0), (0, 0, math.nan)])
def test_a_box_around_nowhere_is_refused(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(SkyOpsError):
        boxes_around(*arguments)


def test_neighbours_share_a_box_and_strangers_do_not() -> None:
    assert [cost_of(box) for box in watch_boxes([PARIS, ORLY], 100)] == [1]
    # Paris and Zurich at 100 NM: 1 + 1 apart, 2 together, so one response is asked for.
    assert [cost_of(box) for box in watch_boxes([PARIS, ZURICH], 100)] == [2]
    assert [cost_of(box) for box in watch_boxes([PARIS, TOKYO], 100)] == [1, 1]


def test_where_four_small_boxes_cost_as_much_as_the_world_they_stay() -> None:
    far = [(50.0, 0.0), (35.0, 139.0), (-33.0, 151.0), (40.0, -74.0)]
    assert len(watch_boxes(far, 40)) == 4
    assert [cost_of(box) for box in watch_boxes([*far, (-23.0, -46.0)], 40)] == [4]


def box_at(south: float, west: float, height: float, width: float) -> BoundingBox:
    return BoundingBox(south, west, min(south + height, 90), min(west + width, 180))


boxes = some.lists(
    some.builds(
        box_at,
        some.floats(-60, 60),
        some.floats(-170, 170),
        some.floats(0.1, 8),
        some.floats(0.1, 8),
    ),
    min_size=1,
    max_size=14,
)


@given(boxes)
def test_merged_boxes_hold_all_and_cost_no_more(found: list[BoundingBox]) -> None:
    merged = merge_boxes(found)
    for box in found:
        assert any(box.union(other) == other for other in merged)
    cost = sum(map(cost_of, merged))
    assert cost <= min(4, sum(map(cost_of, found)))


@given(boxes.filter(lambda found: len(found) <= 5))
def test_no_way_to_group_a_few_boxes_is_cheaper(found: list[BoundingBox]) -> None:
    def joint(group: list[BoundingBox]) -> BoundingBox:
        whole = group[0]
        for box in group:
            whole = whole.union(box)
        return whole

    costs = []
    for labels in itertools.product(range(len(found)), repeat=len(found)):
        groups = [
            [box for box, own in zip(found, labels, strict=True) if own == label]
            for label in set(labels)
        ]
        costs.append(sum(cost_of(joint(group)) for group in groups))
    assert sum(map(cost_of, merge_boxes(found))) == min(costs)


def test_the_day_has_the_credits_of_the_account_or_of_the_setting() -> None:
    assert daily_credits(is_anonymous=True) == 400
    assert daily_credits(is_anonymous=False) == 4000
    assert daily_credits(is_anonymous=False, override=8000) == 8000
    assert daily_credits(is_anonymous=False, override=0) == 0
    assert (floor_s(is_anonymous=True), floor_s(is_anonymous=False)) == (10, 5)


@pytest.mark.parametrize(
    ("remaining", "seconds_left", "cost", "floor", "interval"),
    [
        (400, 86_400, 1, 10, 216),
        (4_000, 86_400, 1, 5, 21.6),
        (4_000, 3_600, 1, 5, 5),
        (4_000, 86_400, 3, 5, 86_400 / 1_333),
        (2, 3_600, 3, 5, 3_600),
        (0, 3_600, 1, 5, 3_600),
        (0, 1, 1, 5, 5),
    ],
)
def test_the_interval_shares_the_credits_out_over_the_day(
    remaining: int, seconds_left: float, cost: int, floor: float, interval: float
) -> None:
    assert polling_interval_s(remaining, seconds_left, cost, floor) == pytest.approx(interval)


@given(
    some.integers(0, 10_000),
    some.floats(1, 86_400),
    some.integers(1, 20),
    some.sampled_from([5.0, 10.0]),
)
def test_a_day_at_the_chosen_interval_never_overspends(
    remaining: int, seconds_left: float, cost: int, floor: float
) -> None:
    at = 0.0
    for _ in range(300):
        step = polling_interval_s(remaining, seconds_left - at, cost, floor)
        assert step >= floor
        if remaining < cost:
            assert at + step >= seconds_left - 1e-6
            break
        remaining -= cost
        at += step
        if at >= seconds_left:
            break
    assert remaining >= 0


@pytest.mark.parametrize(("cost", "floor"), [(0, 5), (-1, 5), (1, 0)])
def test_an_interval_of_nothing_is_refused(cost: int, floor: float) -> None:
    with pytest.raises(SkyOpsError):
        polling_interval_s(10, 10, cost, floor)


def test_the_day_ends_at_midnight_utc_wherever_one_is() -> None:
    assert seconds_left_of_day(datetime(2026, 3, 1, 23, 59, tzinfo=UTC)) == 60
    assert seconds_left_of_day(datetime(2026, 3, 1, tzinfo=UTC)) == 86_400
    tokyo = timezone(timedelta(hours=9))
    assert seconds_left_of_day(datetime(2026, 3, 2, 8, 0, tzinfo=tokyo)) == 3_600
    with pytest.raises(SkyOpsError, match="no time zone"):
        seconds_left_of_day(datetime(2026, 3, 1))


def test_an_account_is_named_by_a_hash() -> None:
    assert account_name(None) == "anonymous"
    name = account_name("someone-api-client")
    assert name == account_name("someone-api-client") != account_name("another")
    assert "someone" not in name
