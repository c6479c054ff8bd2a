"""The work of the models done by the library `traffic`, for comparison; it prints what it took.

Runs in an environment of its own, with nothing of SkyOps: `python by_traffic.py POSITIONS`, a
parquet file in traffic's columns. Beside it lies the cache with its airports and runways.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pandas as pd
from traffic.core import Flight, Traffic
from traffic.core.structure import Airport
from traffic.data import airports, runways

spent_s: Counter[str] = Counter()
found: Counter[str] = Counter()
failed: Counter[str] = Counter()


def main(path: str) -> None:
    # As numbers of numpy, with which it is faster than with its own way of reading, Arrow's.
    positions = Traffic(pd.read_parquet(path))
    # Read before the clock starts; and what it imports when it is first asked.
    assert len(airports.data) and len(runways.runways)
    ask(next(iter(positions)))
    for counts in (spent_s, found, failed):
        counts.clear()
    began = time.perf_counter()
    for flight in positions:
        ask(flight)
    seconds = time.perf_counter() - began
    print(json.dumps({
        "rows": len(positions.data), "seconds": seconds,
        "spent_s": spent_s, "found": found, "failed": failed,
    }))  # fmt: skip


def ask(flight: Flight) -> None:
    """What the models tell and traffic has a method for: that one, as it comes.

    Splitting into flights, by address, callsign and gaps of ten minutes, is the iteration's.
    """
    found["flights"] += 1
    flight = timed("filter", flight.filter)
    timed("phases", flight.phases)
    origin = timed("airports", lambda: flight.infer_airport("takeoff"))
    goal = timed("airports", lambda: flight.infer_airport("landing"))
    for what, tell in (
        ("landings", lambda: flight.landing(method="any")),
        # Of fields that are known, so that it need not infer them once more.
        ("takeoffs", lambda: flight.takeoff(airport=origin)),
        ("go_arounds", lambda: flight.go_around(airport=goal)),
    ):
        found[what] += timed(what, lambda tell=tell: sum(1 for _ in tell())) or 0


def timed(what: str, tell: Callable[[], Any]) -> Any:
    """The answer; none where traffic cannot tell, such as of a field without runways."""
    began = time.perf_counter()
    try:
        return tell()
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
        failed[what] += 1
        return None
    finally:
        spent_s[what] += time.perf_counter() - began


def no_map(airport: Airport) -> None:
    """Take-offs ask OpenStreetMap for each field, over the network, and use nothing of it."""
    raise AttributeError(airport.icao)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    Airport._openstreetmap = no_map
    main(sys.argv[1])
