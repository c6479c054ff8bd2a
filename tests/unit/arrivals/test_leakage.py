"""Each way for the answer to get into the question, smuggled into the real functions: refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals import features
from skyops_assets.arrivals.evaluation import sanity
from skyops_assets.arrivals.learning import fit, split
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import raw_synthetic, synthetic

ROWS = 400
CANONICAL = features.canonical_arrivals


def local(moment: pd.Series) -> pd.Series:
    """Hour of the day, as `local_hour` where local time is UTC + 2."""
    there = moment + timedelta(hours=2)
    return there.dt.hour + there.dt.minute / 60


def test_what_is_smuggled_in_below_is_let_through_where_it_is_not() -> None:
    parts = split.temporal_split(CANONICAL(raw_synthetic(ROWS, hours=48)))
    assert len(fit.predict(fit.fit(parts.train), parts.test)) == len(parts.test)


# A row split.


def test_a_row_split_is_refused() -> None:
    mixed = synthetic(ROWS, hours=48).sample(frac=1, random_state=1)
    cut = mixed["crossed_at"].quantile(0.7)
    with pytest.raises(SkyOpsError, match="on the wrong side of the cut"):
        split.Split(mixed[:280], mixed[280:], cut, 0, 0)
    with pytest.raises(SkyOpsError, match="no point in time separates"):
        split.Split(mixed[:280], mixed[280:], None, 0, 0)


def test_two_rings_of_one_flight_on_both_sides_are_refused() -> None:
    frame = synthetic(ROWS, hours=48)
    parts = split.temporal_split(frame)
    twin = parts.train.assign(flight_id=parts.test["flight_id"].iloc[0])[:1]
    with pytest.raises(SkyOpsError, match="Split by flight, not by row"):
        split.Split(pd.concat([parts.train, twin]), parts.test, parts.cut_at, 0, 0)


def test_a_landing_after_the_cut_is_refused() -> None:
    frame = synthetic(ROWS, hours=48)
    cut = frame["crossed_at"].iloc[280]
    is_before = frame["crossed_at"] < cut
    assert (frame.loc[is_before, "landed_at"] >= cut).any()
    with pytest.raises(SkyOpsError, match="a training row landed at"):
        split.Split(frame[is_before], frame[~is_before], cut, 0, 0)


# A feature that is the future landing.

FUTURE: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "the label": lambda f: f["transit_min"],
    "the label in seconds, upside down": lambda f: 1e4 - 60 * f["transit_min"],
    "the label, nearly": lambda f: (
        f["transit_min"] + np.random.default_rng(0).normal(0, 0.3, len(f))
    ),
    "the landing's time": lambda f: f["landed_at"].astype("int64").astype(float),
    "the landing's local hour": lambda f: local(f["landed_at"]),
    "the landing's minute of the day, UTC": lambda f: (
        f["landed_at"].dt.hour * 60.0 + f["landed_at"].dt.minute
    ),
}


@pytest.mark.parametrize("what", FUTURE)
@pytest.mark.parametrize("name", ["outer_leg_mps", "mean_last5_transit_min"])
def test_a_feature_that_is_the_future_landing_is_refused(what: str, name: str) -> None:
    frame = raw_synthetic(ROWS, hours=48)
    frame = frame.assign(**{name: FUTURE[what](frame), "local_hour": local(frame["crossed_at"])})
    with pytest.raises(SkyOpsError, match=f"Leak: {name} explains"):
        split.temporal_split(CANONICAL(frame))


def test_what_happened_after_the_crossing_has_a_negative_age_and_is_refused() -> None:
    frame = raw_synthetic(ROWS, hours=48)
    frame["last_transit_min"] = frame["transit_min"].shift(-1)
    crossed, landed = frame["crossed_at"], frame["landed_at"].shift(-1)
    frame["last_transit_age_min"] = (crossed - landed).dt.total_seconds() / 60
    with pytest.raises(SkyOpsError, match="saw the future"):
        CANONICAL(frame)


def test_good_features_are_not_taken_for_leaks(mirror_rows: pd.DataFrame | None) -> None:
    split.check_no_answer(synthetic(1000, hours=72, noise_min=0.3))
    split.check_no_answer(synthetic(split.MIN_ROWS_TO_EXPLAIN - 1, noise_min=0.0))
    if mirror_rows is not None:
        split.check_no_answer(mirror_rows)


@pytest.fixture
def mirror_rows() -> pd.DataFrame | None:
    import os

    from tests.support.arrival_frames import lszh

    folder = os.environ.get("SKYOPS_DATA_MIRROR")
    return lszh(Path(folder), "2019-03").drop_duplicates("flight_id") if folder else None


# A shuffled key.


def shuffled(frame: pd.DataFrame, columns: list[str], how_far: int) -> pd.DataFrame:
    """The columns of other rows, at most so many places away."""
    rng = np.random.default_rng(3)
    order = np.argsort(np.arange(len(frame)) + rng.uniform(0, how_far, len(frame)))
    assert (order != np.arange(len(frame))).any()
    return frame.assign(**{name: frame[name].to_numpy()[order] for name in columns})


@pytest.mark.parametrize("how_far", [4, ROWS])
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["transit_min"], "Correct the model that computes transit_min"),
        (["landed_at"], r"before it crossed|Correct the model that computes transit_min"),
        (list(features.NUMERIC), "another time"),
    ],
)
def test_a_shuffled_key_is_refused(columns: list[str], message: str, how_far: int) -> None:
    with pytest.raises(SkyOpsError, match=message):
        CANONICAL(shuffled(raw_synthetic(ROWS, hours=48), columns, how_far))


def test_a_landing_of_another_flight_with_its_own_time_is_refused() -> None:
    """Landing and label agree, but are of another flight: many landed before this one crossed."""
    frame = shuffled(raw_synthetic(ROWS, hours=48), ["landed_at"], ROWS)
    frame["transit_min"] = (frame["landed_at"] - frame["crossed_at"]).dt.total_seconds() / 60
    with pytest.raises(SkyOpsError, match="before it crossed"):
        CANONICAL(frame)


def test_a_crossing_twice_under_one_key_is_refused() -> None:
    frame = raw_synthetic(ROWS, hours=48)
    with pytest.raises(SkyOpsError, match="more than once"):
        CANONICAL(pd.concat([frame, frame[:5]]))


# A fit that knows labels it was not given.


def test_a_fit_that_looks_up_the_true_label_is_found_by_shuffled_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = synthetic(600, hours=72)
    parts = split.temporal_split(frame)
    given = (parts.train, parts.test, fit.GRADIENT_BOOSTING_L1)
    honest = sanity.shuffled_skill(*given)
    assert honest is not None and honest < 0.1
    original = fit.fit

    def peeking(rows: pd.DataFrame, recipe: fit.Recipe) -> object:
        minutes = (rows["landed_at"] - rows["crossed_at"]).dt.total_seconds() / 60
        return original(rows.assign(transit_min=minutes), recipe)

    monkeypatch.setattr(fit, "fit", peeking)
    leaked = sanity.shuffled_skill(*given)
    assert leaked is not None and leaked > 0.1
