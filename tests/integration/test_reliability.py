"""Reliability of components against second implementations: scipy's limits, numpy's alerts, and
rates of the FAA's reports counted by hand."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from skyops_assets.arrivals.store.inputs import schedule_delays
from skyops_assets.settings import Settings
from skyops_assets.sources.operator.kinds import BY_NAME
from skyops_assets.sources.operator.load import load_kind
from skyops_assets.transform.dbt import DBT_PROJECT
from skyops_assets.warehouse.connection import Warehouse
from tests.support.alert_rule import alerts
from tests.support.databases import Query

pytestmark = pytest.mark.xdist_group("dbt")

Dbt = Callable[..., tuple[int, str]]
MODELS = ("--select", "stg_operator__*", "stg_reference__aircraft", "stg_reference__airports",
          "models/reliability", "--exclude", "test_type:unit", "resource_type:unit_test",
          "--indirect-selection", "cautious")  # fmt: skip
FAA = "maintenance/faa-sdr-737/FAA_SDR_Boeing737_ATA32_2024_2025.xlsx"
FIRST = date(2024, 1, 1)
"""A Monday."""
READ = """
    create schema if not exists metrics;
    create table if not exists metrics.fct_flights (icao24 text, flight_id text, callsign text);
    create table if not exists metrics.fct_movements (
        icao24 text, flight_id text, movement_id text, airport text, movement text,
        moved_at timestamptz
    );
    create schema if not exists staging;
    create table if not exists staging.stg_history__arrivals (
        uid text, icao24 text, callsign text, airport text, landed_at timestamptz,
        is_innermost boolean
    );
    create table if not exists metrics.fleet_daily (
        icao24 text, flown_on date, airborne_h float, flight_count integer, coverage_share float
    );
"""
"""What these models read of positions; here nothing was heard."""
EVENTS = """
    insert into raw.maintenance_events
        (event_id, occurred_on, airframe, jasc_code, source, source_row, batch_id)
    select fields ->> 0, (fields ->> 1)::date, fields ->> 2, fields ->> 3, 'test', 1, 0
    from json_array_elements(%s::json) as fields
"""
EXPOSURE = """
    insert into raw.exposure
        (airframe, month_on, flight_hours, cycles, source, source_row, batch_id)
    select fields ->> 0, (fields ->> 1)::date, (fields ->> 2)::float, (fields ->> 3)::int,
        'test', 1, 0
    from json_array_elements(%s::json) as fields
"""


@pytest.fixture(scope="module")
def built(shared_warehouse: Warehouse, dbt: Dbt) -> Callable[[], None]:
    """Builds the models, with the tests of their data."""

    def build() -> None:
        with shared_warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute(READ)
        code, said = dbt("build", *MODELS)
        assert code == 0, said

    return build


@pytest.fixture
def warehouse(shared_warehouse: Warehouse, query: Query) -> Warehouse:
    """The module's warehouse without what the test before has loaded."""
    query(
        shared_warehouse,
        "truncate raw.maintenance_events, raw.exposure, raw.schedules, raw.operator_files",
    )
    query(
        shared_warehouse,
        "insert into raw.ingest_batches (batch_id, target, source, started_at, finished_at, "
        "read_rows, loaded_rows, duplicate_rows, rejected_rows) overriding system value "
        "values (0, 'test', 'test', now(), now(), 0, 0, 0, 0) on conflict do nothing",
    )
    return shared_warehouse


def test_without_an_operators_files_every_table_is_there_and_empty(
    warehouse: Warehouse, built: Callable[[], None], query: Query
) -> None:
    built()
    for table in ("component_reliability_weekly", "maintenance_due",
                  "dispatch_reliability_monthly", "punctuality_daily"):  # fmt: skip
        assert query(warehouse, f"select count(*) from metrics.{table}") == [(0,)]
    assert schedule_delays(warehouse) is None


