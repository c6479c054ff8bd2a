"""The evidence on the latest challenger, and the gatekeeper's verdict on it.

Belongs here: gathering what `steps.evaluate` measured and stored. Does not: measuring,
the rules (`gate.policy`), or acting on the verdict (`promote`). Reads Postgres only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from skyops_assets.arrivals.evaluation.sanity import SanityReport
from skyops_assets.arrivals.features import named
from skyops_assets.arrivals.gate.evidence import Evidence, Probe, SliceGain
from skyops_assets.arrivals.gate.policy import Decision, GatePolicy, Reason, decide
from skyops_assets.arrivals.models import champions
from skyops_assets.arrivals.store import decisions, evaluations, training, versions
from skyops_assets.arrivals.store.training import TrainingRun
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.connection import Warehouse


@dataclass(frozen=True)
class Judgement:
    """The verdict on the latest training run.

    `in_force`: the challenger is champion already. `is_earlier`: it keeps the decision that was
    taken when it was not. `before` is the version that was champion when it was judged, and `gain`
    what was gained on it (or on the best baseline); None with an earlier decision.
    """

    run: TrainingRun
    challenger: ModelVersion | None
    champion: ModelVersion | None
    decision: Decision
    in_force: bool
    is_earlier: bool
    before: str | None
    gain: float | None


def judge(warehouse: Warehouse, ring_nm: int, policy: GatePolicy | None = None) -> Judgement:
    """What the gatekeeper says of the latest training run; nothing is written.

    Raises:
        SkyOpsError: nothing was trained.
    """
    run = latest_run(warehouse, ring_nm)
    challenger = versions.version_of(warehouse, run.training_run_id)
    champion = versions.champion(warehouse, run.model_name)
    earlier = decisions.read_decision(warehouse, run.training_run_id)
    gain = None
    in_force = bool(champion and challenger and champion.version == challenger.version)
    if earlier and in_force:
        decision = Decision(
            bool(earlier["is_promoted"]),
            tuple(Reason(**reason) for reason in earlier["reasons"]),
        )
        before = earlier["champion_version"]
    else:
        # A person was quicker than the gatekeeper: no model is measured against itself.
        against = None if in_force else champion
        evidence = gather(warehouse, run, challenger, against)
        decision, gain = decide(evidence, policy), evidence.gain
        before = champion.version if champion else None
    is_earlier = bool(earlier and in_force)
    return Judgement(run, challenger, champion, decision, in_force, is_earlier, before, gain)


def latest_run(warehouse: Warehouse, ring_nm: int) -> TrainingRun:
    """The training run that ran last.

    Raises:
        SkyOpsError: nothing was trained.
    """
    run = training.latest_training_run(warehouse, versions.model_name(ring_nm))
    if run is None:
        raise SkyOpsError(
            f"Nothing has been trained for the {ring_nm} NM ring; materialise "
            f"ml/{named('training_runs', ring_nm)} first."
        )
    return run


def gather(
    warehouse: Warehouse,
    run: TrainingRun,
    challenger: ModelVersion | None,
    champion: ModelVersion | None,
) -> Evidence:
    """All that was stored of a training run's challenger, against the champion or without one."""
    rows = evaluations.read_evaluation(warehouse, run.training_run_id)
    own = next((row for row in rows if challenger and row["candidate"] == challenger.label), {})
    best = next((row for row in rows if row["is_reference"]), {})
    theirs = next((row for row in rows if champion and row["candidate"] == champion.label), {})
    # Without a challenger the reference still says how many test rows there would have been.
    seen = own or best
    scored, days = seen.get("scored_rows"), seen.get("test_days")
    share = scored / run.test_rows if scored is not None and run.test_rows else None
    if champion and own:
        # It is met on those of them that it has not learned from.
        scored, days = own["champion_rows"], own["champion_days"]
    taken_back = versions.taken_back(warehouse, run.training_run_id)
    measured = evaluations.read_evidence(warehouse, run.training_run_id)
    if measured and challenger and measured["mlflow_run_id"] != challenger.mlflow_run_id:
        measured = None  # It was of a version registered before.
    age = newer = None
    if champion and champion.trained_through_at:
        age = _days(champion.trained_through_at, run.test_through_at)
        newer = _days(champion.trained_through_at, run.trained_through_at)
    slices = None
    if own:
        slices = tuple(
            SliceGain(row["slice"], row["rows"], row["gain"], row["gain_high"])
            for row in evaluations.read_slices(warehouse, run.training_run_id)
            if row["is_gated"]
        )
    return Evidence(
        challenger_version=challenger.version if challenger else None,
        untrained_reason=run.untrained_reason,
        train_rows=run.train_rows,
        scored_share=share,
        scored_rows=scored,
        test_days=days,
        reference=champion.label if champion else best.get("candidate"),
        reference_mae_min=(theirs if champion else best).get("mae_min"),
        challenger_mae_min=own.get("mae_min"),
        gain=own.get("champion_gain" if champion else "skill"),
        gain_low=own.get("champion_gain_low" if champion else "skill_low"),
        skill=own.get("skill"),
        has_champion=champion is not None,
        is_reference_current=bool(own)
        and own["champion"] == (champion.label if champion else None),
        taken_back=None if taken_back is None else champions.sentence(taken_back),
        chosen=training.chosen(warehouse, run.fingerprint),
        slices=slices,
        champion_age_days=age,
        newer_days=newer,
        probe=_probe(measured),
        logic=_logic(measured),
    )


def _days(since: datetime, until: datetime | None) -> float | None:
    return None if until is None else (until - since).total_seconds() / 86400


def _probe(row: dict[str, Any] | None) -> Probe | None:
    if row is None:
        return None
    values = {name: row[name] for name in Probe.__dataclass_fields__ if name != "error"}
    return Probe(error=row["load_error"], **values)


def _logic(row: dict[str, Any] | None) -> SanityReport | None:
    if row is None:
        return None
    values = {name: row[name] for name in SanityReport.__dataclass_fields__}
    return SanityReport(**{**values, "identifiers": tuple(row["identifiers"])})
