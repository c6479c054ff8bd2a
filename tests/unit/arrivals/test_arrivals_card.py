"""The model card says what was measured, and of the rest that it was not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from skyops_assets.arrivals import features
from skyops_assets.arrivals.learning.recipes import GRADIENT_BOOSTING_L1
from skyops_assets.arrivals.models.card import VersionRecord, markdown
from skyops_assets.arrivals.models.registry import MAX_DESCRIPTION
from skyops_assets.arrivals.store.training import TrainingRun, TrainingSet
from skyops_assets.arrivals.store.versions import ChampionChange, ModelVersion

AT = datetime(2026, 11, 20, 6, tzinfo=UTC)
VERSION = ModelVersion("arrival-transit-40nm", "2", "t2", "f" * 64, "m2", False, AT)
RUN = TrainingRun(
    training_run_id="t2",
    model_name="arrival-transit-40nm",
    ring_nm=40,
    recipe="hgb-l1",
    fingerprint="f" * 64,
    features=features.FEATURES,
    params=GRADIENT_BOOSTING_L1.params,
    train_share=0.7,
    cut_at=AT,
    train_rows=6569,
    test_rows=2818,
    embargoed_rows=5,
    shared_flight_rows=0,
    trained_from_at=AT,
    trained_through_at=AT + timedelta(days=7),
    test_from_at=AT + timedelta(days=7),
    test_through_at=AT + timedelta(days=10),
    untrained_reason=None,
    code_version="0.1.0",
    absent_features=("altitude_m",),
    search={
        "skipped": None,
        "folds": [
            {"cut_at": "2026-11-01", "train_rows": 3284, "test_rows": 1097},
            {"cut_at": "2026-11-03", "train_rows": 4381, "test_rows": 1094},
        ],
        "candidates": [
            {"params": {}, "mae_min": 2.013, "fold_mae_min": [2.1, 1.9]},
            {"params": {"max_leaf_nodes": 15}, "mae_min": 1.9, "fold_mae_min": [2.0, 1.8]},
        ],
        "chosen": 1,
    },
    interval={
        "coverage": 0.9, "correction_min": 0.691, "learning_rows": 5255, "calibration_rows": 1314
    },
)  # fmt: skip
OWN: dict[str, Any] = {
    "candidate": VERSION.label, "test_rows": 2818, "scored_rows": 2780,
    "mae_min": 1.82, "rmse_min": 2.6, "r2": 0.56, "bias_min": -0.24, "p90_min": 3.85,
    "within_2min_share": 0.68, "interval_coverage": 0.91, "interval_width_min": 7.25,
    "reference": "baseline:sector_median", "skill": 0.42, "skill_low": 0.372, "skill_high": 0.476,
    "blocks": 10, "block": "day", "champion": "arrival-transit-40nm:1", "champion_rows": 2700,
    "champion_gain": 0.073, "champion_gain_low": 0.035, "champion_gain_high": 0.123,
}  # fmt: skip
DECISION = {
    "decision_id": 7,
    "is_promoted": False,
    "decided_at": AT,
    "reasons": [
        {"rule": "loads", "is_passed": True, "text": "it loads", "light": "technical"},
        {"rule": "memory", "is_passed": False, "text": "2000 MiB", "light": "technical"},
        {
            "rule": "test_days",
            "is_passed": False,
            "text": "2 days with test arrivals (needs 3)",
            "light": "statistical",
        },
    ],
}
CHANGE = ChampionChange(
    1, AT, VERSION.model_name, "promote", True, "1", "2", "m1", "m2", "ops", "it is\n# better", None
)  # fmt: skip
FACTS = VersionRecord(
    version=VERSION,
    row={
        "is_champion": True,
        "training_run_id": "t2",
        "mlflow_run_id": "m2",
        "dagster_run_id": None,
        "registered_at": AT,
        "code_version": "0.1.0",
    },
    run=RUN,
    training_set=TrainingSet("f" * 64, 40, 9392, {"no label": 3}, ("LSZH",), AT, AT),
    candidates=(OWN, {**OWN, "candidate": "baseline:sector_median", "mae_min": 3.13}),
    decision=DECISION,
    changes=(CHANGE,),
    slices=(
        {
            "kind": "traffic",
            "slice": "peak",
            "is_gated": True,
            "rows": 700,
            "gain": 0.01,
            "gain_low": -0.02,
            "gain_high": 0.03,
            "against": "arrival-transit-40nm:1",
        },
        {
            "kind": "additional time",
            "slice": "under 2 min",
            "is_gated": False,
            "rows": 700,
            "gain": -0.5,
            "gain_low": -0.6,
            "gain_high": -0.4,
            "against": "arrival-transit-40nm:1",
        },
    ),
)


def test_the_card_says_what_is_known() -> None:
    card = markdown(FACTS)
    for said in (
        "# arrival-transit-40nm, version 2",
        "40 NM ring",
        "Airports: LSZH.\nOutputs as ONNX: transit_min, low_min, high_min.",
        "f" * 64,
        "9,392 arrivals",
        "Excluded: 3 no label",
        "6,569 for training, 2,818 for testing",
        "loss absolute_error",
        "no training row has a value: altitude_m",
        "trained on 3,284, 4,381 arrivals, tested on the next 2,191",
        "its own parameters: 2.013 min\n",
        "max_leaf_nodes 15: 1.900 min, chosen",
        "Interval of 90%: quantiles fitted on 5,255 arrivals, each moved out by +0.69 min",
        "Its interval holds only for arrivals like the last",
        "| arrival-transit-40nm:2 | 1.82 | 2.60 | 0.56 | -0.24 | 3.85 | 68% |",
        "+42.0% (95 % interval +37.2% to +47.6%), bootstrap over 10 days",
        "`arrival-transit-40nm:1`, on 2,700 arrivals that it had not learned from: +7.3%",
        "(decision 7): not promoted.",
        "Within its interval: 91.0% of the arrivals; it is 7.2 min wide",
        "slices of the test arrivals is traffic peak (700 arrivals): +1.0%",
        "*Technical*\n\n- **fail**: 2000 MiB\n- pass: loads\n",
        "*Statistical*",
        "**fail**: 2 days with test arrivals",
        "became champion; promoted by ops, by hand: it is # better",
        "MLflow run `m2`",
    ):
        assert said in card
    assert len(card) < MAX_DESCRIPTION


def test_what_was_not_measured_is_not_made_up() -> None:
    unknown = dict.fromkeys(OWN)
    card = markdown(replace(FACTS, candidates=(), decision=None, changes=(), training_set=None))
    assert "Not measured." in card
    assert "has not judged this version yet" in card
    assert "Airports: none." in card
    empty = {**unknown, "candidate": VERSION.label, "test_rows": 0, "scored_rows": 0}
    assert "Not measured." in markdown(replace(FACTS, candidates=(empty,)))
    alone = {**OWN, "skill_low": None, "champion": None, "blocks": 0}
    card = markdown(replace(FACTS, candidates=(alone,)))
    assert "+42.0% (no interval could be computed)\n" in card
    assert "Against a champion: not measured" in card
    nothing = {**OWN, "skill": None, "reference": None, "champion_gain": None}
    card = markdown(replace(FACTS, candidates=(nothing,)))
    assert "`no baseline`, the best baseline: not measured" in card
    assert "had not learned from: not measured" in card
    old = replace(RUN, absent_features=None, cut_at=None, trained_from_at=None)
    assert "not recorded" in markdown(replace(FACTS, run=old))
    card = markdown(replace(FACTS, run=replace(RUN, search=None, interval=None)))
    assert "Outputs as ONNX: transit_min.\n" in card
    assert "Search for parameters: not recorded" in card
    assert "Interval: none" in card
    assert "how certain a single prediction is" in card
    few = {"skipped": "65 training arrivals are too few", "folds": [], "candidates": []}
    card = markdown(replace(FACTS, run=replace(RUN, search=few)))
    assert "Search for parameters: none, 65 training arrivals are too few" in card


@pytest.mark.parametrize("champion", [True, False])
def test_the_card_says_whether_it_is_in_force(champion: bool) -> None:
    card = markdown(replace(FACTS, row={**FACTS.row, "is_champion": champion}))
    assert ("\nChampion.\n" in card) == champion
