"""Moving an installation's files to another folder or bucket: `skyops store move`.

Belongs here: copying, comparing by hashes, MLflow's addresses, leaving the old place; and which
versions lack a file. Does not: how a file is read or written (`store`), copies for a bad day
(`backup`).

The order makes it safe to be killed at any moment and begun again: all files are copied, each is
read back and has the hash of the original, MLflow's addresses change in one transaction, and only
then the originals go.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.store.training import snapshot_name
from skyops_assets.errors import SkyOpsError, first_few
from skyops_assets.operations import keeping
from skyops_assets.settings import Settings
from skyops_assets.store import (
    DOCS,
    MLFLOW,
    REPORTS,
    TRAINING,
    File,
    Store,
    copy_file,
    open_place,
    open_store,
)
from skyops_assets.warehouse.connection import Warehouse

MARK = "moving.json"
"""Says at the new place from where files are on their way; a move that was killed finds it."""
_BUILD = f"{DOCS}/target/"
"""What dbt writes on its way to the page; it stays."""
_VERSIONS = (
    "select model_name || ':' || version, fingerprint, mlflow_run_id"
    " from ml.model_versions order by model_name, version"
)


@dataclass(frozen=True)
class Moved:
    """What a move did.

    Attributes:
        files: how many are at the new place and were at the old one, of `bytes` together.
        copied: how many of them were not there yet.
        lost: files that a version needs and no place has, a sentence each.
    """

    source: str
    goal: str
    files: int
    bytes: int
    copied: int
    is_source_kept: bool
    lost: list[str]


def move(
    warehouse: Warehouse,
    settings: Settings,
    goal: str,
    source: str | None = None,
    *,
    keep: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Moved:
    """Bring all files to another place; repeat it after a kill, and it goes on.

    MLflow's come from where MLflow has them, and go below `goal`, or where
    ``SKYOPS_MLFLOW_ARTIFACTS`` says.

    Args:
        goal: an absolute path, or ``s3://bucket/prefix``.
        source: the old place; unset that of the settings, or the home where they name `goal`.
        keep: leave the originals.
        say: told what is being done.

    Raises:
        SkyOpsError: SkyOps runs, the places are one, the new one has other files, or one of them
            cannot be read or written.
    """
    if keeper := keeping.find(settings.home):
        raise SkyOpsError(
            f"SkyOps runs in {settings.home} ({keeper.says}) and writes files: end it with "
            "`skyops down`, and repeat this."
        )
    new = open_place(goal)
    default = settings.store_root if settings.store_root != new.place else str(settings.home)
    old = open_place(source or default)
    recorded = registry.recorded_location(warehouse, settings)
    now = registry.location(settings.model_copy(update={"store": new.place}))
    try:
        mark = json.loads(new.read(MARK) or b"{}")
        is_resumed = mark.get("from") == old.place
        origin = mark["mlflow"] if is_resumed else recorded or old.address(MLFLOW)
        found = [(pair, file) for pair in _pairs(old, new, origin, now) for file in pair.files()]
        new.write(MARK, json.dumps({"from": old.place, "mlflow": origin}).encode())
        copied = _bring(new, found, is_resumed, say)
        if recorded is not None:
            say("Telling MLflow where its files are")
            registry.relocate(warehouse, settings, recorded, now)
        if not keep:
            say("Removing the originals")
            _remove(found)
        new.delete(MARK)
        missing = lost(warehouse, new, registry.open_root(now))
    except OSError as error:
        raise SkyOpsError(
            f"The move from {old.place} to {new.place} was not finished: {error}. Nothing is lost; "
            "repeat it."
        ) from None
    return Moved(
        old.place, new.place, len(found), sum(file.size for _, file in found), copied, keep, missing
    )


def lost(warehouse: Warehouse, store: Store, mlflow: Store | None) -> list[str]:
    """Files that a registered version needs and that are gone, a sentence each.

    Args:
        mlflow: MLflow's files; None where only MLflow reads them, and they are not looked for.

    Raises:
        OSError: a store does not answer.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(_VERSIONS)
        versions = cursor.fetchall()
    said = []
    snapshots = {file.name for file in store.files(TRAINING)}
    graphs = {file.name for file in mlflow.files()} if mlflow and versions else set()
    for label, fingerprint, run_id in versions:
        name = snapshot_name(fingerprint)
        if name not in snapshots:
            said.append(f"{label} lacks its training set, {store.address(name)}.")
        graph = f"{run_id}/artifacts/{registry.ONNX_FILE}"
        if mlflow and graph not in graphs:
            said.append(f"{label} lacks its graph, {mlflow.address(graph)}.")
    return said


