"""The eight kinds of an operator's input: their columns, keys, and what makes a row impossible.

Belongs here: the declarations, and rules over the values of one row. Does not: reading a value
(`values`), the file's names for the columns (`mapping`), rules over several rows (`judge`).
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

Values = Mapping[str, Any]
"""A row's values by our names; what is not known is None."""

_TYPES = {
    "flag": pa.bool_(),
    "number": pa.float64(),
    "count": pa.int64(),
    "numbers": pa.list_(pa.float64()),
    "date": pa.date32(),
    "month": pa.date32(),
    "time": pa.timestamp("us", tz="UTC"),
}
"""Of a column's form; all others are text."""

EARLIEST = date(1950, 1, 1)
"""Before the first jet; an earlier date is a slip, such as a spreadsheet's day 0 (1899-12-30)."""
FARTHEST = timedelta(days=400)
"""Schedules are published for the present season and the next."""
LONGEST = timedelta(hours=24)
"""The longest scheduled flight takes 19 hours."""


@dataclass(frozen=True)
class Column:
    """One column of a raw table.

    Attributes:
        form: how a value is read, one of `values.READERS`.
        is_required: whether a row without it is rejected.
        default: what stands where a file says nothing.
    """

    name: str
    form: str = "text"
    is_required: bool = False
    default: Any = None


@dataclass(frozen=True)
class Kind:
    """One kind of input, which has the table ``raw.<name>``.

    Attributes:
        key: columns of which no two rows have the same values.
        rules: from a row's values and the present day to why it cannot be, or None.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rules: tuple[Callable[[Values, date], str | None], ...] = ()

    @property
    def target(self) -> str:
        """The table."""
        return f"raw.{self.name}"

    @property
    def noun(self) -> str:
        """The kind in words."""
        return self.name.replace("_", " ")

    @property
    def schema(self) -> pa.Schema:
        """The table's columns but for source, source_row and batch_id."""
        return pa.schema(
            [
                pa.field(
                    column.name,
                    _TYPES.get(column.form, pa.string()),
                    nullable=not column.is_required and column.default is None,
                )
                for column in self.columns
            ]
        )

    def problem(self, values: Values, today: date) -> str | None:
        """Why a row cannot be, or None."""
        return next((said for rule in self.rules if (said := rule(values, today))), None)


def _not_below(least: float, *names: str) -> Callable[[Values, date], str | None]:
    def rule(values: Values, _: date) -> str | None:
        for name in names:
            value = values[name]
            if value is not None and value < least:
                return f"{name} is {value:g}; it cannot be less than {least:g}"
        return None

    return rule


def _above_zero(*names: str) -> Callable[[Values, date], str | None]:
    def rule(values: Values, _: date) -> str | None:
        for name in names:
            value = values[name]
            if value is not None and value <= 0:
                return f"{name} is {value:g}; it must be above 0"
        return None

    return rule


def _past(name: str) -> Callable[[Values, date], str | None]:
    def rule(values: Values, today: date) -> str | None:
        day = values[name]
        # West of the date line a day lasts until noon of the next one, UTC; east it begins earlier.
        if day is not None and day > today + timedelta(days=1):
            return f"{name} is {day}, which lies in the future"
        return None

    return rule


def _since_1950(*names: str) -> Callable[[Values, date], str | None]:
    def rule(values: Values, _: date) -> str | None:
        for name in names:
            value = values[name]
            day = value.date() if isinstance(value, datetime) else value
            if day is not None and day < EARLIEST:
                return f"{name} is {day}, before {EARLIEST.year}"
        return None

    return rule


def _flight_ends_after_it_began(values: Values, today: date) -> str | None:
    departs, arrives = values["scheduled_departure_at"], values["scheduled_arrival_at"]
    if arrives <= departs:
        return f"it arrives ({arrives:%F %H:%M} UTC) before it departs ({departs:%F %H:%M} UTC)"
    if arrives - departs > LONGEST:
        return "the flight takes longer than 24 hours"
    if departs.date() > today + FARTHEST:
        return f"scheduled_departure_at is {departs:%F}, more than {FARTHEST.days} days ahead"
    return None


def _is_within_its_month(values: Values, _: date) -> str | None:
    month = values["month_on"]
    hours = 24 * calendar.monthrange(month.year, month.month)[1]
    if values["flight_hours"] > hours:
        return f"flight_hours is {values['flight_hours']:g}; {month:%Y-%m} has {hours} hours"
    return None


def _ends_after_it_began(values: Values, _: date) -> str | None:
    until = values["fitted_until_on"]
    if until is not None and until <= values["fitted_from_on"]:
        return f"fitted_until_on is {until}, which is not after {values['fitted_from_on']}"
    return None


def _has_interval(values: Values, _: date) -> str | None:
    if all(values[f"interval_{unit}"] is None for unit in ("hours", "cycles", "days")):
        return "it has no interval in hours, cycles or days"
    return None


