"""What the dbt project says of the raw tables, for those who do not go through dbt's manifest.

Belongs here: descriptions of columns, with their units. Does not: types (`quality.contracts`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from skyops_assets.transform.dbt import DBT_PROJECT

UNITS = {
    "deg": "degrees",
    "ft": "feet",
    "h": "hours",
    "m": "metres",
    "min": "minutes",
    "mps": "metres per second",
    "s": "seconds",
}
"""By the last part of a column's name."""


def described(table: str) -> dict[str, str]:
    """What each column of a raw table means, and its unit where it has one.

    Args:
        table: such as ``raw.opensky_states``.
    """
    found = {}
    for column in _tables()[table.removeprefix("raw.")]["columns"]:
        said = " ".join(column["description"].split())
        unit = UNITS.get(column["name"].rpartition("_")[2])
        is_silent = unit and unit not in said
        found[column["name"]] = f"{said.removesuffix('.')}, in {unit}." if is_silent else said
    return found


@cache
def _tables() -> dict[str, Any]:
    import yaml

    text = (DBT_PROJECT / "models" / "staging" / "raw.yml").read_text()
    # In C where there is one: a sixth of the time.
    found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return {table["name"]: table for table in found["sources"][0]["tables"]}
