"""Windows, and the predictor's numbers in one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals.features import LABEL
from skyops_assets.monitoring import skill

END = datetime(2019, 5, 29, tzinfo=UTC)


def rows(count: int, days: int) -> pd.DataFrame:
    at = END - pd.to_timedelta(days * (1 - np.arange(count) / count), unit="D")
    return pd.DataFrame({"crossed_at": at, LABEL: 20.0 + np.arange(count) % 2 * 4})


@pytest.mark.parametrize(
    ("count", "days"), [(4000, 7), (3999, 14), (2000, 14), (1999, 28), (9, 28)]
)
def test_the_window_is_the_shortest_with_a_thousand_rows(count: int, days: int) -> None:
    assert skill.window_days(rows(count, 28)["crossed_at"], END) == days


def test_exact_skill_against_the_best_baseline_of_the_window() -> None:
    frame = rows(2800, 28)
    actual = frame[LABEL].to_numpy()
    answers = {"near": actual + 4.0, "far": actual - 8.0, "rare": np.full(len(frame), np.nan)}
    answers["rare"][:10] = actual[:10]
    found = skill.measure(
        frame, actual + 1.0, answers, "m:1", start_at=END - timedelta(days=14), end_at=END
    )
    assert found.rows == 1400
    assert found.against is not None
    assert found.against.reference == "near"
    assert found.skill == 0.75
    assert found.metrics.mae_min == 1
    assert found.metrics.rmse_min == 1
    assert found.metrics.r2 == pytest.approx(1 - 1 / 4)


def test_with_too_few_rows_there_is_no_skill() -> None:
    frame = rows(999, 7)
    actual = frame[LABEL].to_numpy()
    found = skill.measure(
        frame, actual, {"near": actual + 4.0}, "m:1", start_at=END - timedelta(days=7), end_at=END
    )
    assert not found.is_enough
    assert found.skill is None


def test_without_baselines_or_rows_nothing_is_made_up() -> None:
    frame = rows(2000, 7)
    start = END - timedelta(days=7)
    actual = frame[LABEL].to_numpy()
    assert skill.measure(frame, actual, {}, "m:1", start_at=start, end_at=END).skill is None
    later = END + timedelta(days=7)
    found = skill.measure(frame, actual, {}, "m:1", start_at=END, end_at=later)
    assert found.rows == 0
    assert found.metrics.mae_min is None
