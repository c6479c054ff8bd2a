"""The live feed, measured: from an answer's last byte to its rows being visible to SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median

from benchmarks.storage import Row, scratch

AIRCRAFT = 1_000
BEFORE, ANSWERS = 1_000, 100
ALLOWED_S = 2.0


def measure() -> Iterator[Row]:
    """Answers of 1,000 aircraft into a day that already holds a million positions."""
    from skyops_assets.sources.opensky.live.client import Response
    from skyops_assets.sources.opensky.live.poll import write_response

    start = int(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    lags = []
    with scratch() as warehouse:
        for number in range(BEFORE + ANSWERS):
            second = start + 10 * number
            rows = [
                [f"{i:06x}", "TEST", "", second - i % 10, second, 2 + i / 1e4, 48.0, 9_000.0, False,
                 200.0, 90.0, 0.0, None, 9_100.0, None, False, 0, 0]
                for i in range(AIRCRAFT)
            ]  # fmt: skip
            body = json.dumps({"time": second, "states": rows}).encode()
            answer = Response(body, datetime.now(UTC), 200, None, 1)
            lags.append(write_response(warehouse, answer).lag_s)
    late = lags[BEFORE:]
    yield (
        f"an answer of {AIRCRAFT:,} aircraft, visible",
        f"{median(late):.3f} s (longest {max(late):.3f} s)",
        f"the same into an empty day: {median(lags[1:ANSWERS]):.3f} s; allowed {ALLOWED_S:g} s",
        f"{median(late) / median(lags[1:ANSWERS]):.2f}",
    )
