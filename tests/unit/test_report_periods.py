"""Weeks and months of reports, in local time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from skyops_assets.reports.periods import Period, latest, zone_of

PARIS = ZoneInfo("Europe/Paris")


def test_a_month_with_the_change_to_winter_is_an_hour_longer() -> None:
    start, end = Period.of("month", date(2021, 10, 7)).bounds(PARIS)
    assert (start.isoformat(), end.isoformat()) == (
        "2021-09-30T22:00:00+00:00", "2021-10-31T23:00:00+00:00",
    )  # fmt: skip


def test_a_period_is_compared_with_the_one_before_and_that_of_the_year_before() -> None:
    week = Period.of("week", date(2021, 1, 3))
    assert (week.starts_on, week.title) == (date(2020, 12, 28), "Week 53 of 2020")
    assert (week.before.starts_on, week.year_before.starts_on) == (
        date(2020, 12, 21), date(2019, 12, 30),
    )  # fmt: skip
    month = Period.of("month", date(2024, 1, 31))
    assert (month.before.starts_on, month.year_before.starts_on, month.ends_on) == (
        date(2023, 12, 1), date(2023, 1, 1), date(2024, 2, 1),
    )  # fmt: skip


def test_a_period_that_is_not_over_gives_way_to_the_one_before_if_it_has_data() -> None:
    oldest, newest = datetime(2021, 9, 30, tzinfo=UTC), datetime(2021, 10, 31, 22, 30, tzinfo=UTC)
    # 23:30 in Paris: October is over in half an hour.
    assert latest("month", oldest, newest, PARIS, newest).title == "September 2021"
    later = datetime(2021, 10, 31, 23, 0, tzinfo=UTC)
    assert latest("month", oldest, newest, PARIS, later).title == "October 2021"
    first = datetime(2021, 10, 7, tzinfo=UTC)
    assert latest("month", first, newest, PARIS, newest).title == "October 2021"


def test_an_unknown_zone_is_utc() -> None:
    assert zone_of("Mars/Olympus").key == zone_of(None).key == "UTC"
