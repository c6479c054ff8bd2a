"""Predict the landing of each crossing, and record its outcome later.

Belongs here: turning minutes into prediction rows, and predictions plus movements into
outcomes; pure functions of frames. Does not: choosing the predictor (`steps`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FLIGHT_OVER_AFTER_MIN = 30
"""A flight unseen for so long is over: OPDI's gap between flights. Until then a landing may
still be reported."""

LONGEST_TRANSIT_MIN = 120
"""What takes longer counts as no arrival (additional ASMA time's limit too): after it a prediction
without an outcome is one without a label."""

LANDED = "landed"
LANDED_ELSEWHERE = "landed_elsewhere"
NOT_LANDED = "not_landed"
PENDING = "pending"


@dataclass(frozen=True)
class Predictor:
    """What predicts: a champion, or a baseline fitted on a training run's past.

    `name` and `version` go with every prediction. A champion has its registered name and
    version; a baseline is called ``baseline:<name>``, and its version is the id of the
    training run whose rows it knows ("untrained" before the first). `training_run_id` is the run
    that it learned from, None for what never learned.
    """

    name: str
    version: str
    trained_through_at: datetime | None
    predict: Callable[[pd.DataFrame], np.ndarray]
    training_run_id: str | None = None
    predict_interval: Callable[[pd.DataFrame], tuple[np.ndarray, np.ndarray] | None] | None = None


def score(crossings: pd.DataFrame, predictor: Predictor) -> pd.DataFrame:
    """One prediction per crossing, as ``ml.predictions`` keeps it.

    `predicted_transit_min` is null where the predictor has no answer. `is_in_sample` marks a
    crossing within the window the predictor was fitted on: such a row says nothing about skill.
    `predicted_low_min` and `predicted_high_min` are null where the predictor has no interval.

    Args:
        crossings: canonical crossings; their `source`, `icao24` and `callsign` go along.
    """
    import numpy as np
    import pandas as pd

    minutes = pd.Series(
        np.asarray(predictor.predict(crossings), dtype="float64"), index=crossings.index
    )
    minutes = minutes.where(np.isfinite(minutes))
    beside = [name for name in ("source", "icao24", "callsign") if name in crossings]
    known = ["flight_id", "airport", "ring_nm", "crossed_at", "is_inbound", *beside]
    rows = crossings[known].copy()
    rows["model_name"] = predictor.name
    rows["model_version"] = predictor.version
    rows["predicted_transit_min"] = minutes
    bounds = predictor.predict_interval(crossings) if predictor.predict_interval else None
    rows["predicted_low_min"], rows["predicted_high_min"] = bounds or (np.nan, np.nan)
    delta = pd.to_timedelta((minutes * 60e6).round(), unit="us")
    rows["predicted_landing_at"] = (rows["crossed_at"] + delta).dt.as_unit("us")
    rows["is_in_sample"] = (
        False
        if predictor.trained_through_at is None
        else rows["crossed_at"] <= pd.Timestamp(predictor.trained_through_at)
    )
    return rows


def outcomes(
    predictions: pd.DataFrame, landings: pd.DataFrame, flights: pd.DataFrame
) -> pd.DataFrame:
    """The outcome of each prediction, as ``ml.prediction_outcomes`` keeps it.

    landed: the flight landed at this airport after the crossing; `error_min` is predicted
    minus actual transit (null without a prediction). landed_elsewhere: its first landing
    after the crossing was at another airport, and none was here. not_landed: the flight is
    over without a landing. pending: it may still land. `resolved_at` is the moment up to
    which the data were known, null while pending.

    Args:
        predictions: key, crossed_at, predicted_transit_min.
        landings: flight_id, airport, landed_at.
        flights: flight_id, last_seen_at; the latest of all is how far the data reach.
    """
    import numpy as np
    import pandas as pd

    key = ["flight_id", "airport", "ring_nm", "model_name", "model_version"]
    rows = predictions[[*key, "crossed_at", "predicted_transit_min"]].reset_index(drop=True)
    rows["row"] = rows.index
    joined = rows[["row", "flight_id", "airport", "crossed_at"]].merge(
        landings, on="flight_id", suffixes=("", "_landed")
    )
    joined = joined[joined["landed_at"] >= joined["crossed_at"]]
    is_here = joined["airport_landed"] == joined["airport"]
    here = joined[is_here].groupby("row")["landed_at"].min().reindex(rows["row"])
    elsewhere = joined[~is_here].groupby("row")["landed_at"].min().reindex(rows["row"])
    last_seen = flights.groupby("flight_id")["last_seen_at"].max().reindex(rows["flight_id"])
    last_seen = last_seen.reset_index(drop=True)
    through = flights["last_seen_at"].max()
    is_over = (through - last_seen) > pd.Timedelta(minutes=FLIGHT_OVER_AFTER_MIN)
    rows["outcome"] = np.select(
        [here.notna(), elsewhere.notna(), is_over.to_numpy()],
        [LANDED, LANDED_ELSEWHERE, NOT_LANDED],
        PENDING,
    )
    rows["landed_at"] = here.where(here.notna(), elsewhere).to_numpy()
    rows["landed_at"] = pd.to_datetime(rows["landed_at"], utc=True)
    actual = (rows["landed_at"] - rows["crossed_at"]).dt.total_seconds() / 60
    is_landed = rows["outcome"] == LANDED
    rows["error_min"] = (rows["predicted_transit_min"] - actual).where(is_landed)
    rows["resolved_at"] = pd.Series(through, index=rows.index).where(rows["outcome"] != PENDING)
    return rows[[*key, "outcome", "landed_at", "error_min", "resolved_at"]]
