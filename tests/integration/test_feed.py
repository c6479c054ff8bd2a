"""`live.feed` and `live.alerts`, and the check that turns red when the lane stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from skyops_assets.cli.live import PassReports
from skyops_assets.quality.lane import feed
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.live.credits import CreditBudget
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import DEMO_START
from skyops_assets.transform.follow import PASS
from skyops_assets.warehouse.connection import Warehouse, only_one
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt
from tests.support.states import recording, seconds
from tests.support.ticks import Ticks

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]
FEED = dg.AssetKey(["live", "feed"])
BUILD = "skyops.dbt"


def load(warehouse: Warehouse, ago_s: float, rows: int = 30, **changes: Any) -> None:
    """A load of live positions, the last of them of so long ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    load_states(warehouse, flown(now - timedelta(seconds=ago_s + rows - 1), rows, **changes))


def flown(start: datetime, rows: int, **changes: Any) -> Recording:
    """An aircraft that moves, a position a second."""
    found = seconds(rows, start, **changes)
    for number, row in enumerate(found):
        row["latitude_deg"] += 0.0007 * number
    return recording(*found)


@pytest.fixture(scope="module")
def past(databases: Databases, dbt_of: Callable[[Warehouse], Dbt]) -> Iterator[Warehouse]:
    """A warehouse whose models hold a recording of the past."""
    made = databases.new()
    reference.replace_reference(made, "raw.airports", "airportsdata", reference.airports())
    load_states(made, flown(DEMO_START, 60, squawk="7700"))
    dbt_of(made)("run")
    yield made
    databases.drop(made)


@pytest.fixture
def warehouse(databases: Databases, past: Warehouse) -> Iterator[Warehouse]:
    """A copy of it for each test."""
    made = databases.new(template=past.url.database)
    yield made
    databases.drop(made)


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as fresh:
        monkeypatch.setattr("dagster.DagsterInstance.get", lambda: fresh)
        monkeypatch.setattr(type(fresh), "__exit__", lambda *_: None)
        yield fresh


def shown(warehouse: Warehouse) -> dict[str, Any]:
    found = feed(warehouse)
    assert found is not None
    return found


def test_the_feed_is_of_live_loads_and_of_what_waits_for_the_lane(
    pointed: Warehouse, query: Query, dbt_of: Callable[[Warehouse], Dbt]
) -> None:
    # Of a recording of the past nothing is shown as now.
    before = shown(pointed)
    assert before["positions_per_s"] == before["waiting_load_count"] == 0
    assert before["newest_position_at"] is before["newest_answer_at"] is None
    assert before["lane_lag_s"] is before["credits_left"] is before["waiting_s"] is None
    load_states(pointed, recording(*seconds(5, before["newest_built_position_at"])))
    assert shown(pointed)["waiting_load_count"] == 0

    CreditBudget(pointed, "me", 400).reserve(3)
    load(pointed, 2)
    now = shown(pointed)
    assert now["positions_per_s"] == 0.5
    assert 2 <= now["newest_position_age_s"] < 30
    assert 0 <= now["newest_answer_age_s"] < 30
    assert now["credits_left"] == 397
    assert now["waiting_load_count"] == 1
    assert now["waiting_since_at"] == now["newest_answer_at"]
    assert now["lane_lag_s"] > 1e8
    assert now["load_to_models_p50_s"] is None

    dbt_of(pointed)(*PASS)
    after = shown(pointed)
    assert after["waiting_load_count"] == after["lane_lag_s"] == 0
    assert after["newest_built_position_at"] == after["newest_position_at"]
    assert 0 < after["load_to_models_p50_s"] <= after["load_to_models_max_s"] < 300
    assert after["pass_ended_at"] > before["pass_ended_at"]

    # What came an hour ago is old, and not none.
    query(
        pointed,
        "update raw.ingest_batches set finished_at = finished_at - interval '1 hour', "
        "window_end_at = window_end_at - interval '1 hour'",
    )
    old = shown(pointed)
    assert old["positions_per_s"] == 0
    assert 3600 <= old["newest_position_age_s"] < 3700


def test_an_alert_is_of_what_is_abnormal_now(
    pointed: Warehouse, query: Query, dbt_of: Callable[[Warehouse], Dbt]
) -> None:
    assert query(pointed, "select anomaly from metrics.fct_anomalies") == [("squawk_7700",)]
    assert query(pointed, "select count(*) from live.alerts") == [(0,)]
    load(pointed, 2, 60, squawk="7700")
    for number in range(4):
        load(pointed, 2, icao24=f"3c000{number}", vertical_rate_mps=-1.0 if number else -40.0)
    dbt_of(pointed)(*PASS)
    ((alert, alert_class, icao24, callsign, lasted_s),) = query(
        pointed,
        "select alert, alert_class, icao24, callsign, strongest_value from live.alerts "
        "where scope = 'aircraft' and alert like 'squawk%'",
    )
    assert (alert, alert_class, icao24, callsign) == ("squawk_7700", "flight", "3c6444", "DLH9CK")
    assert lasted_s == 59
    # The window is the hourly model's.
    present = (
        "select scope, scope_name, aircraft_count, abnormal_count, abnormal_share "
        "from {} where {} order by 1, 2"
    )
    found = query(pointed, present.format("live.alerts", "scope <> 'aircraft'"))
    window = query(pointed, "select min(started_at) from live.alerts where scope <> 'aircraft'")[0][
        0
    ]
    dbt_of(pointed)("run")
    of_now = f"is_critical and window_started_at = '{window.isoformat()}'"
    assert found == query(pointed, present.format("metrics.anomaly_alerts_5m", of_now)) != []


