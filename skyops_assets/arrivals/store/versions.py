"""Stores model versions and who is champion: `ml.model_versions`, `audit.champion_changes`.

Postgres is the champion's truth: a change is one transaction under a lock, and adds a row that is
never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from skyops_assets.arrivals.features import RING_NM, RINGS_NM
from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all, fetch_one, field_names, insert_statement

VERSIONS = """
select
    v.version, v.is_champion,
    r.training_run_id = (
        select training_run_id from ml.training_runs where model_name = %(name)s
        order by last_trained_at desc limit 1
    ) and v.version = (
        select version from ml.model_versions as same
        where same.training_run_id = v.training_run_id order by registered_at desc limit 1
    ) as is_challenger,
    r.trained_from_at, r.trained_through_at, r.train_rows,
    e.mae_min, e.skill, e.skill_low, e.skill_high, e.scored_rows, e.reference,
    d.decision_id, d.is_promoted, d.summary, d.decided_at,
    v.promoted_at, c.actor as promoted_by, c.reason as promoted_because,
    v.registered_at, v.training_run_id, v.fingerprint, v.mlflow_run_id,
    r.recipe, r.code_version, r.dagster_run_id
from ml.model_versions as v
join ml.training_runs as r using (training_run_id)
left join ml.evaluations as e
    on e.training_run_id = v.training_run_id
    and e.candidate = v.model_name || ':' || v.version
left join ml.promotion_decisions as d
    on d.training_run_id = v.training_run_id and d.challenger_version = v.version
left join lateral (
    select actor, reason from audit.champion_changes
    where to_mlflow_run_id = v.mlflow_run_id order by change_id desc limit 1
) as c on true
where v.model_name = %(name)s
order by v.registered_at, v.version
"""
"""Of the model `name`."""


@dataclass(frozen=True)
class ModelVersion:
    """A row of ``ml.model_versions``, with the window of its training run."""

    model_name: str
    version: str
    training_run_id: str
    fingerprint: str
    mlflow_run_id: str
    is_champion: bool
    trained_through_at: datetime | None

    @property
    def label(self) -> str:
        """How evaluations and decisions call it, such as ``arrival-transit-40nm:3``."""
        return f"{self.model_name}:{self.version}"


class ChampionChanged(SkyOpsError):
    """Someone else changed the champion since it was read; nothing was written."""


@dataclass(frozen=True)
class ChampionChange:
    """A row of ``audit.champion_changes``; the MLflow runs name the models for good."""

    change_id: int
    changed_at: datetime
    model_name: str
    action: str
    is_by_hand: bool
    from_version: str | None
    to_version: str
    from_mlflow_run_id: str | None
    to_mlflow_run_id: str
    actor: str
    reason: str
    decision_id: int | None


def version_of(warehouse: Warehouse, training_run_id: str) -> ModelVersion | None:
    """The version that a training run registered last."""
    return _version(
        warehouse,
        "training_run_id = %(key)s order by v.registered_at desc limit 1",
        training_run_id,
    )


def champion(warehouse: Warehouse, model_name: str) -> ModelVersion | None:
    """The version in force."""
    return _version(warehouse, "v.model_name = %(key)s and v.is_champion", model_name)


def version(warehouse: Warehouse, model_name: str, number: str) -> ModelVersion | None:
    """A version by its number."""
    return _version(
        warehouse, "v.model_name || ':' || v.version = %(key)s", f"{model_name}:{number}"
    )


def version_of_mlflow_run(warehouse: Warehouse, mlflow_run_id: str) -> ModelVersion | None:
    """The version that an MLflow run registered."""
    return _version(warehouse, "v.mlflow_run_id = %(key)s", mlflow_run_id)


def list_versions(warehouse: Warehouse, model_name: str) -> list[dict[str, Any]]:
    """Every version, oldest first: its window, what was measured, the gatekeeper's decision on it.

    `is_challenger` marks the version of the training run that ran last. Reads Postgres only.
    """
    return fetch_all(warehouse, VERSIONS, {"name": model_name})


def champion_changes(warehouse: Warehouse, model_name: str) -> list[ChampionChange]:
    """Every change of the champion, oldest first."""
    rows = fetch_all(
        warehouse,
        f"select {field_names(ChampionChange)} from audit.champion_changes"  # noqa: S608
        " where model_name = %(name)s order by change_id",
        {"name": model_name},
    )
    return [ChampionChange(**row) for row in rows]


def taken_back(warehouse: Warehouse, training_run_id: str) -> ChampionChange | None:
    """The change by which a person took this training run's model out of force, if that stands.

    It stands until a person promotes it again.
    """
    row = fetch_one(
        warehouse,
        f"""
        select {field_names(ChampionChange)} from audit.champion_changes
        where is_by_hand and exists (
            select from ml.model_versions
            where training_run_id = %(id)s
                and mlflow_run_id in (from_mlflow_run_id, to_mlflow_run_id)
        )
        order by change_id desc limit 1
        """,  # noqa: S608
        {"id": training_run_id},
    )
    if row is None:
        return None
    change = ChampionChange(**row)
    gone = version_of_mlflow_run(warehouse, change.from_mlflow_run_id or "")
    return change if gone and gone.training_run_id == training_run_id else None


@dataclass(frozen=True)
class ModelCopy:
    """A row of ``audit.model_copies``: a version that came from another environment.

    Attributes:
        files: SHA-256 by name; of ``MLmodel``, which names its run, as it is here.
        card: its model card as it was there, as Markdown.
    """

    copied_at: datetime
    model_name: str
    version: str
    mlflow_run_id: str
    from_env: str
    from_version: str
    from_mlflow_run_id: str
    fingerprint: str
    files: dict[str, str]
    card: str
    actor: str
    reason: str


def model_copy(warehouse: Warehouse, column: str, run_id: str) -> ModelCopy | None:
    """What is noted of a copied version.

    Args:
        column: `mlflow_run_id`, or `from_mlflow_run_id` to find it by the run that it is a copy of.
    """
    row = fetch_one(
        warehouse,
        f"select {field_names(ModelCopy)} from audit.model_copies"  # noqa: S608
        f" where {column} = %(id)s order by copy_id limit 1",
        {"id": run_id},
    )
    return None if row is None else ModelCopy(**row)


@contextmanager
def champion_lock(
    warehouse: Warehouse, model_name: str, what: str = "skyops.champion"
) -> Iterator[Any]:
    """A cursor of one transaction within which no one else changes this model's champion.

    Args:
        what: what is locked; what follows the champion slowly has a lock of its own.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select pg_advisory_xact_lock(hashtext(%s), hashtext(%s))", (what, model_name)
        )
        yield cursor


