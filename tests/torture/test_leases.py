"""Runs on other machines and behind other servers: vanished, cut off, restarted under; minutes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from skyops_assets.instance.executor import lease_of
from skyops_assets.instance.lease import free
from skyops_assets.instance.private import index_connection
from skyops_assets.instance.repair import reap
from skyops_assets.warehouse.connection import Warehouse, parse_url
from tests.support.monitored import dagster_instance
from tests.support.runs import MARKS, kill, made, process_of, wait_for
from tests.support.servers import Server, control, pgbouncer, postgres

Status = dg.DagsterRunStatus
TICK_S = 20.0
HERE, THERE = "10.231.77.1", "10.231.77.2"


@pytest.fixture(autouse=True)
def _minutes(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("minutes; `make torture` runs it")


def prepared(server: Server) -> Warehouse:
    server.run("create database dagster")
    server.run(MARKS, database="dagster")
    return Warehouse(parse_url(server.address(database="dagster")), False)


def marks(server: Server, run: dg.DagsterRun) -> list[str]:
    asked = f"select what from marks where run_id = '{run.run_id}' order by at"
    return [what for (what,) in server.run(asked, database="dagster")]


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Status:
    now = instance.get_run_by_id(run.run_id)
    assert now is not None
    return now.status


class Reaper:
    """The sensor, with its own interval."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.seen: dict[str, float] = {}
        self.ended: list[str] = []
        self.due_at = 0.0

    def tick(self) -> list[str]:
        if time.monotonic() >= self.due_at:
            self.due_at = time.monotonic() + TICK_S
            ended, self.seen = reap(self.instance, self.seen)
            self.ended += ended
        return self.ended


@contextmanager
def other_machine() -> Iterator[tuple[list[str], Callable[[str], None]]]:
    """A host of another name behind a cable: the command before its processes; "down" or "up"."""
    name = f"sk{os.getpid()}"
    inside = ["ip", "netns", "exec", name]
    try:
        for command in (
            ["ip", "netns", "add", name],
            ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name],
            ["ip", "addr", "add", f"{HERE}/24", "dev", name],
            ["ip", "link", "set", name, "up"],
            [*inside, "ip", "addr", "add", f"{THERE}/24", "dev", "eth0"],
            [*inside, "ip", "link", "set", "eth0", "up"],
            [*inside, "ip", "link", "set", "lo", "up"],
        ):
            if subprocess.run(command, check=False, capture_output=True).returncode:
                pytest.skip("no other network can be made here")
        named = ["unshare", "-u", "sh", "-c", 'hostname elsewhere; exec "$@"', "sh"]
        yield (
            [*inside, *named],
            lambda state: subprocess.run(["ip", "link", "set", name, state], check=True) and None,
        )
    finally:
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_the_run_of_a_machine_that_vanished_is_found(tmp_path: Path, job: Path) -> None:
    with other_machine() as (there, cable), postgres(also_at=HERE) as server:
        database = prepared(server)
        with dagster_instance(database, tmp_path) as instance:
            far = server.address(database="dagster").replace("127.0.0.1", HERE)
            url = far.replace("postgresql:", "postgresql+psycopg2:")
            run, reaper = made(instance, job, "pump"), Reaper(instance)
            processes = [
                process_of(instance, run, there, MARKS=far, TENTHS="30000", SKYOPS_DAGSTER_URL=url)
            ]
            try:
                wait_for(lambda: marks(server, run))
                (holder,) = server.run(
                    "select application_name, client_addr::text from pg_stat_activity "
                    "where application_name like 'skyops run%'"
                )
                assert holder == (f"skyops run {run.run_id[:8]} on elsewhere", THERE + "/32")
                assert reaper.tick() == []
                cable("down")
                vanished_at = time.monotonic()
                wait_for(reaper.tick, 150)
                took_s = time.monotonic() - vanished_at
                print(f"A vanished machine's run was ended after {took_s:.0f} s.")
                assert took_s <= 90
                assert processes[0].poll() is None
                again = made(
                    instance, job, "pump", parent_run_id=run.run_id, root_run_id=run.run_id
                )
                local = server.address(database="dagster")
                processes.append(process_of(instance, again, MARKS=local, TENTHS="600"))
                # Its process lives on behind the cut; a retry need not wait for it.
                wait_for(lambda: marks(server, again))
            finally:
                kill(*processes)


