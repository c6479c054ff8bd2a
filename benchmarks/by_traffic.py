"""The work of the models done by the library `traffic`, for comparison; it prints what it took.

Runs in an environment of its own, with nothing of SkyOps: `python by_traffic.py POSITIONS`, a
parquet file in traffic's columns. Beside it lies the cache with its airports and runways.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import pandas as pd
from traffic.core import Traffic
from traffic.data import airports, runways


def main(path: str) -> None:
    positions = pd.read_parquet(path)
    # Read before the clock starts.
    near = airports.query("48 < latitude < 50 and 1 < longitude < 4")
    assert near is not None and len(runways.runways)
    found = {"flights": 0, "phases": 0, "airports": 0, "landings": 0, "takeoffs": 0, "failed": 0}
    began = time.perf_counter()
    for aircraft in Traffic(positions):
        for flight in aircraft.split("10 min"):
            found["flights"] += 1
            try:
                found["phases"] += len(flight.phases())
                for end in ("takeoff", "landing"):
                    found["airports"] += flight.infer_airport(end, dataset=near) is not None
                found["landings"] += sum(1 for _ in flight.landing(method="any", dataset=near))
                start = flight.infer_airport("takeoff", dataset=near)
                if flight.data.altitude.iloc[0] < 8000:
                    found["takeoffs"] += sum(
                        1 for _ in flight.takeoff(airport=start, method="track_based")
                    )
            except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
                # A flight that it cannot take costs it nothing more.
                found["failed"] += 1
    spent = time.perf_counter() - began
    print(json.dumps({"rows": len(positions), "seconds": spent, **found}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
