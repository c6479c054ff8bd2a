"""Whether columns of the positions are null more often than they usually are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from skyops_assets.errors import first_few
from skyops_assets.quality.volumes import MIN_DAYS, counts_by_hour
from skyops_assets.warehouse.connection import Warehouse

KEY_COLUMNS = (
    "callsign",
    "baro_altitude_m",
    "geo_altitude_m",
    "is_on_ground",
    "velocity_mps",
    "true_track_deg",
    "vertical_rate_mps",
)
"""What flights, phases and features are made of besides the position."""
MIN_ROWS = 100
"""Rows of an hour below which a share says nothing."""


@dataclass(frozen=True)
class NullShare:
    """How many of an hour's rows lack a column, and what is usual in that hour of the day.

    Attributes:
        usual_share: median of the same UTC hour of the days before, where it has `MIN_ROWS`;
            None where fewer than `MIN_DAYS` days have.
    """

    hour: datetime
    column: str
    share: float
    usual_share: float | None

    def __str__(self) -> str:
        """The figures as a person reads them."""
        usual = (
            "no usual share yet" if self.usual_share is None else f"usual {self.usual_share:.0%}"
        )
        return f"{self.hour:%Y-%m-%d %H:%M} UTC: {self.column} null in {self.share:.0%}, {usual}"


def null_shares(
    warehouse: Warehouse, hours: Sequence[datetime], columns: Sequence[str] = KEY_COLUMNS
) -> list[NullShare]:
    """The shares of nulls of each hour with at least `MIN_ROWS`, by hour and column."""
    own: dict[tuple[datetime, str], float] = {}
    past: dict[tuple[datetime, str], list[float]] = {}
    for hour, back, rows, *nulls in counts_by_hour(warehouse, hours, columns):
        if rows < MIN_ROWS:
            continue
        for column, count in zip(columns, nulls, strict=True):
            if back:
                past.setdefault((hour, column), []).append(count / rows)
            else:
                own[hour, column] = count / rows
    return [
        NullShare(
            hour.astimezone(UTC),
            column,
            share,
            median(before) if len(before := past.get((hour, column), [])) >= MIN_DAYS else None,
        )
        for (hour, column), share in own.items()
    ]


def null_problem(shares: Sequence[NullShare], max_rise: float) -> str | None:
    """Which columns are null more often than usual and what to do, or None.

    Args:
        max_rise: how far a share may lie above the usual one (0.2: from 10 % to 30 %).
    """
    risen = [
        one
        for one in shares
        if one.usual_share is not None and one.share > one.usual_share + max_rise
    ]
    if not risen:
        return None
    return (
        f"{first_few(risen)}. Did the source rename or drop a field, or did another source take "
        "over? Compare `source` of these hours in raw.opensky_states; correct the reader and load "
        "the hours again."
    )
