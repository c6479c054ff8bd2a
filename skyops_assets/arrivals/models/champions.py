"""The champion by hand: promote a version, or go back to the champion before.

Belongs here: what a person may do to the champion, who did it, and what "before" means. Does not:
the gatekeeper's own promotions (`steps`), rows (`store`), MLflow's calls (`registry`).

The order of writes: the flag in ``ml.model_versions`` and the row of ``audit.champion_changes``
in one transaction, MLflow's alias, the cards and the model store after it. Killed between, SkyOps
predicts with the new champion, the audit names it, and the next act or step puts the rest right.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import named
from skyops_assets.arrivals.models import card, export, graphs, registry
from skyops_assets.arrivals.store import training, versions
from skyops_assets.arrivals.store.versions import ChampionChange, ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class ChampionSwitch:
    """What became champion in whose place, who said so and why; `action` is promote or rollback.

    `warnings` say what does not follow yet: a version's card, or the model store.
    """

    ring_nm: int

    model_name: str
    before: str | None
    after: str
    actor: str
    action: str
    reason: str
    warnings: tuple[str, ...] = ()


def promote(
    warehouse: Warehouse, settings: Settings, number: str, reason: str, *, ring_nm: int
) -> ChampionSwitch:
    """Make a version champion, whatever the gatekeeper said of it.

    Raises:
        SkyOpsError: there is no such version, it is champion already or cannot be loaded, or the
            reason is empty.
    """
    name = versions.model_name(ring_nm)
    _check_reason(reason)
    after = find(warehouse, name, number)
    client = registry.configure(warehouse, settings)
    sync_alias(warehouse, client, name)
    before = versions.champion(warehouse, name)
    if before and before.mlflow_run_id == after.mlflow_run_id:
        raise SkyOpsError(
            f"Version {after.version} of {name} is already champion; nothing was changed."
        )
    return _move(
        warehouse, settings, client, before, after, ring_nm=ring_nm, action="promote", reason=reason
    )


def rollback(
    warehouse: Warehouse,
    settings: Settings,
    reason: str,
    *,
    ring_nm: int,
    only_from: str | None = None,
) -> ChampionSwitch:
    """Make the champion before the one in force champion again.

    Args:
        only_from: go back only from this version, so that repeating goes no step further.

    Raises:
        SkyOpsError: there is no champion or none before it, that one cannot be loaded, the
            champion is not `only_from`, or the reason is empty.
    """
    name = versions.model_name(ring_nm)
    _check_reason(reason)
    client = registry.configure(warehouse, settings)
    sync_alias(warehouse, client, name)
    before = versions.champion(warehouse, name)
    if before is None:
        raise SkyOpsError(
            f"{name} has no champion to roll back from; the best baseline predicts. "
            f"`{versions.command(name, 'promote VERSION')}` makes one."
        )
    if only_from is not None and before.version != _number(name, only_from):
        raise SkyOpsError(
            f"The champion of {name} is version {before.version}, not {_number(name, only_from)}; "
            f"nothing was changed. See `{versions.command(name, 'list')}`."
        )
    earlier = champion_before(versions.champion_changes(warehouse, name), before.mlflow_run_id)
    if earlier is None:
        raise SkyOpsError(
            f"Version {before.version} of {name} has no earlier champion to roll back to. "
            f"Promote another version by hand: `{versions.command(name, 'list')}` shows them."
        )
    run_id, number = earlier
    after = versions.version_of_mlflow_run(warehouse, run_id)
    if after is None:
        raise SkyOpsError(
            f"The previous champion was version {number} of {name} (MLflow run {run_id}), but "
            "ml.model_versions no longer has it. Promote another version by hand: "
            f"`{versions.command(name, 'list')}` shows them."
        )
    return _move(
        warehouse,
        settings,
        client,
        before,
        after,
        ring_nm=ring_nm,
        action="rollback",
        reason=reason,
    )


def find(warehouse: Warehouse, name: str, number: str) -> ModelVersion:
    """The version that a person means by ``3`` or ``arrival-transit-40nm:3``.

    Raises:
        SkyOpsError: there is no such version.
    """
    found = versions.version(warehouse, name, _number(name, number))
    if found:
        return found
    known = [row["version"] for row in versions.list_versions(warehouse, name)]
    there = f"there are {', '.join(known)}" if known else "no version was trained yet"
    raise SkyOpsError(
        f"{name} has no version {number!r}; {there} (`{versions.command(name, 'list')}`)."
    )


def chosen(warehouse: Warehouse, number: str | None, *, ring_nm: int) -> ModelVersion:
    """The version asked for; without a number the champion, else the one trained last.

    Raises:
        SkyOpsError: there is no such version, or none at all.
    """
    name = versions.model_name(ring_nm)
    if number is not None:
        return find(warehouse, name, number)
    run = training.latest_training_run(warehouse, name)
    found = versions.champion(warehouse, name)
    if found is None and run is not None:
        found = versions.version_of(warehouse, run.training_run_id)
    if found is None:
        raise SkyOpsError(
            f"{name} has no version yet; materialise ml/{named('training_runs', ring_nm)} to train "
            "one."
        )
    return found


def champion_before(
    changes: Sequence[ChampionChange], champion_run_id: str
) -> tuple[str, str] | None:
    """MLflow run and version of the champion that a rollback goes back to.

    Promotions are steps forward and a rollback takes the last one back, so that a second rollback
    goes further back and not forth again.

    Args:
        changes: every change, oldest first.
        champion_run_id: the MLflow run of the version in force.
    """
    stack: list[tuple[str, str]] = []
    for change in changes:
        origin = (change.from_mlflow_run_id, change.from_version)
        if origin[0] and origin[1] and (not stack or stack[-1][0] != origin[0]):
            # In force before changes were written down.
            stack.append((origin[0], origin[1]))
        after = (change.to_mlflow_run_id, change.to_version)
        if change.action == "rollback" and after in stack:
            del stack[stack.index(after) + 1 :]
        else:
            stack.append(after)
    if stack and stack[-1][0] == champion_run_id:
        stack.pop()
    return stack[-1] if stack else None


def sentence(change: ChampionChange) -> str:
    """Who made a change, when and why."""
    when = change.changed_at.astimezone(UTC)
    return f"{change.actor}, {when:%Y-%m-%d %H:%M} UTC: {' '.join(change.reason.split())}"


def actor(settings: Settings) -> str:
    """Who acts: the setting, or the user that the operating system knows."""
    if settings.actor:
        return settings.actor
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def sync_alias(warehouse: Warehouse, client: MlflowClient, name: str) -> bool:
    """Put MLflow's alias where the warehouse says; True where it moved.

    Under the lock: else one who read the old champion could set it after the new one was set.
    """
    with versions.champion_lock(warehouse, name):
        champion = versions.champion(warehouse, name)
        return registry.follow_champion(client, name, champion.version if champion else None)


def _move(
    warehouse: Warehouse,
    settings: Settings,
    client: MlflowClient,
    before: ModelVersion | None,
    after: ModelVersion,
    *,
    ring_nm: int,
    action: str,
    reason: str,
) -> ChampionSwitch:
    registry.require_own(client, warehouse, settings, after)
    registry.load(client, after.model_name, after.version, after.mlflow_run_id)
    graphs.fill_in(warehouse, settings)
    who = actor(settings)
    versions.change_champion(
        warehouse, before, after, action=action, actor=who, reason=reason.strip()
    )
    sync_alias(warehouse, client, after.model_name)
    warnings = []
    for version in filter(None, (after, before)):
        try:
            card.publish(warehouse, client, version)
        except SkyOpsError as error:
            warnings.append(str(error))  # That it is broken may be why it is rolled back.
    if problem := export.export_champion(warehouse, settings, after.model_name):
        warnings.append(problem)
    return ChampionSwitch(
        ring_nm,
        after.model_name,
        before.version if before else None,
        after.version,
        who,
        action,
        reason.strip(),
        tuple(warnings),
    )


def _number(name: str, number: str) -> str:
    return number.strip().removeprefix(f"{name}:")


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise SkyOpsError("The reason is empty; say in --reason why the champion changes.")
