"""What changes in the sky, as server-sent events: one reader of the warehouse for all listeners.

Belongs here: noticing changes and telling them. Does not: what is live, which views say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from psycopg import AsyncConnection, Error
from psycopg.sql import SQL, Identifier
from psycopg_pool import PoolTimeout

from skyops_assets.serving import rows
from skyops_assets.serving.access import READ, allowed
from skyops_assets.serving.database import Database, Row
from skyops_assets.serving.pages import names, only_known
from skyops_assets.serving.problems import Problem, responses

log = logging.getLogger(__name__)
LANE, LOADS = "skyops_live", "skyops_loads"
"""Told by each pass of the live lane, and by each load of positions, when it commits."""
POLL_S = 5.0
"""How long a change waits that nobody told of: behind some poolers LISTEN is deaf."""
BEAT_S = 15.0
LONGEST_QUEUE = 30
"""A listener so many changes behind begins again with all that is there."""
MOST_LISTENERS = 200

POSITION = ("icao24", "flight_id", "callsign", "typecode", "heard_at", "latitude_deg",
            "longitude_deg", "altitude_m", "ground_speed_mps", "track_deg",
            "vertical_rate_mps")  # fmt: skip
PHASE = ("icao24", "flight_id", "phase")
PREDICTION = tuple(
    name for name in rows.LiveArrival.model_fields
    if name not in ("heard_at", "distance_nm", "altitude_m")
)  # fmt: skip
ALERT = tuple(rows.LiveAlert.model_fields)
FIX = ("icao24", "callsign", "heard_at", "latitude_deg", "longitude_deg", "altitude_m",
       "ground_speed_mps", "track_deg", "vertical_rate_mps", "is_on_ground")  # fmt: skip
ABOUT = ("icao24", "flight_id", "callsign", "typecode", "country", "phase")
FEED = tuple(rows.Feed.model_fields)


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    Attributes:
        view: in the schema `live`.
        key: what tells its rows apart.
        columns: what of a row is told.
        channel: who tells that it may have changed.
    """

    view: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    channel: str = LANE


KINDS = {
    "position": Kind("aircraft", ("icao24",), POSITION),
    "phase": Kind("aircraft", ("icao24",), PHASE),
    "prediction": Kind("arrivals", ("icao24", "flight_id"), PREDICTION),
    "alert": Kind(
        "alerts", ("icao24", "flight_id", "alert", "scope", "scope_name", "started_at"), ALERT
    ),
    "fix": Kind("fixes", ("icao24",), FIX, LOADS),
    "about": Kind("aircraft", ("icao24",), ABOUT),
    "feed": Kind("feed", (), FEED),
}
USUAL = ("position", "phase", "prediction", "alert")
NEVER_GONE = ("phase", "about", "feed")
"""Who is gone has no phase either, and is told as a position or fix that is gone."""

router = APIRouter(
    tags=["data"],
    dependencies=[Depends(only_known)],
    responses=responses(401, 403, 422, 429, 503),
)

State = dict[str, dict[tuple[Any, ...], Row]]


@dataclass(frozen=True)
class Wish:
    """What a listener wants: kinds, and whether rows come as lists of values."""

    kinds: frozenset[str]
    packed: bool = False


