"""Two rings, each with a model of its own: one recipe, one loop, one gate."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pandas as pd
import pytest

from skyops_assets.arrivals.features import RING_NM, RINGS_NM
from skyops_assets.arrivals.steps import evaluate, predict, promote, train
from skyops_assets.arrivals.store import inputs, training, versions
from skyops_assets.monitoring import monitor
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all
from tests.support.arrival_frames import raw_synthetic
from tests.support.model_loop import EASY, fill

OUTER = max(RINGS_NM)


def frames() -> pd.DataFrame:
    """Days of arrivals through each ring."""
    inner = raw_synthetic(400, hours=80, seed=7)
    outer = raw_synthetic(300, hours=80, seed=8).assign(ring_nm=OUTER)
    outer["transit_min"] += 10
    outer["landed_at"] += pd.to_timedelta(10, unit="min")
    return pd.concat([inner, outer], ignore_index=True)


def learn(warehouse: Warehouse, settings: Settings, ring_nm: int) -> promote.PromotionSummary:
    """The loop on one ring, up to its gate."""
    train.build_training_set(warehouse, settings, ring_nm=ring_nm)
    train.train_challenger(warehouse, settings, ring_nm=ring_nm)
    evaluate.evaluate_challenger(warehouse, settings, ring_nm=ring_nm)
    return promote.decide_promotion(warehouse, settings, ring_nm=ring_nm, policy=EASY)


@pytest.fixture(scope="module")
def inner_only(server: Warehouse, settings: Settings) -> Warehouse:
    """A champion at the inner ring, none at the outer one."""
    fill(server, frames())
    assert learn(server, settings, RING_NM).is_promoted
    return server


def predictions(warehouse: Warehouse, ring_nm: int) -> list[dict[str, Any]]:
    return fetch_all(
        warehouse,
        "select * from ml.predictions where ring_nm = %(ring)s order by flight_id, model_name",
        {"ring": ring_nm},
    )


def live(warehouse: Warehouse, settings: Settings) -> dict[int, predict.PredictionSummary]:
    return {
        ring: predict.LivePredictions(warehouse, settings, ring_nm=ring).predict()
        for ring in RINGS_NM
    }


def test_what_comes_is_predicted_at_each_ring_and_says_of_whom(
    inner_only: Warehouse, settings: Settings
) -> None:
    made = live(inner_only, settings)
    assert made[RING_NM].model_name == versions.model_name(RING_NM)
    assert made[OUTER].model_name == "baseline:distance_speed"
    for ring, one in made.items():
        found = predictions(inner_only, ring)
        # Of the last day only: earlier ones are the hourly run's.
        assert 0 < len(found) == one.new_predictions < 200
        for row in found:
            assert row["icao24"] == row["flight_id"][:6]
            assert row["callsign"] == f"AFR{row['flight_id'][-3:]}"
            assert row["airport"] and row["crossed_at"] and row["predicted_at"]
            assert row["predicted_transit_min"] > 0
    inner = predictions(inner_only, RING_NM)
    assert all(r["predicted_low_min"] <= r["predicted_transit_min"] for r in inner)
    assert live(inner_only, settings)[RING_NM].new_predictions == 0


def test_the_graph_that_is_asked_live_answers_as_the_pipeline(
    inner_only: Warehouse, settings: Settings
) -> None:
    rows = inputs.read_arrivals(inner_only, RING_NM)
    ask, graph = (
        predict.predictor_in_force(inner_only, settings, by_onnx=by_onnx)
        for by_onnx in (False, True)
    )
    assert (ask.name, ask.version) == (graph.name, graph.version)
    assert abs(ask.predict(rows) - graph.predict(rows)).max() < 1e-4
    assert ask.predict_interval and graph.predict_interval
    one, other = ask.predict_interval(rows), graph.predict_interval(rows)
    assert one and other
    assert max(abs(a - b).max() for a, b in zip(one, other, strict=True)) < 1e-4


def test_a_champion_from_before_it_had_a_graph_is_asked_itself(
    inner_only: Warehouse, settings: Settings
) -> None:
    champion = versions.champion(inner_only, versions.model_name(RING_NM))
    assert champion
    [file] = settings.home.rglob(f"{champion.mlflow_run_id}/artifacts/model.onnx")
    away = file.rename(file.with_suffix(".away"))
    try:
        found = predict.predictor_in_force(inner_only, settings, by_onnx=True)
        assert found.version == champion.version
        assert len(found.predict(inputs.read_arrivals(inner_only, RING_NM)))
    finally:
        away.rename(file)


def test_who_predicts_live_needs_neither_mlflow_nor_scikit_learn(
    inner_only: Warehouse, settings: Settings
) -> None:
    script = (
        "import sys\n"
        "from skyops_assets.arrivals.steps.predict import LivePredictions\n"
        "from skyops_assets.settings import load_settings\n"
        "from skyops_assets.warehouse.connection import open_warehouse\n"
        "settings = load_settings()\n"
        "made = LivePredictions(open_warehouse(settings), settings).predict()\n"
        "print(made.is_champion, 'mlflow' in sys.modules, 'sklearn' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"SKYOPS_HOME": str(settings.home)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "False", "False"]


def test_nothing_of_one_ring_is_anothers(inner_only: Warehouse, settings: Settings) -> None:
    before = versions.champion_summary(inner_only, RING_NM)
    assert learn(inner_only, settings, OUTER).is_promoted
    assert versions.champion_summary(inner_only, RING_NM) == before
    for ring, rows in ((RING_NM, 400), (OUTER, 300)):
        name = versions.model_name(ring)
        frozen = training.latest_training_set(inner_only, ring)
        assert set(training.read_snapshot(settings, frozen.fingerprint)["ring_nm"]) == {ring}
        assert frozen.row_count + sum(frozen.excluded.values()) == rows
        champion = versions.champion(inner_only, name)
        assert champion and champion.version == "1" and champion.fingerprint == frozen.fingerprint
        found = predict.predict_crossings(inner_only, settings, ring_nm=ring)
        assert (found.model_name, found.is_champion) == (name, True)
        predict.record_outcomes(inner_only, settings, ring_nm=ring)
    means = fetch_all(
        inner_only,
        "select ring_nm, avg(predicted_transit_min) as minutes, count(*) as n from ml.predictions "
        "join ml.prediction_outcomes using (flight_id, airport, ring_nm, model_name, model_version)"
        " where outcome = 'landed' and model_name not like 'baseline%%' group by 1",
        {},
    )
    by_ring = {row["ring_nm"]: row for row in means}
    assert by_ring[OUTER]["minutes"] > by_ring[RING_NM]["minutes"] + 5
    # One run looks at each ring, and each has its row.
    for ring in RINGS_NM:
        monitor.monitor_champion(inner_only, settings, ring_nm=ring, run_id="one-run")
    for ring in RINGS_NM:
        assert monitor.latest(inner_only, ring)["model_name"] == versions.model_name(ring)
