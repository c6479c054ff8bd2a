"""`make bench`: measure and print. Each figure stands beside what it is compared with.

With ``--plans`` the plans of the queries are printed too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import chain

from benchmarks import fleet, hourly, live, reliability, service, storage, ticks, transform

ROUNDS = 3


def main() -> None:
    storage.show(
        chain(
            [code_location_import()],
            storage.measure(),
            live.measure(),
            ticks.measure(ticks.MONTH),
            transform.measure(),
            hourly.measure(),
            fleet.measure(),
            reliability.measure(),
            service.measure(),
        )
    )


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
    ours = best_s(importing("skyops_assets.definitions as one; one.usual_defs()"))
    return (
        "import of the code location",
        f"{ours:.2f} s",
        f"import dagster, dagster_dbt: {bare:.2f} s",
        f"{ours / bare:.2f}",
    )


if __name__ == "__main__":
    main()
