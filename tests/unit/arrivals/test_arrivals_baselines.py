"""Each baseline by numbers that a person can check."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals.learning.baselines import PREFIX, UNTRAINED, answers, fit_baselines
from tests.support.arrival_frames import synthetic

TRAIN = pd.DataFrame(
    {
        "airport": ["LFPG"] * 4 + ["LFPO"],
        "sector": ["N", "N", "S", "S", None],
        "transit_min": [10.0, 14.0, 20.0, 30.0, 9.0],
    }
)
ASKED = pd.DataFrame(
    {
        "airport": ["LFPG", "LFPG", "LFPO", "LFPB"],
        "sector": ["S", "E", "N", "N"],
        "ring_nm": 40,
        "ground_speed_mps": [123.4666667, 0.0, np.nan, 200.0],
        "last_transit_min": [11.0, np.nan, np.nan, np.nan],
    }
)


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("airport_median", [17, 17, 9, np.nan]),
        ("sector_median", [25, 17, 9, np.nan]),
        ("last_landed", [11, 17, 9, np.nan]),
        ("distance_speed", [10, np.nan, np.nan, 40 * 1852 / 200 / 60]),
    ],
)
def test_exact_numbers(name: str, minutes: list[float]) -> None:
    said = fit_baselines(TRAIN)[name].predict(ASKED)
    np.testing.assert_allclose(said, minutes, rtol=1e-6)


def test_without_training_rows_only_physics_answers() -> None:
    frame = synthetic(5)
    for name, baseline in fit_baselines(synthetic(0)).items():
        answers = np.isfinite(baseline.predict(frame.assign(last_transit_min=np.nan)))
        assert answers.all() == (name == UNTRAINED)


def test_no_rows_in_no_rows_out() -> None:
    for baseline in fit_baselines(synthetic(5)).values():
        assert baseline.predict(synthetic(0)).shape == (0,)


def test_their_answers_stand_under_their_prefixed_names() -> None:
    found = answers(TRAIN, ASKED)
    assert list(found) == [PREFIX + name for name in fit_baselines(TRAIN)]
    np.testing.assert_allclose(found["baseline:sector_median"], [25, 17, 9, np.nan])
