"""A graph as the service asks it: the pipeline's minutes, and only of what was kept."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals.features import FEATURES
from skyops_assets.arrivals.learning import baselines, fit, onnx_model
from skyops_assets.arrivals.models import graphs
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import synthetic, with_gaps


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    objects = frame[list(FEATURES)].astype(object).where(frame[list(FEATURES)].notna(), None)
    return objects.to_dict("records")  # type: ignore[return-value]


@pytest.fixture(scope="module")
def model() -> Any:
    return fit.fit(synthetic(400, hours=48))


@pytest.fixture(scope="module")
def kept(model: Any) -> dict[str, Any]:
    """A row of `ml.model_graphs`."""
    content = onnx_model.export(model)
    session = onnx_model.session(content)
    rows = _rows(synthetic(20, seed=3))
    return {
        "content": memoryview(content),
        "sha256": memoryview(hashlib.sha256(content).digest()),
        "signature": graphs.signature(session),
        "background": {"rows": rows, "minutes": graphs.Graph(session).ask(rows)[0].tolist()},
    }


def test_rows_get_the_minutes_that_the_pipeline_gives_the_frame(
    model: Any, kept: dict[str, Any]
) -> None:
    frame = with_gaps(synthetic(300, seed=9))
    told = fit.predict_all(model, frame)
    asked = graphs.load(kept, "m:1").ask(_rows(frame))
    for name, found in zip(fit.OUTPUTS, asked, strict=True):
        assert np.abs(told[name] - found).max() < onnx_model.TOLERANCE_MIN
    assert len(graphs.load(kept, "m:1").ask(_rows(frame)[:1])[0]) == 1


def test_what_moved_an_answer_is_what_is_not_as_usual(kept: dict[str, Any]) -> None:
    graph = graphs.load(kept, "m:1")
    usual = dict(graph.background[0])
    moved = dict(graph.moved({**usual, "altitude_m": 7000.0, "inbound_inside_count": 0}))
    # Two minutes a km, 0.6 an aircraft, of which there are four as a rule.
    assert moved["altitude"] > 2
    assert moved["congestion"] < -1
    assert moved["weather"] == 0, "nothing was learned of it"
    assert next(iter(moved)) == max(moved, key=lambda group: abs(moved[group]))
    assert graphs.Graph(onnx_model.session(bytes(kept["content"]))).moved(usual) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sha256": hashlib.sha256(b"").digest()}, "does not match its SHA-256"),
        ({"signature": {"inputs": {}, "outputs": []}}, "that differ from its signature"),
        ({"background": 5.0}, "is 5.000 minutes off its predictions when stored"),
        ({"content": b"no graph", "sha256": hashlib.sha256(b"no graph").digest()},
         "cannot be loaded"),
    ],
)  # fmt: skip
def test_a_graph_that_is_not_what_was_kept_is_refused(
    kept: dict[str, Any], changed: dict[str, Any], says: str
) -> None:
    if "background" in changed:
        minutes = [one + changed["background"] for one in kept["background"]["minutes"]]
        changed = {"background": {**kept["background"], "minutes": minutes}}
    with pytest.raises(SkyOpsError, match=says):
        graphs.load({**kept, **changed}, "m:1")


@pytest.mark.parametrize("name", [kind.name for kind in baselines.BASELINES])
def test_a_baseline_says_the_same_of_a_row_as_of_a_frame(name: str) -> None:
    train, frame = synthetic(200, seed=1), with_gaps(synthetic(200, seed=2))
    frame.loc[0, "airport"] = "ZZZZ"
    # Sectors without an arrival in training.
    train = train[~((train["airport"] == "LFPG") & (train["sector"] == "N"))]
    told = baselines.fit_baselines(train)[name].predict(frame)
    known = baselines.medians(train)
    for minutes, row in zip(told, _rows(frame), strict=True):
        found = baselines.answer(name, known, row, 40)
        assert (found is None) == bool(np.isnan(minutes))
        assert found is None or found == pytest.approx(minutes)
