"""The demo's job by Celery on two machines, of which one is lost within it; many minutes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from skyops_assets.operations.highlights import highlights
from skyops_assets.sources.opensky.reading.recordings import DEMO_END, DEMO_START
from skyops_assets.warehouse.connection import Warehouse, parse_url
from tests.soak.loop import LAUNCH, LOCATION
from tests.support.children import skyops as run
from tests.support.contents import tables
from tests.support.databases import short_dir
from tests.support.machines import lose, machine
from tests.support.runs import wait_for
from tests.support.servers import (
    PASSWORD,
    Server,
    bucket_in_environment,
    free_port,
    postgres,
    redis,
)

SKYOPS = [sys.executable, "-m", "skyops_assets.cli"]
FOUND_S = 90
RUN_S = 2400
"""So long a run of the whole graph may take where others work too."""


@pytest.fixture
def homes(request: pytest.FixtureRequest) -> Iterator[dict[str, Path]]:
    if not request.config.getoption("--long"):
        pytest.skip("runs of the whole graph; `make torture` runs it")
    made = {name: short_dir() for name in ("control", "one", "two")}
    yield made
    for home in made.values():
        shutil.rmtree(home, ignore_errors=True)


class Dagster:
    """What Dagster's UI and database tell."""

    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.run(statement, database="dagster")

    def launch_main(self) -> str:
        """As the UI does, once the code server answers."""
        config = {"ops": {"raw__opensky_states": {"config": {"recording": "demo"}}}}
        tags = {
            "dagster/asset_partition_range_start": f"{DEMO_START:%Y-%m-%d-%H:%M}",
            "dagster/asset_partition_range_end": "2021-10-07-14:00",
        }
        parameters = {
            "selector": {**LOCATION, "jobName": "main"}, "runConfigData": json.dumps(config),
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        }  # fmt: skip
        url, asked = f"http://127.0.0.1:{self.port}/graphql", {"parameters": parameters}
        patience = time.monotonic() + 600
        while True:
            said: Any = None
            try:
                said = httpx.post(
                    url, json={"query": LAUNCH, "variables": asked}, timeout=120
                ).json()
                return str(said["data"]["launchRun"]["run"]["runId"])
            except (httpx.HTTPError, ValueError, KeyError, TypeError):
                assert time.monotonic() < patience, said
                time.sleep(2)

    def status(self, run_id: str) -> str:
        [(found,)] = self.rows(f"select status from runs where run_id = '{run_id}'")
        return str(found)

    def machine_of(self, run_id: str) -> str:
        """Whose process holds the lease of a run; empty while none does."""
        found = self.rows(
            "select application_name from pg_stat_activity "
            f"where application_name like 'skyops run {run_id[:8]} on %'"
        )
        return str(found[0][0]).rsplit(" ", 1)[1] if found else ""

    def has_begun(self, run_id: str, step: str) -> bool:
        return bool(self.rows(
            f"select 1 from event_logs where run_id = '{run_id}' and step_key like '{step}%' "
            "and dagster_event_type = 'STEP_START'"
        ))  # fmt: skip

    def retry_of(self, run_id: str) -> str:
        found = self.rows(
            "select run_id from run_tags "
            f"where key = 'dagster/parent_run_id' and value = '{run_id}'"
        )
        return str(found[0][0]) if found else ""

    def ends_well(self, run_id: str) -> None:
        wait_for(lambda: self.status(run_id) in ("SUCCESS", "FAILURE", "CANCELED"), RUN_S)
        assert self.status(run_id) == "SUCCESS"


def demo_is_whole(warehouse: Warehouse) -> None:
    """The numbers of the README."""
    found = dict(highlights(warehouse, DEMO_START, DEMO_END))
    assert found["Flights"].startswith("240 from 284,502 positions, 2021-10-07 12:00 to 15:00 UTC")
    assert found["Landings"].startswith("LFPG 48, LFPO 27, LFPB 16, LFOB 5, LFPV 2, LFOX 1")
    assert found["Model"].startswith("not promoted, and rightly: it was off by 1.5 minutes")


def settings(
    homes: Mapping[str, Path], server: Server, broker: str, ports: list[int]
) -> dict[str, dict[str, str]]:
    """The variables of each machine: the same, but for its home."""
    return {
        name: {
            **os.environ,
            "SKYOPS_HOME": str(home),
            "SKYOPS_LAUNCHER": "celery",
            "SKYOPS_CELERY_BROKER": broker,
            "SKYOPS_DATABASE_URL": server.address(),
            "SKYOPS_STORE": "s3://files/skyops",
            "SKYOPS_UI_PORT": str(ports[0]),
            "SKYOPS_DOCS_PORT": str(ports[1]),
            "SKYOPS_SERVICE_PORT": str(ports[2]),
        }
        for name, home in homes.items()
    }


@pytest.mark.xdist_group("torture")
@pytest.mark.timeout(3 * RUN_S)
def test_a_machine_is_lost_within_the_demos_job_and_another_ends_it(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    port, ports = free_port(), [free_port() for _ in range(3)]
    with ExitStack() as stack:
        stack.enter_context(bucket_in_environment("files"))
        server = stack.enter_context(postgres())
        stack.enter_context(redis(port, tmp_path))
        variables = settings(homes, server, f"redis://:{PASSWORD}@127.0.0.1:{port}/0", ports)
        running = {}
        for name, arguments in {
            "control": ["up"], "one": ["worker", "-c", "1"], "two": ["worker", "-c", "1"]
        }.items():  # fmt: skip
            hidden = [home for other, home in homes.items() if other != name]
            running[name] = machine(
                name, [*SKYOPS, *arguments], variables[name], tmp_path / f"{name}.log", hidden
            )
            stack.callback(lose, running[name])
        for name in ("one", "two"):
            log = tmp_path / f"{name}.log"
            wait_for(lambda log=log: b" ready." in log.read_bytes(), 600)
        dagster = Dagster(server, ports[0])

        # Lost within the first run.
        first = dagster.launch_main()
        wait_for(lambda: dagster.has_begun(first, "dbt_models"), RUN_S)
        where = dagster.machine_of(first)
        assert where in ("one", "two")
        time.sleep(3)
        lose(running[where])
        lost_at = time.monotonic()
        wait_for(lambda: dagster.status(first) == "FAILURE", 300)
        took_s = time.monotonic() - lost_at
        print(f"The run of a lost machine was ended after {took_s:.0f} s.")
        assert took_s <= FOUND_S
        wait_for(lambda: dagster.retry_of(first), 300)
        retry = dagster.retry_of(first)
        wait_for(lambda: dagster.machine_of(retry), 600)
        assert dagster.machine_of(retry) == ({"one", "two"} - {where}).pop()
        dagster.ends_well(retry)
        warehouse = Warehouse(parse_url(server.address()), False)
        demo_is_whole(warehouse)

        # The same without a loss changes nothing.
        expected = tables(warehouse)
        assert len(expected) > 20
        dagster.ends_well(dagster.launch_main())
        assert tables(warehouse) == expected

        # What was made there is read here.
        here = variables["control"]
        assert "Every version has its files" in run(here, "store", "check")
        versions = json.loads(run(here, "model", "list", "--json"))
        if versions:
            made_again = json.loads(run(here, "model", "reproduce", "1", "--json"))
            assert made_again["is_same"]
        assert not (homes["control"] / "training").exists()
