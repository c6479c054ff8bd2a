"""Prediction rows and what came of them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals import scoring
from skyops_assets.arrivals.scoring import Predictor
from tests.support.arrival_frames import synthetic

AT = pd.Timestamp("2021-10-07T12:00:00Z")


def _minutes(value: float) -> pd.Timestamp:
    return AT + timedelta(minutes=value)


def test_a_prediction_is_a_landing_time_with_its_predictor() -> None:
    crossings = synthetic(3)
    through = crossings["crossed_at"].iloc[1].to_pydatetime()
    rows = scoring.score(
        crossings, Predictor("m", "7", through, lambda f: np.array([10.0, np.nan, 12.5]))
    )
    assert rows["model_version"].tolist() == ["7"] * 3
    assert rows["is_in_sample"].tolist() == [True, True, False]
    delta = rows["predicted_landing_at"] - rows["crossed_at"]
    assert delta.iloc[0] == timedelta(minutes=10)
    assert pd.isna(delta.iloc[1])
    assert pd.isna(rows["predicted_transit_min"].iloc[1])
    assert delta.iloc[2] == timedelta(minutes=12, seconds=30)


def test_an_interval_goes_with_the_prediction_where_there_is_one() -> None:
    crossings = synthetic(2)
    minutes = np.array([10.0, 12.0])
    ways = {
        "sure": lambda f: (minutes - 1, minutes + 2),
        "old": lambda f: None,
    }
    found = {
        name: scoring.score(
            crossings, Predictor("m", "7", None, lambda f: minutes, predict_interval=way)
        )
        for name, way in ways.items()
    }
    assert found["sure"]["predicted_low_min"].tolist() == [9.0, 11.0]
    assert found["sure"]["predicted_high_min"].tolist() == [12.0, 14.0]
    baseline = scoring.score(crossings, Predictor("baseline:x", "1", None, lambda f: minutes))
    for rows in (found["old"], baseline):
        assert rows[["predicted_low_min", "predicted_high_min"]].isna().all(axis=None)


def test_nothing_fitted_is_never_in_sample_and_no_rows_are_fine() -> None:
    untrained = Predictor("baseline:x", "untrained", None, lambda f: np.full(len(f), np.inf))
    rows = scoring.score(synthetic(3), untrained)
    assert not rows["is_in_sample"].any()
    assert rows["predicted_transit_min"].isna().all()
    assert len(scoring.score(synthetic(0), untrained)) == 0


def _outcome(
    landings: list[tuple[str, float]], last_seen: float | None, through: float = 120
) -> pd.Series:
    predictions = pd.DataFrame(
        {
            "flight_id": ["a"],
            "airport": ["LFPG"],
            "ring_nm": [40],
            "model_name": ["m"],
            "model_version": ["1"],
            "crossed_at": [AT],
            "predicted_transit_min": [15.0],
        }
    )
    landed = pd.DataFrame(
        [("a", airport, _minutes(at)) for airport, at in landings],
        columns=["flight_id", "airport", "landed_at"],
    ).astype({"landed_at": "datetime64[us, UTC]"})
    seen = [("z", _minutes(through))] + ([("a", _minutes(last_seen))] if last_seen else [])
    flights = pd.DataFrame(seen, columns=["flight_id", "last_seen_at"])
    return scoring.outcomes(predictions, landed, flights).iloc[0]


@pytest.mark.parametrize(
    ("landings", "last_seen", "outcome", "landed", "error"),
    [
        ([("LFPG", 12)], 12, "landed", 12, 3.0),
        ([("LFPG", 20)], 20, "landed", 20, -5.0),
        ([("LFPG", -5), ("LFPG", 20)], 20, "landed", 20, -5.0),
        ([("LFPO", 8), ("LFPG", 40)], 40, "landed", 40, -25.0),
        ([("LFPO", 9)], 9, "landed_elsewhere", 9, None),
        ([], 60, "not_landed", None, None),
        ([("LFPG", -5)], 60, "not_landed", None, None),
        ([], 100, "pending", None, None),
        ([], None, "pending", None, None),
    ],
)
def test_outcomes(
    landings: list[tuple[str, float]],
    last_seen: float | None,
    outcome: str,
    landed: float | None,
    error: float | None,
) -> None:
    row = _outcome(landings, last_seen)
    assert row["outcome"] == outcome
    assert pd.isna(row["landed_at"]) if landed is None else row["landed_at"] == _minutes(landed)
    assert pd.isna(row["error_min"]) if error is None else row["error_min"] == error
    assert pd.isna(row["resolved_at"]) == (outcome == "pending")


def test_no_predictions_no_outcomes() -> None:
    empty = pd.DataFrame(
        columns=[
            "flight_id",
            "airport",
            "ring_nm",
            "model_name",
            "model_version",
            "crossed_at",
            "predicted_transit_min",
        ]
    ).astype({"crossed_at": "datetime64[us, UTC]", "predicted_transit_min": "float64"})
    landings = pd.DataFrame({"flight_id": ["a"], "airport": ["LFPG"], "landed_at": [AT]})
    flights = pd.DataFrame({"flight_id": ["a"], "last_seen_at": [AT]})
    assert len(scoring.outcomes(empty, landings, flights)) == 0
    assert len(scoring.outcomes(empty, landings[:0], flights[:0])) == 0
