"""Putting Dagster's instance right: runs whose process is gone, and runs that are long over.

Belongs here: what is read from and done to the instance. Does not: when (`automation`).
"""

import json
import platform
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from skyops_assets.instance.check_results import tidy
from skyops_assets.instance.private import FINISHED_STATUSES, GRPC_INFO_TAG, index_connection
from skyops_assets.instance.processes import is_alive, is_here, listens

HOST_TAG = "skyops/host"
"""The machine of a run that no code server launched."""
UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
AT_ONCE = 200
Kind = dg.DagsterEventType


def host_tag() -> dict[str, str]:
    """The tag of a run that this process works on itself."""
    return {HOST_TAG: platform.node()}


def reap(instance: dg.DagsterInstance) -> list[str]:
    """End the runs whose process is gone, and free the slots that no run holds any more.

    Only runs of this machine are judged: the launcher's other runs are Dagster's run monitoring's.
    A run that was being cancelled is cancelled then, every other one failed.

    Returns:
        For each run ended: its number and why.
    """
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        why = _why_dead(instance, run)
        now = instance.get_run_by_id(run.run_id)
        # It may have come to its end between the two looks.
        if why is None or now is None or now.is_finished:
            continue
        message = f"{why} It did not end by itself: it was killed, or its machine went down."
        if now.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, message)
        else:
            instance.report_run_failed(now, message)
        ended.append(f"{run.run_id}: {why}")
    _free_slots(instance)
    return ended


def _why_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    """Why no process can be working on a run; None if one is, or if that cannot be known here."""
    server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
    if not (is_here(server["host"]) if server else run.tags.get(HOST_TAG) == platform.node()):
        return None
    for entry in instance.all_logs(run.run_id, of_type=Kind.ENGINE_EVENT):
        pid = entry.dagster_event and entry.dagster_event.engine_event_data.metadata.get("pid")
        if pid is not None:
            at = datetime.fromtimestamp(entry.timestamp, UTC)
            if is_alive(int(str(pid.value)), at):
                return None
            return f"The process {pid.value} of this run is gone."
    # No process yet: the code server that was to start it must be there.
    if server.get("port") and not listens(server["host"], server["port"]):
        return f"The code server on port {server['port']} that was to start this run is gone."
    return None


def _free_slots(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)


@dataclass(frozen=True)
class Removed:
    """Runs removed, and kept for what they made, though without their output; results of checks."""

    removed: int
    kept: int
    check_results: int


def remove_old_runs(instance: dg.DagsterInstance, keep_days: int) -> Removed:
    """Remove the runs that ended before, with their events and output.

    A run that made what is still the latest of an asset, a partition or a check is kept: Dagster
    forgets with the run that it was ever made, and automation would make all of it again. Only its
    output goes.
    """
    before = datetime.now(UTC) - timedelta(days=keep_days)
    latest: dict[tuple[dg.AssetKey, Kind], set[str]] = {}
    removed = kept = 0
    cursor = None
    while runs := instance.get_runs(
        dg.RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before),
        cursor=cursor,
        limit=AT_ONCE,
        ascending=True,
    ):
        # Of the last one kept: a cursor needs its run.
        for run in runs:
            instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            if _made_the_latest(instance, run.run_id, latest):
                kept += 1
                cursor = run.run_id
            else:
                instance.delete_run(run.run_id)
                removed += 1
    with index_connection(instance) as connection:
        return Removed(removed, kept, tidy(connection))


def _made_the_latest(
    instance: dg.DagsterInstance, run_id: str, latest: dict[tuple[dg.AssetKey, Kind], set[str]]
) -> bool:
    """Whether one of a run's materializations, observations or check results is the latest.

    Args:
        latest: runs of the latest events by asset, filled as needed.
    """
    storage = instance.event_log_storage
    checks: set[dg.AssetCheckKey] = set()
    for kind in (Kind.ASSET_MATERIALIZATION, Kind.ASSET_OBSERVATION, Kind.ASSET_CHECK_EVALUATION):
        for record in storage.get_records_for_run(run_id, of_type=kind).records:
            event = record.event_log_entry.dagster_event
            if event is None:
                continue
            if kind == Kind.ASSET_CHECK_EVALUATION:
                checks.add(event.asset_check_evaluation_data.asset_check_key)
            elif event.asset_key:
                place = (event.asset_key, kind)
                if place not in latest:
                    latest[place] = _latest(instance, *place)
                if run_id in latest[place]:
                    return True
    found = storage.get_latest_asset_check_execution_by_key(list(checks)) if checks else {}
    return any(record.run_id == run_id for record in found.values())


def _latest(instance: dg.DagsterInstance, key: dg.AssetKey, kind: Kind) -> set[str]:
    """Runs of the latest event of an asset, and of the latest of each of its partitions."""
    storage = instance.event_log_storage
    newest = list(storage.get_event_records(dg.EventRecordsFilter(kind, asset_key=key), limit=1))
    ids = list(storage.get_latest_storage_id_by_partition(key, kind).values())
    for start in range(0, len(ids), AT_ONCE):
        some = dg.EventRecordsFilter(kind, storage_ids=ids[start : start + AT_ONCE])
        newest += storage.get_event_records(some)
    return {record.run_id for record in newest}
