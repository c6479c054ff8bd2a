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
    assert len(airports.data) and len(runways.runways)
    found = dict.fromkeys(("flights", "positions", "airports", "landings", "failed"), 0)
    began = time.perf_counter()
    for aircraft in Traffic(positions):
        for flight in aircraft.split("10 min"):
            found["flights"] += 1
            try:
                found["positions"] += len(flight.filter().phases())
                for end in ("takeoff", "landing"):
                    found["airports"] += flight.infer_airport(end) is not None
                found["landings"] += sum(1 for _ in flight.landing(method="any"))
            except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
                # A flight that it cannot take costs it nothing more.
                found["failed"] += 1
    spent = time.perf_counter() - began
    print(json.dumps({"rows": len(positions), "seconds": spent, **found}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
