"""What the stand-in for OpenSky has to say: responses that were recorded, or a recording replayed.

Belongs here: state vectors as OpenSky sends them, second by second. Does not: serving them
(`fake_opensky`), spoiling them (`fake_faults`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.reading.recording import Recording

State = list[Any]
"""One state vector as OpenSky sends it: 17 values by position, 18 with the category."""

TIME, LAST_CONTACT, LONGITUDE, LATITUDE, ALTITUDE, VELOCITY = 3, 4, 5, 6, 7, 9
CALLSIGN, CATEGORY = 1, 17


class Source(Protocol):
    """Where responses come from."""

    @property
    def start(self) -> int:
        """Time of the first response, Unix seconds."""

    @property
    def length(self) -> int:
        """Seconds until it starts again, with later times."""

    def at(self, second: int) -> tuple[int, list[State]]:
        """Time of the response and its 18-field states, for a second within start and length."""


@dataclass(frozen=True)
class Snapshots:
    """Responses as they were recorded; each is given until the next one's time."""

    responses: tuple[tuple[int, list[State]], ...]

    @classmethod
    def read(cls, folder: Path) -> Snapshots:
        """Every ``*.json`` of a folder, by time.

        Raises:
            SkyOpsError: there is none, or one is no response of ``/states/all``.
        """
        found = []
        for path in sorted(folder.glob("*.json")):
            try:
                response = json.loads(path.read_bytes())
                rows = [[*row[:17], *(row[17:18] or [0])] for row in response["states"] or []]
                found.append((int(response["time"]), rows))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise SkyOpsError(f"{path} is not an OpenSky response: {error!r}") from None
        if not found:
            raise SkyOpsError(f"There is no recorded response (*.json) in {folder}.")
        return cls(tuple(sorted(found, key=lambda one: one[0])))

    @property
    def start(self) -> int:
        """Time of the first response."""
        return self.responses[0][0]

    @property
    def length(self) -> int:
        """Through the last response, which then stands for ten seconds."""
        return self.responses[-1][0] - self.start + 10

    def at(self, second: int) -> tuple[int, list[State]]:
        """The last response at or before a second."""
        return max(
            (one for one in self.responses if one[0] <= second),
            key=lambda one: one[0],
            default=self.responses[0],
        )


class Replay:
    """A recording as responses: each aircraft's newest position of the last seconds.

    Args:
        recording: positions at about 1 Hz; rows that cannot be state vectors are left out.
        resolution_s: responses change every so many seconds (OpenSky: 10 anonymous, 5 standard).
        keep_s: an aircraft not heard for longer is gone (OpenSky: 15).
    """

    def __init__(self, recording: Recording, *, resolution_s: int = 10, keep_s: int = 15) -> None:
        import pyarrow.compute as pc

        good = recording.states.filter(pc.is_null(recording.reasons)).sort_by("time_position")
        if not len(good):
            raise SkyOpsError(f"{recording.source} has no positions to replay.")
        micros = good["time_position"].cast("int64")
        self._seconds = [value // 1_000_000 for value in micros.to_pylist()]
        self._states = good
        self._resolution_s = resolution_s
        self._keep_s = keep_s
        self.start = self._seconds[0] // resolution_s * resolution_s
        self.length = self._seconds[-1] + 1 - self.start

    def at(self, second: int) -> tuple[int, list[State]]:
        """The response of a second."""
        from bisect import bisect_right

        second = second // self._resolution_s * self._resolution_s
        first = bisect_right(self._seconds, second - self._keep_s)
        last = bisect_right(self._seconds, second)
        newest = {row["icao24"]: row for row in self._states.slice(first, last - first).to_pylist()}
        return second, [_as_sent(row) for row in newest.values()]


def _as_sent(row: dict[str, Any]) -> State:
    """A state vector in the REST response's order, with its padding."""
    at = row["time_position"].timestamp()
    contact = row["last_contact"]
    callsign = row["callsign"]
    return [
        row["icao24"],
        None if callsign is None else callsign.ljust(8),
        row["origin_country"] or "",
        int(at),
        int(at if contact is None else contact.timestamp()),
        row["longitude_deg"],
        row["latitude_deg"],
        row["baro_altitude_m"],
        bool(row["is_on_ground"]),
        row["velocity_mps"],
        row["true_track_deg"],
        row["vertical_rate_mps"],
        None,
        row["geo_altitude_m"],
        row["squawk"],
        bool(row["is_spi"]),
        row["position_source"] or 0,
        row["category"] or 0,
    ]


def replay_of(path: Path | None) -> Replay:
    """A recording to replay; None is the demo's.

    Raises:
        SkyOpsError: it cannot be read, or holds no position.
    """
    from skyops_assets.sources.opensky.reading.recordings import demo_recording, read_recording

    first, last = datetime(1980, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
    return Replay(read_recording(path or demo_recording(), first, last))
