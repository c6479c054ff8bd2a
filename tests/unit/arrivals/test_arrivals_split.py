"""The cut by time and by flight, and the leaks it must not let through."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyops_assets.arrivals.learning import split
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import synthetic


def test_seventy_percent_lie_before_the_cut_and_landings_after_it_are_embargoed() -> None:
    frame = synthetic(100)
    parts = split.temporal_split(frame)
    assert len(parts.test) == 30
    assert len(parts.train) + parts.embargoed_rows == 70
    assert parts.embargoed_rows == int((frame["landed_at"][:70] >= parts.cut_at).sum()) > 0
    assert parts.trained_from_at == frame["crossed_at"].min()
    assert parts.trained_through_at is not None
    assert parts.test_from_at is not None
    assert parts.trained_through_at < parts.test_from_at == parts.cut_at
    assert parts.test_through_at == frame["crossed_at"].max()


@pytest.mark.parametrize(
    ("days", "least", "most"),
    # By the share, by two weeks, and by the arrivals that are enough.
    [(30, 3000, 3000), (60, 2250, 2400), (200, 2000, 2000)],
)
def test_no_more_are_judged_on_than_is_enough(days: int, least: int, most: int) -> None:
    frame = synthetic(10_000, hours=24 * days)
    parts = split.temporal_split(frame)
    assert least <= len(parts.test) <= most
    assert parts.cut_at is not None
    if days == 60:
        assert frame["crossed_at"].max() - parts.cut_at < timedelta(days=14, hours=1)


@given(rows=st.integers(0, 60), share=st.floats(0.01, 0.99), seed=st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_no_split_ever_leaks_or_loses_a_row(rows: int, share: float, seed: int) -> None:
    frame = synthetic(rows, seed=seed, hours=1)
    parts = split.temporal_split(frame, share)
    assert (
        len(parts.train) + len(parts.test) + parts.embargoed_rows + parts.shared_flight_rows == rows
    )
    split.check_no_leak(parts.train, parts.test, parts.cut_at)
    if rows >= 2:
        assert len(parts.test) >= 1


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_to_cut(rows: int) -> None:
    parts = split.temporal_split(synthetic(rows))
    assert (len(parts.train), len(parts.test)) == (rows, 0)
    assert parts.test_from_at is None


def test_a_flight_on_both_sides_of_the_cut_is_only_tested_on() -> None:
    frame = synthetic(100)
    frame.loc[90, "flight_id"] = frame.loc[3, "flight_id"]
    parts = split.temporal_split(frame)
    assert parts.shared_flight_rows == 1
    assert frame.loc[3, "flight_id"] not in set(parts.train["flight_id"])


def test_equal_times_stay_on_one_side() -> None:
    frame = synthetic(10)
    frame["crossed_at"] = frame["crossed_at"].iloc[0]
    parts = split.temporal_split(frame)
    assert (len(parts.train), len(parts.test)) == (0, 10)


def _parts() -> tuple[pd.DataFrame, pd.DataFrame, pd.Timestamp]:
    parts = split.temporal_split(synthetic(100))
    return parts.train.copy(), parts.test.copy(), pd.Timestamp(parts.cut_at)


def test_a_smuggled_flight_goes_red() -> None:
    train, test, cut = _parts()
    train.loc[0, "flight_id"] = test.loc[0, "flight_id"]
    with pytest.raises(SkyOpsError, match="in the training and in the test rows"):
        split.check_no_leak(train, test, cut)


def test_a_smuggled_future_landing_goes_red() -> None:
    train, test, cut = _parts()
    train.loc[5, "landed_at"] = cut + timedelta(minutes=3)
    with pytest.raises(SkyOpsError, match="a training row landed at"):
        split.Split(train, test, cut, 0, 0)


def test_a_row_split_goes_red() -> None:
    frame = synthetic(100)
    shuffled = frame.sample(frac=1, random_state=1)
    cut = frame["crossed_at"].iloc[70]
    with pytest.raises(SkyOpsError, match="Leak"):
        split.Split(shuffled.iloc[:70], shuffled.iloc[70:], cut, 0, 0)


def test_an_unknown_landing_or_an_early_test_row_goes_red() -> None:
    train, test, cut = _parts()
    unknown = train.copy()
    unknown.loc[2, "landed_at"] = pd.NaT
    with pytest.raises(SkyOpsError, match="a training row landed at"):
        split.check_no_leak(unknown, test, cut)
    with pytest.raises(SkyOpsError, match="a test row crossed"):
        split.check_no_leak(train, test, cut + timedelta(minutes=30))
    with pytest.raises(SkyOpsError, match="no point in time"):
        split.check_no_leak(train, test, None)


def test_a_share_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(SkyOpsError, match="between 0 and 1"):
        split.temporal_split(synthetic(10), 1.0)
