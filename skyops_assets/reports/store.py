"""The table `audit.reports`: one row per airport and period, the page in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from skyops_assets.arrivals.features import RING_NM
from skyops_assets.reports import figures, page
from skyops_assets.reports.periods import Kind, latest, zone_of
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import execute

_UPSERT = """
    insert into audit.reports (kind, starts_on, airport, title, made_at, page)
    values (%(kind)s, %(starts_on)s, %(airport)s, %(title)s, %(made_at)s, %(page)s)
    on conflict (kind, starts_on, airport) do update
    set title = excluded.title, made_at = excluded.made_at, page = excluded.page
"""


@dataclass(frozen=True)
class Report:
    """One that was made."""

    kind: Kind
    starts_on: date
    airport: str
    title: str

    @property
    def path(self) -> str:
        """Where the service shows it."""
        return f"/reports/{self.kind}/{self.starts_on}/{self.airport}"


def publish(
    warehouse: Warehouse, settings: Settings, kind: Kind, now: datetime | None = None
) -> list[Report]:
    """Make and keep the report of the latest week or month of each airport.

    Args:
        now: a period that is not over then gives way to the one before it.

    Returns:
        None where no movement was seen yet.
    """
    now = now or datetime.now(UTC)
    made = []
    for airport in figures.airports(warehouse, settings.watch_airports):
        zone = zone_of(airport["timezone"])
        period = latest(kind, airport["oldest_at"], airport["newest_at"], zone, now)
        text = page.build(warehouse, airport, period, RING_NM, now)
        report = Report(
            kind, period.starts_on, airport["airport"], f"{airport['airport']}: {period.title}"
        )
        execute(warehouse, _UPSERT, vars(report) | {"made_at": now, "page": text})
        made.append(report)
    return made
