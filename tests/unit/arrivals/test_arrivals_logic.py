"""What a model that makes no sense looks like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals.evaluation import sanity
from skyops_assets.arrivals.evaluation.sanity import (
    DIRECTIONS,
    Direction,
    run_sanity_checks,
    wrong_way_min,
)
from skyops_assets.arrivals.learning import fit
from tests.support.arrival_frames import synthetic

UP = Direction("more", ("inbound_inside_count", "unlanded_count"), 2, 1)


def test_exact_change_in_the_right_and_the_wrong_direction() -> None:
    frame = synthetic(40)
    assert wrong_way_min(lambda f: 3 * f["inbound_inside_count"].to_numpy(), frame, UP) == -6
    assert wrong_way_min(lambda f: -f["inbound_inside_count"].to_numpy(), frame, UP) == 2
    down = Direction("faster", ("ground_speed_mps",), 30, -1)
    assert wrong_way_min(lambda f: f["ground_speed_mps"].to_numpy(), frame, down) == pytest.approx(
        30
    )


def test_a_feature_that_no_row_knows_cannot_be_asked() -> None:
    nothing = synthetic(5).assign(inbound_inside_count=np.nan)
    assert wrong_way_min(lambda f: np.zeros(len(f)), nothing, UP) is None


def test_faster_than_320_kt_straight_in_is_impossible() -> None:
    frame = synthetic(4)
    assert sanity.impossible_share(np.array([7.4, 7.5, 7.6, 30.0]), frame) == 0.25
    assert sanity.impossible_share(np.empty(0), frame[:0]) is None


def test_from_further_out_an_arrival_may_be_faster_on_the_way_to_its_descent() -> None:
    frame = synthetic(4).assign(ring_nm=100)
    # 40 NM at 320 kt and 60 at 500: 7.5 and 7.2 minutes.
    assert sanity.impossible_share(np.array([7.6, 14.6, 14.8, 18.7]), frame) == 0.5


def test_a_sound_model_passes_and_what_cannot_be_asked_is_none() -> None:
    frame = synthetic(900, hours=72)
    past, test = frame[:600], frame[600:]
    model = fit.fit(past)
    rows = {"train_rows": past, "test_rows": test, "recipe": fit.GRADIENT_BOOSTING_L1}
    found = run_sanity_checks(
        lambda f: fit.predict(model, f),
        ("altitude_m", "callsign"),
        importance={"altitude": 1.0, "speed": 0.1},
        **rows,
    )
    assert found.identifiers == ("callsign",)
    assert found.leading_group == "altitude"
    assert set(found.wrong_way_min) == {direction.what for direction in DIRECTIONS}
    more = found.wrong_way_min[DIRECTIONS[0].what]
    assert more is not None and more < -1  # 0.6 minutes per aircraft went in.
    assert found.impossible_share == 0
    assert found.shuffled_skill is not None and found.shuffled_skill < 0.1
    few = run_sanity_checks(
        lambda f: np.zeros(len(f)),
        (),
        importance={},
        train_rows=past[:5],
        test_rows=test[:0],
        recipe=fit.GRADIENT_BOOSTING_L1,
    )
    assert (few.leading_group, few.impossible_share, few.shuffled_skill) == (None, None, None)
    assert set(few.wrong_way_min.values()) == {None}


def test_labels_are_shuffled_within_their_airport(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = synthetic(200, hours=24)
    seen: list[pd.DataFrame] = []
    original = fit.fit

    def watching(rows: pd.DataFrame, recipe: fit.Recipe) -> object:
        seen.append(rows)
        return original(rows, recipe)

    monkeypatch.setattr(fit, "fit", watching)
    sanity.shuffled_skill(frame[:150], frame[150:], fit.GRADIENT_BOOSTING_L1)
    (given,) = seen
    assert (given["transit_min"] != frame["transit_min"][:150]).mean() > 0.9
    past = frame[:150]
    for airport, rows in given.groupby("airport"):
        own = past.loc[past["airport"] == airport, "transit_min"]
        assert sorted(rows["transit_min"]) == sorted(own)