def test_delays_are_those_of_landings_in_schedules(
    warehouse: Warehouse, built: Callable[[], None], query: Query
) -> None:
    query(warehouse, "drop table if exists intermediate.int_reliability__schedules_matched")
    assert schedule_delays(warehouse) is None
    query(
        warehouse,
        "insert into raw.schedules (callsign, scheduled_departure_at, scheduled_arrival_at, "
        "departure_airport, arrival_airport, is_cancelled, source, source_row, batch_id) "
        "select 'SWR' || n, '2019-10-07 08:00Z', '2019-10-07 10:00Z', 'EGLL', 'LSZH', n = 3, "
        "'test', n, 0 from generate_series(1, 3) as numbers (n)",
    )
    query(warehouse, READ)
    query(
        warehouse,
        "insert into staging.stg_history__arrivals values "
        "('u1', '4b1801', 'SWR1', 'LSZH', '2019-10-07 12:00Z', true)",
    )
    built()
    found = schedule_delays(warehouse)
    assert found is not None and found.to_dict() == {("LSZH", "u1"): 125}
    assert query(
        warehouse,
        "select airport, airline, scheduled_count, landed_count, cancelled_count, not_seen_count, "
        "extreme_delay_count, mean_arrival_delay_min from metrics.punctuality_daily",
    ) == [("LSZH", "SWR", 3, 1, 1, 1, 1, 125)]


def limits(warehouse: Warehouse, query: Query, counts: Sequence[int]) -> np.ndarray:
    """Lower and upper limit of each count, as the models have them."""
    rows = query(
        warehouse,
        "select staging.gamma_quantile(n, 0.025), staging.gamma_quantile(n + 1, 0.975) "
        "from unnest(%s::bigint[]) with ordinality as counts (n, place) order by place",
        list(counts),
    )
    return np.array(rows, dtype=float)


def test_limits_are_scipys_and_cover_nineteen_of_twenty(warehouse: Warehouse, query: Query) -> None:
    source = (DBT_PROJECT / "functions" / "gamma_quantile.sql").read_text()
    query(warehouse, "create schema if not exists staging")
    query(warehouse, source.replace("create function", "create or replace function"))
    counts = np.array([*range(301), 1000, 10_000, 1_000_000])
    found = limits(warehouse, query, counts.tolist())
    assert found[0].tolist() == [0, pytest.approx(chi2.ppf(0.975, 2) / 2)]
    np.testing.assert_allclose(found[1:, 0], chi2.ppf(0.025, 2 * counts[1:]) / 2, rtol=1e-9)
    np.testing.assert_allclose(found[:, 1], chi2.ppf(0.975, 2 * counts + 2) / 2, rtol=1e-9)

    draws = 20_000
    for mean in (0.5, 1, 2, 5, 10, 20, 50):
        low, high = found[np.random.default_rng(3).poisson(mean, draws)].T
        covered = ((low <= mean) & (mean <= high)).mean()
        assert covered >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / draws), (mean, covered)


