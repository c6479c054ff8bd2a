"""The lists of fleets and of the feed's reliability, over the Paris recording."""

from __future__ import annotations

import csv
import io
from datetime import date
from typing import Any

import pytest

from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")

LISTS = {
    "fleet?by=day": ("fleet_daily", "flown_on as period_on"),
    "fleet?by=month": ("fleet_monthly", "month_on as period_on"),
    "fleet/types?by=day": ("fleet_types_daily", "flown_on as period_on"),
    "fleet/types?by=month": ("fleet_types_monthly", "month_on as period_on"),
    "feed/reliability?order=newest": ("feed_reliability_weekly", "week_on"),
}


def get(one: Served, path: str) -> Any:
    answer = one.client.get(f"/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("path", LISTS)
def test_pages_hold_every_row_once_as_the_table_has_it(
    over_paris: Served, query: Query, path: str
) -> None:
    table, moment = LISTS[path]
    found: list[dict[str, Any]] = []
    address: str | None = f"/v1/{path}&limit=150"
    while address:
        body = over_paris.client.get(address).json()
        found += body["data"]
        address = body["next"]
    stored = [
        row for (row,) in query(
            over_paris.warehouse,
            f"select to_jsonb(t) from (select *, {moment} from metrics.{table}) as t")
    ]  # fmt: skip
    key = next(name for name in ("icao24", "area", "typecode") if name in found[0])
    assert len(found) == len(stored) > 0
    by_key = {row[key]: row for row in stored}
    for row in found:
        given = {name: value for name, value in row.items() if name != "airline_name"}
        assert given == {name: by_key[row[key]][name] for name in given}


def test_fleets_are_filtered_and_named(over_paris: Served, query: Query) -> None:
    whole = get(over_paris, "fleet?limit=5000")["data"]
    of_air_france = get(over_paris, "fleet?limit=5000&airline=afr")["data"]
    assert 5 < len(of_air_france) < len(whole)
    assert {(row["airline"], row["airline_name"]) for row in of_air_france} == {
        ("AFR", "Air France")
    }
    one = whole[0]
    assert get(over_paris, f"fleet?icao24={one['icao24'].upper()}")["data"] == [one]
    day = one["period_on"]
    assert get(over_paris, f"fleet?to={day}")["data"] == []
    assert len(get(over_paris, f"fleet?from={day}&limit=5000")["data"]) == len(whole)
    text = over_paris.client.get("/v1/fleet?format=csv&limit=5000").text
    read = list(csv.DictReader(io.StringIO(text)))
    assert len(read) == len(whole)
    assert {date.fromisoformat(row["period_on"]) for row in read} == {date(2021, 10, 7)}
    # Without an aircraft database no type is known.
    [unknown] = get(over_paris, "fleet/types")["data"]
    assert (unknown["typecode"], unknown["airframe_count"]) == ("unknown", len(whole))
    assert get(over_paris, "fleet?registration=F-GKXS&typecode=A320")["data"] == []
    at_paris = get(over_paris, "feed/reliability?area=lfpg")["data"]
    assert [row["area"] for row in at_paris] == ["LFPG"]
    assert 0.9 < at_paris[0]["coverage_share"] <= 1
