"""The same rows give the same model; odd rows give a model at all."""

from __future__ import annotations

import numpy as np
import pytest

from skyops_assets.arrivals.features import (
    CATEGORICAL,
    LABEL,
    NUMERIC,
    canonical_arrivals,
    fingerprint,
)
from skyops_assets.arrivals.learning import fit, onnx_model, recipes
from skyops_assets.arrivals.learning.recipes import GRADIENT_BOOSTING_L1
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import raw_synthetic, synthetic


def test_the_same_rows_give_the_same_predictions_to_the_bit() -> None:
    frame = synthetic(200)
    first, second = (fit.predict(fit.fit(frame), frame) for _ in range(2))
    assert np.array_equal(first, second)


def test_it_learns_what_is_there() -> None:
    frame = synthetic(1500, hours=48, noise_min=0.5)
    error = fit.predict(fit.fit(frame[:1000]), frame[1000:]) - frame[LABEL][1000:]
    assert np.abs(error).mean() < 1.2


def test_more_aircraft_ahead_take_longer_direction() -> None:
    frame = synthetic(1500, hours=48)
    model = fit.fit(frame)
    few, many = (fit.predict(model, frame.assign(inbound_inside_count=n)) for n in (1.0, 9.0))
    assert (many - few).mean() > 2


def test_the_identifier_changes_nothing_invariance() -> None:
    frame = synthetic(100)
    model = fit.fit(frame)
    assert np.array_equal(
        fit.predict(model, frame), fit.predict(model, frame.assign(flight_id="x"))
    )


def test_columns_without_values_unknown_airports_and_missing_sectors_are_fine() -> None:
    frame = synthetic(100).assign(altitude_m=np.nan, sector=None)
    model = fit.fit(frame)
    asked = synthetic(20).assign(airport="EGLL")
    assert np.isfinite(fit.predict(model, asked)).all()
    nothing = asked.assign(**dict.fromkeys(NUMERIC, np.nan), **dict.fromkeys(CATEGORICAL[1:]))
    assert np.isfinite(fit.predict(model, nothing)).all()


def test_minimum_twenty_arrivals() -> None:
    assert np.isfinite(fit.predict(fit.fit(synthetic(20)), synthetic(5))).all()
    with pytest.raises(SkyOpsError, match="cannot be fitted on 19 rows; it needs 20"):
        fit.fit(synthetic(19))


def test_no_rows_no_predictions() -> None:
    assert fit.predict(fit.fit(synthetic(20)), synthetic(0)).shape == (0,)


def test_identity_changes_with_everything_that_changes_the_model() -> None:
    ids = [
        fit.identity("a", GRADIENT_BOOSTING_L1, 0.7),
        fit.identity("b", GRADIENT_BOOSTING_L1, 0.7),
        fit.identity("a", GRADIENT_BOOSTING_L1.using({"max_iter": 301}), 0.7),
        fit.identity("a", recipes.RIDGE, 0.7),
        fit.identity("a", GRADIENT_BOOSTING_L1, 0.8),
        fit.identity("a", GRADIENT_BOOSTING_L1, 0.7, trials=1),
        fit.identity("a", GRADIENT_BOOSTING_L1, 0.7, trials=2),
    ]
    assert len(set(ids)) == len(ids)
    assert fit.identity("a", GRADIENT_BOOSTING_L1, 0.7) == ids[0]
    # More than there are is all there are.
    every = len(GRADIENT_BOOSTING_L1.candidates)
    assert fit.identity("a", GRADIENT_BOOSTING_L1, 0.7, every) == fit.identity(
        "a", GRADIENT_BOOSTING_L1, 0.7, every + 9
    )


def test_the_same_fingerprint_gives_the_same_model_bit_for_bit() -> None:
    """Rows in another order have the same fingerprint, and in canonical form the same model."""
    frame = raw_synthetic(400, hours=24)
    mixed = canonical_arrivals(frame.sample(frac=1, random_state=3))
    frame = canonical_arrivals(frame)
    assert fingerprint(mixed, 40) == fingerprint(frame, 40)
    first, second = (onnx_model.export(fit.fit(rows)) for rows in (frame, mixed))
    assert first == second
    other = onnx_model.export(fit.fit(frame.assign(altitude_m=frame["altitude_m"] + 1)))
    assert other != first


def test_wake_is_learned_from_and_may_be_unknown_throughout() -> None:
    frame = synthetic(1500, hours=48, noise_min=0.5)
    heavy = np.arange(len(frame)) % 3 == 0
    known = frame.assign(wake=np.where(heavy, "H", "M"), **{LABEL: frame[LABEL] + 3 * heavy})
    model = fit.fit(known)
    medium, slow = (fit.predict(model, known.assign(wake=wake)).mean() for wake in "MH")
    assert slow - medium > 2
    assert np.isfinite(fit.predict(model, known.assign(wake=None))).all()
    without = fit.fit(frame)
    assert np.array_equal(fit.predict(without, frame), fit.predict(without, known))
