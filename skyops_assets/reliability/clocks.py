"""How many hours and cycles an airframe flew between two days.

Belongs here: the sum over months, readings between events. Does not: what a component is (`lives`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

MEASURES = ("hours", "cycles")


@dataclass
class Clock:
    """One airframe's hours or cycles, as a line through days of which the total is known.

    Attributes:
        runs: of months without a gap, each a list of (day, total since the run began).
        readings: (day, total since new) as events tell it.
    """

    runs: list[list[tuple[date, float]]] = field(default_factory=list)
    readings: list[tuple[date, float]] = field(default_factory=list)

    def since(self, start: date) -> tuple[float, date] | None:
        """Flown from a day to the last that is known, and that day; None where it is not known."""
        known = [
            (line[-1][0], line[-1][1] - _at(line, start))
            for line in (*self.runs, self.readings)
            if line and line[0][0] <= start <= line[-1][0]
        ]
        through, flown = max(known, default=(start, 0.0))
        return (flown, through) if known else None

    def between(self, start: date, end: date) -> float | None:
        """Flown from one day to another; None where that is not known."""
        for line in (*self.runs, self.readings):
            if line and line[0][0] <= start <= end <= line[-1][0]:
                return _at(line, end) - _at(line, start)
        return None


def clocks(
    exposure: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], Clock]:
    """A clock for each airframe and measure of which something is known."""
    made: dict[tuple[str, str], Clock] = defaultdict(Clock)
    for row in sorted(exposure, key=lambda row: (row["airframe"], row["month_on"])):
        first = row["month_on"]
        following = (first + timedelta(days=31)).replace(day=1)
        for measure, column in zip(MEASURES, ("flight_hours", "cycles"), strict=True):
            clock = made[row["airframe"], measure]
            if not clock.runs or clock.runs[-1][-1][0] != first:
                clock.runs.append([(first, 0.0)])
            run = clock.runs[-1]
            run.append((following, run[-1][1] + float(row[column])))
    for measure in MEASURES:
        for airframe, line in _readings(events, measure).items():
            made[airframe, measure].readings = line
    return dict(made)


def _readings(
    events: Sequence[Mapping[str, Any]], measure: str
) -> dict[str, list[tuple[date, float]]]:
    """By airframe what events tell of its total; nothing where that goes backwards."""
    told: dict[str, dict[date, float]] = defaultdict(dict)
    for event in events:
        total = event[f"airframe_{measure}"]
        if event["airframe"] and total is not None:
            day = event["occurred_on"]
            told[event["airframe"]][day] = max(float(total), told[event["airframe"]].get(day, 0.0))
    lines = {airframe: sorted(days.items()) for airframe, days in told.items()}
    return {
        airframe: line
        for airframe, line in lines.items()
        if all(earlier[1] <= later[1] for earlier, later in pairwise(line))
    }


def _at(line: list[tuple[date, float]], day: date) -> float:
    days = [one for one, _ in line]
    right = min(bisect_right(days, day), len(line) - 1)
    left = max(bisect_left(days, day) - 1, 0) if right == bisect_left(days, day) else right - 1
    (from_day, before), (to_day, after) = line[left], line[right]
    if to_day == from_day:
        return before
    return before + (after - before) * ((day - from_day).days / (to_day - from_day).days)
