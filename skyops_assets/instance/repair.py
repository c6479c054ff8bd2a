"""Putting Dagster's instance right: runs whose process is gone.

Belongs here: what is read from and done to the instance. Does not: when (`automation`), runs that
are long over (`retention`).
"""

import json
import platform
from datetime import UTC, datetime

import dagster as dg

from skyops_assets.instance.private import GRPC_INFO_TAG
from skyops_assets.instance.processes import is_alive, is_here, listens

HOST_TAG = "skyops/host"
"""The machine of a run that no code server launched."""
UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
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