def kept_apart(warehouse: Warehouse, settings: Settings) -> str | None:
    """What is wrong where MLflow writes elsewhere than the settings say; None if nothing is."""
    before, now = registry.recorded_location(warehouse, settings), registry.location(settings)
    if before in (None, now):
        return None
    return (
        f"MLflow keeps its files in {before}, as since its first use, and SKYOPS_STORE or "
        f"SKYOPS_MLFLOW_ARTIFACTS says {now}. Bring them there with `skyops store move "
        f"{settings.store_root}`, or set back what was changed."
    )


@dataclass(frozen=True)
class _Pair:
    """Files below the same name of two stores."""

    old: Store
    new: Store
    below: str

    def files(self) -> list[File]:
        return [
            file
            for file in self.old.files(self.below.rstrip("/"))
            if not file.name.endswith(".part") and not file.name.startswith(_BUILD)
        ]


def _pairs(old: Store, new: Store, origin: str, now: str) -> list[_Pair]:
    """What goes where: the store's folders, and MLflow's from `origin` to `now`."""
    pairs = [_Pair(old, new, f"{folder}/") for folder in (TRAINING, REPORTS, DOCS)]
    if old.place == new.place:
        pairs = []
    source, goal = registry.open_root(origin), registry.open_root(now)
    if source and goal and source.place != goal.place:
        pairs.append(_Pair(source, goal, ""))
    elif not (source and goal) and origin != now:
        raise SkyOpsError(f"MLflow's files can be moved from {origin} to {now} by hand only.")
    if not pairs:
        raise SkyOpsError(f"All files are in {new.place} already; name another place, or --from.")
    return pairs


def _bring(
    new: Store, found: list[tuple[_Pair, File]], is_resumed: bool, say: Callable[[str], None]
) -> int:
    """Have every file at the new place; how many were copied for that.

    Raises:
        SkyOpsError: there are other files of the same name, or a copy is not as its original.
    """
    lacking, others = [], []
    for number, (pair, file) in enumerate(found, 1):
        say(f"Comparing file {number:,} of {len(found):,}")
        there = pair.new.find(file.name)
        if there and _is_same(pair, file, there):
            continue
        lacking.append((pair, file))
        # What is built again at any time gives way, and what this move brought and SkyOps changed.
        if there and not is_resumed and not file.name.startswith(f"{DOCS}/"):
            others.append(pair.new.address(file.name))
    if others:
        new.delete(MARK)
        raise SkyOpsError(
            f"{new.place} has other files of the same names ({first_few(others)}): name a place of "
            "this installation's own, or remove them there."
        )
    for number, (pair, file) in enumerate(lacking, 1):
        say(f"Copying file {number:,} of {len(lacking):,}")
        copy_file(pair.old, pair.new, file)
        there = pair.new.find(file.name)
        if there is None or not _is_same(pair, file, there):
            raise SkyOpsError(
                f"{pair.new.address(file.name)} is not as {pair.old.address(file.name)}: something "
                "writes there, or the disk is bad. The originals are all there; repeat the move."
            )
    return len(lacking)


def _remove(found: list[tuple[_Pair, File]]) -> None:
    """Leave the old place: the originals, and folders that this leaves empty."""
    for pair, file in found:
        pair.old.delete(file.name)
    for top in {Path(pair.old.place, pair.below) for pair, _ in found if pair.old.is_local}:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):  # It holds something else.
                Path(folder).rmdir()


def _is_same(pair: _Pair, file: File, there: File) -> bool:
    return file.size == there.size and pair.old.sha256(file.name) == pair.new.sha256(file.name)


def lost_here(warehouse: Warehouse, settings: Settings) -> list[str]:
    """`lost` of this installation."""
    mlflow = registry.open_root(registry.root_in_use(warehouse, settings))
    return lost(warehouse, open_store(settings), mlflow)
