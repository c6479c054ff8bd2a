"""Putting Dagster's instance right: runs whose process is gone, slots that no run holds.

Belongs here: what is read from and done to the instance. Does not: when (`automation`), runs that
are long over (`retention`), who holds a lease (`executor`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from skyops_assets.instance.executor import lease_of
from skyops_assets.instance.lease import free
from skyops_assets.instance.private import has_process, index_connection, storage_url

LOCATION = "skyops"
"""The code location, as workspace.yaml names it."""
LEASE_TAG = "skyops/lease"
"""With the value "none", the tag of a run that holds no lease, and whose end is its own matter."""
STARTING, STARTED, CANCELING = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
UNFINISHED = [STARTING, STARTED, CANCELING]
FREE_S = 15.0
"""So long the lease of a run that has begun may be free: its connection was lost, and is made
again."""
STARTS_S = 50.0
"""So long it may be free before the run has begun: Python starts, and loads the graph."""


def reap(
    instance: dg.DagsterInstance, free_since: Mapping[str, float]
) -> tuple[list[str], dict[str, float]]:
    """End the runs whose lease is free, and free the slots that no run holds any more.

    A lease that is found free once may be one of a process that starts, or of one that lost its
    connection this moment. So it is ended when it was found free before, long enough ago by the
    clock of the database. A run that was being cancelled is cancelled then, every other one failed.

    Args:
        free_since: what the look before has given.

    Returns:
        For each run ended its number and why; for each state of a run whose lease is free, since
        when it was seen so (seconds since 1970).
    """
    ended = []
    runs = {run.run_id: run for run in _judged(instance)}
    looked_at, found = _free(instance, list(runs))
    since = {}
    for run in (runs[run_id] for run_id in found):
        state = f"{run.run_id} {run.status.value}"
        since[state] = free_since.get(state, looked_at)
        if looked_at - since[state] < (STARTS_S if run.status == STARTING else FREE_S):
            continue
        now = instance.get_run_by_id(run.run_id)
        # It may have come to its end between the two looks, or have begun.
        if now is None or now.status != run.status:
            continue
        why = "No process holds the lease of this run."
        message = f"{why} It did not end by itself: it was killed, or its machine went down."
        if now.status == CANCELING:
            instance.report_run_canceled(now, message)
        else:
            instance.report_run_failed(now, message)
        del since[state]
        ended.append(f"{run.run_id}: {why}")
    _free_slots(instance)
    return ended, since


def _judged(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The unfinished runs of SkyOps' graph, which all hold a lease once they have begun.

    One that another launcher than Dagster's default starts may wait long for a machine: until it
    has a process it is left to Dagster's run monitoring.
    """
    waits = instance.run_launcher.supports_check_run_worker_health
    return [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
        if run.remote_job_origin is not None
        and run.remote_job_origin.location_name == LOCATION
        and run.tags.get(LEASE_TAG) != "none"
        and not (waits and run.status == STARTING and not has_process(instance, run.run_id))
    ]


def _free(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> tuple[float, list[str]]:
    """When this looked (seconds since 1970, by the database), and the runs whose lease is free."""
    if not run_ids or storage_url(instance) is None:
        return 0.0, []
    names = {lease_of(run_id): run_id for run_id in run_ids}
    with index_connection(instance) as connection:
        looked_at, found = free(connection, list(names))
    return looked_at, [names[name] for name in found]


def _free_slots(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
