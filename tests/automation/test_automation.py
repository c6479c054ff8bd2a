"""What runs by itself, each by a real evaluation against an instance of its own."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml

from skyops_assets.audit.log import (
    record_failure,
    record_outcome,
    record_run_failure,
    record_verdict,
)
from skyops_assets.defs.policies import TRANSFORM
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import PROJECT_ROOT, load_settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

RAW = dg.AssetKey(["raw", "opensky_states"])
HISTORY = dg.AssetKey(["raw", "arrivals_history"])
METARS = dg.AssetKey(["raw", "metars"])
FEATURES = dg.AssetKey(["features", "arrival_features"])


def materialized(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None
) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition))


# hourly_refresh


def tick(lasting: dg.DagsterInstance, repository: Any, name: str, at: datetime) -> Any:
    context = dg.build_schedule_context(
        instance=lasting, scheduled_execution_time=at, repository_def=repository
    )
    return repository.get_schedule_def(name).evaluate_tick(context)


def refresh(lasting: dg.DagsterInstance, repository: Any) -> Any:
    at = datetime(2021, 10, 7, 13, 5, tzinfo=ZoneInfo("UTC"))
    return tick(lasting, repository, "hourly_refresh", at)


def test_the_refresh_skips_while_nothing_was_ever_loaded(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    found = refresh(lasting, repository)
    assert not found.run_requests
    assert (
        found.skip_message == "Neither positions nor the history of arrivals have been loaded yet."
    )


def test_the_refresh_asks_for_a_run_when_positions_were_loaded_and_nothing_was_built(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    materialized(lasting, RAW, "2021-10-07-12:00")
    found = refresh(lasting, repository)
    assert len(found.run_requests) == 1
    assert repository.get_schedule_def("hourly_refresh").job_name == "refresh"


def test_the_refresh_skips_when_nothing_newer_was_loaded(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    materialized(lasting, RAW, "2021-10-07-12:00")
    materialized(lasting, FEATURES)
    found = refresh(lasting, repository)
    assert not found.run_requests
    assert found.skip_message == "Nothing has been loaded since the last transform."


def test_the_refresh_asks_again_when_positions_came_after_the_transform(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    materialized(lasting, RAW, "2021-10-07-12:00")
    materialized(lasting, FEATURES)
    materialized(lasting, RAW, "2021-10-07-13:00")
    assert len(refresh(lasting, repository).run_requests) == 1


def test_positions_as_they_come_leave_the_checks_as_they_are_until_the_refresh(
    lasting: dg.DagsterInstance, repository: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector's reports are observations; the refresh makes materialisations of them."""
    from dagster._core.loader import LoadingContextForTest

    from skyops_assets.client import report_loaded

    monkeypatch.setattr("dagster.DagsterInstance.get", lambda: lasting)
    monkeypatch.setattr(type(lasting), "__exit__", lambda *_: None)
    check = dg.AssetCheckKey(RAW, "nothing_is_lost")

    def collected(hour: int, rows: int) -> None:
        at = datetime(2021, 10, 7, hour, tzinfo=ZoneInfo("UTC"))
        shown = {"dagster/partition_row_count": rows, "newest_position_at": at}
        assert report_loaded({at: shown}, "skyops collect", is_live=True) == []

    @dg.asset_check(asset=RAW, name=check.name)
    def judged() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    checks = dg.Definitions(
        assets=[dg.AssetSpec(RAW)],
        asset_checks=[judged],
        jobs=[dg.define_asset_job("checks", selection=dg.AssetSelection.checks(judged))],
    ).resolve_job_def("checks")

    def is_evaluated() -> bool:
        """As the UI decides it, which else says that the check was not evaluated."""
        record = lasting.get_latest_asset_check_evaluation_record(check)
        return record is not None and asyncio.run(
            record.targets_latest_materialization(LoadingContextForTest(lasting))
        )

    def hours() -> list[tuple[str | None, Any]]:
        records = lasting.fetch_materializations(RAW, limit=100).records
        found = [one.event_log_entry.asset_materialization for one in reversed(records)]
        name = "dagster/partition_row_count"
        return [(one.partition, one.metadata[name].value) for one in found if one]

    collected(12, 10)
    assert len(refresh(lasting, repository).run_requests) == 1
    assert hours() == [("2021-10-07-12:00", 10)]
    checks.execute_in_process(instance=lasting)
    materialized(lasting, FEATURES)
    assert is_evaluated()
    assert (
        refresh(lasting, repository).skip_message == "Nothing has been loaded since the last "
        "transform."
    )
    for rows in (20, 30):
        collected(12, rows)
        collected(13, rows)
        assert is_evaluated()
    assert len(refresh(lasting, repository).run_requests) == 1
    assert hours()[1:] == [("2021-10-07-12:00", 30), ("2021-10-07-13:00", 30)]
    assert not is_evaluated()
    checks.execute_in_process(instance=lasting)
    assert is_evaluated()
    assert len(refresh(lasting, repository).run_requests) == 1
    assert len(hours()) == 3


