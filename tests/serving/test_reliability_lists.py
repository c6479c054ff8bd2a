"""The lists of reliability, due maintenance and punctuality hold what their tables hold."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from skyops_assets.serving import rows
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.serving import Served, Start

pytestmark = pytest.mark.xdist_group("serving")

LISTS: dict[str, tuple[str, type[BaseModel]]] = {
    "reliability": ("component_reliability_weekly", rows.ComponentWeek),
    "reliability/dispatch": ("dispatch_reliability_monthly", rows.DispatchMonth),
    "maintenance/due": ("maintenance_due", rows.MaintenanceDue),
    "punctuality": ("punctuality_daily", rows.PunctualityDay),
}
TYPES = {"text": str, "date": date, "double precision": float, "bigint": int, "integer": int,
         "boolean": bool}  # fmt: skip
FILLED = """
insert into metrics.component_reliability_weekly (
    week_on, fleet, ata_chapter, part_number, event_count, unscheduled_event_count, removal_count,
    unscheduled_removal_count, failure_count, rate_per_1000_hours, alert_level, is_current
)
select
    date '2025-01-06' + 7 * week, fleet, chapter, part, 3, 2, 1, 1, 0, 1.5,
    case when week = 9 and part = '' then 'alert' else 'normal' end, week = 9
from
    generate_series(0, 9) as weeks (week), unnest('{A320,737-8H4}'::text[]) as fleets (fleet),
    (values ('32', ''), ('32', 'P/1 "x"'), ('27', '')) as parts (chapter, part);
insert into metrics.dispatch_reliability_monthly (
    month_on, airline, fleet, departure_count, delayed_count, cancelled_count, technical_count,
    cause_unknown_count, dispatch_reliability_share
)
select month_on, airline, 'A320', 100, 5, 1, 2, 0, 0.98
from
    unnest('{2025-01-01,2025-02-01}'::date[]) as months (month_on),
    unnest('{AFR,unknown}'::text[]) as airlines (airline);
insert into metrics.maintenance_due (
    icao24, airframe, fleet, task, kind, forecast_on, forecast_reason, due_status
)
select
    '3944e0', 'FGKXA', 'A320', 'T' || n, 'task',
    case when n < 8 then date '2025-06-01' + n end, case when n >= 8 then 'never_recorded' end,
    case when n = 0 then 'overdue' when n < 8 then 'open' else 'unknown' end
from generate_series(0, 9) as tasks (n)
union all
select null, 'OYABC', '737-8H4', 'AD 2025-01', 'bulletin', null, 'done', 'done';
insert into metrics.punctuality_daily (
    arrives_on, airport, airline, scheduled_count, landed_count, cancelled_count, not_seen_count,
    on_time_count, on_time_share, extreme_delay_count
)
select date '2025-01-01' + n, airport, airline, 10, 8, 1, 1, 6, 0.75, 0
from
    generate_series(0, 4) as days (n), unnest('{LFPG,EGLL}'::text[]) as airports (airport),
    unnest('{AFR,BAW}'::text[]) as airlines (airline);
"""


@pytest.fixture(scope="module")
def contracts(manifest: Path) -> dict[str, dict[str, str]]:
    """Columns of each table and their types."""
    nodes = json.loads(manifest.read_bytes())["nodes"]
    return {
        table: {
            one["name"]: one["data_type"]
            for one in nodes[f"model.skyops.{table}"]["columns"].values()
        }
        for table, _ in LISTS.values()
    }


@pytest.fixture(scope="module")
def listed(
    starts: Start, shared_warehouse: Warehouse, contracts: dict[str, dict[str, str]]
) -> Served:
    """The service on tables as their contracts promise them."""
    one = starts()
    with shared_warehouse.connect() as connection, connection.cursor() as cursor:
        for table, columns in contracts.items():
            typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            cursor.execute(f"create table metrics.{table} ({typed})")
        cursor.execute(FILLED)
    return one


def get(one: Served, path: str) -> list[dict[str, Any]]:
    answer = one.client.get(f"/v1/{path}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


@pytest.mark.parametrize("path", LISTS)
def test_rows_have_the_columns_and_types_of_their_contracts(
    contracts: dict[str, dict[str, str]], path: str
) -> None:
    table, row = LISTS[path]
    fields = {
        name: (get_args(field.annotation) or (field.annotation,))[0]
        for name, field in row.model_fields.items()
        if name != "sorted_on"
    }
    assert fields == {name: TYPES[kind] for name, kind in contracts[table].items()}


@pytest.mark.parametrize("path", LISTS)
def test_pages_hold_every_row_once_in_order(listed: Served, query: Query, path: str) -> None:
    table, row = LISTS[path]
    stored = [
        found for (found,) in
        query(listed.warehouse, f"select to_jsonb(t) from metrics.{table} as t")
    ]  # fmt: skip
    for order in ("newest", "oldest"):
        found: list[dict[str, Any]] = []
        address: str | None = f"/v1/{path}?limit=3&order={order}"
        while address:
            body = listed.client.get(address).json()
            found += body["data"]
            address = body["next"]
        moments = [one.get("sorted_on") or next(iter(one.values())) for one in found]
        assert moments == sorted(moments, reverse=order == "newest")
        given = [{k: v for k, v in one.items() if k != "sorted_on"} for one in found]
        assert sorted(map(str, given)) == sorted(
            str({name: one[name] for name in row.model_fields if name != "sorted_on"})
            for one in stored
        )
    text = listed.client.get(f"/v1/{path}?format=csv&limit=5000").text
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(stored)


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("reliability?fleet=737-8H4&part_number=", 20),
        ("reliability?part_number=P/1 %22x%22&from=2025-03-01", 4),
        ("reliability?ata_chapter=27&to=2025-01-13", 2),
        ("reliability?alert_level=alert", 4),
        ("reliability?is_current=true&ata_chapter=32", 4),
        ("reliability/dispatch?airline=afr&from=2025-02-01", 1),
        ("maintenance/due?airframe=f-gkxa&due_status=open", 7),
        ("maintenance/due?to=2025-06-03", 2),
        ("maintenance/due?task=AD 2025-01", 1),
        ("maintenance/due?icao24=3944E0&fleet=A320", 10),
        ("punctuality?airport=lfpg&airline=BAW&from=2025-01-03", 3),
        ("punctuality?airline=DLH", 0),
    ],
)
def test_filters_choose_what_they_name(listed: Served, path: str, count: int) -> None:
    assert len(get(listed, path)) == count


def test_what_is_due_first_comes_first(listed: Served) -> None:
    found = get(listed, "maintenance/due?order=oldest&limit=1")
    assert [(row["task"], row["due_status"]) for row in found] == [("T0", "overdue")]


def test_what_no_filter_takes_is_told(listed: Served) -> None:
    answer = listed.client.get("/v1/reliability?ata_chapter=3240")
    assert answer.status_code == 422
    assert listed.client.get("/v1/maintenance/due?order=soonest").status_code == 422
