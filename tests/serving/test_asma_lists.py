"""The lists of additional ASMA time against a fixed year, over the Paris recording."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")

LISTS = {
    "asma/fixed?by=day": ("asma_fixed_daily", "day as period_on", ("airport",)),
    "asma/fixed?by=month": ("asma_fixed_monthly", "month as period_on", ("airport",)),
    "asma/fixed/references?order=oldest": (
        "asma_fixed_references",
        "make_date(reference_year, 1, 1) as year_on",
        ("airport", "aircraft_class", "runway", "sector"),
    ),
}


@pytest.mark.parametrize("path", LISTS)
def test_pages_hold_every_row_once_as_the_table_has_it(
    over_paris: Served, query: Query, path: str
) -> None:
    table, moment, key = LISTS[path]
    found: list[dict[str, Any]] = []
    address: str | None = f"/v1/{path}&limit=2"
    while address:
        answer = over_paris.client.get(address)
        assert answer.status_code == 200, answer.text
        found += answer.json()["data"]
        address = answer.json()["next"]
    stored = {
        tuple(row[name] for name in key): row for (row,) in query(
            over_paris.warehouse,
            f"select to_jsonb(t) from (select *, {moment} from metrics.{table}) as t")
    }  # fmt: skip
    assert len(found) == len(stored) > 0
    for row in found:
        assert row == {name: stored[tuple(row[one] for one in key)][name] for name in row}


def test_an_airport_is_asked_for_and_the_method_is_named(over_paris: Served) -> None:
    body = over_paris.client.get("/v1/asma/fixed?airport=lfpg&source=positions").json()
    assert [row["airport"] for row in body["data"]] == ["LFPG"]
    assert body["data"][0]["method"] == "ICAO GANP KPI08, 20th percentile of a fixed year"
    assert body["data"][0]["reference_basis"].startswith("1 of 365 days of 2021")
    assert over_paris.client.get("/v1/asma/fixed?source=history").json()["data"] == []
    assert over_paris.client.get("/v1/asma/fixed?by=year").status_code == 422
