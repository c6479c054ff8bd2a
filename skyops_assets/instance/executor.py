"""Runs the steps of a run in one process, which holds the run's lease meanwhile.

Belongs here: the lease of a run, the wait of a retry for what it repeats, and the end of a run that
is no longer to go on. Does not: ending a run whose lease is free (`repair`), the lock itself
(`lease`).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import dagster as dg

from skyops_assets.errors import SkyOpsError
from skyops_assets.instance.lease import Lease, LeaseTaken
from skyops_assets.instance.private import raise_execution_interrupts, storage_url

FENCE_S = 3600.0
"""So long a retry waits for the run that it repeats: its step that it is in has to end."""
PAUSE_S = 1.0
LOOKED_S = 10.0
"""So long a run goes on, step by step, without asking whether it is over for Dagster: most of the
eighty steps of the main job take less than a second."""


def lease_of(run_id: str) -> str:
    """The name of the lock that a run's process holds."""
    return f"skyops.run {run_id}"


@contextmanager
def leased(instance: dg.DagsterInstance, run_id: str) -> Iterator[Lease | None]:
    """Within it, this process holds the lease of a run. An instance without Postgres has none.

    Where another process has taken it after a lost connection, this one is interrupted as by
    `Terminate`.

    Raises:
        SkyOpsError: another process works on the run, or a retry of it has begun.
    """
    url = storage_url(instance)
    if url is None:
        yield None
        return

    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        instance.report_engine_event(
            "The connection that held this run's lease was lost, and another process has taken the "
            "lease since: this one ends itself, so that there is one alone.",
            instance.get_run_by_id(run_id),
        )

    lease = Lease(url, f"run {run_id[:8]}", end)
    try:
        name = lease_of(run_id)
        if not lease.take(name):
            by = ", ".join(map(str, lease.holders(name)))
            raise SkyOpsError(
                f"The lease of run {run_id} is held by another process: {by}. That one works on "
                "this run, or on a retry of it, and this one must not."
            )
        yield lease
    finally:
        lease.release()


def _ancestors(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    """The runs that a run repeats: its parent, that one's, and so on."""
    above: dg.DagsterRun | None = run
    while above is not None and above.parent_run_id is not None:
        yield above.parent_run_id
        above = instance.get_run_by_id(above.parent_run_id)


def _fence(instance: dg.DagsterInstance, run: dg.DagsterRun, lease: Lease) -> None:
    """Take the leases of what a run repeats as well, once their processes are gone.

    They are kept: one that lost its own takes it again unless a retry has begun.

    Raises:
        SkyOpsError: one is still there after `FENCE_S`.
    """
    deadline = time.monotonic() + FENCE_S
    for above in _ancestors(instance, run):
        name, is_told = lease_of(above), False
        while not lease.take(name):
            by = ", ".join(map(str, lease.holders(name)))
            if by and not is_told:
                instance.report_engine_event(
                    f"Waiting for run {above}, which this one repeats: its process still lives "
                    f"({by}), and two at once would write the same.",
                    run,
                )
                is_told = True
            if time.monotonic() > deadline:
                raise SkyOpsError(
                    f"Run {above}, which this one repeats, still has its process after "
                    f"{FENCE_S:.0f} s ({by}). Wait for its end, or end it, and then re-execute."
                )
            with raise_execution_interrupts():
                time.sleep(PAUSE_S)
            lease.require()


class _Leased(dg.Executor):
    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        instance, run = plan_context.instance, plan_context.dagster_run
        with leased(instance, run.run_id) as lease:
            if lease is not None:
                _fence(instance, run, lease)
            with closing(self._inner.execute(plan_context, execution_plan)) as events:  # type: ignore[type-var]
                looked_at = time.monotonic()
                for event in events:
                    if lease is not None and event.event_type == dg.DagsterEventType.STEP_START:
                        _require(lease)
                        if time.monotonic() - looked_at > LOOKED_S:
                            _require_unfinished(instance, run)
                            looked_at = time.monotonic()
                    yield event


def _require(lease: Lease) -> None:
    """Let a step begin, unless another process has the lease since its connection was lost.

    Raises:
        DagsterExecutionInterruptedError: it has: what follows belongs to the retry.
    """
    try:
        lease.require()
    except LeaseTaken:
        raise dg.DagsterExecutionInterruptedError from None


def _require_unfinished(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Let a step begin, unless Dagster took the run for dead meanwhile.

    Raises:
        DagsterExecutionInterruptedError: it did: what follows belongs to the retry.
    """
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:
        instance.report_engine_event(
            "This run is over for Dagster, while its process lived on: it ends before its next "
            "step, and a retry need not wait any longer.",
            run,
        )
        raise dg.DagsterExecutionInterruptedError


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema)  # type: ignore[call-overload]
def leased_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """Dagster's in-process executor, whose process holds the lease of its run."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return _Leased(create(context))
