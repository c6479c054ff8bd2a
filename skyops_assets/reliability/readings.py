"""Units with sensor readings: which can be used, what is seen of them, what became of them.

Belongs here: units from rows, features, labels, lives. Does not: models (`outlook`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from skyops_assets.reliability.lives import Component, Life

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SPAN = 12
"""Cycles over which readings are smoothed (span of an exponential mean)."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One unit's readings, in the order of its cycles.

    Attributes:
        values: a row a cycle: settings and sensors; NaN where a reading is missing.
        days: of the readings; None where one of them is not known.
        is_failed: whether it failed at its last cycle; else it still ran.
    """

    name: str
    airframe: str | None
    icao24: str | None
    cycles: np.ndarray
    values: np.ndarray
    days: tuple[date, ...] | None
    is_failed: bool

    @property
    def last(self) -> int:
        """The latest cycle."""
        return int(self.cycles[-1])

    @property
    def is_running(self) -> bool:
        """Whether it has not failed."""
        return not self.is_failed

    def known_by(self, day: date) -> Unit | None:
        """The unit as it was known at the end of a day; None where nothing of it was."""
        assert self.days is not None
        count = sum(one <= day for one in self.days)
        if not count:
            return None
        return replace(
            self,
            cycles=self.cycles[:count],
            values=self.values[:count],
            days=self.days[:count],
            is_failed=self.is_failed and count == len(self.cycles),
        )


@dataclass
class Fleet:
    """Units that may be compared, and those that cannot be used, with the reason.

    Attributes:
        latest: every unit, those that cannot be used too.
    """

    name: str
    units: list[Unit] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    latest: dict[str, Unit] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """How many units failed."""
        return sum(unit.is_failed for unit in self.units)

    @property
    def is_dated(self) -> bool:
        """Whether the day of every reading is known."""
        return bool(self.units) and all(unit.days for unit in self.units)

    def fingerprint(self) -> str:
        """A hash of all that models learn from."""
        digest = hashlib.sha256()
        for unit in self.units:
            digest.update(f"{unit.name} {unit.is_failed} {unit.days} {unit.values.shape}".encode())
            digest.update(unit.cycles.tobytes() + unit.values.tobytes())
        return digest.hexdigest()

    def lives(self) -> Component:
        """The fleet as a component whose life is counted in cycles."""
        found = Component("fleet", self.name, "cycles", has_survivors=True)
        for unit in self.units:
            days = unit.days
            from_new = days is not None and int(unit.cycles[0]) <= 1
            found.lives.append(
                Life(
                    float(unit.last),
                    unit.is_failed,
                    days[0] if days and from_new else None,
                    days[-1] if days else None,
                    unit.name,
                )
            )
        found.left_out = Counter(self.left_out.values())
        return found


def fleets(table: pa.Table) -> list[Fleet]:
    """Rows of `staging.stg_operator__sensor_readings`, in any order, as fleets."""
    frame = table.to_pandas(date_as_object=True).sort_values(["fleet", "unit", "cycle"])
    frame["width"] = list(zip(frame["settings"].map(len), frame["sensors"].map(len), strict=True))
    found = []
    for name, rows in frame.groupby("fleet", sort=True):
        fleet = Fleet(str(name))
        widths = Counter(rows["width"])
        usual = max(widths, key=lambda width: (widths[width], width))
        for unit_name, seen in rows.groupby("unit", sort=True):
            unit = _unit(str(unit_name), seen)
            fleet.latest[unit.name] = unit
            problem = _problem(unit, seen, usual)
            if problem:
                fleet.left_out[unit.name] = problem
            else:
                fleet.units.append(unit)
        found.append(fleet)
    return found


def _problem(unit: Unit, seen: Any, usual: tuple[int, int]) -> str | None:
    if seen["is_failed"].to_numpy()[:-1].any():
        return "it has readings after its failure"
    if set(seen["width"]) != {usual}:
        return f"not every reading has {usual[0]} settings and {usual[1]} sensors, as most have"
    if not (unit.values == unit.values).any():
        return "none of its readings is a number"
    return None


def _unit(name: str, seen: Any) -> Unit:
    import numpy as np

    widest = max(sum(width) for width in seen["width"])
    values = np.full((len(seen), widest), np.nan)
    for i, (settings, sensors) in enumerate(zip(seen["settings"], seen["sensors"], strict=True)):
        row = np.array([*settings, *sensors], float)
        values[i, : len(row)] = row
    values[~np.isfinite(values)] = np.nan
    days = seen["observed_on"].tolist()
    last = seen.iloc[-1]
    airframe, icao24 = (
        value if isinstance(value, str) else None for value in (last["airframe"], last["icao24"])
    )
    return Unit(
        name=name,
        airframe=airframe,
        icao24=icao24,
        cycles=seen["cycle"].to_numpy(),
        values=values,
        days=tuple(days) if all(isinstance(day, date) for day in days) else None,
        is_failed=bool(last["is_failed"]),
    )


def features(units: Sequence[Unit]) -> np.ndarray:
    """A row for each reading of each unit, of what was known then: nothing looks ahead.

    The smoothed readings; how far they are from the unit's own mean until then, as units differ
    from the start; the age.
    """
    import numpy as np
    import pandas as pd

    parts = []
    for unit in units:
        seen = pd.DataFrame(unit.values)
        smooth = seen.ewm(span=SPAN).mean().to_numpy()
        usual = seen.expanding().mean().to_numpy()
        parts.append(np.column_stack([smooth, smooth - usual, unit.cycles]))
    return np.concatenate(parts)


def remaining(units: Sequence[Unit], longest: int) -> np.ndarray:
    """Cycles left after each reading, at most `longest`; NaN where nobody knows yet."""
    import numpy as np

    parts = []
    for unit in units:
        left = (unit.last - unit.cycles).astype(float)
        if unit.is_running:
            left[left < longest] = np.nan
        parts.append(np.minimum(left, longest))
    return np.concatenate(parts)


def fails_within(units: Sequence[Unit], cycles: int) -> np.ndarray:
    """Whether the unit failed within so many cycles of each reading: 1, 0, or NaN: nobody knows."""
    import numpy as np

    parts = []
    for unit in units:
        left = unit.last - unit.cycles
        unknown = np.nan if unit.is_running else 1.0
        parts.append(np.where(left >= cycles + (not unit.is_running), 0.0, unknown))
    return np.concatenate(parts)


def owners(units: Sequence[Unit]) -> np.ndarray:
    """For each reading the number of its unit in the sequence."""
    import numpy as np

    return np.repeat(np.arange(len(units)), [len(unit.cycles) for unit in units])
