"""Features of the open history follow its loads: in any order they equal a full refresh."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.history import load, source
from skyops_assets.sources.weather import load as weather
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.migrate import MIGRATIONS
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt, call_tested
from tests.support.reports import reports

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.xdist_group("dbt"),
    pytest.mark.usefixtures("manifest"),
]

TABLES = ("features.crossing_features", "features.arrival_features")


def load_days(warehouse: Warehouse, mirror: Path, *days: int) -> None:
    for day in days:
        file = source.history_file("LSZH", date(2019, 3, day))
        load.load_file(warehouse, file, Settings(data_mirror=mirror))


def load_metars(warehouse: Warehouse, *days: int) -> None:
    for day in (date(2019, 3, number) for number in days):
        rows = [row for _, row in reports("LSZH", day)]
        weather.load_rows(warehouse, rows, "LSZH", day, source="test")


def test_days_loaded_out_of_order_equal_a_full_refresh_and_nothing_new_writes_nothing(
    databases: Databases,
    dbt_of: Callable[[Warehouse], Dbt],
    query: Query,
    mirror: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SKYOPS_WATCH_AIRPORTS", "LSZH")
    fed, whole = databases.new(), databases.new()
    for warehouse in (fed, whole):
        reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
    run = dbt_of(fed)
    marks = "select crossing_id, xmin::text from features.crossing_features order by 1"
    # Weather of days before and after their arrivals.
    for days, weather_days in (((4, 6, 10), (6,)), ((5,), (4, 7)), ((7,), (5,))):
        load_days(fed, mirror, *days)
        load_metars(fed, *weather_days)
        run("run")
        call_tested(fed)
        before = dict(query(fed, marks))
    # The last load was of the 7th: what the 10th knows did not change, nor what was before.
    oldest, newest = (
        query(fed, f"select distinct xmin::text from {TABLES[0]} where crossed_at::date = %s", day)
        for day in (date(2019, 3, 10), date(2019, 3, 7))
    )
    assert set(oldest).isdisjoint(newest)
    run("run")
    assert dict(query(fed, marks)) == before
    load_days(whole, mirror, 4, 5, 6, 7, 10)
    load_metars(whole, 4, 5, 6, 7)
    dbt_of(whole)("run")
    [(told, rows)] = query(fed, f"select count(wind_east_mps), count(*) from {TABLES[0]}")
    assert 1000 < told < rows
    for table in TABLES:
        statement = f"select to_jsonb(t)::text from {table} as t order by 1"
        found, expected = (query(warehouse, statement) for warehouse in (fed, whole))
        assert len(found) > 3000
        assert found == expected, table
    # As a version before left it, where retention forbids a rebuild.
    content = f"select to_jsonb(t)::text from {TABLES[0]} as t order by crossing_id"
    kept = query(fed, content)
    query(
        fed,
        "create table features.history_crossing_features as "
        "select * from features.crossing_features where source = 'history'; "
        "alter table features.history_crossing_features drop column source, add extra text; "
        "alter table features.history_crossing_features add source text default 'history'; "
        "delete from features.crossing_features where source = 'history'",
    )
    query(fed, (MIGRATIONS / "0019_crossings_of_both_sources.sql").read_text())
    assert query(fed, content) == kept
    for warehouse in (fed, whole):
        databases.drop(warehouse)
