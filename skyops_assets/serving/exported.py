"""What a figure that the databases are asked for is: its name, kind, labels and meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Exported:
    """One metric of a part.

    Attributes:
        name: with its base unit at the end, as Prometheus' conventions want it.
        column: of the part's query, that holds the value; null is no sample.
        labels: columns whose values are labels; each has few values, whatever the data.
    """

    name: str
    column: str
    meaning: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True)
class Part:
    """One question to a database, and the metrics that its rows are.

    Attributes:
        sql: the query, or what gives it for a version of the server (such as 180004). It may name
            the parameters `airports` (the watched ones) and `databases` (SkyOps' three).
        every_s: it is asked no more often than that.
    """

    name: str
    database: Literal["warehouse", "dagster"]
    sql: str | Callable[[int], str]
    metrics: tuple[Exported, ...]
    every_s: float = 10.0

    def query(self, server_version: int) -> str:
        """The SQL for a server."""
        return self.sql if isinstance(self.sql, str) else self.sql(server_version)
