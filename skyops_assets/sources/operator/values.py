"""One value of an operator's file, as CSV, JSON or Excel has it, in the form of its column.

Belongs here: text, numbers, flags, dates, times, registrations, callsigns, airports. Does not:
which of the file's columns it stands in (`mapping`), whether the row can be (`kinds`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from skyops_assets.sources.csv_tables import MISSING
from skyops_assets.sources.operator.mapping import AIRPORT_ZONE, Mapped

_TRUE = frozenset(("1", "true", "t", "yes", "y", "x"))
_FALSE = frozenset(("0", "false", "f", "no", "n"))
_CALLSIGN = re.compile(r"[A-Z]{3}[0-9][A-Z0-9]{0,4}")
_FLIGHT_NUMBER = re.compile(r"([A-Z][A-Z0-9]|[0-9][A-Z])0*([1-9][0-9]{0,3}[A-Z]?)")
"""IATA's two-character designator, and a number without the zeros that callsigns leave out."""
_LARGEST = 2**53
"""Whole numbers beyond are not exact in JSON and Excel."""


class Unreadable(Exception):
    """A value that is none of its column's form; the text says why."""


@dataclass(frozen=True)
class Known:
    """What a file is read with besides its mapping.

    Attributes:
        today: the day beyond which nothing can have happened.
        by_iata: airports' ICAO codes by IATA code.
        zones: airports' time zones by ICAO code.
    """

    today: date
    by_iata: Mapping[str, str] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)


def is_missing(value: Any, mapped: Mapped) -> bool:
    """Whether a value stands for none."""
    if isinstance(value, str):
        text = value.strip()
        return text in MISSING or text in mapped.missing
    return value is None or (isinstance(value, float) and math.isnan(value))


def text_of(value: Any) -> str:
    """A value as text: numbers that Excel made of codes lose their ``.0``.

    Raises:
        Unreadable: it is a list or an object, or a byte of it is no UTF-8.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    if not isinstance(value, str | int | float):
        raise Unreadable("is not a single value")
    text = " ".join(str(value).replace("\x00", "").split())
    if not text.isascii() and text != text.encode("utf-8", "replace").decode():
        raise Unreadable("is not UTF-8: name the file's encoding in columns.toml")
    return text


def _upper(value: Any, _: Mapped) -> str:
    return text_of(value).upper()


def registration(value: Any, mapped: Mapped, name: str = "airframe") -> str:
    """A registration in capitals, without hyphens and blanks, with what its country leaves out."""
    text = re.sub(r"[\s\u2010-\u2015-]", "", text_of(value)).upper()
    prefix = mapped.prefixes.get(name, "")
    if not (text.isascii() and text.isalnum()) or len(text) > 10:
        raise Unreadable(f"{text_of(value)[:40]!r} is not a registration")
    return text if text.startswith(prefix) else prefix + text


def _number(value: Any, mapped: Mapped) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        text = text_of(value)
        shown = text
        if mapped.decimal == ",":
            text = text.replace(".", "").replace(",", ".")
        try:
            # Python would take 1_000 as well.
            found = float(text if "_" not in text else "")
        except ValueError:
            raise Unreadable(f"{shown[:40]!r} is not a number") from None
    if not math.isfinite(found):
        raise Unreadable(f"{text_of(value)[:40]!r} is not a number")
    return found


def _count(value: Any, mapped: Mapped) -> int:
    found = _number(value, mapped)
    if not found.is_integer() or abs(found) > 2**31 - 1:
        raise Unreadable(f"{text_of(value)[:40]!r} is not a whole number")
    return int(found)


def _flag(value: Any, _: Mapped) -> bool:
    text = text_of(value).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Unreadable(
        f"{text[:40]!r} is neither true nor false: define it under codes in columns.toml"
    )


def _jasc(value: Any, _: Mapped) -> str:
    """Four digits: of 32-41-31 the first four; a chapter alone is its general code, as 3200."""
    digits = re.sub(r"[\s.-]", "", text_of(value))
    if not digits.isascii() or not digits.isdigit() or len(digits) not in (2, 3, 4, 6):
        raise Unreadable(f"{text_of(value)[:40]!r} is not a JASC code, which has four digits")
    # A spreadsheet drops the zero of chapter 05.
    return f"{digits}00" if len(digits) == 2 else digits.zfill(4)[:4]


def moment(value: Any, mapped: Mapped) -> datetime:
    """A date and time as it stands in the file, with or without an offset from UTC."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    text = text_of(value)
    for form in mapped.times:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    try:
        # Python takes 2024-W1 as well, and a number of four digits.
        return datetime.fromisoformat(text if len(text) >= 8 else "")
    except ValueError:
        wanted = " or ".join((*mapped.times, "2025-03-31T14:05:00Z"))
        raise Unreadable(f"{text[:40]!r} is not a date or time of the form {wanted}") from None


