"""Lives of components, from maintenance events, configurations, exposure and sensor readings.

Belongs here: when a life begins and ends, how long it was, whether it ended with a failure. Does
not: what is estimated from lives (`survival`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

from skyops_assets.reliability.clocks import MEASURES, Clock, clocks

Row = Mapping[str, Any]
Place = tuple[str, str, str]
"""Airframe, part number, position."""

NO_SCHEDULE = "nobody says whether the removal was scheduled"
NO_AGE = "neither the part's age nor the airframe's use since it was fitted is known"
SEVERAL = "several of the part are at one position: which one is not known"
NO_POSITION = "the event does not say at which of several positions the part was"
OVERHAUL = "hours since overhaul are more than hours since new"
NOT_POSITIVE = "the age is not above 0"
OVERLAP = "configurations of one position overlap"


@dataclass(frozen=True)
class Life:
    """One component's life, or as much of it as is known.

    Attributes:
        age: at its end, in the measure.
        is_failure: else it is censored: taken off sound or as planned, or still in use.
        started_on, ended_on: days, where they are known; the age grew evenly between them.
        unit: its name, where it has one.
    """

    age: float
    is_failure: bool
    started_on: date | None = None
    ended_on: date | None = None
    unit: str = ""


@dataclass
class Component:
    """The lives of one component in one measure.

    Attributes:
        left_out: lives that could not be told, by the reason.
        has_survivors: whether units that still run are known, so that there are not only failures.
    """

    scope: str
    name: str
    measure: str
    lives: list[Life] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    has_survivors: bool = False

    @property
    def failures(self) -> int:
        """How many lives ended with a failure."""
        return sum(life.is_failure for life in self.lives)


def is_end(event: Row) -> bool:
    """Whether a part was taken off; an unscheduled report that does not say so is taken for it."""
    if event["is_removal"] is None:
        return event["is_scheduled"] is False
    return bool(event["is_removal"])


def is_failure(event: Row) -> bool | None:
    """Whether the end of a life was a failure; None where that cannot be told."""
    if event["is_confirmed"] is False or event["is_scheduled"] is True:
        return False
    if event["is_scheduled"] is None and event["is_confirmed"] is None:
        return None
    return True


def of_parts(
    events: Sequence[Row], configurations: Sequence[Row], exposure: Sequence[Row]
) -> list[Component]:
    """The lives of each part number, in hours and in cycles, by part number and measure."""
    told = clocks(exposure, events)
    ends = sorted(
        (event for event in events if is_end(event) and event["part_number"]),
        key=lambda event: (event["occurred_on"], event["event_id"]),
    )
    by_part: dict[str, list[Row]] = defaultdict(list)
    for event in ends:
        by_part[event["part_number"]].append(event)
    fitted: dict[str, list[Row]] = defaultdict(list)
    for row in configurations:
        fitted[row["part_number"]].append(row)
    return [
        _filled(Component("part", part, measure), by_part[part], fitted[part], told)
        for part in sorted(by_part.keys() | fitted.keys())
        for measure in MEASURES
    ]


def of_chapters(
    parts: Sequence[Component], chapter_of: Mapping[str, str], fewest: int
) -> list[Component]:
    """For each ATA chapter the lives of its parts that failed too seldom to be judged alone."""
    pools: dict[tuple[str, str], Component] = {}
    for part in parts:
        chapter = chapter_of.get(part.name)
        if chapter is None or part.failures >= fewest:
            continue
        pool = pools.setdefault(
            (chapter, part.measure), Component("chapter", chapter, part.measure)
        )
        pool.lives += part.lives
        pool.left_out += part.left_out
        pool.has_survivors |= part.has_survivors
    return [pools[key] for key in sorted(pools)]


def chapters(events: Iterable[Row], parts: Iterable[Row]) -> dict[str, str]:
    """The ATA chapter of each part: the catalogue's, else what most events name."""
    named: dict[str, Counter[str]] = defaultdict(Counter)
    for event in events:
        if event["part_number"] and event["jasc_code"]:
            named[event["part_number"]][event["jasc_code"][:2]] += 1
    # Of two that are named as often the lower.
    found = {part: min(count, key=lambda one: (-count[one], one)) for part, count in named.items()}
    found |= {row["part_number"]: row["jasc_code"][:2] for row in parts if row["jasc_code"]}
    return found