def test_the_check_turns_red_when_the_lane_stops_and_green_when_it_goes_on(
    pointed: Warehouse,
    query: Query,
    instance: dg.DagsterInstance,
    graph: Any,
    dbt_of: Callable[[Warehouse], Dbt],
) -> None:
    def results() -> list[bool]:
        records = instance.event_log_storage.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION), ascending=True
        )
        events = [record.event_log_entry.dagster_event for record in records]
        return [event.asset_check_evaluation_data.passed for event in events if event]

    def waits(seconds: int) -> None:
        query(
            pointed,
            "update raw.ingest_batches set finished_at = now() - %s * interval '1 second' "
            "where transformed_at is null and target = 'raw.opensky_states'",
            seconds,
        )

    tick = Ticks(graph.defs.get_repository_def(), instance)
    nothing = "0 new, 0 recovered, 0 notices sent."
    assert tick() == nothing
    assert results() == [True]
    load(pointed, 2)
    waits(50)
    # The same result is not reported again.
    assert [tick(), tick()] == [nothing, nothing]
    assert results() == [True]

    waits(70)
    # Where no lane has ever run, the hourly refresh is what there is.
    assert tick() == nothing
    dbt_of(pointed)(*PASS)
    load(pointed, 2, icao24="3c0002")
    waits(70)
    # A build under way is waited for ...
    with only_one(pointed, BUILD, lambda: None):
        assert tick() == nothing
    assert tick() == "1 new, 0 recovered, 1 notices sent."
    assert results() == [True, False]
    ((title, details),) = query(pointed, "select title, details from audit.alerts")
    assert title == "Check lane_keeps_up of live/feed failed"
    unbuilt = "select finished_at from raw.ingest_batches where transformed_at is null"
    since = query(pointed, f"{unbuilt} and target = 'raw.opensky_states'")[0][0]
    assert details.startswith(
        "The live lane has stopped: 1 load of live positions waits to be in the models, the oldest "
        f"since {since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC (limit 60 s), and live answers stand "
        "still. The last pass or build ended at "
    )
    assert "Start `skyops follow`" in details
    # ... but is no recovery, nor for ever.
    with only_one(pointed, BUILD, lambda: None):
        assert tick() == nothing
    assert results() == [True, False]

    # Made again by the hourly build, the asset would show a check that was not evaluated.
    instance.report_runless_asset_event(dg.AssetMaterialization(FEED))
    tick()
    assert results() == [True, False, False]

    dbt_of(pointed)(*PASS)
    assert tick() == "0 new, 1 recovered, 1 notices sent."
    assert results() == [True, False, False, True]
    load(pointed, 2, icao24="3c0001")
    waits(700)
    with only_one(pointed, BUILD, lambda: None):
        assert tick() == "1 new, 0 recovered, 1 notices sent."

    # By hand, and four times a day, the same check runs in a job.
    result = graph.defs.resolve_job_def("periodic_checks").execute_in_process(
        instance=instance, raise_on_error=False
    )
    (evaluation,) = [one for one in result.get_asset_check_evaluations() if one.asset_key == FEED]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert evaluation.metadata["waiting_loads"].value == 1


def test_passes_are_told_once_in_a_while_and_made_up_for_where_dagster_was_away(
    warehouse: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    reports = PassReports(warehouse, said.append)

    def told(predictions: int) -> list[tuple[int, int]]:
        reports.add(predictions)
        assert reports._telling is not None
        reports._telling.join(60)
        found = [
            record.event_log_entry.asset_observation
            for record in instance.fetch_observations(FEED, limit=10, ascending=True).records
        ]
        return [
            (one.metadata["passes"].value, one.metadata["new_predictions"].value)
            for one in found
            if one
        ]

    def away(*_: Any) -> None:
        raise OSError("no\nstorage")

    with monkeypatch.context() as broken:
        broken.setattr("skyops_assets.client.report_passes", away)
        assert told(1) == []
        reports._due_at = time.monotonic()
        assert told(2) == []
    assert said == ["The report to Dagster failed; the next one includes it: no storage"]
    assert told(4) == []
    reports._due_at = time.monotonic()
    assert told(0) == [(4, 7)]
    assert told(1) == [(4, 7)]