def day(value: Any, mapped: Mapped) -> date:
    """A date, whatever the time."""
    return moment(value, mapped).date()


def _month(value: Any, mapped: Mapped) -> date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d", value.strip()):
        value = f"{value.strip()}-01"
    return day(value, mapped).replace(day=1)


def instant(local: datetime, zone: str) -> datetime:
    """A time in UTC; one without an offset is local to a zone.

    Of an hour that a clock shows twice it is the first, unless ``fold`` says otherwise.

    Raises:
        Unreadable: the zone's clocks leave this time out.
    """
    if local.tzinfo is not None:
        return local.astimezone(UTC)
    there = local.replace(tzinfo=ZoneInfo(zone))
    found = there.astimezone(UTC)
    if found.astimezone(there.tzinfo).replace(tzinfo=None) != local.replace(fold=0):
        raise Unreadable(f"{local:%F %H:%M} does not exist in {zone}: clocks went forward")
    return found


def zone_of(airport: str, mapped: Mapped, known: Known) -> str:
    """The zone that an airport's times are written in."""
    if mapped.zone != AIRPORT_ZONE:
        return mapped.zone
    if airport not in known.zones:
        raise Unreadable(f"the time zone of {airport} is not known")
    return known.zones[airport]


def airport_code(value: Any, known: Known) -> str:
    """An ICAO code, also of an IATA one."""
    code = text_of(value).upper()
    if re.fullmatch(r"[A-Z]{4}", code):
        return code
    if re.fullmatch(r"[A-Z0-9]{3}", code):
        if code not in known.by_iata:
            raise Unreadable(f"{code} is not an IATA code of an airport in raw.airports")
        return known.by_iata[code]
    raise Unreadable(f"{code[:40]!r} is neither an ICAO nor an IATA code")


def callsign(value: Any, mapped: Mapped) -> str:
    """A callsign; of a flight number with IATA's designator, where its ICAO one is told.

    Raises:
        Unreadable: it is neither, or nobody told the ICAO designator.
    """
    text = re.sub(r"[\s-]", "", text_of(value)).upper()
    if _CALLSIGN.fullmatch(text):
        return text
    if not (found := _FLIGHT_NUMBER.fullmatch(text)):
        raise Unreadable(f"{text[:40]!r} is neither a callsign nor a flight number")
    designator, number = found.groups()
    if designator not in mapped.designators:
        raise Unreadable(
            f"{text} has no ICAO designator: define in columns.toml which one {designator} is"
        )
    return mapped.designators[designator] + number


def numbers(value: Any, mapped: Mapped) -> list[float | None]:
    """Readings in their order; one that is missing is None.

    Args:
        value: a list, as JSON has it or as it is gathered from several columns.
    """
    if not isinstance(value, list):
        raise Unreadable("is not a list of numbers")
    return [None if is_missing(one, mapped) else _number(one, mapped) for one in value]


READERS: dict[str, Callable[[Any, Mapped], Any]] = {
    "text": lambda value, _: text_of(value),
    "upper": _upper,
    "registration": registration,
    "number": _number,
    "count": _count,
    "flag": _flag,
    "jasc": _jasc,
    "date": day,
    "month": _month,
    "time": moment,
    "callsign": callsign,
    "numbers": numbers,
}
"""How a value is read by its column's form; airports need `Known` (`airport_code`)."""

EXCHANGED_FROM = 5
"""Dates of either sort from which `exchanged_days` decides: by chance in 1 of 1,000 columns."""


def exchanged_days(column: list[Any], mapped: Mapped) -> bool:
    """Whether a spreadsheet took day and month of a column's dates for each other.

    Opened where the day is written first, a file with 4/16/2025 keeps this as text, for there is no
    month 16, and makes of 5/6/2025 the fifth of June. So all dates that are cells have a day up to
    12, and all that are text a later one; dates that were read rightly are all cells.
    """
    cells = [one for one in column if isinstance(one, datetime | date)]
    texts = []
    for one in column:
        if isinstance(one, str) and not is_missing(one, mapped):
            try:
                texts.append(moment(one, mapped))
            except Unreadable:
                continue
    return (
        min(len(cells), len(texts)) >= EXCHANGED_FROM
        and all(one.day <= 12 for one in cells)
        and all(one.day > 12 for one in texts)
    )


def exchanged(value: Any) -> Any:
    """A date with day and month exchanged; another value as it is."""
    if isinstance(value, datetime | date):
        return value.replace(month=value.day, day=value.month)
    return value


def arrival_of(local: datetime, departs_at: datetime, zone: str) -> datetime:
    """The time of arrival: of an hour that the clock shows twice the first after the departure."""
    found = instant(local, zone)
    if found <= departs_at < found + timedelta(hours=24) and local.tzinfo is None:
        return instant(local.replace(fold=1), zone)
    return found
