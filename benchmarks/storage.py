"""Storing positions, measured: speed against bare COPY, memory, queries with their plans.

Everything runs in a database of its own, which is dropped at the end.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

ROUNDS = 3
ALL_ROWS = 5_000_000
Row = tuple[str, str, str, str]
"""What was measured, the figure, what it is compared with, and the ratio of the two."""

QUERIES = {
    "one aircraft, all its time": "select * from raw.opensky_states where icao24 = '{icao24}'",
    "one aircraft, half an hour": (
        "select * from raw.opensky_states where icao24 = '{icao24}' "
        "and time_position >= '2021-10-08 13:00+00' and time_position < '2021-10-08 13:30+00'"
    ),
    "everybody, one minute": (
        "select * from raw.opensky_states "
        "where time_position >= '2021-10-08 13:00+00' and time_position < '2021-10-08 13:01+00'"
    ),
}


def show(rows: Iterable[Row], width: int = 140) -> None:
    """Print the benchmark's table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "compared with", "ratio")
    for row in rows:
        table.add_row(*row)
    Console(width=width, highlight=False).print(table)


def measure() -> Iterator[Row]:
    """Rows of the benchmark's table."""
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        path = Path(folder) / "recording.arrow"
        write_recording(path)
        for rows in (0, 2_000_000):
            yield _speed(warehouse, path, rows)
        yield _memory(warehouse, path)
        yield from _queries(warehouse)


def copies(path: Path, rows: int) -> Iterator[pa.Table]:
    """The recording again and again, later and by other aircraft, until there are so many rows."""
    with pa.memory_map(str(path)) as file:
        once = pa.ipc.open_file(file).read_all()
    for number in range(max(1, -(-rows // len(once)))):
        part = once.slice(0, min(len(once), rows - number * len(once)) if rows else None)
        yield shifted(part, number)


def shifted(part: pa.Table, number: int) -> pa.Table:
    """Rows of the recording, so many times three hours later and by other aircraft."""
    later = pc.add(part["time_position"], pa.scalar(timedelta(hours=3 * number)))
    other = pc.binary_join_element_wise(
        f"{number % 16:x}", pc.utf8_slice_codeunits(part["icao24"], 1), ""
    )
    for name, column in (("time_position", later), ("icao24", other)):
        place = part.schema.get_field_index(name)
        part = part.set_column(place, name, column.cast(part.schema.field(name).type))
    return part


def load_all(warehouse: Warehouse, path: Path, rows: int) -> None:
    """Load so many rows, one copy of the recording after the other."""
    from skyops_assets.sources.opensky.loading.states import load_states
    from skyops_assets.sources.opensky.reading.recording import Recording

    for part in copies(path, rows):
        load_states(warehouse, Recording("bench", part, part))


@contextmanager
def scratch() -> Iterator[Warehouse]:
    """An empty warehouse on the server that the settings name."""
    from skyops_assets.settings import load_settings
    from skyops_assets.warehouse import scratch
    from skyops_assets.warehouse.connection import open_warehouse

    with scratch.scratch(open_warehouse(load_settings()), "skyops_bench") as warehouse:
        yield warehouse


def write_recording(path: Path) -> None:
    """The demo's recording as an Arrow file."""
    from skyops_assets.sources.opensky.reading.recordings import (
        DEMO_END,
        DEMO_START,
        demo_recording,
        read_recording,
    )

    states = read_recording(demo_recording(), DEMO_START, DEMO_END).states
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, states.schema) as writer:
        writer.write_table(states)


def _forget(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select inhrelid::regclass::text from pg_inherits "
            "where inhparent = 'raw.opensky_states'::regclass"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"drop table {name}")
        cursor.execute("truncate raw.rejected_states, raw.ingest_batches cascade")


def _speed(warehouse: Warehouse, path: Path, rows: int) -> Row:
    """A parsed Arrow table until it is committed and idempotent, against COPY of its rows."""
    from skyops_assets.sources.opensky.loading.states import load_states
    from skyops_assets.sources.opensky.reading.recording import Recording
    from skyops_assets.warehouse import bulk

    states = pa.concat_tables(copies(path, rows))
    ours, bare = [], []
    # In turns, so that what else the machine does meets both.
    for _ in range(ROUNDS):
        _forget(warehouse)
        began = time.perf_counter()
        load_states(warehouse, Recording("bench", states, states))
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        with bulk.transaction(warehouse) as cursor:
            cursor.adbc_ingest("bare_copy", states, mode="replace")
        bare.append(time.perf_counter() - began)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("drop table bare_copy")
    _forget(warehouse)
    return (
        f"loading {len(states):,} positions",
        f"{len(states) / min(ours):,.0f} rows/s",
        f"bare COPY: {len(states) / min(bare):,.0f} rows/s",
        f"{min(bare) / min(ours):.2f}",
    )


def _memory(warehouse: Warehouse, path: Path) -> Row:
    """The peak of a process that loads five million rows, which stay for the queries."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.storage", str(path)],
        input=warehouse.libpq().encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    spent = time.perf_counter() - began
    peak_mb = int(done.stdout) / 1024
    return (
        f"peak memory, {ALL_ROWS:,} positions in parts",
        f"{peak_mb:,.0f} MB ({ALL_ROWS / spent:,.0f} rows/s, start included)",
        "at most 600 MB",
        f"{peak_mb / 600:.2f}",
    )


def _queries(warehouse: Warehouse) -> Iterator[Row]:
    """By time and by aircraft: as loaded, and once the days are finished."""
    from skyops_assets.sources.opensky.loading.partitions import index_finished_days

    with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select icao24 from raw.opensky_states where time_position >= '2021-10-08 13:00+00' "
            "and time_position < '2021-10-08 13:30+00' group by 1 order by count(*) desc limit 1"
        )
        (icao24,) = cursor.fetchone() or ("",)
        cursor.execute("analyze raw.opensky_states")
        began = time.perf_counter()
        cursor.execute("select count(*) from raw.opensky_states")
        scan_ms = 1000 * (time.perf_counter() - began)
        for when in ("as loaded", "finished day"):
            if when == "finished day":
                from datetime import UTC, datetime

                index_finished_days(warehouse, datetime.now(UTC) + timedelta(hours=2))
                cursor.execute("vacuum analyze raw.opensky_states")
            for name, query in QUERIES.items():
                taken = []
                for _ in range(ROUNDS):
                    began = time.perf_counter()
                    cursor.execute(query.format(icao24=icao24))
                    rows = len(cursor.fetchall())
                    taken.append(1000 * (time.perf_counter() - began))
                yield (
                    f"{name}, {when}",
                    f"{min(taken):,.1f} ms, {rows:,} rows",
                    f"counting all {ALL_ROWS:,}: {scan_ms:,.0f} ms",
                    f"{min(taken) / scan_ms:.3f}",
                )
                if "--plans" in sys.argv:
                    cursor.execute(
                        "explain (analyze, buffers, costs off, timing off, summary off) "
                        + query.format(icao24=icao24)
                    )
                    print(f"\n{name}, {when}:")
                    print("\n".join(line for (line,) in cursor.fetchall()))


def _peak_kb() -> int:
    """The most memory that this process has held, in kB."""
    import resource

    try:
        # Not getrusage: there a process starts with the peak of the one that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _main() -> None:
    """In a process of its own: load, then print the peak of its memory in kB."""
    from sqlalchemy.engine import make_url

    from skyops_assets.warehouse.connection import Warehouse

    load_all(Warehouse(make_url(sys.stdin.read()), True), Path(sys.argv[1]), ALL_ROWS)
    print(_peak_kb())


if __name__ == "__main__":
    _main()
