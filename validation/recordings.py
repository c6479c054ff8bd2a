"""What real recordings give: each through load and the whole build, with all its tests.

`skyops exec -- python -m validation.recordings [PATH ...]` takes files and folders, each in a
database of its own; without any, the folders of samples in the demo's package. It prints a line of
docs/validation.md's table for each. An end of a flight is unnamed where the flight begins or ends
low, or on the ground, and no field is told.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.storage import scratch
from benchmarks.transform import dbt, load_reference

UNNAMED = "('ambiguous', 'no_ground_contact', 'no_airport_matched', 'no_altitude')"
FIGURES = {
    "rows": "select count(*) from staging.stg_opensky__states",
    "flights": "select count(*) from metrics.fct_flights",
    "landings": "select count(*) from metrics.fct_movements where movement = 'landing'",
    "take-offs": "select count(*) from metrics.fct_movements where movement = 'takeoff'",
    "go-arounds": "select count(*) from metrics.fct_movements where movement = 'go_around'",
    "touch-and-goes": "select count(*) from metrics.fct_movements where movement = 'touch_and_go'",
    "masked ‰": "select round(1000.0 * count(masked_reasons) / nullif(count(*), 0)) "
    "from staging.stg_opensky__states",
    "unnamed ‰": f"""
        select round(1000.0 * count(*) filter (where reason in {UNNAMED}) / nullif(count(*), 0))
        from (
            select departure_airport_reason as reason from metrics.fct_flights
            union all
            select arrival_airport_reason from metrics.fct_flights) as ends""",
}


def samples() -> list[Path]:
    """The folders of real tracks beside the demo's recording."""
    from skyops_assets.sources.opensky.reading.recordings import demo_recording

    above = demo_recording().parents[1]
    return sorted(path for path in above.iterdir() if list(path.glob("*.json.gz")))


def main(paths: Iterable[Path]) -> None:
    from skyops_assets.sources.opensky.loading.files import load_file
    from skyops_assets.sources.opensky.reading.recordings import find_recordings
    from skyops_assets.transform.dbt import build_arguments

    print("| recording | rejected | " + " | ".join(FIGURES) + " |")
    print("|---" * (len(FIGURES) + 2) + "|")
    for path in paths:
        with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
            loads = [load_file(warehouse, file) for file in find_recordings([path])]
            load_reference(warehouse)
            # Raises where a model fails or a test is red.
            dbt(warehouse, Path(folder), *build_arguments())
            with warehouse.connect() as connection, connection.cursor() as cursor:
                figures = []
                for statement in FIGURES.values():
                    cursor.execute(statement)
                    ((figure,),) = cursor.fetchall()
                    figures.append(f"{figure or 0:,.0f}")
        rejected = sum(load.rejected_rows for load in loads)
        print(f"| {path.name} | {rejected:,} | " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]] or samples())
