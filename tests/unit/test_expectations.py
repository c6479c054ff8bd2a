"""The suite's outcomes as a table, and rules whose null answer counts as broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.arrivals.features import MAX_TRANSIT_MIN, MIN_TRANSIT_MIN, arrival_columns
from skyops_assets.quality.expectations import SUITES, Expected, in_words, report
from skyops_assets.sources.history.schema import ARRIVAL, MAX_RING_OFFSET_M, RINGS_NM
from skyops_assets.sources.history.schema import LIMITS as ARRIVAL_LIMITS
from skyops_assets.sources.opensky.schema import LIMITS, STATE_VECTOR

MET = Expected("a column", True, 0, [], "do nothing")
BROKEN = Expected("b column", False, 2, [124_200.0, -3], "look at the source")


def test_the_report_puts_broken_ones_first_and_advises_only_there() -> None:
    lines = report([MET, BROKEN]).splitlines()
    assert lines[0].startswith("| expectation | met |")
    assert lines[2] == "| b column | **no** | 2 | 124200.0, -3 | look at the source |"
    assert lines[3] == "| a column | yes | 0 |  |  |"


def test_an_unknown_count_is_left_out_and_an_empty_report_is_only_the_head() -> None:
    assert report([Expected("x", True, None, [], "")]).splitlines()[2] == "| x | yes |  |  |  |"
    assert len(report([]).splitlines()) == 2


def test_a_sample_cannot_break_the_table() -> None:
    row = report([Expected("x", False, 1, ["a|b\nc"], "y")]).splitlines()
    assert len(row) == 3
    assert row[2].replace("\\|", "").count("|") == 6


SUITE = json.loads((SUITES / "raw_opensky_states.json").read_text())


@pytest.mark.parametrize("expectation", SUITE["expectations"], ids=lambda e: e["type"])
def test_every_expectation_is_about_a_real_column_and_says_what_to_do(
    expectation: dict[str, dict[str, object]],
) -> None:
    kwargs = expectation["kwargs"]
    columns = [kwargs["column"]] if "column" in kwargs else kwargs.get("column_list", [])
    assert isinstance(columns, list)
    assert set(columns) <= {*STATE_VECTOR.names, "source"}
    assert str(expectation["meta"]["advice"]).endswith((".", "?"))


def test_the_suite_and_the_loader_have_the_same_limits() -> None:
    suite = {
        e["kwargs"]["column"]: (e["kwargs"]["min_value"], e["kwargs"]["max_value"])
        for e in SUITE["expectations"]
        if e["type"] == "expect_column_values_to_be_between"
    }
    assert suite == {name: LIMITS[name] for name in suite}
    assert set(LIMITS) - set(suite) == {"geo_altitude_m"}


def suite(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SUITES / f"{name}.json").read_text())["expectations"]
    return found


@pytest.mark.parametrize("name", [path.stem for path in SUITES.glob("*.json")])
def test_every_expectation_can_be_said(name: str) -> None:
    said = [in_words(one["type"], one["kwargs"]) for one in suite(name)]
    assert len(set(said)) == len(said)
    assert not [words for words in said if "None" in words or "{" in words.replace("]{", "")]


def test_an_expectation_in_words() -> None:
    kind = "expect_column_values_to_be_between"
    assert in_words(kind, {"column": "a_m", "min_value": 0}) == "a_m is at least 0"
    assert in_words(kind, {"column": "a_m", "max_value": 7.5}) == "a_m is at most 7.5"
    kind = "expect_column_values_to_not_be_null"
    assert in_words(kind, {"column": "a", "mostly": 0.5}) == (
        "a is not null, in 50 % of the rows or more"
    )


def limits(name: str, column: str) -> tuple[float, float]:
    [found] = [
        e["kwargs"]
        for e in suite(name)
        if e["type"] == "expect_column_values_to_be_between" and e["kwargs"]["column"] == column
    ]
    return found["min_value"], found["max_value"]


@pytest.mark.parametrize(
    ("name", "columns"),
    [("raw_arrivals_history", ARRIVAL.names), ("training_set", arrival_columns())],
)
def test_the_other_suites_are_about_real_columns_and_say_what_to_do(
    name: str, columns: list[str]
) -> None:
    for expectation in suite(name):
        kwargs = expectation["kwargs"]
        named = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
        named += kwargs.get("column_list", [])
        assert named
        assert set(named) <= set(columns)
        assert expectation["meta"]["advice"].endswith((".", "?"))


def test_the_suites_and_what_they_judge_have_the_same_limits() -> None:
    for ring in RINGS_NM:
        for column in ("bearing_deg", "altitude_m"):
            found = limits("raw_arrivals_history", f"ring_{ring}nm_{column}")
            assert found == pytest.approx(ARRIVAL_LIMITS[column])
        assert limits("raw_arrivals_history", f"ring_{ring}nm_offset_m")[1] == MAX_RING_OFFSET_M
    assert limits("training_set", "transit_min") == (MIN_TRANSIT_MIN, MAX_TRANSIT_MIN)
    for column, source in (("altitude_m", "baro_altitude_m"), ("ground_speed_mps", "velocity_mps")):
        assert limits("training_set", column) == LIMITS[source]


def test_every_suite_is_a_file_with_its_own_name() -> None:
    for path in Path(SUITES).glob("*.json"):
        assert json.loads(path.read_text())["name"] == path.stem
