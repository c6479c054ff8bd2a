"""What sparse feeds show: the demo's recording, thinned, against the landings of the peer's table.

`skyops exec -- python -m validation.sparse [STEP_S ...]` thins the recording to one vector in so
many seconds, at five phases of the clock each, and prints what was found, and how far off each
class of `label_quality` is. Needs `SKYOPS_DATA_MIRROR` with `yardstick/paris_landings.csv`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from benchmarks.storage import scratch
from benchmarks.transform import dbt, load, load_reference

if TYPE_CHECKING:
    import pandas as pd

    from skyops_assets.warehouse.connection import Warehouse

STEPS_S = (30, 60, 120, 205, 300)
PHASES = 5
LIKE_US_S = 240
"""A landing of the peer's table further away than this is not found."""
LANDINGS = """
select f.callsign, m.airport, m.moved_at, m.runway, m.method, m.label_quality
from metrics.fct_movements as m
inner join metrics.fct_flights as f on m.icao24 = f.icao24 and m.flight_id = f.flight_id
where m.movement = 'landing'
"""


def thinned(states: pa.Table, step_s: int, phase_s: int = 0) -> pa.Table:
    """The vectors of every so manieth second; a position that repeats the one before is left out.

    Args:
        states: state vectors with whole seconds in `time_position`.
        phase_s: which second of each step, from 0 to ``step_s - 1``.
    """
    frame = states.select(["icao24", "time_position", "latitude_deg", "longitude_deg"]).to_pandas()
    ordered = frame.sort_values(["icao24", "time_position"])
    before = ordered.groupby("icao24")[["latitude_deg", "longitude_deg"]].shift()
    repeats = (before == ordered[["latitude_deg", "longitude_deg"]]).all(axis=1)
    second = ordered["time_position"].astype("int64") // 1_000_000
    kept = ordered.index[~repeats & (second % step_s == phase_s)]
    return states.take(pa.array(sorted(kept)))


def matched(landings: pd.DataFrame, peer: pd.DataFrame) -> pd.DataFrame:
    """Each landing of the peer with ours of its callsign and airport that is nearest in time.

    Args:
        landings: rows of `LANDINGS`, with its columns.
        peer: the peer's table; rows without `apt` are no landings.

    Returns:
        A row for each landing found within `LIKE_US_S`: `error_s`, ours less the peer's, with the
        columns of both; `index` is that of ``landings``.
    """
    pairs = peer[peer["apt"].notna()].merge(
        landings.reset_index(), left_on=["cs", "apt"], right_on=["callsign", "airport"]
    )
    pairs["error_s"] = (pairs["moved_at"] - pairs["moved_until"]).dt.total_seconds()
    near = pairs[pairs["error_s"].abs() <= LIKE_US_S]
    return near.loc[near.groupby("fid")["error_s"].apply(lambda error: error.abs().idxmin())]


def landings_of(warehouse: Warehouse) -> pd.DataFrame:
    """The landings of a warehouse, with the columns of `LANDINGS`."""
    import pandas as pd

    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(LANDINGS)
        names = [column.name for column in cursor.description or ()]
        return pd.DataFrame(cursor.fetchall(), columns=names)


def peer_landings(mirror: Path) -> pd.DataFrame:
    """The peer's table."""
    import pandas as pd

    return pd.read_csv(mirror / "yardstick/paris_landings.csv", parse_dates=["moved_until"])


def main(steps_s: tuple[int, ...] = STEPS_S) -> None:
    import pandas as pd
    from rich.console import Console

    from skyops_assets.settings import load_settings
    from skyops_assets.sources.opensky.reading.recordings import (
        DEMO_END,
        DEMO_START,
        demo_recording,
        read_recording,
    )

    mirror = load_settings().data_mirror
    if mirror is None:
        sys.exit("SKYOPS_DATA_MIRROR is not set: the peer's landings lie in the mirror.")
    peer = peer_landings(mirror)
    states = read_recording(demo_recording(), DEMO_START, DEMO_END).states
    console = Console(width=120, highlight=False)
    for step_s in steps_s:
        every, counts = [], []
        for number in range(PHASES):
            with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
                load(warehouse, thinned(states, step_s, number * step_s // PHASES))
                load_reference(warehouse)
                dbt(warehouse, Path(folder), "run", "--select", "+fct_flights", "+fct_movements")
                landings = landings_of(warehouse)
            pairs = matched(landings, peer)
            counts.append(f"{len(pairs)} (+{len(landings) - len(pairs)})")
            every.append(pairs)
        console.print(f"one vector in {step_s} s: of 98 landings found (+ others) {counts}")
        found = pd.concat(every)
        for quality, rows in found.groupby("label_quality"):
            error = rows["error_s"]
            off = (error - error.median()).abs()
            console.print(
                f"  {quality:13} {len(rows):4}: {error.median():+.0f} s (median), off that by "
                f"{off.median():.0f} (median), {off.quantile(0.9):.0f} (90th percentile), "
                f"{off.max():.0f} (most); runway right {(rows['runway'] == rows['rwy']).mean():.0%}"
            )


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or STEPS_S)
