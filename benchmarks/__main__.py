"""`make bench`: measure and print. Each figure stands beside what it is compared with."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

ROUNDS = 3


def main() -> None:
    table = Table("what", "measured", "compared with", "ratio")
    for measure in (code_location_import, bulk_load, transform):
        table.add_row(*measure())
    Console(width=140, highlight=False).print(table)


def best_s(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The fastest of some rounds, in seconds: the one that was disturbed least."""

    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return min(once() for _ in range(rounds))


def code_location_import() -> tuple[str, str, str, str]:
    """Importing the code location against importing only Dagster and dagster-dbt."""

    def importing(what: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", f"import {what}"], check=True)

    bare = best_s(importing("dagster, dagster_dbt"))
    ours = best_s(importing("skyops_assets.definitions"))
    return (
        "import of the code location",
        f"{ours:.2f} s",
        f"import dagster, dagster_dbt: {bare:.2f} s",
        f"{ours / bare:.2f}",
    )


def bulk_load() -> tuple[str, str, str, str]:
    """Positions into a keyed, partitioned table, judged and accounted for, against bare COPY."""
    from skyops_assets.opensky.load import load_states
    from skyops_assets.opensky.recordings import (
        DEMO_END,
        DEMO_START,
        Recording,
        demo_recording,
        read_recording,
    )
    from skyops_assets.settings import load_settings
    from skyops_assets.warehouse import bulk
    from skyops_assets.warehouse.server import open_warehouse

    warehouse = open_warehouse(load_settings())
    recording = read_recording(demo_recording(), DEMO_START, DEMO_END)

    def bare() -> None:
        with bulk.transaction(warehouse) as cursor:
            cursor.adbc_ingest("bench_states", recording.states, mode="replace")

    def ours() -> None:
        load_states(warehouse, Recording("bench", recording.rows, recording.states))

    def forget() -> None:
        with warehouse.connect() as connection, connection.cursor() as cursor:
            for table in ("opensky_states", "rejected_states", "ingest_batches"):
                cursor.execute(f"delete from raw.{table} where source = 'bench'")

    forget()
    times = []
    for _ in range(ROUNDS):
        times.append(best_s(ours, rounds=1))
        forget()
    copy_s, load_s = best_s(bare), min(times)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("drop table bench_states")
    rows = len(recording.states)
    return (
        f"loading {rows:,} positions",
        f"{rows / load_s:,.0f} rows/s",
        f"bare COPY: {rows / copy_s:,.0f} rows/s",
        f"{copy_s / load_s:.2f}",
    )


def transform() -> tuple[str, str, str, str]:
    """All dbt models on what the warehouse holds, against dbt doing nothing but start."""

    def dbt(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run(
            ["skyops-dbt", "--quiet", *arguments], check=True, stdout=subprocess.DEVNULL
        )

    start = best_s(dbt("ls"), rounds=1)
    build = best_s(dbt("run"), rounds=1)
    return ("all dbt models", f"{build:.1f} s", f"dbt's own start (ls): {start:.1f} s",
            f"{build / start:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
