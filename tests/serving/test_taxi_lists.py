"""The lists of ways on the ground, over the Paris recording."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")


def get(one: Served, path: str) -> list[dict[str, Any]]:
    answer = one.client.get(f"/v1/{path}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


@pytest.mark.parametrize(
    ("path", "table"),
    [("taxi", "fct_taxi_times"), ("taxi/periods?by=day", "taxi_daily"),
     ("taxi/periods?by=month", "taxi_monthly"), ("turnarounds", "turnarounds")],
)  # fmt: skip
def test_lists_hold_what_the_tables_do(
    over_paris: Served, query: Query, path: str, table: str
) -> None:
    beside = "&" if "?" in path else "?"
    found = get(over_paris, f"{path}{beside}limit=5000")
    assert [(len(found),)] == query(over_paris.warehouse, f"select count(*) from metrics.{table}")
    text = over_paris.client.get(f"/v1/{path}{beside}limit=5000&format=csv").text
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(found)


def test_ways_are_filtered(over_paris: Served) -> None:
    whole = get(over_paris, "taxi?limit=5000")
    out = get(over_paris, "taxi?limit=5000&airport=lfpo&direction=taxi_out")
    assert 10 < len(out) < len(whole)
    assert {(row["airport"], row["direction"]) for row in out} == {("LFPO", "taxi_out")}
    assert all((row["taxi_min"] is None) == (row["taxi_reason"] is not None) for row in whole)
    runway = next(row["runway"] for row in out if row["runway"])
    assert {row["runway"] for row in get(over_paris, f"taxi?runway={runway.lower()}")} == {runway}
    [day] = get(over_paris, "taxi/periods?airport=LFPO&direction=taxi_out")
    assert day["movement_count"] == len(out)
    assert over_paris.client.get("/v1/taxi?direction=sideways").status_code == 422
