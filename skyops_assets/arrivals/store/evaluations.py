"""Stores evaluations and the gatekeeper's evidence: `ml.evaluations`, `ml.evaluation_slices`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import (
    execute,
    fetch_all,
    fetch_one,
    insert_many,
    insert_statement,
)

if TYPE_CHECKING:
    from skyops_assets.arrivals.evaluation.metrics import Evaluation
    from skyops_assets.arrivals.evaluation.sanity import SanityReport
    from skyops_assets.arrivals.gate.evidence import Probe


def save_evaluation(
    warehouse: Warehouse,
    training_run_id: str,
    evaluation: Evaluation,
    importance: dict[str, float] | None = None,
) -> None:
    """Put an evaluation, its slices and the importance in the place of the run's earlier ones."""
    rows = []
    for score in evaluation.scores:
        against = score.against_baseline
        versus = evaluation.against_champion if score.role == "challenger" else None
        rows.append(
            {
                "training_run_id": training_run_id,
                "candidate": score.candidate,
                "role": score.role,
                "test_rows": evaluation.test_rows,
                "predicted_rows": score.predicted_rows,
                "scored_rows": score.metrics.rows,
                "mae_min": score.metrics.mae_min,
                "rmse_min": score.metrics.rmse_min,
                "r2": score.metrics.r2,
                "bias_min": score.metrics.bias_min,
                "p90_min": score.metrics.p90_min,
                "within_1min_share": score.metrics.within_1min_share,
                "within_2min_share": score.metrics.within_2min_share,
                "interval_coverage": score.interval_coverage,
                "interval_width_min": score.interval_width_min,
                "reference": against and against.reference,
                "is_reference": score.candidate == evaluation.reference,
                "skill": against and against.skill,
                "skill_low": against and against.low,
                "skill_high": against and against.high,
                "test_days": against and against.days,
                "blocks": against and against.blocks,
                "block": against and against.block,
                "champion": versus and versus.reference,
                "champion_rows": versus and versus.rows,
                "champion_days": versus and versus.days,
                "champion_gain": versus and versus.skill,
                "champion_gain_low": versus and versus.low,
                "champion_gain_high": versus and versus.high,
            }
        )
    parts = [
        {
            "training_run_id": training_run_id,
            "kind": part.kind,
            "slice": part.name,
            "is_gated": part.is_gated,
            "rows": part.comparison.rows,
            "challenger_mae_min": part.challenger_mae_min,
            "champion_mae_min": part.champion_mae_min,
            "baseline_mae_min": part.baseline_mae_min,
            "against": part.comparison.reference,
            "gain": part.comparison.skill,
            "gain_low": part.comparison.low,
            "gain_high": part.comparison.high,
            "blocks": part.comparison.blocks,
            "block": part.comparison.block,
        }
        for part in evaluation.slices
    ]
    groups = [
        {"training_run_id": training_run_id, "feature_group": group, "mae_rise_min": rise}
        for group, rise in (importance or {}).items()
    ]
    with warehouse.connect() as connection, connection.cursor() as cursor:
        for table, content in (
            ("ml.evaluations", rows),
            ("ml.evaluation_slices", parts),
            ("ml.feature_importance", groups),
        ):
            cursor.execute(f"delete from {table} where training_run_id = %s", (training_run_id,))  # noqa: S608
            insert_many(cursor, table, content)


def keep_baseline(
    warehouse: Warehouse, training_run_id: str, record: dict[str, Any], *, if_none: bool = False
) -> None:
    """Keep the best naive answer of a training run as numbers: the service fits nothing.

    Args:
        record: its ``name``, and what `baselines.medians` says.
        if_none: only where none is kept.
    """
    execute(
        warehouse,
        "update ml.training_runs set reference_baseline = %(record)s"
        " where training_run_id = %(id)s and (reference_baseline is null or not %(if_none)s)",
        {"record": json.dumps(record), "id": training_run_id, "if_none": if_none},
    )


def read_slices(warehouse: Warehouse, training_run_id: str) -> list[dict[str, Any]]:
    """The rows of ``ml.evaluation_slices`` of a training run."""
    return fetch_all(
        warehouse,
        "select * from ml.evaluation_slices where training_run_id = %(id)s order by kind, slice",
        {"id": training_run_id},
    )


def save_evidence(
    warehouse: Warehouse, version: ModelVersion, probe: Probe, logic: SanityReport
) -> None:
    """Put what was measured of a challenger in the place of its training run's earlier one."""
    row = {
        "training_run_id": version.training_run_id,
        "mlflow_run_id": version.mlflow_run_id,
        **{"load_error" if k == "error" else k: v for k, v in vars(probe).items()},
        **vars(logic),
        "identifiers": list(logic.identifiers),
        "wrong_way_min": json.dumps(logic.wrong_way_min),
    }
    changes = ", ".join(f"{name} = excluded.{name}" for name in row if name != "training_run_id")
    execute(
        warehouse,
        insert_statement("ml.challenger_evidence", row)
        + f" on conflict (training_run_id) do update set {changes}, measured_at = now()",
        row,
    )


def read_evidence(warehouse: Warehouse, training_run_id: str) -> dict[str, Any] | None:
    """The row of ``ml.challenger_evidence`` of a training run."""
    return fetch_one(
        warehouse,
        "select * from ml.challenger_evidence where training_run_id = %(id)s",
        {"id": training_run_id},
    )


def read_evaluation(warehouse: Warehouse, training_run_id: str) -> list[dict[str, Any]]:
    """The rows of ``ml.evaluations`` of a training run: models first, then by MAE."""
    return fetch_all(
        warehouse,
        "select * from ml.evaluations where training_run_id = %(id)s"
        " order by role = 'baseline', mae_min nulls last, candidate",
        {"id": training_run_id},
    )
