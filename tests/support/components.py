"""What an operator would give of components and their sensors: simulated, or NASA's FD001."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from skyops_assets.reliability.lives import Component, Life

FIRST_DAY = date(2015, 1, 1)
EVENT: dict[str, Any] = {
    "event_id": "E1",
    "occurred_on": date(2020, 6, 1),
    "airframe": "N1",
    "jasc_code": "3241",
    "part_number": "P1",
    "part_position": None,
    "is_scheduled": False,
    "is_removal": True,
    "is_confirmed": True,
    "airframe_hours": None,
    "airframe_cycles": None,
    "part_hours": None,
    "part_cycles": None,
    "part_hours_since": None,
}
SENSOR_SCHEMA = pa.schema(
    [
        ("fleet", pa.string()),
        ("unit", pa.string()),
        ("cycle", pa.int64()),
        ("airframe", pa.string()),
        ("icao24", pa.string()),
        ("observed_on", pa.date32()),
        ("settings", pa.list_(pa.float64())),
        ("sensors", pa.list_(pa.float64())),
        ("is_failed", pa.bool_()),
    ]
)


def renewals(
    draw: Callable[[], float], *, places: int = 40, hours: float = 6000.0, days: int = 2000
) -> Component:
    """A part at so many places, replaced when it fails, over so many hours in so many days."""
    made = Component("part", "P1", "hours", has_survivors=True)

    def day(age: float) -> date:
        return FIRST_DAY + timedelta(days=age / hours * days)

    for _ in range(places):
        now = 0.0
        while now < hours:
            life = draw()
            end = min(now + life, hours)
            made.lives.append(Life(end - now, now + life <= hours, day(now), day(end)))
            now = end
    return made


def sensor_rows(
    rng: np.random.Generator,
    *,
    units: int,
    says: float = 1.0,
    running: int = 0,
    dated: bool = False,
) -> list[dict[str, Any]]:
    """Units that live 100 to 200 cycles; the first of two sensors tells their wear."""
    rows = []
    for number in range(units):
        life = int(rng.integers(100, 200))
        last = life - int(rng.integers(20, 90)) if number < running else life
        for cycle in range(1, last + 1):
            wear = says * (cycle / life) ** 4
            rows.append(
                {
                    "fleet": "pumps",
                    "unit": f"U{number:03d}",
                    "cycle": cycle,
                    "airframe": None,
                    "icao24": None,
                    "observed_on": FIRST_DAY + timedelta(days=10 * number + cycle)
                    if dated
                    else None,
                    "settings": [0.0],
                    "sensors": [wear + rng.normal(0, 0.1), rng.normal()],
                    "is_failed": cycle == life,
                }
            )
    return rows


def sensor_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as they are read from the warehouse."""
    return pa.Table.from_pylist(rows, schema=SENSOR_SCHEMA)


def fd001(mirror: Path, part: str) -> list[dict[str, Any]]:
    """NASA's engines: `train` ran to their failure, `test` end some time before."""
    found = np.loadtxt(mirror / "maintenance" / "cmapss-fd001" / f"{part}_FD001.txt")
    last = {unit: found[found[:, 0] == unit, 1].max() for unit in set(found[:, 0])}
    return [
        {
            "fleet": "FD001",
            "unit": str(int(unit)),
            "cycle": int(cycle),
            "airframe": None,
            "icao24": None,
            "observed_on": None,
            "settings": values[:3],
            "sensors": values[3:],
            "is_failed": part == "train" and cycle == last[unit],
        }
        for unit, cycle, *values in found.tolist()
    ]
