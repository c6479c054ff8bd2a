"""Weeks and months in an airport's local time, and those that they are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Kind = Literal["week", "month"]
DAYS_OF_A_YEAR_IN_WEEKS = 364
"""A week a year ago begins on a Monday too."""


@dataclass(frozen=True)
class Period:
    """A week from its Monday, or a month from its first day, both at midnight local time."""

    kind: Kind
    starts_on: date

    @classmethod
    def of(cls, kind: Kind, day: date) -> Period:
        """The one that has this day."""
        if kind == "week":
            return cls(kind, day - timedelta(days=day.weekday()))
        return cls(kind, day.replace(day=1))

    @property
    def ends_on(self) -> date:
        """The day after its last."""
        if self.kind == "week":
            return self.starts_on + timedelta(days=7)
        return (self.starts_on + timedelta(days=31)).replace(day=1)

    @property
    def before(self) -> Period:
        """The one before."""
        return Period.of(self.kind, self.starts_on - timedelta(days=1))

    @property
    def year_before(self) -> Period:
        """The same of the year before; of a week the 52nd before."""
        if self.kind == "week":
            return Period(self.kind, self.starts_on - timedelta(days=DAYS_OF_A_YEAR_IN_WEEKS))
        return Period(self.kind, self.starts_on.replace(year=self.starts_on.year - 1))

    @property
    def title(self) -> str:
        """What a person calls it."""
        if self.kind == "month":
            return f"{self.starts_on:%B %Y}"
        year, week, _ = self.starts_on.isocalendar()
        return f"Week {week} of {year}"

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Its first moment and the first after it, in UTC."""
        first, last = (
            datetime.combine(day, time(), zone).astimezone(UTC)
            for day in (self.starts_on, self.ends_on)
        )
        return first, last


def latest(kind: Kind, oldest: datetime, newest: datetime, zone: ZoneInfo, now: datetime) -> Period:
    """The period to report on: that of the newest data, or the one before while it is not over.

    Where there is nothing of the one before, it is the one that is not over.

    Args:
        oldest: time of the first movement.
        newest: time of the last one.
    """
    found = Period.of(kind, newest.astimezone(zone).date())
    start, end = found.bounds(zone)
    return found.before if end > now and oldest < start else found


def zone_of(name: str | None) -> ZoneInfo:
    """The zone of that name; UTC where none is known."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
