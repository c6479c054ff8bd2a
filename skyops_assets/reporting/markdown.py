"""Values and tables as Markdown text.

Belongs here: how a number, an interval or a cell is written. Does not: what stands in a table.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of cells; what would end a cell or a row is escaped."""
    lines = [_row(head), "|---" * len(head) + "|", *map(_row, rows)]
    return "\n".join(lines)


def image(title: str, png: bytes) -> str:
    """A PNG that is shown where Markdown is, such as in the Dagster UI."""
    return f"![{title}](data:image/png;base64,{b64encode(png).decode()})"


def number(value: float | None, form: str = ".2f") -> str:
    """A number in its format; a dash where there is none."""
    return "-" if value is None else format(value, form)


def interval(low: float | None, high: float | None) -> str:
    """Both ends of an interval of shares; a dash where it could not be computed."""
    return "-" if low is None or high is None else f"{low:+.1%} to {high:+.1%}"


def _row(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
