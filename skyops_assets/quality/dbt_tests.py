"""What a failed dbt test means and what to do about it, by the kind of the test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MEANS = {
    "unique": "two rows have the same {column}",
    "not_null": "{column} is null",
    "unique_combination_of_columns": (
        "two rows share {combination_of_columns}, or one of them is null"
    ),
    "relationships": "{column} refers to a row that {to} does not have",
    "accepted_values": "{column} has a value that is not among {values}",
    "accepted_range": "{column} is not a number from {min_value} to {max_value}",
    "expression_is_true": "not true: {expression}",
    "takes_turns": "a take-off first heard in the air follows a take-off",
}
_KEYS = ("unique", "not_null", "unique_combination_of_columns", "relationships")
_BROKEN_KEY = (
    "A broken key means that rows were written twice or outside SkyOps: rebuild {model} with "
    "`skyops exec -- skyops-dbt build --full-refresh`. If it stays red, the model is wrong."
)
_BROKEN_VALUE = (
    "Find the rows with `skyops sql`: trace one back to its positions, then correct the code that "
    "computes it, or mask the value in staging if the source is wrong."
)


def describe(test: Mapping[str, Any], model: str) -> str:
    """What a dbt test says when it fails, and what to do.

    Args:
        test: the test's node of dbt's manifest.
        model: the table that it is about.
    """
    metadata = test.get("test_metadata") or {}
    kind = metadata.get("name")
    if kind not in _MEANS:
        return f"{str(test.get('description') or test['name']).rstrip('.')}. {_BROKEN_VALUE}"
    given = {"column": test.get("column_name"), "min_value": "any", "max_value": "any"}
    given |= {name: _text(value) for name, value in metadata["kwargs"].items()}
    todo = _BROKEN_KEY if kind in _KEYS else _BROKEN_VALUE
    return f"{model}: {_MEANS[kind].format_map(given)}. {todo.format(model=model)}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return " ".join(str(value).split())
