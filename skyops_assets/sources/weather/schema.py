"""One METAR: its columns, units, and what is taken from its text.

Belongs here: reading a row of the source and the reason why it is rejected. Does not: finding the
rows (`source`) or writing them (`load`), nor the decoding of groups, which is the library's
(`metar`, by the keepers of the archive that `source` is made for).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from metar.Metar import Metar

METAR = pa.schema(
    [
        pa.field("airport", pa.string(), nullable=False),
        pa.field("observed_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("report", pa.string(), nullable=False),
        pa.field("wind_from_deg", pa.float64()),
        pa.field("wind_mps", pa.float64()),
        pa.field("gust_mps", pa.float64()),
        pa.field("visibility_m", pa.float64()),
        pa.field("ceiling_m", pa.float64()),
    ]
)
"""Columns of a report, SI units. ``wind_from_deg`` is true, and null where the wind is variable or
calm; ``visibility_m`` of 10,000 is that or more; ``ceiling_m`` is the height above the aerodrome of
the lowest layer that is broken or overcast, or the vertical visibility, and null where there is
none. All are null where the report does not tell."""

HEADER = ("station", "valid", "metar")
"""Columns of the source, in its order."""

MAX_VISIBILITY_M = 10_000.0
"""Where the international code ends (9999); American reports go on to 10 miles."""
MAX_WIND_MPS = 115.0
"""The strongest wind that a station has measured was a gust of 113 m/s (Barrow Island, 1996)."""

_REST = re.compile(
    r"\s([QA](\d{4}|////)|RMKS?|TEMPO|BECMG|NOSIG|FCST|PROB\d\d|FM\d{4,6})(?=[\s=]|$)"
)
"""Where that ends which is read: at the pressure, else at the forecast, whose groups have the same
forms, or at the remarks."""
_WIND_UNIT = re.compile(r"[\d/](KTS?|MPS|KMH)(\s|$)")


@dataclass(frozen=True)
class Judged:
    """One row of the source: as a report, or with the reason why it is none.

    Attributes:
        row: the row as the source has it.
        report: values by `METAR`'s names, or None.
        reason: why there is no report, or None.
        is_correction: whether it replaces another report of the same time.
    """

    row: Mapping[str, Any]
    report: dict[str, Any] | None
    reason: str | None
    is_correction: bool = False


class _Unreadable(Exception):
    """A row that is no report of this airport and day."""


def judge(rows: list[dict[str, Any]], airport: str, day: date) -> list[Judged]:
    """Read the rows of one airport and day (UTC), each for itself, in their order.

    Args:
        rows: values as text by the source's column names.
        airport: ICAO code that was asked for.
    """
    return [_judge_row(row, airport, day) for row in rows]


def _judge_row(row: dict[str, Any], airport: str, day: date) -> Judged:
    try:
        observed_at, text = _parse(row, airport, day)
        groups = _REST.split(text)[0]
        told = _decode(groups, observed_at)
        if told.station_id != airport:
            raise _Unreadable("the report is of another station")
        if told.time != observed_at.replace(tzinfo=None):
            raise _Unreadable("the report is of another time than the row")
        values = _values(told, groups)
    except _Unreadable as error:
        return Judged(row, None, str(error))
    report = {"airport": airport, "observed_at": observed_at, "report": text, **values}
    return Judged(row, report, None, bool(told.correction) or told.mod.startswith(("COR", "CC")))


def _parse(row: dict[str, Any], airport: str, day: date) -> tuple[datetime, str]:
    """Time and text of a row, the text with single spaces."""
    if tuple(row) != HEADER or None in row.values():
        raise _Unreadable(f"the row does not have {len(HEADER)} values")
    # The archive knows the stations of the United States without their K.
    if airport not in (row["station"], f"K{row['station']}"):
        raise _Unreadable("the row is of another station")
    try:
        observed_at = datetime.strptime(row["valid"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise _Unreadable("valid is not a time") from None
    if observed_at.date() != day:
        raise _Unreadable("the row is of another day")
    text = " ".join(row["metar"].split())
    if not (text.isascii() and text.isprintable()):
        raise _Unreadable("the report is not plain text")
    return observed_at, text


def _decode(groups: str, observed_at: datetime) -> Metar:
    """What the groups say, where each of them is known: a strange one may be half of another."""
    from metar.Metar import Metar, ParserError

    try:
        return Metar(groups, observed_at.month, observed_at.year)
    except ParserError:
        raise _Unreadable("the report cannot be read") from None


def _values(told: Metar, groups: str) -> dict[str, float | None]:
    if told.mod == "NO DATA":
        raise _Unreadable("the report says that there is none (NIL)")
    # Without a unit the library takes metres a second, and a visibility such as 0050 for a wind.
    if not _WIND_UNIT.search(groups):
        raise _Unreadable("the report has no wind with a unit")
    wind_mps = told.wind_speed.value("MPS") if told.wind_speed else None
    gust_mps = told.wind_gust.value("MPS") if told.wind_gust else None
    if max(wind_mps or 0, gust_mps or 0) > MAX_WIND_MPS:
        raise _Unreadable(f"wind of more than {MAX_WIND_MPS:g} m/s")
    visibility_m = told.vis.value("M") if told.vis else None
    # The library takes a visibility that is not told for the best there is.
    if visibility_m is not None and "////" in groups.split():
        visibility_m = None
    if wind_mps is None and visibility_m is None and not told.sky:
        raise _Unreadable("the report has neither wind, visibility nor clouds")
    ceilings_m = [
        height.value("M")
        for cover, height, _ in told.sky
        if cover in ("BKN", "OVC", "VV")
        if height
    ]
    return {
        "wind_from_deg": told.wind_dir.value() if told.wind_dir and wind_mps else None,
        "wind_mps": wind_mps,
        "gust_mps": gust_mps,
        "visibility_m": None if visibility_m is None else min(visibility_m, MAX_VISIBILITY_M),
        "ceiling_m": min(ceilings_m, default=None),
    }
