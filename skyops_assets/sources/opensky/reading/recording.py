"""A recording as a value: good rows, rejected rows, and where they came from.

Belongs here: what every reader returns. Does not: reading (`recordings`, `json_files`, `rest`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from skyops_assets.sources.opensky.schema import rejection_reasons

JSON_ROW = "state"
"""The only column of `Recording.rows` where a row is kept as its JSON text."""


@dataclass(frozen=True)
class Recording:
    """Positions as read, and as state vectors; row i of one is row i of the other.

    Attributes:
        source: short name of where the rows come from; part of a row's identity.
        rows: the rows as the file has them, for keeping a rejected one unchanged; where they
            are no table, one column `JSON_ROW` with each row's JSON text.
        states: the same rows with `STATE_VECTOR`'s columns and units.
        problems: a string for each row that could not be read as a state vector, else null;
            None where every row could.
    """

    source: str
    rows: pa.Table
    states: pa.Table
    problems: pa.ChunkedArray | None = None

    @cached_property
    def reasons(self) -> pa.ChunkedArray:
        """Why each row is rejected: unreadable, else untrue; null for a good one."""
        import pyarrow.compute as pc

        untrue = rejection_reasons(self.states)
        return untrue if self.problems is None else pc.coalesce(self.problems, untrue)

    def between(self, start: datetime, end: datetime) -> Recording:
        """The rows with ``start <= time_position < end``, and those without a time."""
        import pyarrow.compute as pc

        at = self.states["time_position"]
        within = pc.and_(
            pc.greater_equal(at, pa.scalar(start, at.type)), pc.less(at, pa.scalar(end, at.type))
        )
        # A row without a time belongs to no hour: each load of the file meets it, the first
        # rejects it, and for the later ones it is a duplicate.
        within = pc.fill_null(within, True)
        problems = None if self.problems is None else self.problems.filter(within)
        return Recording(
            self.source, self.rows.filter(within), self.states.filter(within), problems
        )

    def _all_problems(self) -> pa.ChunkedArray:
        if self.problems is not None:
            return self.problems
        return pa.chunked_array([pa.nulls(len(self.states), pa.string())])

    @staticmethod
    def concat(parts: list[Recording]) -> Recording:
        """Several recordings of one source as one, the rows in their order; at least one."""
        if len(parts) == 1:
            return parts[0]
        tables = [part.rows for part in parts]
        if len({tuple(table.schema) for table in tables}) > 1:
            tables = [_as_json(table) for table in tables]
        problems = None
        if any(part.problems is not None for part in parts):
            problems = pa.chunked_array(
                [chunk for part in parts for chunk in part._all_problems().chunks], pa.string()
            )
        return Recording(
            parts[0].source,
            pa.concat_tables(tables),
            pa.concat_tables([part.states for part in parts]),
            problems,
        )


def by_source(chunks: Iterable[Recording]) -> list[Recording]:
    """One recording for each source, in the order in which they came."""
    found: dict[str, list[Recording]] = {}
    for chunk in chunks:
        found.setdefault(chunk.source, []).append(chunk)
    return [Recording.concat(parts) for parts in found.values()]


def _as_json(rows: pa.Table) -> pa.Table:
    """The rows as their JSON texts; tables of different columns become alike."""
    if rows.column_names == [JSON_ROW]:
        return rows
    return pa.table({JSON_ROW: pa.array(row_texts(rows), pa.string())})


def row_texts(rows: pa.Table) -> list[str]:
    """The rows of `Recording.rows` as JSON that Postgres takes, also those Python cannot hold."""
    columns = [_values(column) for column in rows.columns]
    return [
        row_json(dict(zip(rows.column_names, row, strict=True)))
        for row in zip(*columns, strict=True)
    ]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Python values; as text where one is a time beyond the year 9999, say, or text within lists
    is no UTF-8."""
    for kind in (None, pa.string()):
        try:
            return (column if kind is None else column.cast(kind)).to_pylist()
        except (ValueError, OverflowError, pa.ArrowException):
            continue
    return ["(unreadable)"] * len(column)


def row_json(row: dict[str, Any]) -> str:
    """A row of `Recording.rows` as JSON that Postgres takes.

    JSON has no infinity and no NaN, and Postgres no NUL and no half a character: they become
    the text that shows them. What JSON does not know, such as a time, becomes text as well, and so
    does a row that nests too deep to be walked through.
    """
    text = row[JSON_ROW] if row.keys() == {JSON_ROW} else None
    try:
        value = storable(row if text is None else json.loads(text))
        return json.dumps(value, default=str, sort_keys=True)
    except RecursionError:
        return json.dumps(storable(json.dumps(row, default=str) if text is None else text))


def storable(value: Any) -> Any:
    """A value as JSON that Postgres takes; see `row_json`."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        if value.isprintable():
            return value
        shown = value.replace("\0", "\\u0000")
        return shown.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value
