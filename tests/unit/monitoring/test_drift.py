"""Drift statistics by exact numbers, their thresholds, and the score."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals.features import LABEL
from skyops_assets.monitoring import drift
from skyops_assets.monitoring.drift import STATISTICS, Finding

COLUMNS = (
    "bearing_sin",
    "altitude_m",
    "near_leg_mps",
    "entries_60min_count",
    "last_transit_min",
    "runway_in_use_sin",
)
"""One of each group."""
BY_NAME = {statistic.name: statistic for statistic in STATISTICS}


def numbers(*values: float) -> pd.Series:
    return pd.Series(values, dtype="float64")


def text(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="object")


def measure(name: str, reference: pd.Series, current: pd.Series) -> float | None:
    return BY_NAME[name].measure(reference, current)


def test_the_stability_index_of_two_counts() -> None:
    a, b = np.array([7.5, 1.5]) / 9, np.array([1.5, 7.5]) / 9
    expected = float(((b - a) * np.log(b / a)).sum())
    assert drift.stability(np.array([7.0, 1.0]), np.array([1.0, 7.0])) == pytest.approx(expected)
    assert expected == pytest.approx(2 * 6 / 9 * math.log(5))


@pytest.mark.parametrize(
    ("name", "reference", "current", "value"),
    [
        ("ks", numbers(1, 2, 3, 4), numbers(1, 2, 3, 4), 0.0),
        ("ks", numbers(1, 2, 3, 4), numbers(3, 4, 5, 6), 0.5),
        ("ks", numbers(1, 1), numbers(2, 2), 1.0),
        ("psi", numbers(5, 5, 5), numbers(5, 5, 5), 0.0),
        ("missing_rate", numbers(1, np.nan, 3, 4), numbers(1, np.nan, np.nan, np.nan), 0.5),
        ("missing_rate", numbers(np.nan, np.nan), numbers(np.nan), 0.0),
        ("missing_rate", text("a", None), text("a", "b"), 0.5),
        ("new_category_rate", text("a", "b"), text("a", "c", None, "d"), 2 / 3),
        ("new_category_rate", text("a", None), text("a", None), 0.0),
        ("category_psi", text("a", "b"), text("b", "a"), 0.0),
    ],
)
def test_exact_numbers(name: str, reference: pd.Series, current: pd.Series, value: float) -> None:
    assert measure(name, reference, current) == pytest.approx(value)


def test_a_constant_that_moves_is_seen_to_either_side() -> None:
    """Three bins, below, at and above; all rows change from the second to another one."""
    a, b = (0.5, 3.5, 0.5), (0.5, 0.5, 3.5)
    expected = sum((y - x) / 4.5 * math.log(y / x) for x, y in zip(a, b, strict=True))
    for other in (4.0, 6.0):
        assert measure("psi", numbers(5, 5, 5), numbers(*[other] * 3)) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["psi", "ks"])
def test_what_has_no_value_has_no_number(name: str) -> None:
    nothing = numbers(np.nan, np.nan)
    for reference, current in ((nothing, numbers(1)), (numbers(1), nothing), (nothing, nothing)):
        assert measure(name, reference, current) is None
    assert measure(name, numbers(), numbers()) is None


@pytest.mark.parametrize("name", ["category_psi", "new_category_rate"])
def test_categories_without_a_value_have_no_number(name: str) -> None:
    assert measure(name, text("a"), text(None)) is None


def test_the_registry_is_complete() -> None:
    assert [s.name for s in STATISTICS] == [
        "psi",
        "category_psi",
        "ks",
        "missing_rate",
        "new_category_rate",
    ]
    assert all(0 < s.threshold < 1 for s in STATISTICS)


def arrivals(days: int, per_day: int, seed: int, start: str = "2019-05-01") -> pd.DataFrame:
    """Arrivals whose days differ a little, as weather does."""
    rng = np.random.default_rng(seed)
    at = pd.Timestamp(start, tz="UTC") + pd.to_timedelta(
        np.sort(rng.uniform(0, days * 24, days * per_day)), unit="h"
    )
    frame = pd.DataFrame({"crossed_at": at, "airport": "LSZH", "sector": "N"})
    of_day = rng.normal(0, 0.3, days)[(at - at[0].floor("D")).days]
    for name in COLUMNS:
        frame[name] = rng.normal(0, 1, len(frame)) + of_day
    frame["local_weekday"] = at.day_of_week.astype("float64")
    frame["vertical_rate_mps"] = np.nan
    frame[LABEL] = frame["altitude_m"] + 15
    return frame


def test_an_undisturbed_week_scores_nothing_and_a_moved_feature_its_group() -> None:
    reference, current = arrivals(28, 200, 1), arrivals(7, 200, 2, "2019-05-29")
    found = drift.compare_windows(reference, current, window_days=7, classify=False)
    assert found.too_few is None
    assert found.score == 0
    assert {one.column for one in found.findings if not one.is_calibrated} == {"vertical_rate_mps"}
    moved = current.assign(altitude_m=current["altitude_m"] + 2)
    found = drift.compare_windows(reference, moved, window_days=7)
    assert found.columns == ("altitude_m",)
    assert found.score == pytest.approx(1 / 6)
    assert found.auc is not None
    assert found.auc > 0.7
    lost = drift.compare_windows(
        reference, current.assign(altitude_m=np.nan), window_days=7, classify=False
    )
    assert [(one.column, one.statistic) for one in lost.beyond] == [("altitude_m", "missing_rate")]


def test_too_few_rows_give_words_and_no_number() -> None:
    found = drift.compare_windows(arrivals(28, 200, 1), arrivals(7, 140, 2), window_days=7)
    assert found.score is found.auc is None
    assert not found.findings
    assert found.too_few == "too few rows: 980 in the window, and 1000 are needed"
    found = drift.compare_windows(arrivals(2, 100, 1), arrivals(7, 200, 2), window_days=7)
    assert found.too_few == "too few rows: 200 in the reference, and 1000 are needed"


def test_few_days_leave_the_defaults() -> None:
    found = drift.findings(arrivals(8, 200, 1), arrivals(7, 200, 2), window_days=7)
    assert {one.threshold for one in found if one.statistic == "psi"} == {0.1}
    assert not any(one.is_calibrated for one in found)


def test_the_reference_has_the_windows_hours_weekdays_and_months() -> None:
    reference = arrivals(90, 100, 3, "2019-03-01")
    night = arrivals(14, 100, 4, "2019-05-06")
    night = night[night["crossed_at"].dt.hour < 6]
    matched = drift.seasonal_reference(reference, night, 300)
    assert set(matched["crossed_at"].dt.hour) == set(range(6))
    assert set(matched["crossed_at"].dt.month) == {5}
    weekend = arrivals(14, 400, 4, "2019-05-04")
    weekend = weekend[weekend["crossed_at"].dt.day_of_week >= 5]
    matched = drift.seasonal_reference(reference, weekend, 300)
    assert set(matched["crossed_at"].dt.day_of_week) == {5, 6}


def test_where_no_season_fits_the_whole_reference_is_taken() -> None:
    reference, current = arrivals(10, 20, 3), arrivals(7, 20, 4)
    assert len(drift.seasonal_reference(reference, current, 1000)) == len(reference)


def test_the_classifier_is_not_asked_about_days_it_has_seen() -> None:
    """Days that differ, and nothing else: without groups they would be told apart."""
    both = arrivals(30, 100, 5)
    is_current = both["crossed_at"].dt.day % 3 == 0
    auc = drift.domain_auc(both[~is_current], both[is_current], ["altitude_m", "bearing_sin"])
    assert auc is not None
    assert auc < 0.6
    assert drift.domain_auc(both[:50], both[-50:], ["altitude_m"]) is None
    assert drift.domain_auc(both[~is_current], both[is_current], ["vertical_rate_mps"]) is None


def finding(column: str, value: float | None) -> Finding:
    return Finding(column, "psi", value, 0.1, True)


@pytest.mark.parametrize(
    ("found", "score"),
    [
        ([], None),
        ([finding("altitude_m", None)], None),
        ([finding("altitude_m", 0.05), finding("bearing_sin", 0.05)], 0.0),
        ([finding("altitude_m", 0.2), finding("bearing_sin", 0.05)], 0.5),
        ([finding("altitude_m", 0.2), finding("near_leg_climb_mps", 0.3)], 1.0),
        ([finding("airport", 0.2), finding("sector", 0.0)], 1.0),
        ([finding(drift.PREDICTION, 0.2), finding("sector", 0.0)], 0.0),
    ],
)
def test_the_score_is_the_share_of_groups(found: list[Finding], score: float | None) -> None:
    assert drift.drift_score(found) == score


def test_what_is_beyond_is_named_the_furthest_first() -> None:
    found = drift.Drift(
        1, 1, 1.0, None, (finding("sector", 0.2), finding("altitude_m", 0.9), finding("x", None))
    )
    assert found.columns == ("altitude_m", "sector")
