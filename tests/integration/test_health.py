"""The health check: each part whole, and each part broken. The champion's is in test_models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from skyops_assets.cli import app
from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import health
from skyops_assets.operations.health import Finding, State
from skyops_assets.settings import Settings
from skyops_assets.simulate.fake_opensky import FakeOpenSky, Running, running
from skyops_assets.simulate.fake_states import Replay
from skyops_assets.sources.opensky.live.credits import CreditBudget
from skyops_assets.warehouse.connection import Warehouse, parse_url
from tests.support.databases import Query
from tests.support.servers import free_port
from tests.support.states import recording, seconds

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


# Each probe


def test_a_warehouse_that_answers_and_is_migrated_is_well(
    warehouse: Warehouse, query: Query
) -> None:
    state, says = health.probe_warehouse(Settings(), warehouse)
    assert state is State.OK and says.startswith("Postgres 18")
    query(warehouse, "insert into public.skyops_migrations (name) values ('9999_future.sql')")
    state, says = health.probe_warehouse(Settings(), warehouse)
    assert state is State.WARNING and "9999_future.sql" in says
    query(warehouse, "delete from public.skyops_migrations where name = '0001_base.sql'")
    state, says = health.probe_warehouse(Settings(), warehouse)
    assert state is State.BROKEN and "lacks 0001_base.sql" in says


def test_a_warehouse_that_is_away_is_broken_and_the_other_parts_are_asked_all_the_same(
    home: Path,
) -> None:
    away = Warehouse(parse_url("postgresql://x:pass@127.0.0.1:1/x"), False)
    settings = Settings(home=home, opensky_url="http://127.0.0.1:1")
    found = {one.part: one for one in health.examine(settings, away, lambda: {"SENSOR": None})}
    assert found["warehouse"].state is found["model"].state is State.BROKEN
    assert "127.0.0.1:1" in found["warehouse"].says
    assert found["model store"].state is State.OK
    assert len(found) == 9
    assert "pass" not in health.markdown(list(found.values())).replace("passes", "")


@pytest.mark.parametrize(
    ("free_gb", "state"),
    [(5, State.OK), (4.9, State.WARNING), (1, State.WARNING), (0.9, State.BROKEN)],
)
def test_the_disk(free_gb: float, state: State) -> None:
    found, says = health.judge_disk(int(free_gb * 1e9), 5, Path("/x"))
    assert found is state
    assert f"{free_gb:.1f} GB are free on the disk of /x" in says


def test_the_disk_of_the_home_is_the_one_looked_at(home: Path, warehouse: Warehouse) -> None:
    assert str(home) in health.probe_disk(Settings(home=home), warehouse)[1]


@pytest.mark.parametrize(
    ("age_s", "state", "said"),
    [(299, State.OK, "All 2"), (301, State.BROKEN, "SENSOR (silent for 301 s)"),
     (None, State.BROKEN, "SENSOR (never seen)")],
)  # fmt: skip
def test_each_daemon_must_have_told_lately(age_s: float | None, state: State, said: str) -> None:
    last = {"SENSOR": None if age_s is None else NOW - timedelta(seconds=age_s), "OTHER": NOW}
    found, says = health.judge_heartbeats(last, NOW)
    assert found is state and said in says and "OTHER" not in says


def test_the_heartbeats_are_those_of_dagster(tmp_path: Path) -> None:
    from dagster._daemon.types import DaemonHeartbeat

    from skyops_assets.instance.processes import heartbeats

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        needed = heartbeats(instance)
        assert {"SENSOR", "SCHEDULER"} <= set(needed) and set(needed.values()) == {None}
        instance.add_daemon_heartbeat(DaemonHeartbeat(NOW.timestamp(), "SENSOR", "x", None))
        assert heartbeats(instance)["SENSOR"] == NOW


def test_a_model_store_that_takes_a_file_is_well_and_keeps_nothing_of_it(
    home: Path, warehouse: Warehouse
) -> None:
    settings = Settings(home=home, mlflow_database=str(warehouse.url.database))
    assert health.probe_model_store(settings, warehouse)[0] is State.OK
    assert list((home / "mlflow").iterdir()) == []


def test_a_model_store_that_cannot_be_written_is_broken(home: Path, warehouse: Warehouse) -> None:
    (home / "file").write_text("")
    settings = Settings(home=home, mlflow_artifacts=str(home / "file" / "mlflow"))
    state, says = health.probe_model_store(settings, warehouse)
    assert state is State.BROKEN and "SKYOPS_MLFLOW_ARTIFACTS" in says


def test_no_finding_tells_the_password_of_an_address(home: Path, warehouse: Warehouse) -> None:
    artifacts = "ftp://me:s3cr3t@127.0.0.1:1/mlflow"
    settings = Settings(
        home=home,
        mlflow_artifacts=artifacts,
        mlflow_database=str(warehouse.url.database),
        opensky_url="http://127.0.0.1:1",
    )
    found = {one.part: one for one in health.examine(settings, warehouse, dict)}
    assert found["model store"].state is State.BROKEN
    assert "ftp://***@127.0.0.1:1/mlflow cannot be written" in found["model store"].says
    assert "s3cr3t" not in str(found)


def test_the_docs_are_a_whole_page(home: Path) -> None:
    settings = Settings(home=home)
    page = home / "docs" / "index.html"

    def found() -> State:
        return health.probe_docs(settings, None)[0]

    assert found() is State.WARNING
    page.parent.mkdir()
    page.write_text("<html>")
    assert found() is State.BROKEN
    page.write_text("<html></html>")
    assert found() is State.OK


# OpenSky


@pytest.fixture
def sky() -> Iterator[Running]:
    with running(FakeOpenSky(Replay(recording(*seconds(60))), client_secret="right")) as found:
        yield found


def asking(sky: Running, home: Path, **options: Any) -> Settings:
    return Settings(
        home=home, opensky_url=sky.url, opensky_token_url=sky.token_url, **options
    )  # fmt: skip


def spent(warehouse: Warehouse, settings: Settings) -> int:
    return CreditBudget.from_settings(settings, warehouse).read().spent


def test_opensky_is_asked_once_for_one_credit(
    sky: Running, home: Path, warehouse: Warehouse
) -> None:
    settings = asking(sky, home)
    state, says = health.probe_opensky(settings, warehouse)
    assert (state, spent(warehouse, settings)) == (State.OK, 1)
    assert says == "It answers anonymously; 399 of 400 credits are left today."


def test_with_an_account_the_credits_are_the_accounts(
    sky: Running, home: Path, warehouse: Warehouse
) -> None:
    account = {"opensky_client_id": "me", "opensky_client_secret": SecretStr("right")}
    settings = asking(sky, home, **account)
    assert "3,999 of 4,000" in health.probe_opensky(settings, warehouse)[1]
    wrong = asking(sky, home, **{**account, "opensky_client_secret": SecretStr("wrong")})
    with pytest.raises(SkyOpsError, match="refuses the client"):
        health.probe_opensky(wrong, warehouse)
    assert spent(warehouse, settings) == 1


@pytest.mark.parametrize("fault", ["503", "429"])
def test_what_passes_at_opensky_is_a_warning_after_one_request(
    home: Path, warehouse: Warehouse, fault: str
) -> None:
    fake = FakeOpenSky(Replay(recording(*seconds(60))), faults=[fault], fault_rate=1)
    with running(fake) as sky:
        settings = asking(sky, home)
        state, says = health.probe_opensky(settings, warehouse)
    assert state is State.WARNING and fault in says
    assert spent(warehouse, settings) == 1


def test_a_token_that_is_refused_costs_one_credit_and_is_named(
    home: Path, warehouse: Warehouse
) -> None:
    fake = FakeOpenSky(Replay(recording(*seconds(60))), faults=["401"], fault_rate=1)
    with running(fake) as sky:
        settings = asking(
            sky, home, opensky_client_id="me", opensky_client_secret=SecretStr("right")
        )
        with pytest.raises(SkyOpsError, match="refuses even a fresh token"):
            health.probe_opensky(settings, warehouse)
    assert spent(warehouse, settings) == 1


def test_a_network_that_is_away_is_a_named_warning(home: Path, warehouse: Warehouse) -> None:
    settings = Settings(home=home, opensky_url="http://127.0.0.1:1")
    state, says = health.probe_opensky(settings, warehouse)
    assert state is State.WARNING
    assert "The connection to http://127.0.0.1:1/states/all failed" in says


def test_without_credits_nothing_is_asked(sky: Running, home: Path, warehouse: Warehouse) -> None:
    settings = asking(sky, home, opensky_daily_credits=0)
    state, says = health.probe_opensky(settings, warehouse)
    assert state is State.WARNING and "0 of 0 are left" in says


# The whole


def test_the_whole_is_as_its_worst_part() -> None:
    ok, warning, broken = (Finding(state.value, state, "a | b\nc") for state in State)
    assert health.worst([]) is health.worst([ok]) is State.OK
    assert health.worst([warning, ok]) is State.WARNING
    assert health.worst([ok, broken, warning]) is State.BROKEN
    assert "| broken | broken | a \\| b c |" in health.markdown([broken])


@pytest.fixture
def well(
    pointed: Warehouse, sky: Running, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """All is well but the daemons, the UI and the service, by this process's environment."""
    (home / "docs").mkdir()
    (home / "docs" / "index.html").write_text("<html></html>")
    monkeypatch.setenv("SKYOPS_OPENSKY_URL", sky.url)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    ports = {"ui_port": free_port(), "service_port": free_port()}
    for name, port in ports.items():
        monkeypatch.setenv(f"SKYOPS_{name.upper()}", str(port))
    # Of its own: MLflow keeps to the folder of its first use, which is another test's.
    monkeypatch.setenv("SKYOPS_MLFLOW_DATABASE", str(pointed.url.database))
    return asking(sky, home, mlflow_database=str(pointed.url.database), **ports)


