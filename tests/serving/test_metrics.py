"""What the service tells Prometheus, of itself and of its databases."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from skyops_assets.serving import metrics, metrics_page
from skyops_assets.serving.metrics_page import PAGE, Listed, asked, own, pushed
from skyops_assets.serving.postgres_metrics import POSTGRES_PARTS
from skyops_assets.serving.scrape import DATABASE_S, Scrape
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases
from tests.support.dbt import Dbt
from tests.support.monitored import fill, heard
from tests.support.prometheus import prometheus
from tests.support.servers import free_port, postgres
from tests.support.serving import Served, new_key
from tests.support.serving import served as start

pytestmark = pytest.mark.xdist_group("serving")
Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture(scope="module")
def filled(
    databases: Databases, dbt_of: Callable[[Warehouse], Dbt], manifest: Path
) -> Iterator[Warehouse]:
    """A warehouse with something of everything."""
    made = databases.new()
    dbt_of(made)("run", "--select", "feed")
    fill(made, manifest)
    yield made
    databases.drop(made)


@pytest.fixture(scope="module")
def broken(databases: Databases, filled: Warehouse) -> Iterator[Warehouse]:
    """A copy of it without `live.feed`; made while nobody uses the original."""
    made = databases.new(template=str(filled.url.database))
    with made.connect() as connection, connection.cursor() as cursor:
        cursor.execute("drop view live.feed")
    yield made
    databases.drop(made)


@pytest.fixture(scope="module")
def served(
    filled: Warehouse, broken: Warehouse, dagster: Warehouse, folder: Path
) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKYOPS_DAGSTER_DATABASE", str(dagster.url.database))
        with start(filled, folder) as one:
            yield one


def scraped(served: Served) -> Samples:
    """Every sample by its name."""
    answer = served.client.get("/metrics")
    assert answer.status_code == 200, answer.text
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    """The one sample with these labels."""
    values = [number for known, number in found[name] if labels.items() <= known.items()]
    assert len(values) == 1, (name, labels, found[name])
    return values[0]


def test_what_the_databases_hold_is_told(served: Served) -> None:
    heard(served.warehouse)
    found = scraped(served)

    def told(name: str, **labels: str) -> float:
        return value(found, f"skyops_{name}", **labels)

    assert {part["part"] for part, count in found["skyops_scrape_errors_total"] if count} == set()
    # Feed and lane: 60 positions in the last minute's answers beside 120.
    assert told("feed_positions_per_second") == pytest.approx(3)
    assert 10 <= told("feed_newest_answer_age_seconds") < 40
    assert 10 <= told("feed_newest_position_age_seconds") < 40
    assert told("lane_waiting_loads") == 1
    assert 10 <= told("lane_waiting_seconds") < 40
    assert told("lane_load_to_models_max_seconds") == pytest.approx(3)
    assert told("lane_lag_seconds") == pytest.approx(20)
    assert told("transform_running") == 0
    assert [told("positions_last_hour", outcome=one) for one in
            ("read", "loaded", "duplicate", "rejected")] == [280, 270, 8, 2]  # fmt: skip
    assert (told("opensky_credits_left"), told("opensky_credits_daily")) == (300, 400)
    # The model: the champion and the newest version, and no other.
    assert {labels["version"]: number for labels, number in
            found["skyops_model_is_champion"]} == {"3": 1, "4": 0}  # fmt: skip
    assert told("model_training_rows", version="3", ring="40") == 7003
    assert told("model_mae_seconds", version="3") == 90
    assert told("model_latency_p99_seconds", version="3") == pytest.approx(0.008)
    # Too few rows are no recovery.
    assert told("monitor_skill_alarm", ring="40") == 1
    assert told("monitor_skill_alarm", ring="100") == 0
    assert [labels["ring"] for labels, _ in found["skyops_monitor_skill"]] == ["100"]
    assert told("alerts_open", kind="check") == 1
    assert told("alert_notices_unsent", channel="webhook") == 1
    # Traffic: of the last hour and of the watched airports.
    counted = ("landings", "takeoffs", "go_arounds", "holdings", "flights")
    assert [told(f"airport_{what}", airport="LFPO") for what in counted] == [2, 1, 1, 1, 3]
    assert told("airport_additional_seconds", airport="LFPO") == pytest.approx(180)
    assert told("airport_landings", airport="LFPG") == 1
    assert told("airport_landings", airport="LFPB") == 0
    assert {labels["airport"] for labels, _ in found["skyops_airport_landings"]} == {
        "LFPG", "LFPO", "LFPB", "LFOB", "LFPV"
    }  # fmt: skip
    assert (told("flights_last_hour"), told("flights_heard")) == (5, 3)
    # Of the latest week; of yesterday.
    assert (told("reliability_alerts"), told("maintenance_overdue")) == (1, 2)
    assert told("punctuality_on_time_ratio") == 1
    # Of the newest day, and of the newest week.
    fleet = ("airframes", "flights", "airborne_seconds", "coverage_share")
    assert [told(f"fleet_{what}") for what in fleet] == [4, 10, 37800, 0.75]
    areas = ("coverage_share", "gaps", "rejected_share", "stale_share")
    assert [told(f"area_{what}", airport="LFPO") for what in areas] == [0.9, 7, 0.01, 0.02]
    # Postgres.
    name = str(served.warehouse.url.database)
    assert told("postgres_commits_total", database=name) > 10
    assert told("postgres_size_bytes", database=name) > 5e6
    assert told("warehouse_size_bytes", schema="raw") > 0
    assert told("postgres_locks_held", database=name) >= 1
    assert told("postgres_checkpoint_buffers_total") >= 0
    assert told("postgres_wal_bytes_total") > 1e6


def test_what_dagster_has_written_is_told(served: Served) -> None:
    found = scraped(served)

    def told(name: str, **labels: str) -> float:
        return value(found, f"skyops_dagster_{name}", **labels)

    assert told("runs_last_day", job_name="good", status="success") == 2
    assert told("runs_last_day", job_name="bad", status="failure") == 1
    assert (told("run_success", job_name="good"), told("run_success", job_name="bad")) == (1, 0)
    assert 0 < told("run_duration_seconds", job_name="good") < 60
    assert abs(told("run_end_timestamp_seconds", job_name="good") - time.time()) < 300
    assert told("runs_unfinished", status="queued") == 1
    assert told("runs_unfinished", status="started") == 0
    assert 0 < told("queue_oldest_seconds") < 300
    assert told("checks", result="failed", blocking="true") == 1
    assert told("checks", result="warned", blocking="false") == 1
    assert told("checks", result="passed", blocking="false") == 1
    assert {(labels["check"], labels["severity"], labels["blocking"]) for labels, _ in
            found["skyops_dagster_check_failing"]} == {
        ("no_row_is_lost", "error", "true"), ("few_rows_are_rejected", "warning", "false"),
    }  # fmt: skip
    assert told("asset_freshness", asset="raw/positions") == 2
    at = told("asset_materialized_timestamp_seconds", asset="raw/positions")
    assert abs(at - time.time()) < 300
    assert told("ticks_last_hour", instigator="alerts", status="skipped") == 1
    assert abs(told("tick_timestamp_seconds", instigator="alerts") - time.time()) < 300
    at = told("daemon_heartbeat_timestamp_seconds", daemon="sensor")
    assert abs(at - time.time()) < 300


def test_answers_are_counted_by_their_route_and_nothing_else_is_a_label(served: Served) -> None:
    before = scraped(served)
    for number in range(3):
        served.client.get(f"/v1/{number}/../nothing-{number}")
    served.client.request("BREW", "/health/live")
    served.client.get("/health/live")
    assert served.client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    after = scraped(served)

    def more(name: str, **labels: str) -> float:
        def count(found: Samples) -> float:
            return sum(n for known, n in found.get(name, []) if labels.items() <= known.items())

        return count(after) - count(before)

    name = "skyops_http_requests_total"
    assert more(name, route="unmatched", status="404", method="GET") == 3
    assert more(name, route="/health/live", status="405", method="other") == 1
    assert more(name, route="/health/live", status="200") == 1
    assert more("skyops_http_request_duration_seconds_count", route="unmatched") == 3
    assert more("skyops_rejected_total", reason="unauthenticated") == 1
    assert {labels["route"] for labels, _ in after[name]} <= {
        "unmatched", "/health/live", "/health/ready", "/metrics"
    }  # fmt: skip


def test_a_key_without_read_is_refused(served: Served) -> None:
    key = new_key(served.warehouse, "predict")
    patience = time.monotonic() + 10
    while True:
        answer = served.client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
        # A new key is known within two seconds.
        if answer.status_code != 401 or time.monotonic() > patience:
            break
        time.sleep(0.2)
    assert answer.status_code == 403
    assert "lacks the scope 'read'" in answer.json()["detail"]


def test_scrapes_in_a_row_ask_the_server_once(served: Served) -> None:
    """Ten seconds long the answers are those of before, however often they are asked for."""
    first = value(scraped(served), "skyops_feed_newest_answer_age_seconds")
    assert {value(scraped(served), "skyops_feed_newest_answer_age_seconds")
            for _ in range(20)} == {first}  # fmt: skip


def test_a_part_that_fails_or_hangs_is_missing_and_counted(broken: Warehouse, folder: Path) -> None:
    """The feed is gone, somebody locks the movements, and Dagster's database never was."""
    home = folder / "broken"
    home.mkdir()
    with (
        start(broken, home, {"SKYOPS_DAGSTER_DATABASE": "nowhere"}) as one,
        broken.connect() as holder,
        holder.cursor() as cursor,
    ):
        cursor.execute("lock table metrics.fct_movements in access exclusive mode")
        began = time.monotonic()
        found = scraped(one)
        assert time.monotonic() - began < 6
        failed = {labels["part"] for labels, count in found["skyops_scrape_errors_total"] if count}
        ours = {name for name in failed if not name.startswith("dagster")}
        # A table's size is not known either while it is locked.
        assert ours == {"feed", "traffic", "schemas"}
        assert len([name for name in failed if name.startswith("dagster")]) == 10
        assert not [name for name in found if name.startswith(("skyops_feed", "skyops_airport"))]
        assert value(found, "skyops_flights_last_hour") == 5
        assert value(found, "skyops_opensky_credits_left") == 300
        # Told once, not with every scrape.
        scraped(one)
        assert one.log.count("The metrics of feed are missing: relation") == 1


