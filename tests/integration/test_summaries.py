"""What a day, a week and a month came to, on a real Postgres: each sentence from known rows."""

from __future__ import annotations

import pytest

from skyops_assets.audit.log import record_summary
from skyops_assets.monitoring import summaries
from skyops_assets.quality.summaries import to_do_of
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

INPUTS = ("raw.schedules", "raw.maintenance_events")
TABLES = """
create schema if not exists metrics;
create table metrics.fct_flights (icao24 text, flight_id text, callsign text);
create table metrics.fleet_daily
    (icao24 text, flown_on date, flight_count int, airborne_h double precision);
create table metrics.punctuality_daily
    (arrives_on date, landed_count bigint, on_time_count bigint, cancelled_count bigint);
create table metrics.maintenance_due (due_status text, forecast_on date);
create table metrics.component_reliability_weekly
    (week_on date, fleet text, ata_chapter text, part_number text, alert_level text, trend text,
     is_current boolean default true);
create table metrics.fleet_types_monthly
    (month_on date, typecode text, flight_count int, airborne_h double precision);
create table metrics.dispatch_reliability_monthly
    (month_on date, departure_count bigint, technical_count bigint)
"""


@pytest.fixture
def empty(warehouse: Warehouse, query: Query) -> Warehouse:
    """The tables that summaries ask, without a row."""
    query(warehouse, TABLES)
    return warehouse


def test_without_data_each_says_so_and_asks_for_nothing(empty: Warehouse) -> None:
    found = summaries.daily(empty, INPUTS)
    assert found.said == [
        "Operators' inputs: nothing new.",
        "Anomalous flights in the latest 24 h of data: 0.",
        "Maintenance due within 7 days: 0.",
    ]
    assert summaries.weekly(empty).said == ["No component is in alert, and none is rising."]
    assert summaries.monthly(empty).said == ["Intervals recommended: 0 of 0 components."]
    assert found.verdict == summaries.weekly(empty).verdict == "quiet"


def test_a_day_tells_what_came_flew_and_is_due(empty: Warehouse, query: Query) -> None:
    query(
        empty,
        """
        insert into raw.ingest_batches (target, source, started_at, finished_at, read_rows,
            loaded_rows, duplicate_rows, rejected_rows)
        values ('raw.schedules', 'a', now(), now(), 12, 10, 0, 2),
            ('raw.opensky_states', 'b', now(), now(), 99, 99, 0, 0),
            ('raw.schedules', 'old', now(), now() - interval '2 days', 9, 9, 0, 0);
        insert into metrics.fleet_daily values
            ('a', '2024-01-01', 9, 9), ('a', '2024-01-02', 2, 3.4), ('b', '2024-01-02', 1, null);
        insert into metrics.punctuality_daily values
            ('2024-01-02', 6, 4, 1), ('2024-01-02', 4, 4, 0), ('2024-01-03', 0, 0, 0);
        insert into metrics.maintenance_due values ('overdue', '2024-01-01'),
            ('open', current_date + 7), ('open', current_date + 8), ('done', null);
        insert into metrics.fct_flights values ('a', 'a-1', 'TEST1'), ('b', 'b-1', null);
        insert into metrics.flight_anomaly_scores
            (icao24, flight_id, first_seen_at, last_seen_at, anomaly_score, is_anomalous)
        values ('a', 'a-1', '2024-01-02 10:00Z', '2024-01-02 11:00Z', 3, true),
            ('b', 'b-1', '2024-01-02 10:00Z', '2024-01-02 12:00Z', 7, true)
        """,
    )
    found = summaries.daily(empty, INPUTS)
    assert found.said == [
        "Operators' inputs: 10 rows loaded, 2 rejected.",
        "2024-01-02: 2 airframes, 3 flights, 3 h in the air at least.",
        "Anomalous flights in the latest 24 h of data: 2; the highest score has b.",
        "2024-01-02: 80% of 10 arrivals on time, 1 cancelled.",
        "Maintenance due within 7 days: 1.",
    ]
    assert found.to_do == ["Overdue maintenance: 1 (/v1/maintenance/due)."]
    assert found.verdict == "look"


def test_a_week_names_the_components(empty: Warehouse, query: Query) -> None:
    query(
        empty,
        """
        insert into metrics.component_reliability_weekly values
            ('2024-01-01', 'B738', '32', '', 'alert', 'rising', false),
            ('2024-01-01', 'B738', '29', '', 'alert', 'rising', false);
        insert into metrics.component_reliability_weekly values
            ('2024-01-08', 'B738', '32', '', 'alert', 'rising'),
            ('2024-01-08', 'B738', '32', 'P1', 'normal', 'rising'),
            ('2024-01-08', 'B738', '29', '', 'normal', 'steady'),
            ('2024-01-08', 'B738', '21', '', null, null)
        """,
    )
    found = summaries.weekly(empty)
    assert found.to_do == ["B738, ATA 32, as a whole, week of 2024-01-08: above its alert level."]
    assert found.said == ["B738, ATA 32, part P1, week of 2024-01-08: rising."]


def test_a_month_tells_the_fleet_and_what_is_at_its_limit(empty: Warehouse, query: Query) -> None:
    query(
        empty,
        """
        insert into metrics.fleet_types_monthly values
            ('2024-01-01', 'A320', 9, 9), ('2024-02-01', 'A320', 100, 150.2),
            ('2024-02-01', 'B738', 20, null);
        insert into metrics.dispatch_reliability_monthly values ('2024-02-01', 1000, 7);
        insert into ml.failure_outlook (fleet, unit, cycle, is_at_limit, within_cycles)
        values ('f', '1', 3, true, 30), ('f', '2', 3, false, 30), ('f', '3', 3, null, 30)
        """,
    )
    found = summaries.monthly(empty)
    assert found.said == [
        "2024-02: 2 types, 120 flights, 150 h in the air at least.",
        "2024-02: dispatch reliability 99.30% of 1,000 departures.",
        "Intervals recommended: 0 of 0 components.",
    ]
    assert found.to_do == ["Units at their limit: 1 of 3."]


def test_the_check_rings_for_the_latest_summary_only(empty: Warehouse, query: Query) -> None:
    assert to_do_of(empty, "daily") is None
    record_summary(empty, "daily", "look", {"said": [], "to_do": ["see to it."]}, "run-1")
    # A step that is tried again in its run.
    record_summary(empty, "daily", "look", {"said": [], "to_do": ["see to it."]}, "run-1")
    record_summary(empty, "weekly", "quiet", {"said": [], "to_do": []}, "run-1")
    assert to_do_of(empty, "daily") == "see to it."
    assert to_do_of(empty, "weekly") is None
    record_summary(empty, "daily", "quiet", {"said": [], "to_do": []}, "run-2")
    assert to_do_of(empty, "daily") is None
    assert query(empty, "select count(*) from audit.monitoring_log") == [(3,)]
