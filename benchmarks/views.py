"""The live views, measured: 3,000 aircraft now, without a past and with weeks of it.

`skyops exec -- python -m benchmarks.views [AIRCRAFT] [MINUTES]` runs only this, in five minutes.
The past is the same traffic again and again, a day earlier each time; `--plans` shows the plans.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.follow import AIRPORTS, WATCHED, Traffic
from benchmarks.storage import Row, scratch, show
from benchmarks.transform import dbt, load, load_reference
from skyops_assets.arrivals.features import RINGS_NM

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

DAYS, ROUNDS = 21, 5
VIEWS = ("aircraft", "arrivals", "candidates", "demand", "feed", "alerts")
TABLES = (
    "raw.ingest_batches",
    "intermediate.int_positions__phased",
    "intermediate.int_positions__sampled_1m",
    "intermediate.int_movements__located",
    "intermediate.int_movements__approaches",
    "intermediate.int_crossings__landings",
    "metrics.fct_flights",
    "metrics.fct_movements",
    "metrics.fct_anomalies",
    "metrics.fct_ring_crossings",
    "metrics.landings_15m",
    "features.crossing_features",
    "ml.predictions",
)
"""All that follow the data and that a view looks into."""


def measure(aircraft: int = 3_000, minutes: int = 20) -> Iterator[Row]:
    """Rows of the benchmark's table: the fastest of some rounds.

    Args:
        aircraft: heard at the same time.
        minutes: of positions in each day.
    """
    from skyops_assets.arrivals.steps.predict import LivePredictions
    from skyops_assets.settings import load_settings

    os.environ["SKYOPS_WATCH_AIRPORTS"] = ",".join(WATCHED)
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        load_reference(warehouse)
        now = datetime.now(UTC).replace(microsecond=0)
        traffic = Traffic(aircraft, minutes * 60, now - timedelta(minutes=minutes), AIRPORTS[:4])
        for at in range(0, minutes * 60, 60):
            load(warehouse, traffic.between(at, at + 60))
        dbt(warehouse, Path(folder), "run")
        for ring_nm in RINGS_NM:
            LivePredictions(warehouse, load_settings(), ring_nm=ring_nm).predict()
        with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
            alone = _times(cursor, now)
            for table in TABLES:
                _repeat(cursor, table)
            cursor.execute("vacuum analyze")
            cursor.execute("select count(*) from intermediate.int_positions__phased")
            (positions,) = cursor.fetchone() or (0,)
            beside = _times(cursor, now)
    for view in VIEWS:
        yield (
            f"live.{view}, {aircraft:,} aircraft",
            f"{beside[view]:.0f} ms with {positions:,} positions of {DAYS} days",
            f"{alone[view]:.0f} ms with {positions // (DAYS + 1):,}",
            f"{beside[view] / alone[view]:.2f}",
        )


def _times(cursor: Cursor, now: datetime) -> dict[str, float]:
    cursor.execute("set skyops.now_at = %s", (now.isoformat(),))
    found = {}
    for view in VIEWS:
        spent = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            cursor.execute(f"select * from live.{view}")
            rows = len(cursor.fetchall())
            spent.append(1000 * (time.perf_counter() - began))
        found[view] = min(spent)
        if "--plans" in sys.argv:
            cursor.execute(f"explain (analyze, buffers, costs off) select * from live.{view}")
            print(f"\nlive.{view}: {found[view]:.0f} ms, {rows:,} rows")
            print("\n".join(line for (line,) in cursor.fetchall()), flush=True)
    return found


def _repeat(cursor: Cursor, table: str) -> None:
    """The table's rows once more for each day of the past, with keys of their own."""
    cursor.execute(
        "select attname, format_type(atttypid, null), attidentity <> '' from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        (table,),
    )
    names, values = [], []
    for name, kind, is_given in cursor.fetchall():
        if is_given:
            continue
        names.append(name)
        if kind.startswith("timestamp"):
            values.append(f"{name} - days.number * interval '1 day'")
        elif kind == "date":
            values.append(f"{name} - days.number")
        elif kind == "text" and name.endswith("_id"):
            values.append(f"{name} || '-' || days.number")
        else:
            values.append(name)
    cursor.execute(
        f"insert into {table} ({', '.join(names)}) select {', '.join(values)} "
        f"from {table} cross join generate_series({DAYS}, 1, -1) as days (number)"
    )


if __name__ == "__main__":
    show(measure(*(int(one) for one in sys.argv[1:] if one.isdigit())), width=170)
