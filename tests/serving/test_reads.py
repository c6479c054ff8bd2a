"""Lists over HTTP: they hold what the tables hold, page by page, as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import datetime
from typing import Any, get_args

import httpx
import pytest
import yaml
from pydantic import BaseModel

from skyops_assets.serving import rows
from skyops_assets.serving.access import KNOWN_FOR_S
from skyops_assets.transform.dbt import DBT_PROJECT
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.serving import Served, new_key

pytestmark = pytest.mark.xdist_group("serving")

FACTS = {"flights": "fct_flights", "movements": "fct_movements", "anomalies": "fct_anomalies",
         "airports/LFPG/metrics": "airport_hourly"}  # fmt: skip
ROWS: dict[str, type[BaseModel]] = {
    "metrics/fct_flights": rows.Flight,
    "metrics/fct_movements": rows.Movement,
    "metrics/fct_anomalies": rows.Anomaly,
    "metrics/airport_hourly": rows.AirportHour,
    "live/aircraft": rows.LiveAircraft,
    "live/arrivals": rows.LiveArrival,
    "live/demand": rows.Demand,
    "live/alerts": rows.LiveAlert,
    "live/feed": rows.Feed,
}
BESIDE = {"airline", "typecode", "callsign"}
UNTOLD = {"known_at", "last_fix_at"}
TYPES = {
    "text": str, "timestamp with time zone": datetime, "timestamp without time zone": datetime,
    "double precision": float, "bigint": int, "integer": int, "boolean": bool,
}  # fmt: skip


def get(one: Served, path: str, **parameters: Any) -> Any:
    answer = one.client.get(f"/v1/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("model", ROWS)
def test_a_row_has_the_columns_of_its_model_and_their_types(model: str) -> None:
    [described] = yaml.safe_load((DBT_PROJECT / "models" / f"{model}.yml").read_text())["models"]
    columns = {one["name"]: TYPES[one["data_type"]] for one in described["columns"]}
    fields = {
        name: (get_args(field.annotation) or (field.annotation,))[0]
        for name, field in ROWS[model].model_fields.items()
    }
    assert columns.keys() - fields.keys() <= UNTOLD
    assert fields.keys() - columns.keys() <= BESIDE
    assert {name: fields[name] for name in columns.keys() & fields.keys()} == {
        name: kind for name, kind in columns.items() if name in fields
    }


@pytest.mark.parametrize(("path", "table"), FACTS.items())
def test_pages_hold_every_row_once_in_order(
    over_paris: Served, query: Query, path: str, table: str
) -> None:
    where = "where airport = 'LFPG'" if "LFPG" in path else ""
    [(count,)] = query(over_paris.warehouse, f"select count(*) from metrics.{table} {where}")
    for order in ("newest", "oldest"):
        found, address = [], f"/v1/{path}?limit=7&order={order}"
        while address:
            answer = over_paris.client.get(address)
            body = answer.json()
            found += body["data"]
            address = body["next"]
            assert answer.links.get("next", {}).get("url") == address
            assert len(body["data"]) == 7 or address is None
        assert len(found) == count == len({str(row) for row in found})
    whole = get(over_paris, path, limit=5000)
    assert whole["next"] is None
    assert sorted(map(str, whole["data"])) == sorted(map(str, found))


def test_filters_choose_what_they_name(over_paris: Served, query: Query) -> None:
    warehouse = over_paris.warehouse
    landings = get(over_paris, "movements", airport="lfpo", movement="landing", limit=5000)["data"]
    [(count,)] = query(
        warehouse,
        "select count(*) from metrics.fct_movements "
        "where airport = 'LFPO' and movement = 'landing'",
    )
    assert len(landings) == count > 5
    one = landings[0]
    for name in ("icao24", "callsign", "airline"):
        found = get(over_paris, "movements", **{name: one[name].lower()}, limit=5000)["data"]
        assert one in found and {row[name] for row in found} == {one[name]}
    at = "2021-10-07T13:30:00"
    early = get(over_paris, "flights", to=at, limit=5000)["data"]
    late = get(over_paris, "flights", **{"from": at}, limit=5000)["data"]
    [(count,)] = query(warehouse, "select count(*) from metrics.fct_flights")
    assert len(early) + len(late) == count and early and late
    assert max(row["last_seen_at"] for row in early) < f"{at}Z" <= late[-1]["last_seen_at"]
    at_orly = get(over_paris, "flights", airport="LFPO", limit=5000)["data"]
    assert at_orly
    assert all("LFPO" in (row["departure_airport"], row["arrival_airport"]) for row in at_orly)
    assert get(over_paris, f"flights/{one['flight_id']}")["icao24"] == one["icao24"]


def test_csv_has_the_same_rows(over_paris: Served) -> None:
    expected = get(over_paris, "movements", limit=20)["data"]
    for form, accept in (("&format=csv", "*/*"), ("", "text/csv")):
        answer = over_paris.client.get(f"/v1/movements?limit=20{form}", headers={"Accept": accept})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        found = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["movement_id"] for row in found] == [row["movement_id"] for row in expected]
        assert datetime.fromisoformat(found[0]["moved_at"]) == datetime.fromisoformat(
            expected[0]["moved_at"]
        )


def test_flights_unlike_the_others_come_with_their_reasons(
    over_paris: Served, query: Query
) -> None:
    """Of so few flights some are called strange that are not."""
    warehouse = over_paris.warehouse
    scores = "select count(*) from metrics.flight_anomaly_scores where anomaly_score >= {}"
    for asked, least in (({}, 1), ({"min_score": 0.3}, 0.3), ({"min_score": 0}, 0)):
        found = get(over_paris, "anomalous-flights", **asked, limit=5000)["data"]
        [(count,)] = query(warehouse, scores.format(least))
        assert len(found) == count
        assert all(row["anomaly_score"] >= least for row in found)
    one = next(row for row in found if row["reasons"] and row["departure_airport"])
    assert one["reasons"][0].keys() == {"shape", "value", "usual", "part", "words"}
    chosen = {"airport": one["departure_airport"].lower(), "callsign": one["callsign"],
              "from": one["last_seen_at"], "min_score": 0}  # fmt: skip
    assert one in get(over_paris, "anomalous-flights", **chosen)["data"]
    assert get(over_paris, "anomalous-flights", **{**chosen, "to": one["last_seen_at"]}) == {
        "data": [], "next": None
    }  # fmt: skip
    pages = over_paris.client.get("/v1/anomalous-flights?min_score=0&limit=5").json()
    assert len(pages["data"]) == 5 and pages["next"]
    text = over_paris.client.get("/v1/anomalous-flights?min_score=0&format=csv&limit=5000").text
    rows = {row["flight_id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert json.loads(rows[one["flight_id"]]["reasons"]) == one["reasons"]
    answer = over_paris.client.get("/v1/anomalous-flights?min_score=high")
    assert answer.status_code == 422 and "min_score" in answer.text


def test_what_one_has_is_not_sent_again(over_paris: Served) -> None:
    first = over_paris.client.get("/v1/flights")
    again = over_paris.client.get("/v1/flights", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = over_paris.client.get(
        "/v1/flights?limit=3", headers={"If-None-Match": first.headers["etag"]}
    )
    assert other.status_code == 200


def test_what_is_live_is_that_of_the_views(over_paris: Served, query: Query) -> None:
    warehouse = over_paris.warehouse
    for path, view in (("aircraft", "aircraft"), ("alerts", "alerts")):
        [(count,)] = query(warehouse, f"select count(*) from live.{view}")
        assert len(get(over_paris, path)["data"]) == count
    assert get(over_paris, "aircraft")["data"]
    board = get(over_paris, "arrivals/LFPG")
    assert board["timezone"] == "Europe/Paris"
    expected = query(
        warehouse,
        "select icao24 from live.arrivals where airport = 'LFPG' order by predicted_landing_at",
    )
    assert [(row["icao24"],) for row in board["data"]] == expected != []
    row = board["data"][0]
    local = datetime.fromisoformat(row["predicted_landing_local"])
    assert local.tzinfo is None
    assert (local - datetime.fromisoformat(row["predicted_landing_at"]).replace(tzinfo=None)
            ).total_seconds() == 7200  # fmt: skip
    assert len(get(over_paris, "airports/LFPG/demand")["data"]) == 4
    assert get(over_paris, "feed")["observed_at"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("flights?airprot=LFPG", 422, "There is no parameter 'airprot' here; there are after, "),
        ("flights?from=0.5", 422, "1 value cannot be taken"),
        ("flights?from=1.2e-07", 422, "1 value cannot be taken"),
        ("feed?limit=3", 422, "there are none"),
        ("flights?limit=0", 422, "1 value cannot be taken; `errors` names it."),
        ("flights?after=abc", 404, "No page begins at this `after`"),
        ("flights?after=WyJ4IiwgIngiXQ", 404, "No page begins at this `after`"),
        ("airports/ZZZZ/metrics", 404, "There is no airport 'ZZZZ'"),
        ("arrivals/EHAM", 404, "EHAM is not watched"),
        ("flights/nothing", 404, "There is no flight 'nothing'."),
    ],
)
def test_what_cannot_be_answered_says_why(
    over_paris: Served, path: str, status: int, said: str
) -> None:
    answer = over_paris.client.get(f"/v1/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_without_a_key_that_may_read_nothing_is_told(over_paris: Served) -> None:
    address = f"http://127.0.0.1:{over_paris.port}/v1/flights"

    for key in (None, "sk_wrong", new_key(over_paris.warehouse, expires_at="2020-01-01")):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        answer = httpx.get(address, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    other = new_key(over_paris.warehouse, "predict")
    time.sleep(KNOWN_FOR_S)
    answer = httpx.get(address, headers={"Authorization": f"Bearer {other}"})
    assert (answer.status_code, "scope 'read'" in answer.json()["detail"]) == (403, True)


def test_a_warehouse_without_models_says_so(served: Served, shared_warehouse: Warehouse) -> None:
    answer = served.client.get("/v1/flights")
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("Nothing has been built yet")