def test_the_refresh_follows_the_history_as_it_follows_positions(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    materialized(lasting, HISTORY, "2019-03-01")
    assert len(refresh(lasting, repository).run_requests) == 1
    materialized(lasting, RAW, "2021-10-07-12:00")
    materialized(lasting, FEATURES)
    assert refresh(lasting, repository).skip_message
    materialized(lasting, HISTORY, "2019-03-02")
    assert len(refresh(lasting, repository).run_requests) == 1
    materialized(lasting, FEATURES)
    assert refresh(lasting, repository).skip_message
    materialized(lasting, RAW, "2021-10-07-13:00")
    assert len(refresh(lasting, repository).run_requests) == 1


def test_the_refresh_follows_weather_reports_where_there_is_something_to_build_from(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    materialized(lasting, METARS, "2021-10-07")
    assert refresh(lasting, repository).skip_message
    materialized(lasting, RAW, "2021-10-07-12:00")
    materialized(lasting, FEATURES)
    assert refresh(lasting, repository).skip_message
    materialized(lasting, METARS, "2021-10-07")
    assert len(refresh(lasting, repository).run_requests) == 1


@pytest.mark.parametrize(
    ("hour", "days"), [(0, ["2021-10-07", "2021-10-06"]), (13, ["2021-10-07"])]
)
def test_weather_reports_are_loaded_every_hour_where_they_can_be_had(
    lasting: dg.DagsterInstance,
    repository: Any,
    monkeypatch: pytest.MonkeyPatch,
    hour: int,
    days: list[str],
) -> None:
    at = datetime(2021, 10, 7, hour, 3, tzinfo=ZoneInfo("UTC"))
    assert "is not set" in tick(lasting, repository, "hourly_metars", at).skip_message
    monkeypatch.setenv("SKYOPS_METAR_URL", "/data/{airport}/{day}.csv")
    found = tick(lasting, repository, "hourly_metars", at).run_requests
    assert [request.partition_key for request in found] == days
    schedule = repository.get_schedule_def("hourly_metars")
    assert schedule.job_name == "load_metars"
    # In time for the refresh of the same hour.
    refreshed = repository.get_schedule_def("hourly_refresh").cron_schedule
    assert int(schedule.cron_schedule.split()[0]) < int(refreshed.split()[0])


def test_with_the_history_alone_the_refresh_leaves_out_the_checks_of_positions(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    """They fail where there are no positions, and would hold the transform for ever."""
    materialized(lasting, HISTORY, "2019-03-01")
    (alone,) = refresh(lasting, repository).run_requests
    job = repository.get_job("refresh")
    assert set(alone.asset_selection) == set(job.asset_layer.selected_asset_keys)
    chosen = job.get_subset(
        asset_selection=set(alone.asset_selection),
        asset_check_selection=set(alone.asset_check_keys),
    )
    assert RAW in {key.asset_key for key in job.asset_layer.asset_graph.asset_check_keys}
    assert chosen.asset_layer.selected_asset_keys
    checked = {key.asset_key for key in chosen.asset_layer.asset_graph.asset_check_keys}
    assert RAW not in checked
    assert {HISTORY, FEATURES} <= checked
    materialized(lasting, RAW, "2021-10-07-12:00")
    (both,) = refresh(lasting, repository).run_requests
    assert both.asset_selection is None


def test_a_refresh_that_failed_is_asked_for_again_in_the_next_hour(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    materialized(lasting, RAW, "2021-10-07-12:00")
    first, second = refresh(lasting, repository), refresh(lasting, repository)
    assert len(first.run_requests) == len(second.run_requests) == 1
    # A key would make the second a copy of the first, which is never run.
    assert second.run_requests[0].run_key is None


def test_a_refresh_that_failed_after_it_built_the_features_is_asked_for_again(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    """A test of a model beside them may be red, or the predictions may have failed."""

    @dg.asset(key=FEATURES)
    def features() -> None: ...

    @dg.asset(deps=[features])
    def after() -> None:
        if breaks:
            raise ValueError("no water")

    materialized(lasting, RAW, "2021-10-07-12:00")
    for breaks in (True, False):
        dg.materialize([features, after], instance=lasting, raise_on_error=False)
        assert bool(refresh(lasting, repository).run_requests) is breaks


# weekly_retrain


def test_the_retraining_is_on_mondays_and_runs_by_default(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    schedule = repository.get_schedule_def("weekly_retrain")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    start = datetime(2026, 11, 18, tzinfo=ZoneInfo("UTC")).timestamp()
    times = schedule_times(schedule, start, 5)
    assert all(time.weekday() == 0 and time.hour == 4 for time in times)
    assert {(b - a).days for a, b in itertools.pairwise(times)} == {7}
    assert tick(lasting, repository, "weekly_retrain", times[0]).skip_message
    materialized(lasting, FEATURES)
    (asked,) = tick(lasting, repository, "weekly_retrain", times[0]).run_requests
    # The policy decides, and its decision is logged.
    assert schedule.job_name == "monitor"
    assert asked.run_config["ops"]["audit__monitoring_log"]["config"] == {"request": "schedule"}


def test_the_champion_is_looked_at_every_day(lasting: dg.DagsterInstance, repository: Any) -> None:
    schedule = repository.get_schedule_def("daily_monitoring")
    times = schedule_times(schedule, datetime(2026, 11, 18, tzinfo=ZoneInfo("UTC")).timestamp(), 3)
    assert {(b - a).days for a, b in itertools.pairwise(times)} == {1}
    assert tick(lasting, repository, "daily_monitoring", times[0]).skip_message
    materialized(lasting, FEATURES)
    (asked,) = tick(lasting, repository, "daily_monitoring", times[0]).run_requests
    assert asked.run_config["ops"]["audit__monitoring_log"]["config"].get("request") is None
    assert asked.run_key is None


def schedule_times(schedule: Any, start: float, count: int) -> list[datetime]:
    from dagster._utils.schedules import schedule_execution_time_iterator

    iterator = schedule_execution_time_iterator(
        start, schedule.cron_schedule, schedule.execution_timezone
    )
    return [next(iterator) for _ in range(count)]


def test_the_health_check_is_on_sundays_at_three(
    lasting: dg.DagsterInstance, repository: Any
) -> None:
    schedule = repository.get_schedule_def("weekly_health_check")
    start = datetime(2026, 11, 18, tzinfo=ZoneInfo("UTC")).timestamp()
    (first,) = schedule_times(schedule, start, 1)
    assert first == datetime(2026, 11, 22, 3, tzinfo=ZoneInfo("UTC"))
    assert len(tick(lasting, repository, "weekly_health_check", first).run_requests) == 1


# Every schedule and sensor


def test_everything_that_should_run_by_itself_does_so_by_default(repository: Any) -> None:
    """Dagster's own default is STOPPED: a platform that looks alive and does nothing."""
    found = {one.name: one.default_status.value for one in repository.schedule_defs}
    found |= {one.name: one.default_status.value for one in repository.sensor_defs}
    # The one that spends a person's credits waits for that person.
    assert found.pop("poll_opensky") == "STOPPED"
    names = (
        "hourly_refresh", "hourly_metars", "weekly_retrain", "automation",
        "run_failures_to_audit_log", "alerts", "weekly_health_check", "daily_clean_up",
        "reap_dead_runs", "periodic_checks", "daily_monitoring", "retrain_when_asked",
        "retrain_when_asked_100nm", "daily_operations", "weekly_reliability", "monthly_fleet",
    )  # fmt: skip
    assert found == dict.fromkeys(names, "RUNNING")


def test_there_is_no_second_automation_sensor_of_dagsters_own(repository: Any) -> None:
    kinds = [one.sensor_type.value for one in repository.sensor_defs]
    assert kinds.count("AUTO_MATERIALIZE") == 1


# automation


def requested(graph: Any, instance: dg.DagsterInstance, cursor: Any = None) -> Any:
    return dg.evaluate_automation_conditions(graph.defs, instance, cursor=cursor)


def test_automation_watches_every_asset_and_marks_its_runs_as_writers(repository: Any) -> None:
    sensor = repository.get_sensor_def("automation")
    keys = repository.asset_graph.get_all_asset_keys()
    assert sensor.asset_selection.resolve(repository.asset_graph) == keys
    assert sensor.run_tags["skyops/writes"] == "warehouse"


def test_a_run_that_died_is_tried_again_from_its_first_step(repository: Any) -> None:
    """Resumed at the check, the load that it judges is of another run, with nothing in it."""
    from dagster._core.storage.tags import RETRY_STRATEGY_TAG

    tags = [job.tags for job in repository.get_all_jobs() if "skyops/writes" in job.tags]
    tags.append(repository.get_sensor_def("automation").run_tags)
    assert len(tags) > 4
    assert {one.get(RETRY_STRATEGY_TAG) for one in tags} == {"ALL_STEPS"}


def test_automation_asks_on_an_empty_platform_for_the_airports_only_and_once(
    graph: Any, instance: dg.DagsterInstance
) -> None:
    first = requested(graph, instance)
    reference = [dg.AssetKey(["raw", name]) for name in ("airports", "runways")]
    assert [first.get_num_requested(key) for key in reference] == [1, 1]
    assert first.total_requested == 2
    for key in reference:
        materialized(instance, key)
    assert requested(graph, instance, first.cursor).total_requested == 0


CROSSINGS = dg.AssetKey(["features", "crossing_features"])
PROBABILITIES = dg.AssetKey(["features", "landing_probabilities"])
PREDICTIONS = dg.AssetKey(["ml", "predictions"])


def built(graph: Any, instance: dg.DagsterInstance, but: str = "") -> Any:
    """Materialise everything there is; returns the cursor after it was seen."""
    for key in graph.defs.resolve_asset_graph().toposorted_asset_keys:
        if but and key.path[-1].endswith(but):
            continue
        materialized(instance, key, "2021-10-07-12:00" if key == RAW else None)
    return requested(graph, instance).cursor


def rebuilt(graph: Any, instance: dg.DagsterInstance, failed: str | None = None) -> None:
    """The crossings' features and probabilities anew, with the tests that dbt runs on them."""
    nodes = graph.defs.resolve_asset_graph()
    checks = {*nodes.get(CROSSINGS).check_keys, *nodes.get(PROBABILITIES).check_keys}
    assert failed is None or failed in {key.name for key in checks}
    materialized(instance, CROSSINGS)
    materialized(instance, PROBABILITIES)
    for key in sorted(checks):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=key.name != failed,
                metadata={},
            )
        )


def test_new_features_ask_for_predictions_once(graph: Any, instance: dg.DagsterInstance) -> None:
    cursor = built(graph, instance)
    rebuilt(graph, instance)
    after = requested(graph, instance, cursor)
    assert after.get_num_requested(PREDICTIONS) == 1
    again = requested(graph, instance, after.cursor)
    assert again.get_num_requested(PREDICTIONS) == 0


def test_a_ring_on_which_nothing_was_decided_yet_holds_no_predictions_back(
    graph: Any, instance: dg.DagsterInstance
) -> None:
    """As in an installation from before that ring had a model."""
    cursor = built(graph, instance, but="_100nm")
    rebuilt(graph, instance)
    assert requested(graph, instance, cursor).get_num_requested(PREDICTIONS) == 1


def test_each_rings_own_decision_starts_its_own_job(
    repository: Any, instance: dg.DagsterInstance, pointed: Warehouse
) -> None:
    outer = VERDICT | {"model_name": "arrival-transit-100nm", "triggered": True}
    log_id = record_verdict(pointed, outer)
    assert ask(repository, instance, None).skip_message
    found = ask(repository, instance, None, "retrain_when_asked_100nm")
    assert [run.tags["skyops/monitoring_log_id"] for run in found.run_requests] == [str(log_id)]
    assert repository.get_sensor_def("retrain_when_asked_100nm").job_name == "retrain_100nm"
    keys = {
        name: repository.get_job(name).asset_layer.selected_asset_keys
        for name in ("retrain", "retrain_100nm")
    }
    shared = keys["retrain"] & keys["retrain_100nm"]
    assert shared == {PREDICTIONS, dg.AssetKey(["ml", "prediction_outcomes"])}
    assert all(key.path[-1].endswith("_100nm") for key in keys["retrain_100nm"] - shared)


def test_new_features_with_a_failed_test_hold_the_predictions_back(
    graph: Any, instance: dg.DagsterInstance
) -> None:
    """The blocking check failed in an earlier run, which `eager()` alone does not see."""
    cursor = built(graph, instance)
    rebuilt(graph, instance, failed="unique_crossing_features_crossing_id")
    held = requested(graph, instance, cursor)
    assert held.get_num_requested(PREDICTIONS) == 0
    rebuilt(graph, instance)
    assert requested(graph, instance, held.cursor).get_num_requested(PREDICTIONS) == 1


def test_predictions_stay_held_for_as_long_as_the_check_is_red(
    graph: Any, instance: dg.DagsterInstance
) -> None:
    """Also over input that comes anew, and comes anew red; then one run makes up for all of it."""
    cursor = built(graph, instance)
    for _ in range(3):
        rebuilt(graph, instance, failed="unique_crossing_features_crossing_id")
        for _ in range(2):
            held = requested(graph, instance, cursor)
            assert held.total_requested == 0
            cursor = held.cursor
    rebuilt(graph, instance)
    fired = requested(graph, instance, cursor)
    assert fired.get_num_requested(PREDICTIONS) == 1
    assert requested(graph, instance, fired.cursor).total_requested == 0


def fails(graph: Any, instance: dg.DagsterInstance, *keys: dg.AssetKey) -> None:
    """A real run of assets that fails, as the warehouse is away."""
    job = graph.defs.get_repository_def().get_job("__ASSET_JOB")
    with pytest.MonkeyPatch.context() as away:
        away.setenv("SKYOPS_WAREHOUSE_URL", "postgresql://x@127.0.0.1:1/x")
        result = job.get_subset(asset_selection=set(keys)).execute_in_process(
            instance=instance, raise_on_error=False
        )
    assert not result.success


def test_predictions_that_fail_are_tried_once_more_and_again_with_new_input(
    graph: Any, instance: dg.DagsterInstance
) -> None:
    outcomes = dg.AssetKey(["ml", "prediction_outcomes"])
    asset_graph = graph.defs.resolve_asset_graph()
    for parent in asset_graph.get(outcomes).parent_keys:
        for check in asset_graph.get(parent).check_keys:
            tell(instance, check, passed=True)
    cursor = built(graph, instance)
    rebuilt(graph, instance)
    cursor = requested(graph, instance, cursor).cursor
    # Once until it has succeeded: new input is then one try.
    for retries in (1, 0, 1):
        asked = []
        for _ in range(3):
            fails(graph, instance, PREDICTIONS, outcomes)
            for _ in range(3):
                found = requested(graph, instance, cursor)
                asked.append(found.get_num_requested(PREDICTIONS))
                cursor = found.cursor
                # What follows from them is not tried without them.
                assert found.get_num_requested(outcomes) <= asked[-1]
        assert asked == [retries, *[0] * 8]
        if not retries:
            materialized(instance, PREDICTIONS)
            cursor = requested(graph, instance, cursor).cursor
        rebuilt(graph, instance)
        fed = requested(graph, instance, cursor)
        assert fed.get_num_requested(PREDICTIONS) == 1
        cursor = fed.cursor


def test_a_failure_is_not_tried_again_while_the_input_is_red(
    graph: Any, instance: dg.DagsterInstance
) -> None:
    cursor = built(graph, instance)
    rebuilt(graph, instance)
    cursor = requested(graph, instance, cursor).cursor
    tell(instance, dg.AssetCheckKey(CROSSINGS, "columns_are_as_declared"), passed=False)
    fails(graph, instance, PREDICTIONS)
    for _ in range(2):
        found = requested(graph, instance, cursor)
        assert found.total_requested == 0
        cursor = found.cursor
    tell(instance, dg.AssetCheckKey(CROSSINGS, "columns_are_as_declared"), passed=True)
    assert requested(graph, instance, cursor).get_num_requested(PREDICTIONS) == 1


def test_airports_that_fail_are_tried_once_more(graph: Any, instance: dg.DagsterInstance) -> None:
    airports = dg.AssetKey(["raw", "airports"])
    found = requested(graph, instance)
    assert found.get_num_requested(airports) == 1
    asked = []
    for _ in range(3):
        fails(graph, instance, airports)
        for _ in range(2):
            found = requested(graph, instance, found.cursor)
            asked.append(found.get_num_requested(airports))
    assert asked == [1, 0, 0, 0, 0, 0]


def test_the_first_tick_on_a_full_platform_asks_for_nothing(
    graph: Any, instance: dg.DagsterInstance
) -> None:
    """Whatever is new or failed by then: a sensor that starts, or forgot, is no stampede."""
    built(graph, instance)
    rebuilt(graph, instance)
    fails(graph, instance, dg.AssetKey(["ml", "prediction_outcomes"]))
    found = requested(graph, instance)
    assert found.total_requested == 0
    assert requested(graph, instance, found.cursor).total_requested == 0


def test_a_champion_changed_by_hand_is_shown_and_asks_for_predictions_once(
    graph: Any, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.arrivals.models.champions import ChampionSwitch
    from skyops_assets.client import report_champion

    cursor = built(graph, instance)
    rebuilt(graph, instance)
    cursor = requested(graph, instance, cursor).cursor
    materialized(instance, PREDICTIONS)
    cursor = requested(graph, instance, cursor).cursor
    monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(instance))
    report_champion(ChampionSwitch(40, "m", None, "2", "clerk", "promote", "why not"))
    after = requested(graph, instance, cursor)
    assert (after.get_num_requested(PREDICTIONS), after.total_requested) == (1, 1)
    assert requested(graph, instance, after.cursor).total_requested == 0
    told = instance.get_latest_materialization_event(dg.AssetKey(["ml", "promotion_decisions"]))
    assert told and told.asset_materialization
    shown = {k: v.value for k, v in told.asset_materialization.metadata.items()}
    assert shown == {
        "decision": "promote by hand: version 2 is champion", "champion_version": "2",
        "changed_by": "clerk", "reason": "why not",
    }  # fmt: skip


# run_failures_to_audit_log


@pytest.fixture
def failed(
    graph: Any,
    instance: dg.DagsterInstance,
    pointed: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A real run of the main job that fails for want of its recording; its number."""
    monkeypatch.setenv("SKYOPS_RECORDING", "/nowhere/some.json")
    result = graph.defs.resolve_job_def("main").execute_in_process(
        instance=instance, asset_selection=[RAW], partition_key="2021-10-07-12:00",
        raise_on_error=False,
    )  # fmt: skip
    assert not result.success
    return str(result.run_id)


def watch(repository: Any, instance: dg.DagsterInstance, cursor: str | None) -> str | None:
    """One tick of the sensor; returns its cursor."""
    from skyops_assets.defs.resources import WarehouseResource

    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=repository,
        sensor_name="run_failures_to_audit_log",
        resources={"warehouse": WarehouseResource()},
    )
    sensor = repository.get_sensor_def("run_failures_to_audit_log")
    return sensor.evaluate_tick(context).cursor


LOG = "select kind, run_id, details ->> 'job', error from audit.monitoring_log"


def test_a_failed_run_is_written_to_the_audit_log_once_with_its_cause(
    repository: Any, instance: dg.DagsterInstance, pointed: Warehouse, query: Query, failed: str
) -> None:
    first = watch(repository, instance, "0")
    [(kind, run_id, job, error)] = query(pointed, LOG)
    assert (kind, run_id, job) == ("run_failure", failed, "main")
    assert "raw__opensky_states: " in error
    assert "The recording /nowhere/some.json does not exist." in error
    watch(repository, instance, first)
    # The daemon's cursor can be lost, and a tick can be repeated.
    watch(repository, instance, "0")
    assert len(query(pointed, LOG)) == 1


@pytest.mark.usefixtures("failed")
def test_a_run_that_fails_while_the_warehouse_is_away_is_written_when_it_is_back(
    repository: Any,
    instance: dg.DagsterInstance,
    pointed: Warehouse,
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cursor moves only after success: the daemon keeps it where a tick fails."""
    with monkeypatch.context() as broken, pytest.raises(SkyOpsError):
        broken.setenv("SKYOPS_WAREHOUSE_URL", "postgresql://x@127.0.0.1:1/x")
        watch(repository, instance, "0")
    assert watch(repository, instance, "0") != "0"
    assert len(query(pointed, LOG)) == 1
    # A cursor of another kind, of an older version: what was before is no news.
    assert watch(repository, instance, '{"record_id": 1}') == watch(repository, instance, None)


def test_an_error_that_postgres_cannot_hold_is_written_all_the_same(
    warehouse: Warehouse, query: Query
) -> None:
    assert record_run_failure(warehouse, run_id="a", job="main", error="bad\0\udcff")
    assert query(warehouse, LOG) == [("run_failure", "a", "main", "bad\ufffd?")]


def test_runs_that_succeed_are_not_written(
    repository: Any, instance: dg.DagsterInstance, pointed: Warehouse, query: Query
) -> None:
    @dg.job
    def fine() -> None: ...

    cursor = watch(repository, instance, None)
    assert fine.execute_in_process(instance=instance).success
    watch(repository, instance, cursor)
    assert query(pointed, LOG) == []


def test_another_failure_is_another_row_and_the_same_one_is_not(
    warehouse: Warehouse, query: Query
) -> None:
    written = [
        record_run_failure(warehouse, run_id=run, job="main", error="x") for run in ("a", "b", "a")
    ]
    assert written == [True, True, False]
    assert len(query(warehouse, LOG)) == 2


# The freshness of raw/opensky_states


@pytest.mark.parametrize(
    ("age_h", "state", "shown"),
    [(1.9, "PASS", "HEALTHY"), (2.1, "WARN", "WARNING"), (24.9, "WARN", "WARNING"),
     (25.1, "FAIL", "DEGRADED"), (None, "UNKNOWN", "UNKNOWN")],
)  # fmt: skip
def test_positions_that_were_not_loaded_for_long_are_overdue(
    graph: Any, lasting: dg.DagsterInstance, age_h: float | None, state: str, shown: str
) -> None:
    """By the daemon's own iteration over the code location, and the question that the UI asks."""
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.test_utils import freeze_time
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
    from dagster._daemon.freshness import FreshnessDaemon
    from dagster_graphql.test.utils import execute_dagster_graphql

    now = datetime.now(ZoneInfo("UTC"))
    if age_h is not None:
        with freeze_time(now - timedelta(hours=age_h)):
            materialized(lasting, RAW, "2021-10-07-12:00")
    place = LoadableTargetOrigin(module_name="skyops_assets.definitions")
    target = InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(place))
    with WorkspaceProcessContext(lasting, target) as workspace:
        for _ in FreshnessDaemon().run_iteration(workspace):
            pass
        answer = execute_dagster_graphql(workspace.create_request_context(), FRESHNESS)
    assert lasting.get_freshness_state_records([RAW])[RAW].freshness_state.value == state
    (node,) = answer.data["assetNodes"]
    assert node["freshnessStatusInfo"]["freshnessStatus"] == shown
    policy = node["internalFreshnessPolicy"]
    assert (policy["warnWindowSeconds"], policy["failWindowSeconds"]) == (7_200, 90_000)


FRESHNESS = """{ assetNodes(assetKeys: [{path: ["raw", "opensky_states"]}]) {
    freshnessStatusInfo { freshnessStatus }
    internalFreshnessPolicy {
        ... on TimeWindowFreshnessPolicy { warnWindowSeconds failWindowSeconds }
    }
} }"""


def test_every_asset_is_due_when_its_layer_is_and_only_positions_fail_within_a_month(
    graph: Any,
) -> None:
    """Where nothing new comes, as after the demo, that an asset is old is no fault."""
    hours = {"raw": 180 * 24, "model": 8 * 24, "features": 3, "predictions": 3, "live": 3,
             "monitoring": 27, "anomalies": 27, "operator": 27,
             **dict.fromkeys(TRANSFORM, 3)}  # fmt: skip
    fleet = {27, 8 * 24, 32 * 24}
    asset_graph = graph.defs.resolve_asset_graph()
    keys = asset_graph.get_all_asset_keys()
    assert asset_graph.get(HISTORY).freshness_policy is None
    weather = asset_graph.get(METARS).freshness_policy
    assert weather.warn_window.to_timedelta() == timedelta(hours=24)
    assert weather.fail_window.to_timedelta() >= timedelta(days=30)
    for key in keys - {RAW, HISTORY, METARS}:
        node = asset_graph.get(key)
        policy = node.freshness_policy
        assert policy is not None, f"{key.to_user_string()}: give it one in defs/policies.py"
        warns_h = policy.warn_window.to_timedelta() / timedelta(hours=1)
        if node.group_name in ("fleet", "reliability", "reports"):
            assert warns_h in fleet
        elif (
            (PROJECT_ROOT / "dbt_project/models/staging/operator")
            .joinpath(f"stg_operator__{key.path[-1]}.sql")
            .exists()
        ):
            assert warns_h == hours["monitoring"]
        elif node.group_name in hours:
            assert warns_h == hours[node.group_name]
        assert policy.fail_window.to_timedelta() >= timedelta(days=30)


# periodic_checks


def test_the_periodic_checks_run_by_themselves_and_in_no_other_job(
    graph: Any, repository: Any
) -> None:
    from skyops_assets.defs.platform import checks

    def of(job: str) -> set[dg.AssetCheckKey]:
        return set(repository.get_job(job).asset_layer.asset_graph.asset_check_keys)

    periodic = {
        one.check_key
        for found in vars(checks).values()
        for one in (found if isinstance(found, list) else [found])
        if isinstance(one, dg.AssetChecksDefinition)
    }
    assert of("periodic_checks") == periodic
    assert len(periodic) == 10
    for job in (
        "main",
        "refresh",
        "retrain",
        "retrain_100nm",
        "load_history",
        "load_metars",
        "poll",
    ):
        assert not of(job) & periodic


# dagster.yaml


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    return loaded


def test_the_instance_config_is_one_that_dagster_takes(
    config: dict[str, Any], home: Any, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse
) -> None:
    """With its real storage, on a real Postgres."""
    (home / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("SKYOPS_DAGSTER_URL", warehouse.sqlalchemy())
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        assert instance.get_run_records(limit=1) == []
        assert type(instance.run_storage).__name__ == "OneDaemonRunStorage"
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False
        assert instance.run_monitoring_enabled is True
        assert instance.run_monitoring_max_runtime_seconds > 0
        assert instance.freshness_enabled is True
        assert "FRESHNESS_DAEMON" in instance.get_required_daemon_types()
        assert instance.run_retries_enabled is True
        assert instance.run_retries_max_retries >= 1
        assert instance.run_retries_retry_on_asset_or_op_failure is False


def test_results_of_checks_go_with_their_runs_but_for_the_latest(
    home: Any, monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse, query: Query
) -> None:
    from skyops_assets.instance.retention import remove_old_runs

    (home / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("SKYOPS_DAGSTER_URL", warehouse.sqlalchemy())
    monkeypatch.setenv("DAGSTER_HOME", str(home))

    @dg.asset
    def one() -> None: ...

    @dg.asset_check(asset=one)
    def sound() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    with dg.DagsterInstance.get() as instance:
        runs = [dg.materialize([one, sound], instance=instance).run_id for _ in range(4)]
        evaluation = dg.AssetCheckEvaluation(
            asset_key=one.key, check_name="told", passed=True, metadata={}
        )
        instance.report_runless_asset_event(evaluation)
        instance.report_runless_asset_event(evaluation)
        # One that lasts, one in the middle, and the newest by hand.
        for run_id in (runs[1], runs[3]):
            instance.delete_run(run_id)
        assert remove_old_runs(instance, 90).check_results == 1
        assert remove_old_runs(instance, 90).check_results == 0
    left = query(warehouse, "select run_id, check_name from asset_check_executions order by id")
    assert left == [*((run_id, "sound") for run_id in (runs[0], *runs[2:])), *2 * [("", "told")]]


def test_runs_that_write_wait_for_each_other(config: dict[str, Any]) -> None:
    (limit,) = config["concurrency"]["runs"]["tag_concurrency_limits"]
    assert limit == {"key": "skyops/writes", "value": "warehouse", "limit": 1}


def test_nothing_in_the_instance_config_is_a_secret_or_a_path_of_one_machine() -> None:
    text = (PROJECT_ROOT / "dagster.yaml").read_text()
    assert "postgresql://" not in text
    assert "/home/" not in text


# retrain_when_asked


VERDICT = {
    "model_name": "arrival-transit-40nm",
    "window_end_at": datetime(2026, 11, 20, tzinfo=ZoneInfo("UTC")),
    "verdict": "skill alarm",
    "details": {},
}


def ask(
    repository: Any,
    instance: dg.DagsterInstance,
    cursor: str | None,
    name: str = "retrain_when_asked",
) -> Any:
    """One tick of a sensor."""
    from skyops_assets.defs.resources import WarehouseResource

    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        repository_def=repository,
        sensor_name=name,
        resources={"warehouse": WarehouseResource(), "graph": lambda: repository.asset_graph},
    )
    return repository.get_sensor_def(name).evaluate_tick(context)


def test_a_decision_to_retrain_starts_one_run_and_a_no_starts_none(
    repository: Any, instance: dg.DagsterInstance, pointed: Warehouse
) -> None:
    assert ask(repository, instance, None).skip_message
    record_verdict(pointed, VERDICT | {"triggered": False})
    assert ask(repository, instance, None).skip_message
    log_id = record_verdict(pointed, VERDICT | {"triggered": True})
    record_verdict(pointed, VERDICT | {"triggered": False})
    found = ask(repository, instance, None)
    (run,) = found.run_requests
    assert run.run_key == f"monitoring_log-{log_id}"
    assert run.tags["skyops/monitoring_log_id"] == found.cursor == str(log_id)
    assert repository.get_sensor_def("retrain_when_asked").job_name == "retrain"
    # The cursor is kept by the daemon after the run was asked for; lost, the key holds.
    assert ask(repository, instance, found.cursor).skip_message
    assert ask(repository, instance, None).run_requests[0].run_key == run.run_key


def test_what_was_decided_or_failed_is_asked_for_no_more(
    repository: Any, instance: dg.DagsterInstance, pointed: Warehouse
) -> None:
    first = record_verdict(pointed, VERDICT | {"triggered": True})
    record_failure(pointed, first, "out of memory")
    assert ask(repository, instance, None).skip_message
    record_verdict(pointed, VERDICT | {"triggered": True})
    assert len(ask(repository, instance, None).run_requests) == 1
    record_outcome(
        pointed,
        "arrival-transit-40nm",
        training_run_id="t",
        is_promoted=False,
        improvement=None,
    )
    assert ask(repository, instance, None).skip_message


def test_a_retraining_that_fails_is_noted_where_it_was_asked_for(
    repository: Any,
    graph: Any,
    instance: dg.DagsterInstance,
    pointed: Warehouse,
    query: Query,
) -> None:
    log_id = record_verdict(pointed, VERDICT | {"triggered": True})
    result = graph.defs.resolve_job_def("retrain").execute_in_process(
        instance=instance, raise_on_error=False, tags={"skyops/monitoring_log_id": str(log_id)}
    )
    assert not result.success

    def noted(will_retry: str) -> tuple[str | None, str | None]:
        # As the daemon's instance tags a failed run.
        instance.add_run_tags(result.run_id, {"dagster/will_retry": will_retry})
        watch(repository, instance, "0")
        statement = "select outcome, error from audit.monitoring_log where log_id = %s"
        [row] = query(pointed, statement, log_id)
        return row

    # Its second try decides, and finds the request open.
    assert noted("true") == (None, None)
    outcome, error = noted("false")
    assert outcome == "failed" and error is not None
    assert "features/arrival_features: columns_are_as_declared" in error


# A data-quality failure never retrains


TRAINING_SETS = dg.AssetKey(["ml", "training_sets"])


def tell(instance: dg.DagsterInstance, check: dg.AssetCheckKey, *, passed: bool) -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=check.asset_key, check_name=check.name, passed=passed, metadata={}
        )
    )


def test_every_blocking_check_of_what_the_model_learns_from_counts_and_no_other(
    repository: Any, instance: dg.DagsterInstance
) -> None:
    from skyops_assets.instance.check_results import failed_checks

    graph = repository.asset_graph
    above = graph.get_ancestor_asset_keys(TRAINING_SETS)
    blocking = {key for key in graph.asset_check_keys if graph.get(key).blocking}
    counting = {key for key in blocking if key.asset_key in above}
    # dbt's, the suites', the columns', the accounts'.
    names = {(key.asset_key.path[0], key.name) for key in counting}
    assert {
        ("raw", "state_vectors_are_plausible"), ("raw", "no_arrival_is_lost"),
        ("raw", "columns_are_as_declared"), ("features", "not_null_arrival_features_landed_at"),
        ("features", "columns_are_as_declared"), ("metrics", "unique_fct_arrivals_arrival_id"),
        ("staging", "unique_stg_reference__airports_airport"),
    } <= names  # fmt: skip
    for key in graph.asset_check_keys - counting:
        tell(instance, key, passed=False)
    assert failed_checks(instance, graph, TRAINING_SETS) == ()
    for key in counting:
        tell(instance, key, passed=False)
    assert len(failed_checks(instance, graph, TRAINING_SETS)) == len(counting)
    for key in counting:
        tell(instance, key, passed=True)
    assert failed_checks(instance, graph, TRAINING_SETS) == ()


def test_a_check_that_was_planned_and_not_evaluated_keeps_its_last_result(
    graph: Any, repository: Any, instance: dg.DagsterInstance
) -> None:
    """The run that was to evaluate it failed before: that is no pass, and no failure."""
    from dagster._core.definitions.asset_checks.asset_check_evaluation import (
        AssetCheckEvaluationPlanned,
    )

    from skyops_assets.instance.check_results import failed_checks

    def found() -> tuple[str, ...]:
        return failed_checks(instance, repository.asset_graph, TRAINING_SETS)

    check = dg.AssetCheckKey(RAW, "nothing_is_lost")

    def planned() -> None:
        run = instance.create_run_for_job(graph.defs.resolve_job_def("health_check"))
        plan = AssetCheckEvaluationPlanned(asset_key=RAW, check_name=check.name)
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        event = dg.DagsterEvent(kind.value, "main", event_specific_data=plan)
        instance.report_dagster_event(event, run.run_id)
        instance.report_run_failed(run)

    planned()
    assert found() == ()
    tell(instance, check, passed=False)
    planned()
    assert found() == ("nothing_is_lost of raw/opensky_states",)
    tell(instance, check, passed=True)
    planned()
    assert found() == ()


@pytest.fixture
def empty_features(pointed: Warehouse, query: Query) -> Warehouse:
    """So much of the features as a look at them reads where there is no champion."""
    query(
        pointed,
        "create schema features; create table features.arrival_features "
        "(flight_id text, airport text, ring_nm int, crossed_at timestamptz, "
        "landed_at timestamptz, transit_min float, label_quality text, is_simulated boolean)",
    )
    return pointed


@pytest.mark.parametrize(
    "check",
    [
        "arrivals_are_plausible of raw/arrivals_history",
        "unique_stg_reference__airports_airport of staging/stg_reference__airports",
        "columns_are_as_declared of features/arrival_features",
    ],
)
def test_a_red_check_holds_a_retraining_at_the_decision_and_at_its_start(
    graph: Any, instance: dg.DagsterInstance, empty_features: Warehouse, query: Query, check: str
) -> None:
    """Asked for by a person, whom nothing else holds."""
    repository = graph.defs.get_repository_def()
    name, asset = check.split(" of ")
    key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name)
    button = {"ops": {"audit__monitoring_log": {"config": {"request": "button"}}}}

    def decided() -> tuple[bool, str]:
        graph.defs.resolve_job_def("monitor").execute_in_process(
            instance=instance, run_config=button
        )
        [(triggered, said)] = query(
            empty_features,
            "select triggered, details ->> 'decision' from audit.monitoring_log "
            "order by log_id desc limit 1",
        )
        return triggered, said

    tell(instance, key, passed=False)
    assert decided() == (
        False,
        f"no retraining: data checks fail: {check} (requested by: a person)",
    )
    tell(instance, key, passed=True)
    assert decided() == (True, "retrain: a person")
    # Red again before it starts.
    tell(instance, key, passed=False)
    for _ in range(2):
        held = ask(repository, instance, None)
        assert held.skip_message == f"Waiting for these checks to pass: {check}."
        assert not held.run_requests and held.cursor is None
    tell(instance, key, passed=True)
    started = ask(repository, instance, None)
    assert len(started.run_requests) == 1
    assert not ask(repository, instance, started.cursor).run_requests


def test_a_look_from_the_command_line_asks_the_checks_too(
    repository: Any,
    instance: dg.DagsterInstance,
    empty_features: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from typer.testing import CliRunner

    from skyops_assets.cli import app

    monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(instance))
    monkeypatch.setattr(
        "skyops_assets.cli.monitoring.prepare", lambda: (load_settings(), empty_features)
    )
    check = dg.AssetCheckKey(FEATURES, "columns_are_as_declared")
    for passed, said in (
        (False, "data checks fail: columns_are_as_decl"),
        (True, "retrain: a per"),
    ):
        tell(instance, check, passed=passed)
        done = CliRunner().invoke(app, ["monitor", "run", "--retrain"])
        assert done.exit_code == 0, done.output
        assert said in done.output
