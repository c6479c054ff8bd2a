"""The faults of the stand-in for OpenSky: their names, and what they make of good rows.

Belongs here: rows that are spoilt. Does not: faults of whole responses (`fake_opensky`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from skyops_assets.errors import SkyOpsError
from skyops_assets.simulate.fake_states import (
    ALTITUDE,
    CALLSIGN,
    LAST_CONTACT,
    LATITUDE,
    LONGITUDE,
    TIME,
    VELOCITY,
    State,
)

REFUSALS = ("500", "503", "401", "429", "reset", "slow")
"""Faults in place of a response."""
BROKEN_BODIES = ("truncated", "html", "null-states")
"""Faults of a body that comes with status 200."""
BAD_ROWS = ("nan", "out-of-range", "swapped", "zero-position", "future", "duplicates")
"""Faults that add rows, so that no good position is lost by them; an added row of an aircraft
has an older last contact than the good one."""
ODD_ROWS = ("null-callsigns", "numbers-as-text")
"""Faults that write good values in another way."""
FAULTS = REFUSALS + BROKEN_BODIES + BAD_ROWS + ODD_ROWS
ON_DEMAND = ("204", "301")
"""Faults that are never played at random: a 301 ends a collector that has had no response yet."""


def spoilt(rows: list[State], fault: str | None, second: int, dice: random.Random) -> list[State]:
    """Rows with a fault's own added, or written in another way; about one in ten."""
    if not rows:
        return rows
    chosen = dice.sample(range(len(rows)), max(len(rows) // 10, 1))
    if fault in ODD_ROWS:
        for index in chosen:
            row = rows[index]
            if fault == "null-callsigns":
                row[CALLSIGN] = None
            else:
                for place in (TIME, LONGITUDE, LATITUDE, ALTITUDE, VELOCITY):
                    row[place] = None if row[place] is None else str(row[place])
        return rows
    change = _BAD_ROW.get(fault or "")
    if change is None:
        return rows
    added = []
    for index in chosen:
        row = list(rows[index])
        row[LAST_CONTACT] -= 1
        change(row, second)
        added.append(row)
    return rows + added


def _nan(row: State, _: int) -> None:
    row[LATITUDE] = math.nan


def _out_of_range(row: State, _: int) -> None:
    row[LATITUDE] = 123.4


def _swapped(row: State, _: int) -> None:
    row[LONGITUDE], row[LATITUDE] = row[LATITUDE], row[LONGITUDE]


def _zero_position(row: State, _: int) -> None:
    row[LONGITUDE] = row[LATITUDE] = 0


def _future(row: State, second: int) -> None:
    row[TIME] = row[LAST_CONTACT] = second + 86_400


def _duplicate(row: State, _: int) -> None:
    row[LAST_CONTACT] += 1


_BAD_ROW: dict[str, Callable[[State, int], None]] = {
    "nan": _nan,
    "out-of-range": _out_of_range,
    "swapped": _swapped,
    "zero-position": _zero_position,
    "future": _future,
    "duplicates": _duplicate,
}


def check_fault(name: str) -> str:
    """The name of a fault, as given.

    Raises:
        SkyOpsError: there is none of this name.
    """
    known = FAULTS + ON_DEMAND
    if name not in known:
        raise SkyOpsError(f"There is no fault {name!r}; there are {', '.join(known)}.")
    return name
