"""ONNX and scikit-learn agree to 0.001 minutes, on ordinary rows and on the worst there are."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyops_assets.arrivals.features import CATEGORICAL, FEATURES, NUMERIC
from skyops_assets.arrivals.learning import fit, interval, onnx_model
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import lszh, mirror, synthetic, with_gaps


@cache
def fitted(airports: int = 2) -> tuple[object, bytes]:
    """A pipeline that has met missing values in every feature it has, and its graph."""
    pipeline = fit.fit(with_gaps(synthetic(2000, hours=48, airports=airports), 0.1))
    return pipeline, onnx_model.export(pipeline)


def apart(pipeline: object, graph: bytes, frame: pd.DataFrame) -> float:
    there, here = onnx_model.predict(graph, frame), fit.predict_all(pipeline, frame)
    assert list(there) == list(here) == list(fit.OUTPUTS)
    for name in there:
        assert there[name].shape == here[name].shape == (len(frame),)
        assert np.isfinite(there[name]).all()
    minutes, low, high = there.values()
    assert (low <= minutes).all() and (minutes <= high).all()
    return fit.max_abs_difference(there, here)


def test_ten_thousand_rows_agree() -> None:
    pipeline, graph = fitted()
    frame = synthetic(10_000, hours=240, seed=11)
    assert apart(pipeline, graph, frame) < onnx_model.TOLERANCE_MIN
    rows = with_gaps(frame)
    rng = np.random.default_rng(5)
    for name in CATEGORICAL:
        rows[name] = rows[name].mask(rng.random(len(rows)) < 0.2, "never seen")
    assert rows[list(FEATURES)].isna().any().all()
    assert apart(pipeline, graph, rows) < onnx_model.TOLERANCE_MIN
    assert all(np.ptp(minutes) > 5 for minutes in onnx_model.predict(graph, rows).values())
    assert onnx_model.difference(graph, pipeline, frame) < onnx_model.TOLERANCE_MIN


def test_values_on_and_beside_every_threshold_agree() -> None:
    """Where a threshold kept as a 32-bit float would send them the other way."""
    pipeline, graph = fitted()
    made = interval.of(pipeline)
    models = (pipeline.named_steps["model"], made["low"], made["high"])  # type: ignore[attr-defined]
    nodes = np.concatenate([tree.nodes for model in models for (tree,) in model._predictors])
    numbers = pipeline.named_steps["columns"].transformers_[1][2]  # type: ignore[attr-defined]
    first = int(nodes["feature_idx"].max()) + 1 - len(numbers)
    rng = np.random.default_rng(7)
    frame = synthetic(10_000, hours=240, seed=12)
    for place, name in enumerate(numbers):
        own = (nodes["feature_idx"] == first + place) & (nodes["is_leaf"] == 0)
        at = nodes["num_threshold"][own]
        at = at[np.isfinite(at)]
        if len(at):
            near = np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)])
            frame[name] = rng.choice(near, len(frame))
    assert apart(pipeline, graph, frame) < onnx_model.TOLERANCE_MIN


def test_rare_airports_that_share_a_column_agree() -> None:
    frame = synthetic(6000, hours=48)
    rng = np.random.default_rng(2)
    frame["airport"] = [f"X{number:03d}" for number in rng.integers(0, 300, len(frame))]
    frame["transit_min"] += (frame["airport"] > "X150") * 10
    pipeline = fit.fit(frame)
    encoder = pipeline.named_steps["columns"].named_transformers_["category"]
    assert encoder.infrequent_categories_[0] is not None
    graph = onnx_model.export(pipeline)
    assert onnx_model.difference(graph, pipeline, frame) < onnx_model.TOLERANCE_MIN


@settings(max_examples=50)
@given(
    values=st.fixed_dictionaries(
        {
            name: st.one_of(st.none(), st.sampled_from(["LFPG", "N", "\u00e9\u4e2d", "x" * 99]))
            if name in CATEGORICAL
            else st.one_of(st.just(np.nan), st.floats(-1e12, 1e12))
            for name in FEATURES
        }
    )
)
def test_any_row_agrees(values: dict[str, object]) -> None:
    frame = pd.DataFrame([values]).astype({name: "float64" for name in NUMERIC})
    assert apart(*fitted(), frame) < onnx_model.TOLERANCE_MIN


def test_the_graph_is_the_same_each_time_and_takes_every_feature() -> None:
    import onnxruntime

    pipeline, graph = fitted()
    assert onnx_model.export(pipeline) == graph
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == list(FEATURES)
    outputs = [given.name for given in session.get_outputs()]
    assert outputs == list(onnx_model.outputs(graph)) == ["transit_min", "low_min", "high_min"]
    assert [len(minutes) for minutes in onnx_model.predict(graph, synthetic(0)).values()] == [0] * 3


@pytest.mark.parametrize("correction", [-50.0, 50.0])
def test_quantiles_that_cross_or_lie_beside_the_answer_are_put_right(correction: float) -> None:
    pipeline = fit.fit(synthetic(300, hours=12))
    pipeline.interval_["correction_min"] = correction
    graph = onnx_model.export(pipeline)
    assert apart(pipeline, graph, synthetic(200, seed=4)) < onnx_model.TOLERANCE_MIN


def test_without_an_interval_there_is_one_output_and_the_difference_to_three_is_endless() -> None:
    frame = synthetic(300, hours=12)
    pipeline = fit.fit(frame)
    three = onnx_model.export(pipeline)
    pipeline.interval_ = None
    assert onnx_model.outputs(onnx_model.export(pipeline)) == ("transit_min",)
    assert onnx_model.difference(onnx_model.export(pipeline), pipeline, frame) < 1e-5
    assert onnx_model.difference(three, pipeline, frame) == np.inf


def test_a_pipeline_it_cannot_write_is_refused() -> None:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    frame = synthetic(60)
    columns = ColumnTransformer([("everything", "passthrough", ["altitude_m"])])
    columns.fit(frame)
    with pytest.raises(SkyOpsError, match="columns are everything"):
        onnx_model.export(Pipeline([("columns", columns), ("model", None)]))


@pytest.mark.mirror
def test_real_arrivals_agree() -> None:
    frame = lszh(mirror(), "2019-03").drop_duplicates("flight_id")
    pipeline = fit.fit(frame)
    found = onnx_model.difference(onnx_model.export(pipeline), pipeline, frame)
    assert found < 1e-5  # 1.9e-6 when written.