def test_a_server_that_is_silent_costs_a_scrape_four_seconds() -> None:
    """As one that hangs, or whose packets somebody drops."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        scrape = Scrape(address, Settings())
        began = time.monotonic()
        assert list(asyncio.run(scrape.families()).collect()) == []
        assert DATABASE_S - 0.5 < time.monotonic() - began < DATABASE_S + 2


def test_postgres_15_tells_the_same_and_a_plain_role_only_what_it_may_know() -> None:
    """Its checkpoints are in another view; what other sessions do is missing, and no 0."""
    with postgres() as server:
        server.run("create database skyops", "create role plain login password 'not-a-secret'")

        def told(user: str) -> Samples:
            scrape = Scrape(server.address(user), Settings(), POSTGRES_PARTS)
            families = asyncio.run(scrape.families())
            found: Samples = {}
            for family in families.collect():
                for sample in family.samples:
                    found.setdefault(sample.name, []).append((sample.labels, sample.value))
            return found

        listed = {one.name for part in POSTGRES_PARTS for one in part.metrics}
        schemas = {"skyops_warehouse_size_bytes"}  # There are none as yet.
        assert listed - set(told("owner")) == schemas
        hidden = {"skyops_postgres_sessions_active", "skyops_postgres_longest_transaction_seconds"}
        assert listed - set(told("plain")) == schemas | hidden


def test_what_a_process_counts_of_predictions_stays_small() -> None:
    metrics.served("arrival-transit-40nm", "3", 0.25)
    metrics.served("arrival-transit-40nm", "4", 0.5)
    for number in range(metrics.MOST_VERSIONS + 5):
        metrics.predicted("arrival-transit-40nm", str(number), 0.002, [10, 20])
    metrics.champion_refused("arrival-transit-40nm")
    lines = generate_latest(metrics.REGISTRY).decode().splitlines()
    model = 'model="arrival-transit-40nm"'
    assert f'skyops_predictions_total{{{model},version="3"}} 2.0' in lines
    assert f'skyops_predictions_total{{{model},version="other"}} 10.0' in lines
    assert f'skyops_predicted_transit_seconds_sum{{{model},version="3"}} 1800.0' in lines
    assert f'skyops_predicted_transit_seconds_bucket{{le="720.0",{model},version="3"}} 1.0' in lines
    assert [line for line in lines if line.startswith("skyops_model_load_seconds{")] == [
        f'skyops_model_load_seconds{{{model},version="4"}} 0.5'
    ]
    assert f"skyops_champion_loaded{{{model}}} 0.0" in lines


PREDICTING = """
import sys, time
from prometheus_client import start_http_server
from skyops_assets.serving import metrics
metrics.served("arrival-transit-40nm", "3", 0.25)
metrics.predicted("arrival-transit-40nm", "3", 0.002, [11.5, 14])
start_http_server(int(sys.argv[1]), "127.0.0.1", metrics.REGISTRY)
time.sleep(600)
"""


def test_prometheus_has_every_metric_that_the_docs_list(served: Served, folder: Path) -> None:
    """A real one scrapes, and is asked for each by its name."""
    key = folder / "skyops.key"
    key.write_text(new_key(served.warehouse, "read"))
    port = free_port()
    predicting = subprocess.Popen([sys.executable, "-c", PREDICTING, str(port)])
    config = f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: skyops
    authorization: {{credentials_file: {key}}}
    static_configs: [{{targets: ["127.0.0.1:{served.port}"]}}]
  - job_name: predicting
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
    try:
        with prometheus(config, folder) as client:

            def ask(query: str) -> list[float]:
                answer = client.get("/api/v1/query", params={"query": query}).json()
                return [float(one["value"][1]) for one in answer["data"]["result"]]

            patience = time.monotonic() + 30
            while ask("sum(up)") != [2.0] and time.monotonic() < patience:
                time.sleep(0.5)
            assert ask('up{job="skyops"}') == [1.0], served.log
            listed = [*own(), *asked()]
            missing = [one.name for one in listed if not _is_told(one, ask)]
            assert missing == []
            assert len(listed) > 80
            # All that one service may ever tell: with all airports, assets and jobs 1,500 or so.
            assert ask('scrape_samples_scraped{job="skyops"}')[0] < 500
    finally:
        predicting.terminate()
        predicting.wait(20)


def _is_told(one: Listed, ask: Callable[[str], list[float]]) -> bool:
    name = f"{one.name}_count" if one.kind == "histogram" else one.name
    return any(number >= 0 for number in ask(name))


def test_the_page_lists_what_the_code_has() -> None:
    assert PAGE.read_text() == metrics_page.with_tables(PAGE.read_text()), (
        "docs/metrics.md is stale: run `make docs`"
    )


def test_names_follow_the_conventions() -> None:
    for one in (*own(), *asked(), *pushed()):
        assert one.name.startswith("skyops_")
        assert one.name.endswith("_total") == (one.kind == "counter")
        # Prometheus sets these itself.
        assert not {"job", "instance", "le", "quantile"} & set(one.labels)
        assert not {"minutes", "min", "ms", "mb"} & set(one.name.split("_"))
        assert one.meaning[-1] == "." and "|" not in one.meaning