class Sky:
    """What is live, as it was last read, and who listens to its changes.

    Args:
        conninfo: of a connection that hears notifications.
    """

    def __init__(self, database: Database, conninfo: str) -> None:
        self._database, self._conninfo = database, conninfo
        self._state: State = {kind: {} for kind in KINDS}
        self._listeners: dict[asyncio.Queue[bytes | None], Wish] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._number = 0

    async def listen(self, wish: Wish) -> AsyncGenerator[bytes]:
        """All that is there, then what changes, as messages; a comment where nothing does.

        Raises:
            Problem: 503; so many listen that one more is too many.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise Problem(
                503,
                f"The service already has {MOST_LISTENERS} listeners, the maximum.",
                {"Retry-After": "60"},
            )
        await self._look(wish.kinds - self._heard())
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(LONGEST_QUEUE)
        self._listeners[queue] = wish
        for channel in {KINDS[kind].channel for kind in wish.kinds}:
            if channel not in self._watching or self._watching[channel].done():
                self._watching[channel] = asyncio.create_task(self._watch(channel))
        try:
            yield self._whole(wish)
            while True:
                try:
                    told = await asyncio.wait_for(queue.get(), BEAT_S)
                except TimeoutError:
                    yield b": nothing new\n\n"
                    continue
                if told is None:  # Too far behind.
                    while not queue.empty():
                        queue.get_nowait()
                    told = self._whole(wish)
                yield told
        finally:
            del self._listeners[queue]

    async def close(self) -> None:
        """Stop looking."""
        for task in self._watching.values():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _heard(self, channel: str | None = None) -> set[str]:
        """The kinds that anybody listens to, of a channel or of both."""
        wanted = {kind for wish in self._listeners.values() for kind in wish.kinds}
        return {kind for kind in wanted if channel in (None, KINDS[kind].channel)}

    async def _watch(self, channel: str) -> None:
        """Look whenever a channel tells, as long as anybody listens to what it tells of.

        Each channel has its own: a position does not wait until the slower views are read.
        """
        while self._heard(channel):
            try:
                async with await AsyncConnection.connect(
                    self._conninfo, autocommit=True, application_name="skyops serve: events"
                ) as ear:
                    await ear.execute(SQL("listen {}").format(Identifier(channel)))
                    while self._heard(channel):
                        async for _ in ear.notifies(timeout=POLL_S, stop_after=1):
                            pass
                        await self._look(self._heard(channel))
            except (Error, PoolTimeout) as error:
                log.warning("Events wait for the warehouse: %s", error)
                await asyncio.sleep(POLL_S)

    async def _look(self, kinds: Collection[str]) -> None:
        """Read what kinds are of, and tell what has changed."""
        found: dict[str, list[Row]] = {}
        for view, wanted in _views(kinds).items():
            found[view] = await self._database.rows(
                SQL("select {} from live.{}").format(names(wanted), SQL(view))
            )
        changed: dict[str, list[tuple[str, list[Row]]]] = {}
        for name in kinds:
            kind = KINDS[name]
            now = {
                tuple(row[one] for one in kind.key): {one: row[one] for one in kind.columns}
                for row in found[kind.view]
            }
            before = self._state[name]
            self._state[name] = now
            news = [row for place, row in now.items() if before.get(place) != row]
            gone = [dict(zip(kind.key, one, strict=True)) for one in before.keys() - now.keys()]
            changed[name] = [(name, news)] if news else []
            if gone and name not in NEVER_GONE:
                changed[name].append((f"{name}_gone", gone))
        written: dict[tuple[str, bool], bytes] = {}
        for queue, wish in self._listeners.items():
            told = b""
            for name in KINDS:
                if name in wish.kinds and changed.get(name):
                    one = (name, wish.packed)
                    if one not in written:
                        written[one] = b"".join(
                            self._message(kind, rows, wish.packed) for kind, rows in changed[name]
                        )
                    told += written[one]
            if not told:
                continue
            try:
                queue.put_nowait(told)
            except asyncio.QueueFull:
                queue.get_nowait()
                queue.put_nowait(None)

    def _whole(self, wish: Wish) -> bytes:
        begin: dict[str, Any] = {"at": datetime.now(UTC), "kinds": sorted(wish.kinds)}
        if wish.packed:
            begin["columns"] = {kind: KINDS[kind].columns for kind in sorted(wish.kinds)}
        return self._message("begin", begin) + b"".join(
            self._message(kind, list(self._state[kind].values()), wish.packed)
            for kind in KINDS
            if kind in wish.kinds
        )

    def _message(self, kind: str, what: Any, packed: bool = False) -> bytes:
        self._number += 1
        if packed:
            what = [list(row.values()) for row in what]
        data = orjson.dumps(what, option=orjson.OPT_UTC_Z)
        return b"event: %s\nid: %d\ndata: %s\n\n" % (kind.encode(), self._number, data)


@router.get(
    "/events",
    responses={
        200: {
            "description": "Endless stream of events, as `text/event-stream`.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'event: phase\nid: 17\ndata: [{"icao24": "02a195", "flight_id": '
                    '"02a195_20211007T140420Z", "phase": "DESCENT"}]\n\n',
                }
            },
        }
    },
    response_class=StreamingResponse,
)
async def events(
    request: Request,
    caller: Annotated[object, Depends(allowed(READ))],  # noqa: ARG001
    kinds: Annotated[
        str,
        Query(
            pattern=f"^({'|'.join(KINDS)})(,({'|'.join(KINDS)}))*$",
            description="Kinds of events, separated by commas.",
        ),
    ] = ",".join(USUAL),
    packed: Annotated[
        bool, Query(description="Rows as lists of values, in the order given by `begin`.")
    ] = False,
) -> StreamingResponse:
    """Stream of changing positions, phases, predictions and alerts; `fix` comes straight from its
    load.

    First `begin` with all present rows; then new or changed rows, by kind, and the keys of rows
    that are gone (`position_gone`, `prediction_gone`, `alert_gone`). A message holds the rows of
    one pass of the live lane, or, for `fix`, of one load: the last position as received, before the
    lane has it. `about` holds the lane's values for an aircraft, `feed` the freshness of the data.
    A stream that falls behind starts again.
    """
    sky: Sky = request.app.state.service.sky
    stream = sky.listen(Wish(frozenset(kinds.split(",")), packed))
    first = await anext(stream)
    return StreamingResponse(
        _checked(request, first, stream),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _checked(
    request: Request, first: bytes, stream: AsyncGenerator[bytes]
) -> AsyncIterator[bytes]:
    """The stream, until who listens may no longer."""
    check = allowed(READ)
    async with aclosing(stream):
        yield first
        async for told in stream:
            try:
                await check(request)
            except Problem:
                return
            yield told


def _views(kinds: Iterable[str]) -> dict[str, list[str]]:
    """The columns that are read of each view."""
    wanted: dict[str, dict[str, None]] = {}
    for kind in map(KINDS.__getitem__, kinds):
        wanted.setdefault(kind.view, {}).update(dict.fromkeys((*kind.key, *kind.columns)))
    return {view: list(columns) for view, columns in wanted.items()}
