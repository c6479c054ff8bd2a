"""What several stages show in the same way."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from skyops_assets.operations.entrance import address
from skyops_assets.quality.contracts import Difference
from skyops_assets.quality.expectations import Validation, report
from skyops_assets.settings import Settings
from skyops_assets.warehouse.bulk import Batch, together

# A retry does all steps again: resumed at the failure, the checks are in another run than the load
# that they judge, and find none of its positions.
TAGS = {"skyops/writes": "warehouse", "dagster/retry_strategy": "ALL_STEPS"}
OWNERS = ["team:skyops"]


OWNED = {"owner": OWNERS[0]}
"""Metadata of a check, which has no owners of its own in Dagster."""


def batch_metadata(batch: Batch) -> dict[str, Any]:
    """A load's accounts as metadata."""
    shown: dict[str, Any] = {
        "dagster/row_count": batch.loaded_rows,
        "batch_id": batch.batch_id,
        "source": batch.source,
        "read_rows": batch.read_rows,
        "loaded_rows": batch.loaded_rows,
        "duplicate_rows": batch.duplicate_rows,
        "rejected_rows": batch.rejected_rows,
    }
    if batch.window_start_at and batch.window_end_at:
        shown["window_start_at"] = dg.MetadataValue.timestamp(batch.window_start_at)
        shown["window_end_at"] = dg.MetadataValue.timestamp(batch.window_end_at)
    return shown


def batches_metadata(batches: Sequence[Batch]) -> dict[str, Any]:
    """The accounts of several loads, at least one, as the metadata of one materialisation."""
    return batch_metadata(together(batches, ", ".join(batch.source for batch in batches)))


def rules_result(broken: dict[str, int], todo: str) -> dg.AssetCheckResult:
    """A check's result from the rows that break each rule, with what is to be done about them."""
    wrong = "; ".join(f"violated in {n} rows: {rule}" for rule, n in broken.items() if n)
    return dg.AssetCheckResult(
        passed=not wrong,
        description=f"{wrong}. {todo}" if wrong else None,
        metadata=dict(broken),
    )


def suite_result(
    found: Validation, settings: Settings, note: str | None = None, **shown: Any
) -> dg.AssetCheckResult:
    """A check's result from a Great Expectations suite, with a link to its Data Docs.

    Args:
        note: what is to be known where nothing is broken.
        shown: further metadata.
    """
    shown_at = f"{address(settings)}/reports/data/{found.suite_name}"
    return dg.AssetCheckResult(
        passed=found.problem is None,
        description=found.problem or found.notice or note,
        metadata={
            "rows": found.rows,
            **shown,
            "expectations": dg.MetadataValue.md(report(found.outcomes)),
            "data_docs": dg.MetadataValue.url(shown_at),
        },
    )


def columns_result(table: str, found: Difference, todo: str) -> dg.AssetCheckResult:
    """A check's result from how a table differs from its declaration."""
    return dg.AssetCheckResult(
        passed=found.problem is None,
        description=f"{table}: {found.problem}. {todo}" if found.problem else None,
        metadata={"undeclared_columns": ", ".join(found.undeclared) or "none"},
    )


def warning(problem: str | None, **shown: Any) -> dg.AssetCheckResult:
    """The result of a check that warns and blocks nothing."""
    return dg.AssetCheckResult(
        passed=problem is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=problem,
        metadata=as_metadata(shown),
    )


def failed_once() -> dg.AutomationCondition:
    """The target failed since it last succeeded, and was not tried again: once more, not for ever.

    A failure from before the first evaluation is left to a person.
    """
    this = dg.AutomationCondition
    over = this.newly_updated() | this.initial_evaluation()
    # One that was asked for in the tick before may have failed already, as the one before it had.
    is_new = this.execution_failed().newly_true() | this.newly_requested()
    failed = (this.execution_failed() & is_new).since(over)
    # Where the tick before knew of no failure it was the first try that it asked for.
    # Reset by another kind of condition than `failed` is: Dagster remembers a "since" by the kinds
    # of its two parts, and would take one for the other (`eager`'s are two "or").
    tried_again = (this.newly_requested() & ~failed.newly_true()).since(~failed)
    return (failed & ~tried_again & ~this.in_progress()).with_label("failed and not retried yet")


LABELS = {
    "mae_min": "MAE (min)",
    "rmse_min": "RMSE (min)",
    "r2": "R2",
    "bias_min": "Bias (min, positive is predicted too late)",
    "p90_min": "90th percentile of the error (min)",
    "within_1min_share": "Predicted within 1 min (share)",
    "within_2min_share": "Predicted within 2 min (share)",
    "interval_coverage": "Landings inside the 90 % interval (share)",
    "interval_width_min": "Mean width of the 90 % interval (min)",
    "skill": "Skill against the reference baseline",
    "skill_low": "Skill, lower 95 % bound",
    "skill_high": "Skill, upper 95 % bound",
    "reference_mae_min": "MAE of the reference baseline (min)",
    "champion_gain": "Gain over the champion",
    "champion_gain_low": "Gain over the champion, lower 95 % bound",
    "champion_gain_high": "Gain over the champion, upper 95 % bound",
    "drift_score": "Drift score (share of feature groups)",
    "drifted": "Drifted features",
    "outside_share": "Records outside the training range (share)",
    "train_mae_min": "MAE on the training rows (min)",
    "label_coverage": "Old predictions with a known outcome (share)",
    "resolved_share": "Predictions with a known outcome (share)",
    "unanswered": "Crossings that the model could not predict",
    "in_sample": "Crossings that the model has learned from",
    "out_of_sample_landed": "Landed flights that the model has not learned from",
    "largest_difference_min": "Largest difference after a second fit (min)",
    "largest_onnx_difference_min": "Largest difference of the ONNX export (min)",
}
"""Names of figures as the UI shows them; others are shown under their own."""


def as_metadata(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as metadata; unknown values are left out instead of shown as a number."""
    return {
        LABELS.get(name, name): _metadata(value)
        for name, value in values.items()
        if value is not None
    }


def _metadata(value: Any) -> Any:
    if isinstance(value, datetime):
        return dg.MetadataValue.timestamp(value)
    if isinstance(value, tuple) and not isinstance(value, dg.MetadataValue):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float):
        return float(f"{value:.6g}")  # The page shows every digit; the tables keep them.
    return value