def change_champion(
    warehouse: Warehouse,
    before: ModelVersion | None,
    after: ModelVersion,
    *,
    action: str,
    actor: str,
    reason: str,
) -> None:
    """Make a version champion by hand and write who did it and why: both or neither.

    Raises:
        ChampionChanged: the champion is not `before` any more.
    """
    with champion_lock(warehouse, after.model_name) as cursor:
        move_champion(cursor, before, after, action=action, actor=actor, reason=reason)


def champion_summary(warehouse: Warehouse, ring_nm: int = RING_NM) -> dict[str, Any] | None:
    """name, version, mae_min, skill and trained_through (ISO, UTC) of the champion, or None.

    Reads Postgres only. `mae_min` and `skill` are those measured before it was promoted.
    """
    row = fetch_one(
        warehouse,
        """
        select v.model_name as name, v.version, e.mae_min, e.skill, r.trained_through_at
        from ml.model_versions v
        join ml.training_runs r using (training_run_id)
        left join ml.evaluations e
            on e.training_run_id = v.training_run_id
            and e.candidate = v.model_name || ':' || v.version
        where v.is_champion and v.model_name = %(name)s
        """,
        {"name": model_name(ring_nm)},
    )
    if row is None:
        return None
    through = row.pop("trained_through_at")
    return {**row, "trained_through": through and through.isoformat()}


def model_name(ring_nm: int) -> str:
    """The registered model of a ring, such as ``arrival-transit-40nm``."""
    return f"arrival-transit-{ring_nm:d}nm"


def of_another(version: ModelVersion, env: str, here: str) -> str:
    """Why a version of another environment does not become champion here."""
    copy = command(version.model_name, "copy VERSION")
    return (
        f"{version.label} is of the environment {env!r}, and this is {here!r}: it does not become "
        f"champion here. Bring it over with `{copy}`, which registers it as a version of this "
        "environment, or train here."
    )


def command(name: str, verb: str) -> str:
    """The command on a model, with its ring where that is not the usual one."""
    rings = [ring_nm for ring_nm in RINGS_NM if ring_nm != RING_NM and model_name(ring_nm) == name]
    return " ".join(("skyops model", verb, *(f"--ring {ring_nm}" for ring_nm in rings)))


def move_champion(
    cursor: Any,
    before: ModelVersion | None,
    after: ModelVersion,
    *,
    action: str,
    actor: str,
    reason: str,
    decision_id: int | None = None,
) -> None:
    """Within `champion_lock`: move ``is_champion`` and add the row that says so.

    Raises:
        ChampionChanged: the champion is not `before` any more.
        SkyOpsError: the version is of another environment.
    """
    cursor.execute(
        "select env, audit.environment() from ml.model_versions"
        " where model_name = %s and version = %s"
        " and env is not null and env not in (select name from audit.environments)",
        (after.model_name, after.version),
    )
    if foreign := cursor.fetchone():
        raise SkyOpsError(of_another(after, *foreign))
    cursor.execute(
        "select version, mlflow_run_id from ml.model_versions"
        " where model_name = %s and is_champion",
        (after.model_name,),
    )
    found = cursor.fetchone()
    if found != (before and (before.version, before.mlflow_run_id)):
        raise ChampionChanged(
            f"The champion of {after.model_name} was changed meanwhile: it is "
            f"{f'version {found[0]}' if found else 'none'} now, not "
            f"{f'version {before.version}' if before else 'none'}. Nothing was changed here. Look "
            f"at `{command(after.model_name, 'list')}` and decide again."
        )
    row = {
        "model_name": after.model_name,
        "action": action,
        "from_version": before and before.version,
        "to_version": after.version,
        "from_mlflow_run_id": before and before.mlflow_run_id,
        "to_mlflow_run_id": after.mlflow_run_id,
        "actor": actor,
        "reason": reason,
        "decision_id": decision_id,
    }
    cursor.execute(
        "update ml.model_versions set is_champion = false"
        " where model_name = %(model_name)s and is_champion",
        row,
    )
    cursor.execute(
        "update ml.model_versions set is_champion = true, promoted_at = clock_timestamp()"
        " where model_name = %(model_name)s and version = %(to_version)s",
        row,
    )
    cursor.execute(insert_statement("audit.champion_changes", row), row)


def _version(warehouse: Warehouse, condition: str, key: str) -> ModelVersion | None:
    row = fetch_one(
        warehouse,
        "select v.model_name, v.version, v.training_run_id, v.fingerprint, v.mlflow_run_id,"  # noqa: S608
        " v.is_champion, r.trained_through_at"
        " from ml.model_versions v join ml.training_runs r using (training_run_id)"
        f" where {condition}",
        {"key": key},
    )
    return None if row is None else ModelVersion(**row)
