"""A warehouse with something of everything that Prometheus is told, and Dagster's database.

Belongs here: making both. Does not: what is told of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat

from skyops_assets.settings import PROJECT_ROOT
from skyops_assets.warehouse.connection import Warehouse

TABLES = ("fct_flights", "fct_movements", "fct_holdings", "fct_arrivals",
          "component_reliability_weekly", "maintenance_due", "punctuality_daily",
          "fleet_types_daily", "feed_reliability_weekly")  # fmt: skip
"""Of the schema `metrics`, what is asked for; with the columns that their contracts promise."""
FILLED = """
-- An hour of Orly, and what is of before or of elsewhere.
insert into metrics.fct_flights (flight_id, last_seen_at)
select 'f' || n, now() from generate_series(0, 4) as numbers (n)
union all select 'old', now() - interval '2 hours';

insert into metrics.fct_movements (movement_id, flight_id, airport, movement, moved_at)
select 'm' || n, 'f' || n % 3, airport, movement, now() - age
from (values
    (0, 'LFPO', 'landing', interval '10 minutes'),
    (1, 'LFPO', 'landing', interval '20 minutes'),
    (2, 'LFPO', 'takeoff', interval '30 minutes'),
    (3, 'LFPO', 'go_around', interval '15 minutes'),
    (4, 'LFPO', 'landing', interval '75 minutes'),
    (5, 'LFPG', 'landing', interval '45 minutes'),
    (6, 'EGLL', 'landing', interval '5 minutes')
) as moved (n, airport, movement, age);

insert into metrics.fct_holdings (holding_id, airport, ended_at)
select 'h' || n, 'LFPO', now() - n * interval '40 minutes'
from generate_series(1, 2) as numbers (n);

insert into metrics.fct_arrivals (arrival_id, airport, ring_nm, landed_at, additional_min)
select 'a' || n, 'LFPO', ring, now() - age, late
from (values
    (0, 40, 2.0, interval '10 minutes'),
    (1, 40, 4.0, interval '20 minutes'),
    (2, 100, 90.0, interval '20 minutes'),
    (3, 40, 90.0, interval '70 minutes')
) as landed (n, ring, late, age);

insert into metrics.component_reliability_weekly (week_on, part_number, alert_level, is_current)
values
    ('2025-01-06', '', 'alert', false), ('2025-01-06', 'P', 'alert', false),
    ('2025-01-13', '', 'alert', true), ('2025-01-13', 'P', 'normal', true);
insert into metrics.fleet_types_daily
    (typecode, flown_on, airframe_count, flight_count, airborne_h, heard_h, perhaps_airborne_h)
values ('A320', '2024-01-02', 3, 9, 10, 6, 8), ('B738', '2024-01-02', 1, 1, 0.5, 3, 4),
    ('A320', '2024-01-01', 99, 99, 99, 99, 99);
insert into metrics.feed_reliability_weekly
    (area, week_on, coverage_share, gap_count, rejected_share, stale_share)
values ('LFPO', '2024-01-08', 0.9, 7, 0.01, 0.02), ('LFPO', '2024-01-01', 0.1, 1, 0.1, 0.1);
insert into metrics.maintenance_due (task, due_status)
values ('A', 'overdue'), ('B', 'overdue'), ('C', 'open');
insert into metrics.punctuality_daily (arrives_on, airport, on_time_count, landed_count)
select (now() at time zone 'UTC')::date - age, 'LFP' || age, 3 + age, 4
from (values (0), (1), (1)) as days (age);

insert into audit.live_horizon (latest_at, is_whole) values (now(), false);
insert into raw.opensky_credits (utc_day, account, spent, daily_credits)
values ((now() at time zone 'UTC')::date, 'anonymous', 100, 400);
insert into audit.alerts (problem, kind, owners, title, details, opened_at, last_seen_at)
values ('check a b', 'check', '{team:skyops}', 't', 'd', now(), now());
insert into audit.alert_notices (alert_id, is_recovery, channel, owner)
select alert_id, false, 'webhook', 'team:skyops' from audit.alerts;
"""
MODEL = """
-- Version 3 is champion, version 4 is newer.
insert into ml.training_sets (fingerprint, ring_nm, row_count, excluded, airports)
values ('fp', 40, 9000, '{}', '{LFPO}');
insert into ml.training_runs (
    training_run_id, model_name, ring_nm, recipe, fingerprint, features, params, train_share,
    train_rows, test_rows, embargoed_rows, shared_flight_rows, trained_through_at
)
select
    'run' || n, 'arrival-transit-40nm', 40, 'hgb-l1', 'fp', '{}', '{}', 0.8,
    7000 + n, 2000, 0, 0, now()
from generate_series(2, 4) as versions (n);
insert into ml.model_versions (
    model_name, version, training_run_id, fingerprint, mlflow_run_id, is_champion, registered_at
)
select
    'arrival-transit-40nm', n::text, 'run' || n, 'fp', 'm' || n, n = 3,
    now() + n * interval '1 hour'