ROWS = (
    "select kind, verdict, error, details -> 'findings' -> 0 ->> 'part' from audit.monitoring_log"
)


def test_the_job_writes_one_row_and_fails_where_a_part_is_broken(
    graph: Any, well: Settings, pointed: Warehouse, query: Query
) -> None:
    job = graph.defs.resolve_job_def("health_check")
    # An ephemeral instance needs no daemons.
    assert job.execute_in_process().success
    [(kind, verdict, error, part)] = query(pointed, ROWS)
    assert (kind, verdict, part) == ("health_check", "warning", "warehouse")
    assert [line.partition(":")[0] for line in error.splitlines()] == ["ui", "service"]
    (well.home / "docs" / "index.html").write_text("<html>")
    done = job.execute_in_process(raise_on_error=False)
    assert not done.success
    (failure,) = [e for e in done.all_events if e.is_step_failure]
    shown = failure.step_failure_data.user_failure_data
    assert "dbt docs: The page at" in shown.description
    assert "| dbt docs | broken |" in shown.metadata["findings"].value
    [_, (_, verdict, error, _)] = query(pointed, ROWS + " order by log_id")
    assert verdict == "broken" and "\ndbt docs: " in error


def test_the_command_shows_every_part_and_its_exit_code_says_what_is_broken(
    well: Settings, pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyops_assets.cli.operations.prepare", lambda: (well, pointed))
    done = CliRunner().invoke(app, ["health", "--json"])
    found = {one["part"]: one["state"] for one in json.loads(done.stdout)}
    assert done.exit_code == 1
    assert found.pop("dagster daemons") == "broken"
    assert {found.pop("ui"), found.pop("service")} == {"warning"}  # Nothing runs.
    assert set(found.values()) == {"ok"} and len(found) == 6
    monkeypatch.setattr(health, "judge_heartbeats", lambda *_: (State.WARNING, "[late]"))
    assert CliRunner().invoke(app, ["health"]).exit_code == 0