def _has_readings(values: Values, _: date) -> str | None:
    return None if values["sensors"] else "it has no sensor readings"


KINDS = (
    Kind(
        "schedules",
        (
            Column("callsign", "callsign", is_required=True),
            Column("scheduled_departure_at", "time", is_required=True),
            Column("scheduled_arrival_at", "time", is_required=True),
            Column("flight_number", "upper"),
            Column("departure_airport", "airport", is_required=True),
            Column("arrival_airport", "airport", is_required=True),
            Column("airframe", "registration"),
            Column("is_cancelled", "flag", default=False),
            Column("departure_delay_min", "number"),
            Column("is_technical", "flag"),
        ),
        ("callsign", "scheduled_departure_at"),
        (_since_1950("scheduled_departure_at"), _flight_ends_after_it_began),
    ),
    Kind(
        "maintenance_events",
        (
            Column("event_id", is_required=True),
            Column("occurred_on", "date", is_required=True),
            Column("airframe", "registration"),
            Column("operator"),
            Column("aircraft_model"),
            Column("jasc_code", "jasc"),
            Column("part_number", "upper"),
            Column("part_name"),
            Column("part_position"),
            Column("serial_number", "upper"),
            Column("is_scheduled", "flag"),
            Column("is_removal", "flag"),
            Column("is_confirmed", "flag"),
            Column("task", "upper"),
            Column("airframe_hours", "number"),
            Column("airframe_cycles", "count"),
            Column("part_hours", "number"),
            Column("part_cycles", "count"),
            Column("part_hours_since", "number"),
            Column("condition"),
            Column("narrative"),
        ),
        ("event_id",),
        (
            _since_1950("occurred_on"),
            _past("occurred_on"),
            _not_below(
                0, "airframe_hours", "airframe_cycles", "part_hours", "part_cycles",
                "part_hours_since",
            ),
        ),
    ),
    Kind(
        "maintenance_programmes",
        (
            Column("task", "upper", is_required=True),
            Column("applies_to", "registration", default=""),
            Column("description"),
            Column("jasc_code", "jasc"),
            Column("part_number", "upper"),
            Column("interval_hours", "number"),
            Column("interval_cycles", "count"),
            Column("interval_days", "count"),
        ),
        ("task", "applies_to"),
        (_has_interval, _above_zero("interval_hours", "interval_cycles", "interval_days")),
    ),
    Kind(
        "configurations",
        (
            Column("airframe", "registration", is_required=True),
            Column("part_number", "upper", is_required=True),
            Column("part_position", default=""),
            Column("quantity", "count", is_required=True),
            Column("fitted_from_on", "date", is_required=True),
            Column("fitted_until_on", "date"),
        ),
        ("airframe", "part_number", "part_position", "fitted_from_on"),
        (
            _above_zero("quantity"),
            _since_1950("fitted_from_on"),
            _past("fitted_from_on"),
            _ends_after_it_began,
        ),
    ),
    Kind(
        "exposure",
        (
            Column("airframe", "registration", is_required=True),
            Column("month_on", "month", is_required=True),
            Column("flight_hours", "number", is_required=True),
            Column("cycles", "count", is_required=True),
        ),
        ("airframe", "month_on"),
        (
            _since_1950("month_on"),
            _past("month_on"),
            _not_below(0, "flight_hours", "cycles"),
            _is_within_its_month,
        ),
    ),
    Kind(
        "sensor_readings",
        (
            Column("fleet", is_required=True),
            Column("unit", is_required=True),
            Column("cycle", "count", is_required=True),
            Column("airframe", "registration"),
            Column("observed_on", "date"),
            Column("settings", "numbers", default=()),
            Column("sensors", "numbers", default=()),
            Column("is_failed", "flag", default=False),
        ),
        ("fleet", "unit", "cycle"),
        (
            _not_below(1, "cycle"),
            _since_1950("observed_on"),
            _past("observed_on"),
            _has_readings,
        ),
    ),
    Kind(
        "parts",
        (
            Column("part_number", "upper", is_required=True),
            Column("part_name", is_required=True),
            Column("jasc_code", "jasc"),
            Column("life_limit_hours", "number"),
            Column("life_limit_cycles", "count"),
        ),
        ("part_number",),
        (_above_zero("life_limit_hours", "life_limit_cycles"),),
    ),
    Kind(
        "bulletins",
        (
            Column("reference", "upper", is_required=True),
            Column("applies_to", "registration", default=""),
            Column("title"),
            Column("due_on", "date"),
            Column("due_hours", "number"),
            Column("due_cycles", "count"),
        ),
        ("reference", "applies_to"),
        (_since_1950("due_on"), _above_zero("due_hours", "due_cycles")),
    ),
)  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}
