"""What a failed dbt test says, for each kind of test."""

from __future__ import annotations

from typing import Any

import pytest

from skyops_assets.quality.dbt_tests import describe


def node(kind: str | None, column: str | None = None, **kwargs: Any) -> dict[str, Any]:
    metadata = {"test_metadata": {"name": kind, "kwargs": kwargs}} if kind else {}
    return {"name": "a_test", "column_name": column, "description": "", **metadata}


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (node("unique", "flight_id"), "metrics.f: two rows have the same flight_id. A broken key"),
        (node("not_null", "flight_id"), "metrics.f: flight_id is null. A broken key"),
        (node("unique_combination_of_columns", combination_of_columns=["a", "b"]),
         "metrics.f: two rows share a, b, or one of them is null. A broken key"),
        (node("relationships", "flight_id", to="ref('fct_flights')", field="flight_id"),
         "metrics.f: flight_id refers to a row that ref('fct_flights') does not have. A broken "
         "key"),
        (node("accepted_values", "status", values=["x", 2]),
         "metrics.f: status has a value that is not among x, 2. Find the rows"),
        (node("accepted_range", "speed", min_value=0),
         "metrics.f: speed is not a number from 0 to any. Find"),
        (node("expression_is_true", expression="a <\n    b"),
         "metrics.f: not true: a < b. Find the rows"),
        (node(None), "a_test. Find the rows"),
        (node(None) | {"description": "Every code is known."}, "Every code is known. Find the"),
        (node("of_a_package"), "a_test. Find the rows"),
    ],
)  # fmt: skip
def test_each_kind_says_what_is_wrong_and_what_to_do(test: dict[str, Any], said: str) -> None:
    found = describe(test, "metrics.f")
    assert found.startswith(said)
    assert "rebuild metrics.f with" in found or "trace one back to its positions" in found
