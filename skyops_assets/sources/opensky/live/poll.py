"""Asks OpenSky once for each watched box, and writes what it answers.

Belongs here: one round. Does not: rounds without end, leadership, the spool (`collect`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.live.boxes import BoundingBox, watch_boxes
from skyops_assets.sources.opensky.live.client import OpenSkyClient, Response
from skyops_assets.sources.opensky.live.credits import CreditBudget, CreditState, floor_s
from skyops_assets.sources.opensky.loading.files import good_hours
from skyops_assets.sources.opensky.loading.malformed_responses import keep_malformed_response
from skyops_assets.sources.opensky.loading.partitions import (
    TARGET,
)
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.rest import SOURCE, MalformedResponse, read_response
from skyops_assets.warehouse.bulk import Batch
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from skyops_assets.settings import Settings


SPARSE_S = 60
"""Over a minute apart, two positions no longer show the course, and times are estimated."""


@dataclass(frozen=True)
class Written:
    """What became of one response.

    Attributes:
        batch: the accounts.
        hours: the hours (UTC) in which it has good positions.
        error: why the response was kept whole instead; None for one that could be read.
        lag_s: seconds from its last byte to the commit.
    """

    batch: Batch
    hours: frozenset[datetime]
    error: str | None
    lag_s: float


def write_response(
    warehouse: Warehouse, response: Response, *, run_id: str | None = None
) -> Written:
    """Put a response into the warehouse: its rows, or the whole of it where it cannot be read."""
    from adbc_driver_manager import Error as ArrowError

    hours: frozenset[datetime] = frozenset()
    bad, source = None, SOURCE
    try:
        recording = read_response(response.body)
        source = recording.source
        batch = load_states(warehouse, recording, run_id=run_id)
        hours = frozenset(good_hours(recording))
    except (MalformedResponse, ArrowError) as error:
        if isinstance(error, MalformedResponse):
            bad = error
        elif (error.sqlstate or "").startswith("22"):
            # A value that Postgres does not take would come back with each attempt.
            bad = MalformedResponse(
                source, "Postgres does not accept one of its values", response.body
            )
        else:
            raise
        batch = keep_malformed_response(warehouse, bad.body, bad.reason, bad.source, run_id=run_id)
    lag_s = (datetime.now(UTC) - response.received_at).total_seconds()
    return Written(batch, hours, None if bad is None else str(bad), lag_s)


def watched_boxes(settings: Settings) -> tuple[BoundingBox, ...]:
    """The boxes to ask for: everything within SKYOPS_COLLECT_RADIUS_NM of a watched airport.

    Raises:
        SkyOpsError: an airport is not known.
    """
    import airportsdata

    known = airportsdata.load("ICAO")
    unknown = [code for code in settings.watch_airports if code not in known]
    if unknown:
        raise SkyOpsError(f"SKYOPS_WATCH_AIRPORTS has unknown airport codes: {', '.join(unknown)}.")
    places = [(known[code]["lat"], known[code]["lon"]) for code in settings.watch_airports]
    return watch_boxes(places, settings.collect_radius_nm)


def shortest_interval_s(settings: Settings) -> float:
    """Seconds between two rounds below which nothing is asked, whatever the credits."""
    if settings.collect_interval_s is not None:
        return settings.collect_interval_s
    return floor_s(is_anonymous=settings.opensky_client_id is None)


def what_is_missed(interval_s: float) -> str | None:
    """What rounds so far apart do not show, for who chooses them; None where that is little.

    Args:
        interval_s: seconds from one round to the next.
    """
    if interval_s <= SPARSE_S:
        return None
    return (
        f"Rounds {interval_s:.0f} s apart show most landings and take-offs, with times estimated "
        "from single positions; go-arounds, touch-and-goes, holdings and phases by the second are "
        "missed. docs/validation.md has the figures for each interval. A free OpenSky account "
        "gives ten times the credits."
    )


def poll_once(
    settings: Settings, warehouse: Warehouse, *, run_id: str | None = None
) -> tuple[list[Written], CreditState]:
    """One round: every box asked for once, and written.

    Returns:
        What became of each response, and the credits after it.

    Raises:
        TransientFailure, PermanentFailure, QuotaExceeded: as `OpenSkyClient.states`; what was
            written before stays.
    """
    budget = CreditBudget.from_settings(settings, warehouse)
    with OpenSkyClient.from_settings(settings, budget) as client:
        written = [
            write_response(warehouse, client.states(box), run_id=run_id)
            for box in watched_boxes(settings)
        ]
    return written, budget.read()


def hour_rows(warehouse: Warehouse, hours: set[datetime]) -> dict[datetime, int]:
    """How many positions each of these hours (their starts, UTC) holds."""
    rows = {}
    with warehouse.connect() as connection, connection.cursor() as cursor:
        for hour in sorted(hours):
            cursor.execute(
                f"select count(*) from {TARGET} where time_position >= %s and time_position < %s",  # noqa: S608
                (hour, hour + timedelta(hours=1)),
            )
            row = cursor.fetchone()
            rows[hour] = int(row[0]) if row else 0
    return rows
