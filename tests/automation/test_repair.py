"""Leases of runs and of the daemon, and runs whose process is gone: real processes and Postgres."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from skyops_assets import client
from skyops_assets.cli.services import _require_no_daemon
from skyops_assets.errors import SkyOpsError
from skyops_assets.instance import executor, lease
from skyops_assets.instance.executor import lease_of, leased, leased_executor
from skyops_assets.instance.lease import Lease, LeaseTaken
from skyops_assets.instance.private import index_connection
from skyops_assets.instance.repair import FREE_S, LEASE_TAG, STARTS_S, reap
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.children import child
from tests.support.databases import Databases, Query
from tests.support.monitored import dagster_instance
from tests.support.runs import MARKS, kill, made, origin, process_of, wait_for

Status = dg.DagsterRunStatus


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[Warehouse]:
    made = databases.new(is_migrated=False)
    yield made
    databases.drop(made)


@pytest.fixture(scope="module")
def shared_instance(
    database: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(database, tmp_path_factory.mktemp("home")) as instance:
        yield instance


@pytest.fixture
def instance(
    shared_instance: dg.DagsterInstance, database: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """One with its storage in Postgres, and no runs; its variables are set, for other processes."""
    monkeypatch.setenv("SKYOPS_DAGSTER_URL", database.sqlalchemy())
    monkeypatch.setenv("DAGSTER_HOME", shared_instance.root_directory)
    yield shared_instance
    for run in shared_instance.get_runs():
        shared_instance.delete_run(run.run_id)


def is_free(instance: dg.DagsterInstance, name: str) -> bool:
    with index_connection(instance) as connection:
        return lease.free(connection, [name])[1] == [name]


# Leases


@pytest.fixture
def new_lease(database: Warehouse) -> Iterator[Callable[..., Lease]]:
    opened: list[Lease] = []

    def new(on_taken: Callable[[], None] = lambda: None) -> Lease:
        opened.append(Lease(database.sqlalchemy(), "test", on_taken))
        return opened[-1]

    yield new
    for one in opened:
        one.release()


def test_one_at_a_time_holds_a_lease(
    instance: dg.DagsterInstance, new_lease: Callable[..., Lease]
) -> None:
    one, other = new_lease(), new_lease()
    assert is_free(instance, "skyops.test")
    assert one.take("skyops.test")
    assert not other.take("skyops.test")
    assert other.take("skyops.other")
    (holder,) = other.holders("skyops.test")
    assert holder.name.startswith("skyops test on ")
    assert not is_free(instance, "skyops.test")


def test_a_lease_keeps_no_old_rows(
    database: Warehouse, new_lease: Callable[..., Lease], query: Query
) -> None:
    new_lease().take("skyops.test")
    assert query(
        database,
        "select backend_xmin, backend_xid, state from pg_stat_activity "
        "where application_name like 'skyops test on%%'",
    ) == [(None, None, "idle in transaction")]


def test_a_lease_is_free_once_its_process_is_killed(
    instance: dg.DagsterInstance, database: Warehouse, home: Path
) -> None:
    code = f"""
        from skyops_assets.instance.lease import Lease
        lease = Lease({database.sqlalchemy()!r}, "test", lambda: None)
        assert lease.take("skyops.test")
        print("taken", flush=True)
        # Minutes within the interpreter, as of a library that does not let others in.
        sum(range(10**12))
    """
    process = child(code, home)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        assert not is_free(instance, "skyops.test")
        process.kill()
        wait_for(lambda: is_free(instance, "skyops.test"), 10)
    finally:
        process.kill()
        process.communicate()


def end_session(holder: Lease, by: Lease, name: str) -> None:
    """As a server or a pooler that is started again does."""
    (found,) = by.holders(name)
    with by._connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s)", (found.pid,))


def test_a_lease_whose_connection_was_lost_is_taken_again(
    new_lease: Callable[..., Lease],
) -> None:
    taken = threading.Event()
    one, other = new_lease(taken.set), new_lease()
    assert one.take("skyops.one") and one.take("skyops.two")
    (before,) = other.holders("skyops.two")
    end_session(one, other, "skyops.one")
    time.sleep(0.1)
    one.require()
    for name in ("skyops.one", "skyops.two"):
        (now,) = other.holders(name)
        assert now.pid != before.pid
        assert now.name == before.name
    assert not taken.is_set()
    assert not other.take("skyops.one")


def test_who_lost_a_lease_to_another_is_told(new_lease: Callable[..., Lease]) -> None:
    taken = threading.Event()
    one, other = new_lease(taken.set), new_lease()
    one.take("skyops.test")
    end_session(one, other, "skyops.test")
    wait_for(lambda: other.take("skyops.test"), 5)
    assert taken.wait(10)
    with pytest.raises(LeaseTaken):
        one.require()


# The reaper


@dg.job
def idle() -> None: ...


def run_of(
    instance: dg.DagsterInstance,
    status: Status = Status.STARTED,
    tags: dict[str, str] | None = None,
    location: str = "skyops",
) -> str:
    return instance.create_run_for_job(
        idle, status=status, tags=tags, remote_job_origin=origin("idle", location)
    ).run_id


def look(
    instance: dg.DagsterInstance, before: dict[str, float], later_s: float
) -> tuple[list[str], dict[str, float]]:
    """As so many seconds after a look."""
    return reap(instance, {state: at - later_s for state, at in before.items()})


def statuses(instance: dg.DagsterInstance) -> dict[str, Status]:
    return {run.run_id: run.status for run in instance.get_runs()}


def test_a_run_without_its_lease_is_ended_when_it_is_seen_so_again(
    instance: dg.DagsterInstance,
) -> None:
    run_id = run_of(instance)
    ended, seen = reap(instance, {})
    assert not ended
    assert list(seen) == [f"{run_id} STARTED"]
    ended, seen = look(instance, seen, FREE_S - 5)
    assert not ended
    assert look(instance, seen, 6) == ([f"{run_id}: No process holds the lease of this run."], {})
    assert statuses(instance) == {run_id: Status.FAILURE}
    (event,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "It did not end by itself" in str(event.message)
    assert reap(instance, {}) == ([], {})


def test_a_run_that_holds_its_lease_is_left_alone(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance)
    _, seen = reap(instance, {})
    with leased(instance, run_id):
        assert look(instance, seen, 3600) == ([], {})
    # It begins to count anew.
    ended, seen = reap(instance, {})
    assert not ended
    assert len(look(instance, seen, FREE_S)[0]) == 1


def test_a_run_that_starts_has_longer_and_then_from_its_beginning(
    instance: dg.DagsterInstance,
) -> None:
    run_id = run_of(instance, Status.STARTING)
    _, seen = reap(instance, {})
    ended, seen = look(instance, seen, STARTS_S - 5)
    assert not ended
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name), run_id
    )
    assert statuses(instance) == {run_id: Status.STARTED}
    ended, seen = look(instance, seen, 3600)
    assert not ended
    assert list(seen) == [f"{run_id} STARTED"]


def test_a_run_that_never_started_is_ended(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance, Status.STARTING)
    _, seen = reap(instance, {})
    assert len(look(instance, seen, STARTS_S)[0]) == 1
    assert statuses(instance) == {run_id: Status.FAILURE}


def test_a_run_that_was_being_cancelled_is_cancelled(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance, Status.CANCELING)
    _, seen = reap(instance, {})
    assert len(look(instance, seen, FREE_S)[0]) == 1
    assert statuses(instance) == {run_id: Status.CANCELED}


def test_runs_that_wait_that_need_no_lease_or_are_not_ours_are_not_judged(
    instance: dg.DagsterInstance,
) -> None:
    for status in (Status.NOT_STARTED, Status.QUEUED):
        run_of(instance, status)
    run_of(instance, tags={LEASE_TAG: "none"})
    run_of(instance, location="elsewhere")
    instance.create_run_for_job(idle, status=Status.STARTED)
    before = statuses(instance)
    assert reap(instance, {}) == ([], {})
    assert statuses(instance) == before


def test_without_postgres_no_run_is_judged(lasting: dg.DagsterInstance) -> None:
    run_of(lasting)
    assert reap(lasting, {}) == ([], {})
    with leased(lasting, "any") as held:
        assert held is None


def test_a_slot_of_a_run_that_is_over_or_removed_is_freed(instance: dg.DagsterInstance) -> None:
    slots = instance.event_log_storage
    slots.set_concurrency_slots("tap", 3)
    over = run_of(instance, Status.SUCCESS)
    living = run_of(instance)
    for run_id in (over, living, "removed"):
        slots.claim_concurrency_slot("tap", run_id, "step")
    assert slots.get_concurrency_info("tap").active_slot_count == 3
    reap(instance, {})
    assert slots.get_concurrency_run_ids() == {living}
    slots.free_concurrency_slots_for_run(living)
    slots.delete_concurrency_limit("tap")


def test_the_sensor_remembers_and_says_what_it_ended(
    graph: Any, instance: dg.DagsterInstance
) -> None:
    repository = graph.defs.get_repository_def()

    def tick(cursor: str | None) -> tuple[str, str]:
        context = dg.build_sensor_context(
            instance=instance, repository_def=repository, cursor=cursor
        )
        found = repository.get_sensor_def("reap_dead_runs").evaluate_tick(context)
        return str(found.skip_message), str(found.cursor)

    assert tick(None) == ("Every unfinished run has a live process.", "{}")
    run_id = run_of(instance)
    said, cursor = tick("{}")
    assert said == "Every unfinished run has a live process."
    (at,) = json.loads(cursor).values()
    assert tick(json.dumps({f"{run_id} STARTED": at - FREE_S})) == (
        f"{run_id}: No process holds the lease of this run.", "{}"
    )  # fmt: skip


# Runs


def test_every_run_of_the_graph_holds_a_lease(graph: Any) -> None:
    """Whatever starts it: all jobs, and what is asked for asset by asset."""
    repository = graph.defs.get_repository_def()
    for job in repository.get_all_jobs():
        assert job.executor_def is leased_executor, job.name


def test_a_run_of_the_command_line_holds_one_too(instance: dg.DagsterInstance) -> None:
    @dg.op
    def look_at_it(context) -> None:  # type: ignore[no-untyped-def]
        assert not is_free(instance, lease_of(context.run_id))

    @dg.job
    def looking() -> None:
        look_at_it()

    run = client._execute(instance, looking, lambda *_: None)
    assert run.is_success, run.failures
    assert is_free(instance, lease_of(run.run_id))


def test_a_second_process_of_a_run_is_refused(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance)
    again = leased(instance, run_id)
    refused = pytest.raises(SkyOpsError, match="held by another process: 'skyops run ")
    with leased(instance, run_id), refused, again:
        pass
    assert is_free(instance, lease_of(run_id))


@pytest.fixture
def marks(database: Warehouse, query: Query) -> Iterator[Callable[[str], list[str]]]:
    """What a run has noted."""
    query(database, MARKS)
    yield lambda run_id: [
        what
        for (what,) in query(
            database, f"select what from marks where run_id = '{run_id}' order by at"
        )
    ]
    query(database, "drop table marks")


def test_a_killed_run_is_ended_and_gives_its_slot_back(
    instance: dg.DagsterInstance,
    database: Warehouse,
    job: Path,
    marks: Callable[[str], list[str]],
) -> None:
    slots = instance.event_log_storage
    slots.set_concurrency_slots("tap", 1)
    run = made(instance, job, "pump")
    process = process_of(instance, run, MARKS=database.libpq(), TENTHS="30000")
    try:
        wait_for(lambda: marks(run.run_id))
        assert slots.get_concurrency_info("tap").active_slot_count == 1
        assert reap(instance, {}) == ([], {})
        process.send_signal(signal.SIGSTOP)
        assert reap(instance, {}) == ([], {})
        process.kill()
        wait_for(lambda: is_free(instance, lease_of(run.run_id)), 10)
        _, seen = reap(instance, {})
        assert len(look(instance, seen, FREE_S)[0]) == 1
    finally:
        kill(process)
    assert statuses(instance) == {run.run_id: Status.FAILURE}
    assert slots.get_concurrency_info("tap").active_slot_count == 0
    slots.delete_concurrency_limit("tap")


def test_a_retry_waits_for_a_living_run_that_dagster_took_for_dead(
    instance: dg.DagsterInstance,
    database: Warehouse,
    job: Path,
    marks: Callable[[str], list[str]],
    query: Query,
) -> None:
    def retry(of: str, root: str) -> dg.DagsterRun:
        return made(instance, job, "pump", parent_run_id=of, root_run_id=root)

    run = made(instance, job, "pump")
    processes = [process_of(instance, run, MARKS=database.libpq(), TENTHS="30000")]
    try:
        wait_for(lambda: marks(run.run_id))
        instance.report_run_failed(run, "The launcher's API refused connections.")
        # The first retry is killed while it waits, and the second still waits for the first run.
        again = retry(run.run_id, run.run_id)
        processes.append(process_of(instance, again, MARKS=database.libpq(), TENTHS="5"))
        wait_for(lambda: f"Waiting for run {run.run_id}" in said(instance, again))
        kill(processes[1])
        instance.report_run_failed(again, "Its process is gone.")
        third = retry(again.run_id, run.run_id)
        processes.append(process_of(instance, third, MARKS=database.libpq(), TENTHS="5"))
        wait_for(lambda: f"Waiting for run {run.run_id}" in said(instance, third))
        # It waits with its own lease held.
        assert reap(instance, {}) == ([], {})
        assert marks(third.run_id) == []
        kill(processes[0])
        assert processes[2].wait(200) == 0
        assert statuses(instance)[third.run_id] == Status.SUCCESS
    finally:
        kill(*processes)
    assert marks(run.run_id) == ["begins"]
    assert marks(third.run_id) == ["begins", "ends", "goes on"]


def said(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    return "\n".join(
        str(entry.message)
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    )


def test_a_run_that_is_over_for_dagster_ends_before_its_next_step(
    instance: dg.DagsterInstance,
    database: Warehouse,
    job: Path,
    marks: Callable[[str], list[str]],
) -> None:
    run = made(instance, job, "pump")
    process = process_of(instance, run, MARKS=database.libpq(), TENTHS="110")
    try:
        wait_for(lambda: marks(run.run_id))
        instance.report_run_failed(run, "The launcher's API refused connections.")
        assert process.wait(200) == 0
    finally:
        kill(process)
    assert marks(run.run_id) == ["begins", "ends"]
    assert "over for Dagster, while its process lived on" in said(instance, run)
    # One failure, and so no further retry.
    assert statuses(instance) == {run.run_id: Status.FAILURE}
    assert len(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)) == 1


def test_a_run_whose_lease_a_retry_has_ends_within_its_step(
    instance: dg.DagsterInstance,
    database: Warehouse,
    job: Path,
    marks: Callable[[str], list[str]],
    new_lease: Callable[..., Lease],
) -> None:
    run = made(instance, job, "pump")
    process = process_of(instance, run, MARKS=database.libpq(), TENTHS="30000")
    try:
        wait_for(lambda: marks(run.run_id))
        retry, name = new_lease(), lease_of(run.run_id)
        end_session(retry, retry, name)
        wait_for(lambda: retry.take(name), 5)
        assert process.wait(200) == 0
    finally:
        kill(process)
    assert marks(run.run_id) == ["begins"]
    assert "another process has taken the lease" in said(instance, run)


def test_a_retry_waits_no_longer_than_its_limit(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "FENCE_S", 0.5)
    above = run_of(instance)

    run = instance.create_run_for_job(idle, parent_run_id=above, root_run_id=above)
    with leased(instance, above), leased(instance, run.run_id) as held:
        assert held is not None
        with pytest.raises(SkyOpsError, match="still has its process after 0 s"):
            executor._fence(instance, run, held)


# The daemon


def test_a_second_daemon_is_refused(
    instance: dg.DagsterInstance,
    database: Warehouse,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it first tells that it lives, which is before it does anything."""
    monkeypatch.setattr(lease, "VANISHED_S", 0)
    code = """
        import dagster as dg
        from dagster._daemon.types import DaemonHeartbeat
        from skyops_assets.instance import lease
        lease.VANISHED_S = 0
        with dg.DagsterInstance.get() as instance:
            instance.add_daemon_heartbeat(DaemonHeartbeat(1.0, "SENSOR", "x", None))
            instance.add_daemon_heartbeat(DaemonHeartbeat(2.0, "SENSOR", "x", None))
            print("works", flush=True)
    """
    first = lease.of_daemon(database.sqlalchemy(), lambda _: None)
    with pytest.raises(LeaseTaken, match="Another daemon works on Dagster's database"):
        lease.of_daemon(database.sqlalchemy(), lambda _: None)
    settings = Settings(home=home, dagster_database=str(database.url.database))
    with pytest.raises(LeaseTaken, match="`skyops down` in its home"):
        _require_no_daemon(settings, database)
    second = child(code, home)
    output, errors = second.communicate(timeout=300)
    assert (second.returncode, output) == (1, "")
    assert errors.startswith("Error: Another daemon works on Dagster's database")
    assert "'skyops daemon on " in errors
    first.release()
    third = child(code, home)
    output, errors = third.communicate(timeout=300)
    assert (third.returncode, output) == (0, "works\n"), errors
    assert is_free(instance, lease.DAEMON)
