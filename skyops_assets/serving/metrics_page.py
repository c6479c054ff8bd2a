"""docs/metrics.md's tables: ``python -m skyops_assets.serving.metrics_page``.

Belongs here: how a metric is shown. Does not: what it means, which its definition says; the prose
around the tables, which is in the page itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from skyops_assets.operations.pushing import LABELS, PUSHED
from skyops_assets.serving import metrics
from skyops_assets.serving.scrape import PARTS
from skyops_assets.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "metrics.md"
BEGIN, END = "<!-- Written by `make docs`. -->", "<!-- End of what `make docs` writes. -->"
UNITS = ("seconds", "bytes")


class Listed(NamedTuple):
    """A metric as the page lists it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        """The base unit, which the name ends in; counts and shares have none."""
        words = self.name.removesuffix("_total").split("_")
        if "per" in words:
            return "1/s"
        return next((unit for unit in UNITS if words[-1] == unit), "")


def own() -> list[Listed]:
    """What the service counts of itself."""
    found = []
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            suffix = "_total" if family.type == "counter" else ""
            found.append(
                Listed(family.name + suffix, family.type, metric._labelnames, family.documentation)
            )
    return found


def asked() -> list[Listed]:
    """What it asks the databases for."""
    return [
        Listed(metric.name, metric.kind, metric.labels, metric.meaning)
        for part in PARTS
        for metric in part.metrics
    ]


def pushed() -> list[Listed]:
    """What tasks tell the Pushgateway."""
    return [Listed(metric.name, "gauge", LABELS, metric.meaning) for metric in PUSHED]


def with_tables(page: str) -> str:
    """The page with its tables as they are to be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def tables() -> str:
    """The three tables."""
    return "\n".join(_tables())


def _tables() -> Iterator[str]:
    for heading, found in (
        ("The service itself", own()),
        ("From the databases", asked()),
        ("From tasks, through the Pushgateway", pushed()),
    ):
        yield f"\n### {heading}\n"
        yield "| metric | type | labels | unit | meaning |"
        yield "|---|---|---|---|---|"
        for one in found:
            labels = ", ".join(f"`{label}`" for label in one.labels)
            yield f"| `{one.name}` | {one.kind} | {labels} | {one.unit} | {one.meaning} |"


def main(page: Path = PAGE) -> None:
    """Write the tables into the page."""
    page.write_text(with_tables(page.read_text()))


if __name__ == "__main__":
    main()