def test_alerts_are_those_of_the_simulated_rule(
    warehouse: Warehouse, built: Callable[[], None], query: Query
) -> None:
    """Chapters with few and many events, half of them with a rate that triples; hours vary."""
    weeks, random = 130, np.random.default_rng(11)
    months = [date(2024 + n // 12, n % 12 + 1, 1) for n in range(31)]
    hours = [[month.isoformat(), float(random.uniform(300, 900))] for month in months]
    query(warehouse, EXPOSURE, json.dumps([["ONE", *month, 100] for month in hours]))
    means = np.repeat([0.2, 0.5, 1, 3, 10], 8)[:, None] / 4 * np.ones(weeks)
    means[::2, 80:] *= 3
    counts = random.poisson(means)
    # The chapter 99 has the last week, eight after those of the test and four after the last hours.
    events = [("99", weeks + 8)] + [
        (f"{chapter + 20}", week)
        for chapter, week in zip(*np.nonzero(counts), strict=True)
        for _ in range(counts[chapter, week])
    ]
    query(
        warehouse,
        EVENTS,
        json.dumps([
            [str(n), str(FIRST + timedelta(days=7 * int(week) + n % 7)), "ONE", f"{chapter}10"]
            for n, (chapter, week) in enumerate(events)
        ]),
    )  # fmt: skip
    built()
    found = query(
        warehouse,
        "select ata_chapter, (week_on - '2024-01-01') / 7, alert_level = 'alert' "
        "from metrics.component_reliability_weekly "
        "where part_number = '' and ata_chapter <> '99' and week_on < %s "
        "order by 1, 2",
        FIRST + timedelta(weeks=weeks),
    )
    flown = np.zeros(weeks)
    for (first, of_month), after in zip(hours, [*months[1:], date(2026, 8, 1)], strict=True):
        start = date.fromisoformat(first)
        length = (after - start).days
        for day in range(length):
            week = (start + timedelta(days=day) - FIRST).days // 7
            if week < weeks:
                flown[week] += of_month / length
    expected = alerts(counts, flown)
    assert 20 < expected.sum() < expected.size / 2
    judged = np.array([row[2] for row in found if row[1] >= 63], dtype=bool)
    assert [row for row in found if row[1] < 63 and row[2] is not None] == []
    np.testing.assert_array_equal(judged.reshape(expected.shape), expected)
    assert query(
        warehouse,
        "select (week_on - '2024-01-01') / 7, count(*), count(distinct ata_chapter), "
        "count(alert_level) from metrics.component_reliability_weekly where is_current group by 1",
    ) == [(134, 41, 41, 41)]


@pytest.mark.mirror
def test_rates_of_the_faas_reports_are_those_counted_by_hand(
    warehouse: Warehouse, built: Callable[[], None], query: Query, mirror: Path, tmp_path: Path
) -> None:
    (tmp_path / "maintenance_events").mkdir()
    (tmp_path / "maintenance_events" / "export.xlsx").write_bytes((mirror / FAA).read_bytes())
    (tmp_path / "columns.toml").write_text('[maintenance_events]\nlike = "faa-sdr"\n')
    load_kind(warehouse, Settings(operator_data=str(tmp_path)), BY_NAME["maintenance_events"])
    reports = query(
        warehouse,
        "select event_id, occurred_on, airframe, aircraft_model, left(jasc_code, 2) "
        "from raw.maintenance_events order by 2, 1",
    )
    assert len(reports) == 484
    # The later report says of which model an airframe is.
    model = {airframe: named for _, _, airframe, named, _ in reports if airframe and named}
    random = np.random.default_rng(5)
    given = {
        (airframe, date(2024 + n // 12, n % 12 + 1, 1)): random.uniform(100, 350)
        for airframe in sorted({row[2] for row in reports if row[2]})
        for n in range(24)
    }
    query(
        warehouse,
        EXPOSURE,
        json.dumps([[name, str(month), h, int(h / 2)] for (name, month), h in given.items()]),
    )
    built()
    found = query(
        warehouse,
        "select fleet, week_on, event_count, rate_per_1000_hours, rate_per_1000_hours_low, "
        "rate_per_1000_hours_high from metrics.component_reliability_weekly "
        "where part_number = '' and ata_chapter = '32'",
    )

    def week_of(day: date) -> date:
        return day - timedelta(days=day.weekday())

    flown: dict[tuple[str, date], float] = defaultdict(float)
    for (airframe, month), hours in given.items():
        after = date(month.year + month.month // 12, month.month % 12 + 1, 1)
        for day in range((after - month).days):
            week = week_of(month + timedelta(days=day))
            flown[model.get(airframe, "unknown"), week] += hours / (after - month).days
    told: dict[tuple[str, date], int] = defaultdict(int)
    for _, day, airframe, named, chapter in reports:
        if chapter == "32":
            told[(model.get(airframe) if airframe else named) or "unknown", week_of(day)] += 1
    assert sum(row[2] for row in found) == sum(told.values()) == 484
    assert len({row[0] for row in found}) > 3
    for fleet, last, _, rate, low, high in found:
        weeks = [(fleet, last - timedelta(weeks=n)) for n in range(52)]
        hours = sum(flown.get(week, 0.0) for week in weeks)
        if not hours:
            assert rate is None
            continue
        count = sum(told.get(week, 0) for week in weeks if week in flown)
        wanted: Any = [
            1000 * number / hours
            for number in (count, chi2.ppf(0.025, 2 * count) / 2 if count else 0,
                           chi2.ppf(0.975, 2 * count + 2) / 2)
        ]  # fmt: skip
        assert [rate, low, high] == pytest.approx(wanted, rel=1e-9)