from generate_series(2, 4) as versions (n);
insert into ml.evaluations (
    training_run_id, candidate, role, test_rows, predicted_rows, scored_rows, mae_min, r2, skill
)
select 'run' || n, 'c', 'challenger', 2000, 2000, 2000, 1.5, 0.7, 0.3
from generate_series(2, 4) as versions (n);
insert into ml.challenger_evidence (
    training_run_id, mlflow_run_id, peak_memory_mb, p50_ms, p95_ms, p99_ms
)
select 'run' || n, 'm' || n, 100, 2, 4, 8 from generate_series(2, 4) as versions (n);
insert into audit.monitoring_log (
    kind, model_name, model_version, verdict, skill, mae_min, r2, drift_score
)
values
    ('monitor', 'arrival-transit-40nm', '3', 'skill alarm', 0.05, 2, 0.4, 0.1),
    ('monitor', 'arrival-transit-40nm', '3', 'too few rows', null, 2, 0.4, 0.1),
    ('monitor', 'arrival-transit-100nm', '1', 'ok', 0.3, 3, 0.6, 0.2);
"""

HEARD = """
delete from raw.ingest_batches;
delete from audit.transform_state;
insert into raw.ingest_batches (
    target, source, started_at, finished_at, window_start_at, window_end_at, read_rows,
    loaded_rows, duplicate_rows, rejected_rows, transformed_at
)
select
    'raw.opensky_states', 'opensky:rest', now() - ago, now() - ago, now() - ago, now() - ago,
    loaded + dup + bad, loaded, dup, bad, now() - ago + took
from (values
    (interval '40 minutes', 90, 8, 2, interval '3 seconds'),
    (interval '20 seconds', 120, 0, 0, interval '3 seconds'),
    (interval '10 seconds', 60, 0, 0, null)
) as answers (ago, loaded, dup, bad, took);
insert into audit.transform_state (horizon_at, finished_at)
values (now() - interval '30 seconds', now());
update metrics.fct_flights
set last_seen_at = now() - substr(flight_id, 2)::integer * interval '25 seconds'
where flight_id <> 'old';
"""


def heard(warehouse: Warehouse) -> None:
    """Three answers of OpenSky, counted from now, and five flights; no model holds the last."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(HEARD)


def fill(warehouse: Warehouse, manifest: Path, *, with_model: bool = True) -> None:
    """Put it into a warehouse that has `live.feed`, and none of `TABLES`.

    Args:
        with_model: also versions of the model that nobody trained.
    """
    nodes = json.loads(manifest.read_bytes())["nodes"]
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("create schema if not exists metrics")
        for name in TABLES:
            columns = nodes[f"model.skyops.{name}"]["columns"].values()
            typed = ", ".join(f"{one['name']} {one['data_type']}" for one in columns)
            cursor.execute(f"create table metrics.{name} ({typed})")
        cursor.execute(FILLED)
        if with_model:
            cursor.execute(MODEL)
        cursor.execute(HEARD)


REPOSITORY = RemoteRepositoryOrigin(
    code_location_origin=RegisteredCodeLocationOrigin(location_name="skyops"),
    repository_name="__repository__",
)


@dg.asset(key_prefix="raw")
def positions() -> None: ...


@dg.asset_check(asset=positions, blocking=True)
def no_row_is_lost() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False)


@dg.asset_check(asset=positions)
def few_rows_are_rejected() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=positions)
def volume_is_as_usual() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op
def nothing() -> None: ...


@dg.op
def something_wrong() -> None:
    raise ValueError("wrong")


@dg.job
def good() -> None:
    nothing()


@dg.job
def bad() -> None:
    something_wrong()


@contextmanager
def dagster_instance(
    database: Warehouse, home: Path, text: str | None = None
) -> Iterator[dg.DagsterInstance]:
    """An instance as `dagster.yaml` makes it, or a text, with its storage in this database."""
    (home / "dagster.yaml").write_text(text or (PROJECT_ROOT / "dagster.yaml").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKYOPS_DAGSTER_URL", database.sqlalchemy())
        patch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.get() as instance:
            yield instance


def lived_in(instance: dg.DagsterInstance) -> None:
    """Let Dagster itself write what a day leaves: runs, results, freshness, ticks, heartbeats."""
    checks = [no_row_is_lost, few_rows_are_rejected, volume_is_as_usual]
    dg.materialize([positions, *checks], instance=instance, raise_on_error=False)
    good.execute_in_process(instance=instance)
    bad.execute_in_process(instance=instance, raise_on_error=False)
    good.execute_in_process(instance=instance)
    queued = RemoteJobOrigin(repository_origin=REPOSITORY, job_name=good.name)
    instance.create_run_for_job(
        good, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=queued, job_code_origin=None
    )
    for before, after in (
        (FreshnessState.UNKNOWN, FreshnessState.WARN), (FreshnessState.WARN, FreshnessState.FAIL)
    ):  # fmt: skip
        instance._report_runless_asset_event(
            FreshnessStateChange(
                key=positions.key, previous_state=before, new_state=after,
                state_change_timestamp=time.time(),
            )
        )  # fmt: skip
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "one", None))
    _tick(instance)


def _tick(instance: dg.DagsterInstance) -> None:
    origin = RemoteInstigatorOrigin(repository_origin=REPOSITORY, instigator_name="alerts")
    instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
    )
    instance.create_tick(
        TickData(
            instigator_origin_id=origin.get_id(), instigator_name="alerts",
            instigator_type=InstigatorType.SENSOR, status=TickStatus.SKIPPED, timestamp=time.time(),
            selector_id=origin.get_selector().get_id(),
        )
    )  # fmt: skip
