"""How many positions an hour brings, beside the usual: the volumes of loads.

Belongs here: counts by hour, and what is unusual about them. Does not: whether rows were lost
(`reconciliation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from skyops_assets.errors import first_few
from skyops_assets.warehouse.connection import Warehouse

HOUR = timedelta(hours=1)
USUAL_DAYS = 28
"""Earlier days that an hour is compared with: each day of the week four times."""
MIN_DAYS = 3
"""Earlier days with rows in the hour below which nothing is usual yet."""


NAMED = 5
"""Hours that are shown beside a check's result."""


@dataclass(frozen=True)
class HourVolume:
    """The positions of a UTC hour, of all sources, and what is usual for that hour of the day.

    Attributes:
        usual_rows: median of the same hour of the `USUAL_DAYS` days before, where they have rows;
            None where fewer than `MIN_DAYS` do.
        days: how many of them have rows.
    """

    hour: datetime
    rows: int
    usual_rows: float | None
    days: int

    def is_usual(self, min_share: float) -> bool:
        """Whether the rows are from ``min_share`` to 1 / ``min_share`` of the usual ones.

        True where nothing is usual yet.
        """
        if self.usual_rows is None:
            return True
        return min_share * self.usual_rows <= self.rows <= self.usual_rows / min_share

    def __str__(self) -> str:
        """The figures as a person reads them."""
        usual = "no usual count yet" if self.usual_rows is None else f"usual {self.usual_rows:,.0f}"
        return f"{self.hour:%Y-%m-%d %H:%M} UTC: {self.rows:,} positions, {usual}"


def hour_volumes(warehouse: Warehouse, hours: Sequence[datetime]) -> list[HourVolume]:
    """Count the positions of hours, and of the same hours of the days before.

    One query that reads each hour it needs once: hours that follow each other as one range, so
    that the BRIN index of a day is asked once for them.

    Args:
        hours: the start of each, with a time zone.

    Returns:
        One for each hour, in order.
    """
    counted: dict[datetime, list[int]] = {hour: [] for hour in hours}
    own = dict.fromkeys(hours, 0)
    for hour, back, rows in counts_by_hour(warehouse, hours):
        if back:
            counted[hour].append(rows)
        else:
            own[hour] = rows
    return [
        HourVolume(
            hour.astimezone(UTC),
            own[hour],
            median(past) if len(past) >= MIN_DAYS else None,
            len(past),
        )
        for hour, past in counted.items()
    ]


def counts_by_hour(
    warehouse: Warehouse, hours: Sequence[datetime], columns: Sequence[str] = ()
) -> list[tuple[Any, ...]]:
    """Rows of hours and of the same hours of the days before, where there are any.

    Args:
        columns: of each the nulls are counted too.

    Returns:
        (hour, days back, rows, nulls of each column), hours and days in order.
    """
    nulls = "".join(f", count(*) - count({column}) as {column}" for column in columns)
    found = "".join(f", counted.{column}" for column in columns)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        # Not knowing the hours, the planner takes them for much of a day, and would read it all.
        cursor.execute("set local enable_seqscan = off")
        cursor.execute(
            f"""
            with asked as (select unnest(%(hours)s::timestamptz[]) as hour),
            compared as (
                select hour, back, hour - back * interval '24 hours' as past_hour
                from asked cross join generate_series(0, %(days)s) as back
            ),
            numbered as (
                select past_hour, past_hour - row_number() over (order by past_hour)
                    * interval '1 hour' as stretch
                from (select distinct past_hour from compared) as needed
            ),
            stretches as (
                select min(past_hour) as from_at, max(past_hour) + interval '1 hour' as until_at
                from numbered group by stretch
            ),
            counted as (
                select
                    date_bin('1 hour', time_position, '2000-01-01+00') as hour,
                    count(*) as row_count{nulls}
                from stretches
                inner join raw.opensky_states
                    on time_position >= from_at and time_position < until_at
                group by 1
            )
            select compared.hour, compared.back, counted.row_count{found}
            from compared
            inner join counted on counted.hour = compared.past_hour
            order by compared.hour, compared.back
            """,  # noqa: S608
            {"hours": list(hours), "days": USUAL_DAYS},
        )
        return cursor.fetchall()


def whole_hours(start: datetime, end: datetime, now: datetime) -> list[datetime]:
    """The UTC hours that hold a time from ``start`` to ``end`` and are over at ``now``."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    last = min(end, now - HOUR)
    return [hour + HOUR * n for n in range(max(0, (last - hour) // HOUR + 1))]


def volume_problem(volumes: Sequence[HourVolume], min_share: float) -> str | None:
    """Which hours are not as usual and what to do, or None."""
    unusual = [volume for volume in volumes if not volume.is_usual(min_share)]
    if not unusual:
        return None
    return (
        f"{first_few(unusual)}. Too few: was the collector stopped, were the credits spent, or is "
        "the recording cut short? Load the hour again. Too many: do two sources report the same "
        "positions? Compare raw.ingest_batches."
    )
