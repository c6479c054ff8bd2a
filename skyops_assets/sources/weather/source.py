"""Where METARs come from: the address or file of an airport and day, and reading it.

Belongs here: HTTP, files, CSV. Does not: what a row means (`schema`).
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from skyops_assets.addresses import LOOPBACK
from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.csv_tables import csv_rows
from skyops_assets.sources.text import BROKEN, decompressed, decompressed_bytes
from skyops_assets.sources.weather.schema import HEADER

ATTEMPTS = 4
TIMEOUT_S = 30.0
PAUSE_S = 1.5
"""Between two requests: the Iowa Environmental Mesonet answers one a second."""
LARGEST_BODY = 4 * 2**20
"""Over 100 times a day with a report every minute."""


@dataclass(frozen=True)
class Place:
    """Where the reports of one airport and day (UTC) lie: an address, or a file's path."""

    airport: str
    day: date
    location: str

    @property
    def is_web(self) -> bool:
        """Whether it is an address."""
        return "://" in self.location

    @property
    def name(self) -> str:
        """The host or the file, as each row's source and in messages: a query may hold a key."""
        if self.is_web:
            return str(urlsplit(self.location).hostname)
        return Path(self.location).name


def place(template: str, airport: str, day: date) -> Place:
    """Where a template, such as SKYOPS_METAR_URL, has the reports of an airport and day."""
    next_day = (day + timedelta(days=1)).isoformat()
    located = template.format(airport=airport, day=day.isoformat(), next_day=next_day)
    return Place(airport, day, located)


def read_reports(
    found: Place, *, sleep: Callable[[float], None] = clock.sleep
) -> list[dict[str, Any]]:
    """The rows of a place, as text by column name, in its order; none where there is no such file.

    Args:
        sleep: how pauses are made.

    Raises:
        SkyOpsError: the address does not answer, or what is there has other columns.
    """
    if found.is_web:
        # In front, so that no two requests of a run follow at once.
        sleep(PAUSE_S)
        return _rows(decompressed_bytes(_fetch(found, sleep)), found)
    path = Path(found.location)
    if not path.is_file():
        return []
    try:
        with decompressed(path) as file:
            return _rows(file, found)
    except BROKEN as error:
        raise SkyOpsError(
            f"The METARs of {found.airport} on {found.day} in {found.name} cannot be read: {error}."
        ) from None


def _rows(file: IO[bytes], found: Place) -> list[dict[str, Any]]:
    columns, rows = csv_rows(file)
    if tuple(columns) != HEADER:
        shown = ", ".join(columns)[:100] or "missing"
        raise SkyOpsError(
            f"{found.name} has no METARs for {found.airport} on {found.day}: its columns are "
            f"{shown} instead of {', '.join(HEADER)}. Correct SKYOPS_METAR_URL."
        )
    return list(rows)


def _fetch(found: Place, sleep: Callable[[float], None]) -> bytes:
    """The body of an answer; faults of the server and the network are tried again."""
    import httpx
    from tenacity import (
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_random_exponential,
    )

    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=2, max=20),
        retry=retry_if_exception_type(_MayPass),
        sleep=sleep,
        reraise=True,
    )
    # A proxy of the surroundings does not lead to this machine.
    is_here = urlsplit(found.location).hostname in LOOPBACK
    with httpx.Client(
        timeout=TIMEOUT_S,
        headers={"User-Agent": "skyops"},
        trust_env=not is_here,
        follow_redirects=True,
    ) as client:
        return bytes(retrying(_ask, client, found))


class _MayPass(SkyOpsError):
    """A fault of the server or the network."""


def _ask(client: Any, found: Place) -> bytes:
    import httpx

    asked = f"METARs of {found.airport} on {found.day}"
    try:
        with client.stream("GET", found.location) as answer:
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > LARGEST_BODY:
                    raise SkyOpsError(
                        f"{found.name} answered more than {LARGEST_BODY:,} bytes to {asked}. "
                        "Correct SKYOPS_METAR_URL."
                    )
            status = answer.status_code
    except httpx.HTTPError as error:
        kind = type(error).__name__
        # Outside of httpx's own error, which holds the address and its query.
        failure = _MayPass(
            f"{found.name} gave no answer to {asked} ({kind}). If this persists, check the network "
            "and SKYOPS_METAR_URL."
        )
    else:
        if status == httpx.codes.OK:
            return body
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
            failure = _MayPass(f"{found.name} answered {status} to {asked}. Load the day again.")
        else:
            raise SkyOpsError(
                f"{found.name} answered {status} to {asked}. Correct SKYOPS_METAR_URL."
            )
    raise failure
