"""What is kept of runs that are over, on a real Postgres; and old reports."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from skyops_assets.instance.retention import Removed, remove_old_runs
from skyops_assets.settings import PROJECT_ROOT
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

HOURS = dg.StaticPartitionsDefinition(["1", "2"])


@dg.asset
def well() -> None: ...


@dg.asset(partitions_def=HOURS)
def hourly(context: dg.AssetExecutionContext) -> None:
    if context.run.tags.get("dry"):
        raise ValueError("dry")


@dg.asset_check(asset=well)
def has_water() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.job
def idle() -> None: ...


@pytest.fixture
def stored(
    home: Path, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> Iterator[dg.DagsterInstance]:
    """An instance as dagster.yaml has it."""
    (home / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("SKYOPS_DAGSTER_URL", warehouse.sqlalchemy())
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        yield instance


def made(instance: dg.DagsterInstance, *what: Any, **options: Any) -> str:
    return dg.materialize([*what], instance=instance, raise_on_error=False, **options).run_id


def runs_of(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def events_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    logs = instance.all_logs(run_id)
    return [str(log.dagster_event.event_type_value) for log in logs if log.dagster_event]


def test_old_runs_go_and_what_they_made_that_is_still_the_latest_stays(
    stored: dg.DagsterInstance, home: Path
) -> None:
    from dagster._core.test_utils import freeze_time

    with freeze_time(datetime.now(UTC) - timedelta(days=91)):
        first_well = made(stored, well)
        checks = dg.AssetSelection.checks_for_assets(well)
        last_check = made(stored, well, has_water, selection=checks)
        first_hour = made(stored, hourly, partition_key="1")
        again = made(stored, hourly, partition_key="1")
        other_hour = made(stored, hourly, partition_key="2")
        dry = made(stored, hourly, partition_key="2", tags={"dry": "1"})
        last_well = made(stored, well)
        nothing = stored.create_run_for_job(idle).run_id
        stored.report_run_canceled(stored.get_run_by_id(nothing))
        unfinished = stored.create_run_for_job(idle).run_id
    assert [path for path in home.rglob("compute_logs") if first_well in str(path)]
    with freeze_time(datetime.now(UTC) - timedelta(days=89)):
        recent = made(stored, well)
    before = events_of(stored, recent)
    # The well's first two runs are old, and its latest is the recent one.
    assert remove_old_runs(stored, 90) == Removed(removed=8, thinned=0, check_results=0)
    assert runs_of(stored) == {unfinished, recent}
    assert {first_well, first_hour, last_well, nothing, dry}.isdisjoint(runs_of(stored))
    assert stored.get_latest_materialization_event(well.key).run_id == recent
    assert stored.get_materialized_partitions(hourly.key) == {"1", "2"}
    storage = stored.event_log_storage
    latest = storage.get_latest_asset_check_execution_by_key([has_water.check_key])
    assert latest[has_water.check_key].run_id == last_check
    assert events_of(stored, again) == ["ASSET_MATERIALIZATION"]
    assert events_of(stored, last_check) == ["ASSET_CHECK_EVALUATION"]
    assert events_of(stored, recent) == before
    assert {path.parent.name for path in home.rglob("compute_logs")} == {recent}
    # Dagster knows as before when they were made.
    event = stored.get_latest_materialization_event(hourly.key)
    assert event is not None and event.run_id == other_hour
    assert remove_old_runs(stored, 90) == Removed()
    # What a removed run made goes once it is made again.
    made(stored, hourly, partition_key="1")
    remove_old_runs(stored, 90)
    assert events_of(stored, again) == []
    assert events_of(stored, other_hour) == ["ASSET_MATERIALIZATION"]
    assert stored.get_materialized_partitions(hourly.key) == {"1", "2"}


def test_of_a_job_that_runs_often_the_newest_runs_stay(
    stored: dg.DagsterInstance, warehouse: Warehouse, query: Query
) -> None:
    wells = [made(stored, well, has_water) for _ in range(5)]
    failed = made(stored, hourly, partition_key="2", tags={"dry": "1"})
    hour = made(stored, hourly, partition_key="1")
    rare = stored.create_run_for_job(idle).run_id
    stored.report_run_canceled(stored.get_run_by_id(rare))
    newest = made(stored, well, has_water)
    # Of `materialize`'s one job the three newest are whole; the other job has one run.
    assert remove_old_runs(stored, 90, newest=3) == Removed(5, 0, 5)
    assert runs_of(stored) == {failed, hour, rare, newest}
    assert remove_old_runs(stored, 90, newest=1) == Removed(0, 2, 0)
    assert runs_of(stored) == {failed, hour, rare, newest}
    # What failed, why, and of which partition; and what Dagster knows of the hour.
    assert events_of(stored, failed) == [
        "ASSET_MATERIALIZATION_PLANNED", "STEP_FAILURE", "PIPELINE_FAILURE",
    ]  # fmt: skip
    assert events_of(stored, hour) == ["ASSET_MATERIALIZATION"]
    assert wells[-1] not in runs_of(stored)
    # An hour that is made again no longer needs its first run.
    again = made(stored, hourly, partition_key="1")
    assert remove_old_runs(stored, 90, newest=1).removed == 1
    assert hour not in runs_of(stored) and again in runs_of(stored)
    statement = "select count(*) from asset_event_tags where event_id not in (select id from {})"
    assert query(warehouse, statement.format("event_logs")) == [(0,)]


def test_of_what_is_told_each_minute_the_latest_stays(stored: dg.DagsterInstance) -> None:
    from dagster._core.test_utils import freeze_time

    def tell(hour: str, days: int) -> None:
        with freeze_time(datetime.now(UTC) - timedelta(days=days)):
            stored.report_runless_asset_event(dg.AssetMaterialization(hourly.key, partition=hour))

    for hour, days in (("1", 9), ("1", 9), ("2", 9), ("2", 6), ("2", 6)):
        tell(hour, days)
    remove_old_runs(stored, 90)
    kept = stored.fetch_materializations(hourly.key, limit=10).records
    assert [record.partition_key for record in kept] == ["2", "2", "1"]


def test_old_reports_go_and_other_files_of_their_folder_stay(tmp_path: Path) -> None:
    from skyops_assets.monitoring.report import sweep
    from skyops_assets.settings import Settings

    settings = Settings(home=tmp_path)
    assert sweep(settings, 90) == 0
    (tmp_path / "reports").mkdir()
    for name, days in (("monitoring-000001", 91), ("monitoring-000002", 89), ("backtest", 91)):
        path = tmp_path / "reports" / f"{name}.html"
        path.touch()
        then = time.time() - days * 86_400
        os.utime(path, (then, then))
    assert sweep(settings, 90) == 1
    left = {path.stem for path in (tmp_path / "reports").iterdir()}
    assert left == {"monitoring-000002", "backtest"}
