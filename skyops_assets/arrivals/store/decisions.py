"""Stores the gatekeeper's decisions: `ml.promotion_decisions`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.store.training import TrainingRun
from skyops_assets.arrivals.store.versions import (
    ModelVersion,
    champion_lock,
    move_champion,
)
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_one, insert_statement

if TYPE_CHECKING:
    from skyops_assets.arrivals.gate.policy import Decision


def read_decision(warehouse: Warehouse, training_run_id: str) -> dict[str, Any] | None:
    """The decision on a training run, if it was taken."""
    return fetch_one(
        warehouse,
        "select * from ml.promotion_decisions where training_run_id = %(id)s",
        {"id": training_run_id},
    )


def save_decision(
    warehouse: Warehouse,
    run: TrainingRun,
    challenger: ModelVersion | None,
    champion: ModelVersion | None,
    *,
    decision: Decision,
    dagster_run_id: str | None,
) -> None:
    """Record a decision and, where it promotes, make the challenger champion: both or neither.

    A challenger that is champion already stays it, without a change being noted.

    Raises:
        ChampionChanged: the champion is not `champion` any more.
    """
    row = {
        "training_run_id": run.training_run_id,
        "model_name": run.model_name,
        "challenger_version": challenger and challenger.version,
        "champion_version": champion and champion.version,
        "is_promoted": decision.is_promoted,
        "reasons": json.dumps(decision.as_json()),
        "lights": json.dumps(decision.lights),
        "summary": decision.sentence,
        "dagster_run_id": dagster_run_id,
    }
    changes = ", ".join(f"{name} = excluded.{name}" for name in row if name != "training_run_id")
    with champion_lock(warehouse, run.model_name) as cursor:
        cursor.execute(
            insert_statement("ml.promotion_decisions", row)
            + f" on conflict (training_run_id) do update set {changes}, decided_at = now()"
            " returning decision_id",
            row,
        )
        (decision_id,) = cursor.fetchone()
        if decision.is_promoted and challenger is not None and challenger != champion:
            move_champion(
                cursor,
                champion,
                challenger,
                action="gatekeeper",
                actor="gatekeeper",
                reason=decision.sentence.removeprefix("promoted: "),
                decision_id=decision_id,
            )