def test_a_process_of_another_machine_that_is_killed_is_found(tmp_path: Path, job: Path) -> None:
    with (
        other_machine() as (there, _),
        postgres(also_at=HERE) as server,
        dagster_instance(prepared(server), tmp_path) as instance,
    ):
        far = server.address(database="dagster").replace("127.0.0.1", HERE)
        url = far.replace("postgresql:", "postgresql+psycopg2:")
        run, reaper = made(instance, job, "pump"), Reaper(instance)
        process = process_of(
            instance, run, there, MARKS=far, TENTHS="30000", SKYOPS_DAGSTER_URL=url
        )
        try:
            wait_for(lambda: marks(server, run))
            assert reaper.tick() == []
            kill(process)
            killed_at = time.monotonic()
            wait_for(reaper.tick, 90)
            print(f"A killed run was ended after {time.monotonic() - killed_at:.0f} s.")
        finally:
            kill(process)
        assert status(instance, run) == Status.FAILURE


def test_a_run_outlives_a_restart_of_the_server(tmp_path: Path, job: Path) -> None:
    with postgres() as server, dagster_instance(prepared(server), tmp_path) as instance:
        run, reaper = made(instance, job, "pump"), Reaper(instance)
        local = server.address(database="dagster")
        process = process_of(instance, run, MARKS=local, TENTHS="700")
        try:
            wait_for(lambda: marks(server, run))
            control(server, "stop")
            time.sleep(5)
            control(server, "start")
            wait_for(lambda: not is_free(instance, run), 15)
            while process.poll() is None:
                assert reaper.tick() == []
                time.sleep(0.5)
        finally:
            kill(process)
        assert status(instance, run) == Status.SUCCESS
        assert marks(server, run) == ["begins", "ends", "goes on"]


def is_free(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    with index_connection(instance) as connection:
        return bool(free(connection, [lease_of(run.run_id)])[1])


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_lease_holds_through_a_pooler(tmp_path: Path, job: Path, mode: str) -> None:
    with postgres() as server, pgbouncer(server, mode) as pooler:
        prepared(server)
        through = Warehouse(parse_url(pooler.address(database="dagster")), False)
        with dagster_instance(through, tmp_path) as instance:
            run, reaper = made(instance, job, "pump"), Reaper(instance)
            process = process_of(instance, run, MARKS=through.libpq(), TENTHS="30000")
            try:
                wait_for(lambda: marks(server, run))
                # The pooler closes what it has, as it does when it is started again.
                pooler.run("kill dagster", "resume dagster", database="pgbouncer")
                wait_for(lambda: not is_free(instance, run), 15)
                for _ in range(3):
                    assert reaper.tick() == []
                    reaper.due_at = 0
                kill(process)
                wait_for(reaper.tick, 90)
            finally:
                kill(process)
            assert status(instance, run) == Status.FAILURE


def test_one_daemon_works_on_a_database(tmp_path: Path) -> None:
    """By Dagster's own command, in a home of its own each, and another comes after its death."""
    with postgres() as server, dagster_instance(prepared(server), tmp_path):
        workspace = tmp_path / "workspace.yaml"
        workspace.write_text("load_from: []\n")

        def daemon() -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)],
                stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            )  # fmt: skip

        held = (
            "select pid from pg_stat_activity where application_name like 'skyops daemon on %' "
            "and pid in (select pid from pg_locks where locktype = 'advisory')"
        )
        first = daemon()
        others = []
        try:
            wait_for(lambda: server.run(held))
            others.append(daemon())
            _, errors = others[0].communicate(timeout=400)
            assert others[0].returncode == 1
            assert "Another daemon works on Dagster's database" in errors
            assert first.poll() is None
            others.append(daemon())
            time.sleep(5)
            before = server.run(held)
            first.send_signal(signal.SIGKILL)
            wait_for(lambda: server.run(held) not in ([], before))
            time.sleep(2)
            assert others[1].poll() is None
        finally:
            for process in (first, *others):
                process.kill()
                process.communicate()
