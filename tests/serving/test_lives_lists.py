"""Lives, intervals and outlook in a real warehouse: the assets' rows, and the lists of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from skyops_assets.defs.reliability.assets import component_lives, failure_outlook
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import insert_many
from tests.support.components import EVENT, FIRST_DAY, sensor_rows
from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")

MONTHS = [date(year, month, 1) for year in range(2015, 2020) for month in range(1, 13)]
HOURS_A_MONTH = 100.0
ADDED = {"source": "test", "source_row": 1}


def removals(
    rng: np.random.Generator, part: str, draw: Callable[[], float], airframes: int, most: int
) -> Iterator[dict[str, Any]]:
    """The events of one part at each airframe, renewed at each."""
    count = 0
    for number in range(airframes):
        now = draw()
        while now < HOURS_A_MONTH * len(MONTHS) and count < most:
            count += 1
            yield EVENT | {
                "event_id": f"{part}-{count}",
                "airframe": f"A{number:02d}",
                "part_number": part,
                "occurred_on": FIRST_DAY + timedelta(days=round(now / HOURS_A_MONTH * 30.4375)),
            }
            now += draw()


def given(rng: np.random.Generator) -> dict[str, list[dict[str, Any]]]:
    """A part that wears out, one that fails by chance, one that seldom fails; readings of pumps."""
    events = [
        *removals(rng, "WEARS", lambda: 1500 * rng.weibull(3), 30, 10_000),
        *removals(rng, "CHANCE", lambda: rng.exponential(2000), 30, 10_000),
        *removals(rng, "SELDOM", lambda: 1500 * rng.weibull(3), 30, 4),
    ]
    fitted = [
        {"airframe": f"A{number:02d}", "part_number": part, "part_position": "", "quantity": 1,
         "fitted_from_on": FIRST_DAY}
        for number in range(30) for part in ("WEARS", "CHANCE", "SELDOM")
    ]  # fmt: skip
    exposure = [
        {"airframe": f"A{number:02d}", "month_on": month, "flight_hours": HOURS_A_MONTH,
         "cycles": 60}
        for number in range(30) for month in MONTHS
    ]  # fmt: skip
    readings = sensor_rows(rng, units=40, running=6)
    for row in readings:
        del row["icao24"]
    programme = {"task": "T1", "part_number": "WEARS", "interval_hours": 900.0}
    return {
        "raw.maintenance_events": events,
        "raw.configurations": fitted,
        "raw.exposure": exposure,
        "raw.sensor_readings": readings,
        "raw.maintenance_programmes": [programme],
    }


def materialised(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The metadata of both assets."""
    import dagster as dg

    from skyops_assets.defs.resources import WarehouseResource

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [component_lives, failure_outlook],
            instance=instance,
            resources={"warehouse": WarehouseResource(url=warehouse.libpq())},
        )
        return [
            {name: value.value for name, value in event.materialization.metadata.items()}
            for event in result.get_asset_materialization_events()
        ]


@pytest.fixture(scope="module")
def runs(paris: Warehouse) -> Iterator[list[list[dict[str, Any]]]]:
    """What the assets said of nothing, of what an operator gave, and of the same again."""
    empty = materialised(paris)
    rows = given(np.random.default_rng(1))
    with paris.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into raw.ingest_batches (target, source, started_at, finished_at, read_rows,"
            " loaded_rows, duplicate_rows, rejected_rows) values"
            " ('test', 'lives', now(), now(), 0, 0, 0, 0) returning batch_id"
        )
        (batch_id,) = cursor.fetchone()
        for table, some in rows.items():
            insert_many(cursor, table, [row | ADDED | {"batch_id": batch_id} for row in some])
    yield [empty, materialised(paris), materialised(paris)]
    with paris.connect() as connection, connection.cursor() as cursor:
        for table in rows:
            cursor.execute(f"delete from {table} where batch_id = {batch_id}")
        cursor.execute("delete from raw.ingest_batches where source = 'lives'")
        cursor.execute(
            "truncate ml.component_lives, ml.outlook_evaluations, ml.failure_outlook,"
            " audit.reliability_decisions"
        )


def test_without_any_input_both_are_green_and_say_so(runs: list[list[dict[str, Any]]]) -> None:
    lives, outlook = runs[0]
    assert lives["summary"] == (
        "There are no maintenance events, configurations or sensor readings: nothing is fitted."
    )
    assert outlook["summary"] == "There are no sensor readings: nothing is predicted."
    assert lives["dagster/row_count"] == outlook["dagster/row_count"] == 0


