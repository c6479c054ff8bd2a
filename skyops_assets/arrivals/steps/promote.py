"""Lets the gatekeeper decide, and promotes: `ml.promotion_decisions`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from skyops_assets.arrivals.features import RING_NM
from skyops_assets.arrivals.gate import report
from skyops_assets.arrivals.gate.policy import Decision, GatePolicy, Reason
from skyops_assets.arrivals.models import card, champions, export, registry
from skyops_assets.arrivals.steps import judge
from skyops_assets.arrivals.store import (
    decisions,
    versions,
)
from skyops_assets.audit import log
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse


@dataclass(frozen=True)
class PromotionSummary:
    """What `decide_promotion` decided, and why; `store_problem` as of `export.export_champion`."""

    training_run_id: str
    challenger_version: str | None
    champion_version: str | None
    is_promoted: bool
    sentence: str
    reasons: tuple[Reason, ...]
    markdown: str
    model_card: str | None
    store_problem: str | None


def judge_challenger(warehouse: Warehouse, *, ring_nm: int = RING_NM) -> Decision:
    """What the gatekeeper says of the latest training run; nothing is written.

    Raises:
        SkyOpsError: nothing was trained.
    """
    return judge.judge(warehouse, ring_nm).decision


def decide_promotion(
    warehouse: Warehouse,
    settings: Settings,
    *,
    ring_nm: int = RING_NM,
    policy: GatePolicy | None = None,
    dagster_run_id: str | None = None,
) -> PromotionSummary:
    """Let the gatekeeper judge the latest training run, record it, and move the champion.

    A challenger that is champion already keeps its decision. One that a person took out of force
    is not promoted again.

    Raises:
        SkyOpsError: nothing was trained.
    """
    try:
        return _decide(warehouse, settings, ring_nm, policy, dagster_run_id)
    except versions.ChampionChanged:
        # A person was quicker; what was measured against the one before no longer counts.
        return _decide(warehouse, settings, ring_nm, policy, dagster_run_id)


def _decide(
    warehouse: Warehouse,
    settings: Settings,
    ring_nm: int,
    policy: GatePolicy | None,
    dagster_run_id: str | None,
) -> PromotionSummary:
    judged = judge.judge(warehouse, ring_nm, policy)
    run, challenger, champion = judged.run, judged.challenger, judged.champion
    decision, in_force = judged.decision, judged.in_force
    client = registry.configure(warehouse, settings) if challenger or champion else None
    if challenger and client and decision.is_promoted and not in_force:
        registry.require_own(client, warehouse, settings, challenger)
    if not judged.is_earlier:
        decisions.save_decision(
            warehouse, run, challenger, champion, decision=decision, dagster_run_id=dagster_run_id
        )
    log.record_outcome(
        warehouse,
        run.model_name,
        training_run_id=run.training_run_id,
        is_promoted=decision.is_promoted,
        improvement=judged.gain,
    )
    text = problem = None
    if client:
        champions.sync_alias(warehouse, client, run.model_name)
        if challenger:
            text = card.publish(warehouse, client, challenger)
        if champion and decision.is_promoted and not in_force:
            # Its files may be gone; that is no reason to fail, and `skyops model show` needs none.
            with suppress(SkyOpsError):
                card.publish(warehouse, client, champion)
        problem = export.export_champion(warehouse, settings, run.model_name)
    return PromotionSummary(
        training_run_id=run.training_run_id,
        challenger_version=challenger.version if challenger else None,
        champion_version=judged.before,
        is_promoted=decision.is_promoted,
        sentence=decision.sentence,
        reasons=decision.reasons,
        markdown=report.decision_markdown(decision),
        model_card=text,
        store_problem=problem,
    )
