"""What an alert is about: a state that was seen, red or green, or a thing that happened.

Pure: from what Dagster and the warehouse say to observations. A problem has one name for as long as
it lasts, so that it is told once however often it is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from skyops_assets.arrivals.features import RING_NM
from skyops_assets.arrivals.store.versions import model_name


@dataclass(frozen=True)
class Observation:
    """A problem as it was seen at a moment.

    Attributes:
        problem: its name, the same while it lasts.
        seen_at: when the run, check or change was, with a time zone; not when it was looked at.
        is_red: False says that it is over, or never was.
        is_event: it happened and is over: told once, with no recovery.
        owners: at least one, as Dagster names them.
    """

    problem: str
    kind: str
    seen_at: datetime
    is_red: bool
    owners: tuple[str, ...]
    title: str = ""
    details: str = ""
    is_event: bool = False


def of_run(
    job: str,
    run_id: str,
    at: datetime,
    errors: Sequence[str] | None,
    owners: Sequence[str],
    *,
    step: str | None = None,
) -> Observation:
    """A run's end: ``errors`` are those of a failed one, None says that it succeeded.

    Args:
        step: of a run that is no job's, but of assets that automation or a person chose: one step
            of it. Another asset's success says nothing of it, and the next run of any job that has
            the step does.
    """
    return Observation(
        problem=f"step {step}" if step else f"run {job}",
        kind="run_failure",
        seen_at=at,
        is_red=errors is not None,
        owners=tuple(owners),
        title=f"Run of {step or job} failed",
        details="\n".join([*(errors or ()), f"Run {run_id}"]),
    )


def of_check(
    asset: str,
    check: str,
    at: datetime,
    *,
    is_passed: bool,
    is_error: bool,
    description: str | None,
    run_id: str,
    owners: Sequence[str],
    warn_checks: Sequence[str],
) -> Observation | None:
    """A check's evaluation; None where it failed with a warning that nobody asked to hear of.

    Args:
        is_error: severity ERROR.
        warn_checks: names of checks whose warnings are alerts too.
    """
    if not (is_passed or is_error or check in warn_checks):
        return None
    return Observation(
        problem=f"check {asset} {check}",
        kind="check",
        seen_at=at,
        is_red=not is_passed,
        owners=tuple(owners),
        title=f"Check {check} of {asset} failed",
        # Who tells of a check outside of a run has no number.
        details="\n".join([text for text in (description, run_id and f"Run {run_id}") if text]),
    )


def of_champion_change(
    owners: Sequence[str],
    *,
    change_id: int,
    changed_at: datetime,
    model_name: str,
    action: str,
    from_version: str | None,
    to_version: str,
    actor: str,
    reason: str,
) -> Observation:
    """A promotion or rollback: a row of ``audit.champion_changes``."""
    is_rollback = action == "rollback"
    did = "rolled back" if is_rollback else "promoted"
    return Observation(
        problem=f"champion change {change_id}",
        kind="rollback" if is_rollback else "promotion",
        seen_at=changed_at,
        is_red=True,
        owners=tuple(owners),
        title=f"{model_name}: {did} to version {to_version}",
        details=f"Before: {f'version {from_version}' if from_version else 'no champion'}. "
        f"By {actor}: {reason}",
        is_event=True,
    )


def of_r2(
    at: datetime,
    r2: float,
    floor: float,
    owners: Sequence[str],
    *,
    model: str | None,
    version: str | None,
) -> Observation:
    """A champion's R2 of a window against SKYOPS_ALERT_R2_FLOOR: a problem of its model alone."""
    return Observation(
        problem="r2" if model in (None, model_name(RING_NM)) else f"r2 {model}",
        kind="r2",
        seen_at=at,
        is_red=r2 < floor,
        owners=tuple(owners),
        title=f"R2 fell to {r2:.2f}, below {floor:g}",
        details=f"{model or 'Model'} version {version or 'unknown'}; see audit.monitoring_log.",
    )
