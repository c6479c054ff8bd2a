"""Runs whose process is gone, by real processes that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData
from dagster._core.storage.tags import GRPC_INFO_TAG

from skyops_assets.client import reap_now
from skyops_assets.instance.processes import is_alive, is_here, listens
from skyops_assets.instance.repair import HOST_TAG, host_tag, reap

FAILED = dg.DagsterRunStatus.FAILURE
STARTED = dg.DagsterRunStatus.STARTED


# Processes


def test_a_process_is_known_by_its_number_and_when_it_noted_it() -> None:
    now = datetime.now(UTC)
    assert is_alive(os.getpid(), now)
    # Who has the number now started later than the one who noted it.
    assert not is_alive(os.getpid(), now - timedelta(days=1))
    child = subprocess.Popen(["sleep", "60"])
    assert is_alive(child.pid, datetime.now(UTC))
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not is_alive(child.pid, datetime.now(UTC))
    child.wait()
    assert not is_alive(child.pid, datetime.now(UTC))


def test_an_address_is_here_or_not() -> None:
    assert is_here("127.0.0.1") and is_here("localhost")
    assert not is_here("192.0.2.1") and not is_here("code.invalid")
    assert not listens("127.0.0.1", 1)


# The reaper, against Dagster's own launcher

JOB = """
import time
import dagster as dg

@dg.op(pool="tap")
def waits():
    time.sleep(300)

@dg.job(executor_def=dg.in_process_executor)
def pump():
    waits()
"""


def wait_for(is_so: Callable[[], Any], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_run_killed_with_its_code_server_fails_with_the_reason_and_gives_its_slot_back(
    lasting: dg.DagsterInstance, tmp_path: Path
) -> None:
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import GrpcServerTarget

    (tmp_path / "job.py").write_text(JOB)
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "dagster", "api", "grpc", "-f", str(tmp_path / "job.py"),
         "--host", "127.0.0.1", "--port", str(port), "--location-name", "here"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    slots = lasting.event_log_storage
    slots.set_concurrency_slots("tap", 1)
    worker: psutil.Process | None = None
    try:
        wait_for(lambda: listens("127.0.0.1", port))
        target = GrpcServerTarget(host="127.0.0.1", port=port, socket=None, location_name="here")
        with WorkspaceProcessContext(lasting, target) as process:
            workspace = process.create_request_context()
            (repository,) = workspace.get_code_location("here").get_repositories().values()
            job = repository.get_full_job("pump")
            run = lasting.create_run_for_job(
                _loaded(tmp_path / "job.py"),
                remote_job_origin=job.get_remote_origin(),
                job_code_origin=job.get_python_origin(),
            )
            lasting.launch_run(run.run_id, workspace)
            wait_for(lambda: slots.get_concurrency_info("tap").active_slot_count == 1)
        assert reap(lasting) == []
        (worker,) = psutil.Process(server.pid).children()[-1:]
        server.kill()
        server.wait()
        # The run goes on without its server, and so it is left alone.
        assert reap(lasting) == []
        assert lasting.get_run_by_id(run.run_id).status == STARTED
        worker.kill()
        wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        assert reap(lasting) == [f"{run.run_id}: The process {worker.pid} of this run is gone."]
    finally:
        for process_left in [worker, server]:
            if process_left is not None and psutil.pid_exists(process_left.pid):
                process_left.kill()
    assert lasting.get_run_by_id(run.run_id).status == FAILED
    (event,) = lasting.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "It did not end by itself" in event.message
    assert slots.get_concurrency_info("tap").active_slot_count == 0
    assert reap(lasting) == []


def _loaded(path: Path) -> Any:
    names: dict[str, Any] = {}
    exec(path.read_text(), names)
    return names["pump"]


# The reaper, run by run


@dg.job
def idle() -> None: ...


def run_of(
    lasting: dg.DagsterInstance,
    status: dg.DagsterRunStatus = STARTED,
    tags: dict[str, str] | None = None,
    pid: int | None = None,
) -> str:
    run = lasting.create_run_for_job(idle, status=status, tags=host_tag() if tags is None else tags)
    if pid is not None:
        lasting.report_engine_event("Started", run, EngineEventData.in_process(pid))
    return run.run_id


@pytest.fixture
def dead() -> int:
    """The number of a process that is gone."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def statuses(lasting: dg.DagsterInstance) -> dict[str, dg.DagsterRunStatus]:
    return {run.run_id: run.status for run in lasting.get_runs()}


def test_a_run_that_lives_and_a_run_of_another_machine_are_left_alone(
    lasting: dg.DagsterInstance, dead: int
) -> None:
    server = f'{{"host": "192.0.2.1", "port": {free_port()}}}'
    run_of(lasting, pid=os.getpid())
    run_of(lasting, pid=dead, tags={HOST_TAG: "elsewhere"})
    run_of(lasting, pid=dead, tags={})
    run_of(lasting, pid=dead, tags={GRPC_INFO_TAG: server})
    run_of(lasting, tags={GRPC_INFO_TAG: server})
    run_of(lasting, status=dg.DagsterRunStatus.NOT_STARTED, pid=dead)
    assert reap(lasting) == []
    assert set(statuses(lasting).values()) == {STARTED, dg.DagsterRunStatus.NOT_STARTED}


def test_a_run_that_was_being_cancelled_is_cancelled(
    lasting: dg.DagsterInstance, dead: int
) -> None:
    run_id = run_of(lasting, status=dg.DagsterRunStatus.CANCELING, pid=dead)
    assert len(reap(lasting)) == 1
    assert statuses(lasting) == {run_id: dg.DagsterRunStatus.CANCELED}


def test_a_run_whose_code_server_died_before_it_began_fails(lasting: dg.DagsterInstance) -> None:
    starting = dg.DagsterRunStatus.STARTING
    tags = {GRPC_INFO_TAG: f'{{"host": "127.0.0.1", "port": {free_port()}}}'}
    run_id = run_of(lasting, status=starting, tags=tags)
    (ended,) = reap(lasting)
    assert "that was to start this run is gone" in ended
    assert statuses(lasting) == {run_id: FAILED}


def test_a_slot_of_a_run_that_is_over_or_removed_is_freed(lasting: dg.DagsterInstance) -> None:
    slots = lasting.event_log_storage
    slots.set_concurrency_slots("tap", 3)
    over = run_of(lasting, status=dg.DagsterRunStatus.SUCCESS)
    living = run_of(lasting, pid=os.getpid())
    for run_id in (over, living, "removed"):
        slots.claim_concurrency_slot("tap", run_id, "step")
    assert slots.get_concurrency_info("tap").active_slot_count == 3
    reap(lasting)
    assert slots.get_concurrency_run_ids() == {living}


def test_the_sensor_says_what_it_ended(graph: Any, lasting: dg.DagsterInstance, dead: int) -> None:
    repository = graph.defs.get_repository_def()

    def said() -> str:
        context = dg.build_sensor_context(instance=lasting, repository_def=repository)
        found = repository.get_sensor_def("reap_dead_runs").evaluate_tick(context)
        return str(found.skip_message)

    assert said() == "Every unfinished run has a live process."
    run_id = run_of(lasting, pid=dead)
    assert said() == f"{run_id}: The process {dead} of this run is gone."


def test_what_died_with_the_machine_is_ended_when_skyops_starts_again(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`skyops up` does so before it starts anything."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        run_id = run_of(instance, pid=dead)
    (ended,) = reap_now()
    assert ended.startswith(run_id)
    assert reap_now() == []
