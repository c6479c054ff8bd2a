"""The hours and days that raw assets are partitioned by: those that can have data, and no others.

Belongs here: which partitions there are, given the settings, and how many a run of a backfill
takes. Does not: what is loaded of one.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

import dagster as dg

from skyops_assets.settings import Settings, load_settings


class Hours(dg.HourlyPartitionsDefinition):
    """Hours whose list is made once an hour and process.

    Dagster asks for it, 9,000 long after a year, in each step that reads the asset, and makes it by
    a cron schedule: 0.25 s of CPU for five years, eight times in a run.
    """

    def get_partition_keys(
        self, current_time: datetime | None = None, dynamic_partitions_store: Any = None
    ) -> Sequence[str]:
        """All hours that there are by now, the first one first."""
        with dg.partition_loading_context(current_time, dynamic_partitions_store):
            return _keys(self, self.get_last_partition_key())


@lru_cache(maxsize=1)
def _keys(hours: Hours, _last: str | None) -> Sequence[str]:
    return super(Hours, hours).get_partition_keys()


def hours_of(settings: Settings) -> Hours:
    """From SKYOPS_FIRST_HOUR to SKYOPS_LAST_HOUR or the present; without both those of the demo.

    With the present hour: live positions are in it before it is over.
    """
    return Hours(start_date=settings.first_hour, end_date=settings.hours_end, end_offset=1)


def history_of(settings: Settings) -> dg.TimeWindowPartitionsDefinition:
    """The days that the open history has: March and May of 2019 to 2021.

    A person's mirror may have files of any other day, and to list it would be I/O at import: with
    one all days up to now are there.
    """
    if settings.data_mirror:
        return dg.DailyPartitionsDefinition(start_date=_midnight(settings.history_first_day))
    return dg.TimeWindowPartitionsDefinition(
        start=_midnight(min(settings.history_first_day, date(2021, 5, 31))),
        end=datetime(2021, 6, 1),
        cron_schedule="0 0 * * *",
        fmt="%Y-%m-%d",
        exclusions=["0 0 * 1,2,4,6-12 *"],
    )


def weather_of(settings: Settings) -> dg.DailyPartitionsDefinition:
    """With SKYOPS_METAR_URL from the history's first day to the present one; else of the hours."""
    first, end = settings.first_hour.date(), settings.hours_end
    if settings.metar_url:
        first, end = min(first, settings.history_first_day), None
    return dg.DailyPartitionsDefinition(
        start_date=_midnight(first),
        end_date=end and _midnight((end + timedelta(hours=23)).date()),
        end_offset=1,
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


HOURS = hours_of(load_settings())
DAYS = history_of(load_settings())
METAR_DAYS = weather_of(load_settings())
OF_A_DAY = dg.BackfillPolicy.multi_run(max_partitions_per_run=24)
"""A run of a backfill loads a day of hours: none comes near the longest that a run may take, and a
failure costs its day alone."""
OF_A_MONTH = dg.BackfillPolicy.multi_run(max_partitions_per_run=31)
