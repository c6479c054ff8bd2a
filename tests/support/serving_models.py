"""Versions for the service's tests: trained small, evaluated, promoted with the lenient gate."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from skyops_assets.arrivals.learning import recipes
from skyops_assets.arrivals.steps import evaluate, predict, promote, train
from skyops_assets.arrivals.store.versions import version
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.arrival_frames import raw_synthetic
from tests.support.model_loop import EASY, Here, fill

NAME = "arrival-transit-40nm"


def make_champion(warehouse: Warehouse, settings: Settings, rows: int = 400) -> None:
    """Arrivals, and a champion of 40 NM that has learned from them and predicted them."""
    fill(warehouse, raw_synthetic(rows, hours=72))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skyops_assets.arrivals.models.probe.PREDICTIONS", 5)
        patch.setattr("skyops_assets.arrivals.models.probe.start", Here)
        train.build_training_set(warehouse, settings)
        train.train_challenger(warehouse, settings)
        evaluate.evaluate_challenger(warehouse, settings)
        promote.decide_promotion(warehouse, settings, policy=EASY)
    predict.predict_crossings(warehouse, settings)


def train_another(warehouse: Warehouse, settings: Settings, recipe: str = "ridge") -> str:
    """One more version, which nobody promotes; its number."""
    made = train.train_challenger(warehouse, settings, recipe=recipes.named(recipe))
    assert made.model_version
    return made.model_version


def force(warehouse: Warehouse, number: str) -> None:
    """Make a version champion as `skyops model promote` does, without what follows it slowly."""
    from skyops_assets.arrivals.store import versions

    after = version(warehouse, NAME, number)
    assert after
    before = versions.champion(warehouse, NAME)
    versions.change_champion(
        warehouse, before, after, action="promote", actor="tests", reason="a test"
    )


def crossing(frame: Any, place: int) -> dict[str, Any]:
    """A row of a canonical frame as /v1/predict takes it."""
    from skyops_assets.arrivals.feature_table import COUNT, TABLE

    row = frame.iloc[place]
    found: dict[str, Any] = {"crossed_at": row["crossed_at"].isoformat()}
    for one in TABLE:
        value = row.get(one.name)
        if one.group and value is not None and not pd.isna(value):
            found[one.name] = int(value) if one.type == COUNT else value
    return found
