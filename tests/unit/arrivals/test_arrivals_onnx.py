"""ONNX and scikit-learn agree to 0.001 minutes, on ordinary rows and on the worst there are."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from arrival_frames import lszh, mirror, synthetic, with_gaps
from hypothesis import given, settings
from hypothesis import strategies as st

from skyops_assets.arrivals import onnx_model, train
from skyops_assets.arrivals.features import CATEGORICAL, FEATURES, NUMERIC
from skyops_assets.errors import SkyOpsError


@cache
def fitted(airports: int = 2) -> tuple[object, bytes]:
    """A pipeline that has met missing values in every feature it has, and its graph."""
    pipeline = train.fit(with_gaps(synthetic(2000, hours=48, airports=airports), 0.1))
    return pipeline, onnx_model.export(pipeline)


def apart(pipeline: object, graph: bytes, frame: pd.DataFrame) -> float:
    there = onnx_model.predict(graph, frame)
    here = train.predict(pipeline, frame)
    assert there.shape == here.shape == (len(frame),)
    assert np.isfinite(there).all()
    return float(np.abs(there - here).max())


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
    assert np.ptp(onnx_model.predict(graph, rows)) > 5
    assert onnx_model.difference(graph, pipeline, frame) < onnx_model.TOLERANCE_MIN


def test_values_on_and_beside_every_threshold_agree() -> None:
    """Where a threshold kept as a 32-bit float would send them the other way."""
    pipeline, graph = fitted()
    model = pipeline.named_steps["model"]  # type: ignore[attr-defined]
    members = model.estimators_
    nodes = np.concatenate([tree.nodes for member in members for (tree,) in member._predictors])
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
    pipeline = train.fit(frame)
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
    assert [given.name for given in session.get_outputs()] == ["transit_min"]
    assert len(onnx_model.predict(graph, synthetic(0))) == 0


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
    pipeline = train.fit(frame)
    found = onnx_model.difference(onnx_model.export(pipeline), pipeline, frame)
    assert found < 1e-5  # 1.9e-6 when written.
