"""Runs by Celery: Debian's Redis, real workers, and Dagster's launcher as SkyOps sets it up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from skyops_assets import launchers
from skyops_assets.instance import lease
from skyops_assets.instance.executor import lease_of
from skyops_assets.instance.private import has_process, index_connection
from skyops_assets.instance.repair import FREE_S, STARTS_S, reap
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query
from tests.support.monitored import dagster_instance
from tests.support.runs import JOB, MARKS, launch, made, wait_for
from tests.support.servers import PASSWORD, free_port, redis

pytestmark = pytest.mark.xdist_group("celery")
Status = dg.DagsterRunStatus
Marks = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[Warehouse]:
    made = databases.new(is_migrated=False)
    with made.connect() as connection, connection.cursor() as cursor:
        cursor.execute(MARKS)
    yield made
    databases.drop(made)


@dataclass(frozen=True)
class Broker:
    url: str
    restart: Callable[[], None]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    with ExitStack() as running:

        def start() -> None:
            running.close()
            running.enter_context(redis(port, folder))

        start()
        yield Broker(f"redis://:{PASSWORD}@127.0.0.1:{port}/1", start)


@pytest.fixture(scope="module")
def shared_instance(
    database: Warehouse, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dg.DagsterInstance]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, launcher="celery", celery_broker=broker.url)
    with dagster_instance(database, home, launchers.instance_file(settings)) as made:
        yield made


@pytest.fixture
def instance(
    shared_instance: dg.DagsterInstance,
    database: Warehouse,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
) -> dg.DagsterInstance:
    """One that launches by Celery; its variables are set, for other processes."""
    home = shared_instance.root_directory
    for name, value in {
        launchers.BROKER: broker.url, "SKYOPS_HOME": home, "DAGSTER_HOME": home,
        "SKYOPS_DAGSTER_URL": database.sqlalchemy(), "MARKS": database.libpq(), "TENTHS": "0",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return shared_instance


@pytest.fixture
def marks(database: Warehouse, query: Query) -> Marks:
    """What the steps of a run have noted."""

    def of(run_id: str) -> list[str]:
        sql = "select what from marks where run_id = %s order by at"
        return [what for (what,) in query(database, sql, run_id)]

    return of


@contextmanager
def working(folder: Path, queue: str = launchers.QUEUE) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a group of processes of its own, which has begun to take runs."""
    log = folder / f"{queue}.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            launchers.worker_command([queue], 1),
            start_new_session=True,
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(lambda: b" ready." in log.read_bytes(), 60)
        yield process
        assert PASSWORD.encode() not in log.read_bytes()
    finally:
        vanish(process)


def vanish(process: subprocess.Popen[bytes]) -> None:
    """Kill all of a worker's processes at once, as the loss of its machine does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def launched(instance: dg.DagsterInstance, job: Path, **more: Any) -> str:
    run = made(instance, job, "pump", **more)
    launch(instance, run)
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> Status:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def is_free(instance: dg.DagsterInstance, run_id: str) -> bool:
    with index_connection(instance) as connection:
        name = lease_of(run_id)
        return lease.free(connection, [name])[1] == [name]


def later(before: dict[str, float], seconds: float) -> dict[str, float]:
    return {state: at - seconds for state, at in before.items()}


def test_a_run_ends_well_on_a_worker_and_in_the_queue_of_its_tag(
    instance: dg.DagsterInstance, job: Path, marks: Marks, tmp_path: Path
) -> None:
    elsewhere = launched(instance, job, tags={launchers.QUEUE_TAG: "training"})
    run_id = launched(instance, job)
    # What waits for a worker is left alone, however long.
    assert reap(instance, {f"{elsewhere} STARTING": 0, f"{run_id} STARTING": 0}) == ([], {})
    with working(tmp_path):
        wait_for(lambda: status(instance, run_id) == Status.SUCCESS, 60)
        assert is_free(instance, run_id)
        assert status(instance, elsewhere) == Status.STARTING
        assert marks(run_id) == ["begins", "ends", "goes on"]
        beats = Path(os.environ["SKYOPS_HOME"]) / "alive"
        assert [path.name for path in beats.iterdir()] == [f"worker-{socket.gethostname()}"]
    # The output of its steps is Dagster's to keep, not in the worker's log.
    (captured,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
    key = [run_id, "compute_logs", captured.get_dagster_event().logs_captured_data.file_key]
    assert b"STEP_SUCCESS" in instance.compute_log_manager.get_log_data(key).stderr
    with working(tmp_path, "training"):
        wait_for(lambda: status(instance, elsewhere) == Status.SUCCESS, 60)


def test_a_run_whose_worker_vanishes_is_ended_and_its_lease_is_free(
    instance: dg.DagsterInstance,
    job: Path,
    marks: Marks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TENTHS", "6000")
    run_id = launched(instance, job)
    with working(tmp_path) as worker:
        wait_for(lambda: marks(run_id), 60)
        assert not is_free(instance, run_id)
        vanish(worker)
        wait_for(lambda: is_free(instance, run_id), 10)
    # Celery knows no better than before.
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert instance.run_launcher.check_run_worker_health(run).status.value == "RUNNING"
    ended, seen = reap(instance, {})
    assert not ended
    ended, _ = reap(instance, later(seen, FREE_S))
    assert ended == [f"{run_id}: No process holds the lease of this run."]
    assert status(instance, run_id) == Status.FAILURE


def test_a_run_whose_worker_vanishes_before_its_first_step_is_ended_too(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Dagster has it as starting, and would wait as long as for a run that waits for a worker."""
    path = tmp_path / "slow.py"
    path.write_text(f"{JOB}\nif os.environ.get('IS_SLOW'):\n    time.sleep(600)\n")
    with pytest.MonkeyPatch.context() as patch:
        run = made(instance, path, "pump")
        patch.setenv("IS_SLOW", "1")
        launch(instance, run)
        with working(tmp_path) as worker:
            wait_for(lambda: has_process(instance, run.run_id), 60)
            vanish(worker)
    assert status(instance, run.run_id) == Status.STARTING
    ended, seen = reap(instance, {})
    assert not ended
    assert len(reap(instance, later(seen, STARTS_S))[0]) == 1
    assert status(instance, run.run_id) == Status.FAILURE


def test_terminate_ends_a_run_on_its_worker(
    instance: dg.DagsterInstance,
    job: Path,
    marks: Marks,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TENTHS", "6000")
    run_id = launched(instance, job)
    with working(tmp_path):
        wait_for(lambda: marks(run_id), 60)
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_run_canceling(run)
        assert instance.run_launcher.terminate(run_id)
        wait_for(lambda: status(instance, run_id) == Status.CANCELED, 30)
        wait_for(lambda: is_free(instance, run_id), 10)


def test_a_worker_takes_runs_again_after_a_restart_of_redis(
    instance: dg.DagsterInstance, broker: Broker, job: Path, tmp_path: Path
) -> None:
    with working(tmp_path):
        broker.restart()
        run_id = launched(instance, job)
        wait_for(lambda: status(instance, run_id) == Status.SUCCESS, 60)
