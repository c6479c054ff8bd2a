"""The profile observability with Debian's programs: what docker/access.py hands out is enough.

Grafana and cAdvisor are not to be had there; docs/deploy.md says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from pydantic import SecretStr

from skyops_assets.settings import PROJECT_ROOT, Settings
from skyops_assets.warehouse.connection import open_warehouse
from tests.support.databases import short_dir
from tests.support.prometheus import FILES, alertmanager, program, prometheus, pushgateway, running
from tests.support.servers import PASSWORD, Server, postgres
from tests.support.serving import served

pytestmark = [pytest.mark.xdist_group("serving"), pytest.mark.usefixtures("manifest")]


@dataclass
class Made:
    """What docker/access.py has written, and for which server."""

    server: Server
    home: Path
    files: Path

    def make(self) -> None:
        """Run it as its container does: the password comes as a file."""
        secret = self.home / "secret"
        secret.write_text(PASSWORD)
        done = subprocess.run(
            [sys.executable, PROJECT_ROOT / "docker" / "access.py", self.files],
            env={**os.environ, "SKYOPS_HOME": str(self.home), "SKYOPS_DATABASE_URL":
                 f"postgresql://owner@127.0.0.1:{self.server.port}/skyops",
                 "SKYOPS_POSTGRES_PASSWORD_FILE": str(secret)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def variables(self, name: str) -> dict[str, str]:
        """What a shell reads of one of its files, as the containers' shells do."""
        said = subprocess.run(
            ["sh", "-c", f". {self.files / name} && env"],
            env={}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return dict(line.split("=", 1) for line in said.stdout.splitlines())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    home = short_dir()
    with postgres() as server:
        one = Made(server, home, tmp_path_factory.mktemp("access"))
        one.make()
        try:
            yield one
        finally:
            shutil.rmtree(home, ignore_errors=True)


def test_grafana_reads_all_three_databases_and_writes_none(made: Made) -> None:
    made.server.run("create table public.runs (n int)", database="dagster")
    made.make()  # What Dagster makes later is read from the next start on.
    given = {
        name.removeprefix("SKYOPS_GRAFANA_POSTGRES_").lower(): value
        for name, value in made.variables("grafana.env").items() if "GRAFANA" in name
    }  # fmt: skip
    assert given.keys() == {"host", "port", "user", "password", "database"}
    for database, table in (("skyops", "raw.airports"), ("dagster", "public.runs")):
        connection = psycopg2.connect(
            host=given["host"], port=given["port"], user=given["user"],
            password=given["password"], dbname=database,
        )  # fmt: skip
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"select count(*) from {table}")
                with pytest.raises(psycopg2.Error, match=r"read-only|permission denied"):
                    cursor.execute(f"delete from {table}")
        finally:
            connection.close()


def test_the_key_only_reads_and_is_made_once(made: Made) -> None:
    key = (made.files / "prometheus.key").read_text()
    made.make()
    assert (made.files / "prometheus.key").read_text() == key
    keys = made.server.run("select scopes, expires_at from audit.api_keys", database="skyops")
    assert keys == [(["read"], None)]


def up(client: httpx.Client) -> dict[str, Any]:
    found = client.get("/api/v1/targets").raise_for_status().json()["data"]["activeTargets"]
    return {one["labels"]["job"]: (one["health"], one["lastError"]) for one in found}


def test_prometheus_reaches_all_that_there_is(made: Made, tmp_path: Path) -> None:
    settings = Settings(home=made.home, database_url=SecretStr(made.server.address()))
    exporter = (
        f". {made.files / 'exporter.env'} && exec {program('prometheus-postgres-exporter')} "
        "--web.listen-address=127.0.0.1:$0"
    )
    with ExitStack() as stack:
        start = stack.enter_context
        clients = {
            "service": start(served(open_warehouse(settings), made.home)).client,
            "postgres-exporter": start(running(["sh", "-c", exporter, "{port}"], tmp_path, "/")),
            "node-exporter": start(
                running(
                    [program("prometheus-node-exporter"), "--path.rootfs=/",
                     "--web.listen-address=127.0.0.1:{port}"], tmp_path, "/",
                )
            ),
            "pushgateway": start(pushgateway(tmp_path)),
            "alertmanager": start(alertmanager((FILES / "alertmanager.yml").read_text(), tmp_path)),
        }  # fmt: skip
        config = (FILES / "containers.yml").read_text()
        for name, client in clients.items():
            config, places = re.subn(
                rf'"{name}:\d+"', f'"127.0.0.1:{client.base_url.port}"', config
            )
            assert places == 1, name
        config = config.replace("/var/lib/access", str(made.files)).replace(
            "scrape_interval: 15s", "scrape_interval: 2s").replace(
            "scrape_timeout: 10s", "scrape_timeout: 2s")  # fmt: skip
        shutil.copy(FILES / "rules.yml", tmp_path)
        (tmp_path / "checked.yml").write_text(config)
        subprocess.run(
            [program("promtool", "prometheus"), "check", "config", tmp_path / "checked.yml"],
            check=True, capture_output=True,
        )  # fmt: skip
        asked = start(prometheus(config, tmp_path))
        patience = time.monotonic() + 60
        jobs = {"skyops", "skyops-tasks", "node", "postgres"}
        while {job for job, (health, _) in up(asked).items() if health == "up"} != jobs:
            assert time.monotonic() < patience, up(asked)
            time.sleep(0.5)
        # Its targets are DNS names of containers; this one is not there.
        assert up(asked)["cadvisor"][0] != "up"
        value = asked.get("/api/v1/query", params={"query": "pg_up"}).json()["data"]["result"]
        assert [one["value"][1] for one in value] == ["1"]
        managers = asked.get("/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
        assert len(managers) == 1