def _filled(
    component: Component,
    ends: Sequence[Row],
    fitted: Sequence[Row],
    told: Mapping[tuple[str, str], Clock],
) -> Component:
    """With the lives of one part: those that ended, and those of what is still fitted."""
    component.has_survivors = bool(fitted)
    positions: dict[str, set[str]] = defaultdict(set)
    for row in fitted:
        positions[row["airframe"]].add(row["part_position"] or "")
    placed: dict[Place, list[Row]] = defaultdict(list)
    unclear: set[str] = set()
    for event in ends:
        airframe, position = event["airframe"], event["part_position"] or ""
        there = positions.get(airframe or "", set())
        if not position and len(there) == 1:
            (position,) = there
        elif airframe and there and position not in there:
            unclear.add(airframe)
        placed[airframe or "", component.name, position].append(event)
    rows: dict[Place, list[Row]] = defaultdict(list)
    for row in fitted:
        rows[row["airframe"], component.name, row["part_position"] or ""].append(row)
    for place in sorted(placed.keys() | rows.keys()):
        clock = told.get((place[0], component.measure)) if place[0] else None
        spans = sorted(rows[place], key=lambda row: row["fitted_from_on"])
        _chain(component, placed[place], spans, clock, is_clear=place[0] not in unclear)
    return component


def _chain(
    component: Component,
    ends: Sequence[Row],
    spans: Sequence[Row],
    clock: Clock | None,
    *,
    is_clear: bool,
) -> None:
    """One position of one airframe: one life after the other."""
    problem = None if is_clear else NO_POSITION
    if any(row["quantity"] > 1 for row in spans):
        problem = SEVERAL
    elif any(
        earlier["fitted_until_on"] is None or earlier["fitted_until_on"] > later["fitted_from_on"]
        for earlier, later in pairwise(spans)
    ):
        problem = OVERLAP
    last: Row | None = None
    for event in ends:
        started = None if problem else _started(event["occurred_on"], spans, last)
        _ended(component, event, started=started, last=last, clock=clock, problem=problem)
        last = event
    for row in spans:
        _still_fitted(component, row, ends, clock, problem)


def _started(day: date, spans: Sequence[Row], last: Row | None) -> date | None:
    """When what was taken off on a day had been fitted: then, or when the one before came off.

    Known only where a configuration says that one was there: a report's "ZONE 700" has several.
    """
    known = [
        row["fitted_from_on"]
        for row in spans
        if row["fitted_from_on"] <= day
        and (row["fitted_until_on"] is None or day <= row["fitted_until_on"])
    ]
    if known and last is not None:
        known.append(last["occurred_on"])
    return max(known, default=None)


def _ended(
    component: Component,
    event: Row,
    *,
    started: date | None,
    last: Row | None,
    clock: Clock | None,
    problem: str | None,
) -> None:
    failed = is_failure(event)
    if failed is None:
        component.left_out[NO_SCHEDULE] += 1
        return
    measure, ended = component.measure, event["occurred_on"]
    since, total = event["part_hours_since"], event["part_hours"]
    if measure == "hours" and None not in (since, total) and since > total:
        component.left_out[OVERHAUL] += 1
        return
    if measure == "hours":
        age = total if since is None else since
    else:
        # Cycles are told since new only: of an overhauled part they are another age than its hours.
        age = event["part_cycles"] if since is None or since == total else None
    if age is None and started is not None:
        age = _flown(event, started, last, clock, measure)
    if age is None:
        component.left_out[problem or NO_AGE] += 1
        return
    if age <= 0:
        component.left_out[NOT_POSITIVE] += 1
        return
    component.lives.append(Life(float(age), failed, started, ended))


def _flown(
    event: Row, started: date, last: Row | None, clock: Clock | None, measure: str
) -> float | None:
    """What the airframe flew since a day: by the totals of both events, else by its clock."""
    name = f"airframe_{measure}"
    if (
        last is not None
        and last["occurred_on"] == started
        and None not in (last[name], event[name])
    ):
        return float(event[name]) - float(last[name])
    return clock.between(started, event["occurred_on"]) if clock else None


def _still_fitted(
    component: Component,
    row: Row,
    ends: Sequence[Row],
    clock: Clock | None,
    problem: str | None,
) -> None:
    """The life that goes on, or ended without an event when the configuration did."""
    until = row["fitted_until_on"]
    within = [
        event["occurred_on"]
        for event in ends
        if row["fitted_from_on"] <= event["occurred_on"]
        and (until is None or event["occurred_on"] <= until)
    ]
    started = max(within, default=row["fitted_from_on"])
    if started == until:
        return
    life: tuple[float, date] | None = None
    if clock and not problem and until is None:
        life = clock.since(started)
    elif clock and not problem:
        flown = clock.between(started, until)
        life = None if flown is None else (flown, until)
    if life is None:
        component.left_out[problem or NO_AGE] += 1
    elif life[0] > 0:
        component.lives.append(Life(life[0], False, started, life[1]))