def test_each_part_has_its_decision(
    runs: list[list[dict[str, Any]]], paris: Warehouse, query: Query
) -> None:
    found = {
        (component, measure): (failures, recommended, decision)
        for component, measure, failures, recommended, decision in query(
            paris,
            "select component, measure, failure_count, recommended_interval, decision"
            " from ml.component_lives",
        )
    }
    failures, interval, decision = found["WEARS", "hours"]
    assert failures > 50
    assert interval == pytest.approx(1500 * (-np.log(0.95)) ** (1 / 3), rel=0.2)
    assert decision.startswith("recommended: ")
    # 60 cycles in 100 hours.
    assert found["WEARS", "cycles"][1] == pytest.approx(0.6 * interval, rel=0.02)
    assert found["CHANCE", "hours"][1] is None
    assert "there is no evidence of wear-out" in found["CHANCE", "hours"][2]
    assert found["SELDOM", "hours"][::2] == (
        4, "not recommended: not enough: 4 failures (10 are needed)",
    )  # fmt: skip
    assert found["32", "hours"][0] == 4
    assert found["pumps", "cycles"][0] == 34
    assert runs[1][0]["summary"].startswith("3 of 9 components and measures have a recommended ")
    [(programme, life)] = query(
        paris,
        "select programme_interval, life_count from ml.component_lives"
        " where component = 'WEARS' and measure = 'hours'",
    )
    assert programme == 900
    assert life == failures + 30


def test_the_same_again_adds_no_decision_and_changes_no_row(
    runs: list[list[dict[str, Any]]], paris: Warehouse, query: Query
) -> None:
    first, again = runs[1:]
    assert [made["new_decisions"] for made in first] == [9, 4]
    assert [made["new_decisions"] for made in again] == [0, 0]
    assert [made["decisions"] for made in first] == [made["decisions"] for made in again]
    assert query(
        paris,
        "select question, model, is_recommended, value is not null, jsonb_array_length(reasons) > 0"
        " from audit.reliability_decisions where component = 'pumps' order by 1, 2",
    ) == [
        ("failure within", "gradient boosting", True, False, True),
        ("failure within", "random forest", True, False, True),
        ("interval", "weibull", True, True, True),
        ("limit", "gradient boosting", True, True, True),
        ("remaining life", "gradient boosting", True, False, True),
    ]


def test_what_models_are_worth_is_told(
    runs: list[list[dict[str, Any]]], paris: Warehouse, query: Query
) -> None:
    rows = query(
        paris,
        "select question, model, f1, true_positive_count + false_positive_count"
        " + false_negative_count + true_negative_count = test_row_count, skill_low"
        " from ml.outlook_evaluations where question = 'failure within' order by f1",
    )
    assert rows[0][1] == "age alone"
    assert all(row[3] for row in rows)
    assert all(row[4] > 0 for row in rows[1:])
    assert runs[1][1]["summary"] == ("6 of 40 units have an outlook; 34 have failed.")


@pytest.fixture
def asked(runs: list[list[dict[str, Any]]], over_paris: Served) -> Callable[..., Any]:
    def get(path: str, status: int = 200, **parameters: Any) -> Any:
        answer = over_paris.client.get(f"/v1/maintenance/{path}", params=parameters)
        assert answer.status_code == status, answer.text
        return answer.json()

    return get


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("lives", "ml.component_lives"),
        ("outlook", "ml.failure_outlook"),
        ("decisions", "audit.reliability_decisions"),
    ],
)
def test_pages_hold_every_row_once(
    asked: Callable[..., Any], over_paris: Served, query: Query, path: str, table: str
) -> None:
    body = asked(path, limit=3)
    found = body["data"]
    while body["next"]:
        body = over_paris.client.get(body["next"]).json()
        found += body["data"]
    [(count,)] = query(over_paris.warehouse, f"select count(*) from {table}")
    assert len(found) == len({str(row) for row in found}) == count > 3


def test_lists_are_filtered(asked: Callable[..., Any]) -> None:
    wears = asked("lives", component="WEARS", measure="hours")["data"]
    assert [row["programme_interval"] for row in wears] == [900]
    assert {row["component"] for row in asked("lives", recommended=True)["data"]} == {
        "WEARS", "pumps",
    }  # fmt: skip
    assert {row["scope"] for row in asked("lives", scope="chapter")["data"]} == {"chapter"}
    told = [row for row in asked("outlook")["data"] if row["why_null"] is None]
    assert len(told) == 6
    limited = asked("outlook", at_limit=False)["data"]
    assert limited == [row for row in told if not row["is_at_limit"]]
    refused = asked("decisions", question="interval", component="CHANCE")["data"]
    assert {row["is_recommended"] for row in refused} == {False}
    assert asked("decisions", to="2020-01-01")["data"] == []


def test_a_curve_falls_within_its_band(asked: Callable[..., Any]) -> None:
    steps = asked("lives/curve", scope="part", component="WEARS", measure="hours")["data"]
    survival = [step["survival"] for step in steps]
    assert survival == sorted(survival, reverse=True)
    assert all(step["low"] <= step["survival"] <= step["high"] for step in steps)
    missing = asked("lives/curve", 404, scope="part", component="NONE", measure="hours")
    assert missing["detail"] == "Nothing is known about the part 'NONE' in hours."
