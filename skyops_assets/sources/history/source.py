"""Where the per-arrival history lies: the files that exist, their hashes, and reading one.

Belongs here: names, addresses, pins, CSV. Does not: what a row means (`schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.csv_tables import csv_rows
from skyops_assets.sources.history.schema import HEADER
from skyops_assets.sources.text import decompressed, shown

COMMIT = "6df5e6f61a9c163ea61a3b4472b8e22140104258"
URL = f"https://raw.githubusercontent.com/rainer-rq-koelle/paper-2021-DASC-openperf/{COMMIT}/data"
PINS = Path(reference.__file__).parent / "pins" / "arrivals_history.txt"


@dataclass(frozen=True)
class HistoryFile:
    """The arrivals of one airport and day (UTC).

    Attributes:
        sha256: the pinned hash; None where the published history has no such file.
        unpinned: a person's own file of that day in the mirror, which no pin checks.
    """

    airport: str
    day: date
    sha256: str | None
    unpinned: Path | None = None

    @property
    def exists(self) -> bool:
        """Whether there is anything to read."""
        return self.sha256 is not None or self.unpinned is not None

    @property
    def name(self) -> str:
        """The file's name, which also names the rows' source."""
        return file_name(self.airport, self.day)


def file_name(airport: str, day: date) -> str:
    """The name of a day's file in the source and, under ``arrivals/``, in a mirror."""
    return f"{airport}-{day.isoformat()}-asma.csv"


@cache
def pins() -> Mapping[str, str]:
    """SHA-256 by file name, of every file that the history has."""
    lines = [line.split() for line in PINS.read_text().splitlines() if line[:1] != "#"]
    return {name: digest for digest, name in lines}


def history_file(airport: str, day: date, settings: Settings | None = None) -> HistoryFile:
    """The file of an airport and day, whether or not there is one.

    Args:
        settings: name the mirror, in which files of other airports and days may lie.
    """
    name = file_name(airport, day)
    pinned = pins().get(name)
    own = settings.data_mirror / "arrivals" / name if settings and settings.data_mirror else None
    return HistoryFile(airport, day, pinned, own if not pinned and own and own.is_file() else None)


def known_days(airport: str) -> str:
    """The days that the history has for an airport, as ranges for a person to read."""
    days = sorted(date.fromisoformat(name[5:15]) for name in pins() if name[:4] == airport)
    ranges: list[tuple[date, date]] = []
    for day in days:
        if ranges and (day - ranges[-1][1]).days == 1:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ", ".join(f"{start} to {end}" for start, end in ranges) or "none"


def read_history(file: HistoryFile, settings: Settings) -> list[dict[str, Any]]:
    """The rows of a file that exists, as text by column name, in its order.

    Raises:
        SkyOpsError: the file cannot be had, is not the pinned one, or has other columns.
    """
    if file.unpinned:
        return read_rows(file.unpinned)
    assert file.sha256 is not None, file.name
    try:
        path = reference.fetch(f"arrivals/{file.name}", f"{URL}/{file.name}", file.sha256, settings)
    except reference.Unavailable as error:
        raise SkyOpsError(
            f"{error} The day {file.day} of {file.airport} is not loaded. Run it again with web "
            "access, or put the file under arrivals/ in the folder that SKYOPS_DATA_MIRROR names."
        ) from None
    return read_rows(path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a history file, as `tables.csv_rows` has them."""
    with decompressed(path) as file:
        names, rows = csv_rows(file)
        if tuple(names) != HEADER:
            raise SkyOpsError(
                f"{shown(path)} is not a file of the per-arrival history: its columns are "
                f"{', '.join(names) or 'missing'} instead of {', '.join(HEADER)}."
            )
        return list(rows)
