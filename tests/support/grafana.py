"""What Grafana does with a board before it asks: variables and macros, as its sources have them.

Belongs here: reading the committed boards, and what a panel asks after that. Does not: who is
asked, or with which data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from skyops_assets.settings import PROJECT_ROOT

BOARDS = PROJECT_ROOT / "docker" / "grafana" / "dashboards"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Row = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """One query of a panel, or of a board's marks.

    Attributes:
        is_sql: of Postgres; else of Prometheus.
        is_series: its rows are points of series, by `time`.
        column: left edge of the panel, in the 24 columns of a board.
    """

    board: str
    panel: str
    text: str
    is_sql: bool
    is_series: bool = False
    column: int = 0

    def with_variables(self, **values: str) -> Query:
        """As the browser sends it: `$name` and `${name}` are what is chosen."""
        text = self.text
        for name, value in values.items():
            text = text.replace(f"${{{name}}}", value)
            text = re.sub(rf"\${name}\b", value, text)
        return replace(self, text=text)


def read(path: Path) -> dict[str, Any]:
    """A board's JSON."""
    return json.loads(path.read_text())


def queries(path: Path) -> Iterator[Query]:
    """All queries of a board."""
    board = read(path)
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            is_sql = "rawSql" in target
            yield Query(
                path.stem, panel["title"], target["rawSql"] if is_sql else target["expr"], is_sql,
                target.get("format") == "time_series", panel["gridPos"]["x"],
            )  # fmt: skip
    for mark in board.get("annotations", {}).get("list", ()):
        yield Query(path.stem, mark["name"], mark["expr"], False)


def sql(text: str, since: datetime, until: datetime) -> str:
    """A query of Postgres with its macros filled in, as Grafana's data source fills them in.

    Raises:
        KeyError: a macro that it does not have, or that no board has needed yet.
    """

    def group(column: str, size: str) -> str:
        size = size.strip("'")
        seconds = int(size[:-1]) * SECONDS[size[-1]]
        return f"floor(extract(epoch from {column})/{seconds})*{seconds}"

    macros = {
        "timeFilter": lambda column: (
            f"{column} BETWEEN '{since.isoformat()}' AND '{until.isoformat()}'"
        ),
        "timeGroup": group,
        "timeGroupAlias": lambda column, size: f'{group(column, size)} AS "time"',
    }

    def filled(found: re.Match[str]) -> str:
        return macros[found[1]](*(one.strip() for one in found[2].split(",")))

    return re.sub(r"\$__(\w+)\(([^)]*)\)", filled, text)


def promql(text: str, *, interval_s: int, scrape_s: int) -> str:
    """A query of Prometheus likewise: a rate looks back over four scrapes at least."""
    rate = max(interval_s + scrape_s, 4 * scrape_s)
    text = text.replace("$__rate_interval", f"{rate}s")
    return re.sub(r"\$__interval\b", f"{interval_s}s", text)
