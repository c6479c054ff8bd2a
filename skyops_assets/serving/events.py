"""What changes in the sky, as server-sent events: one reader of the warehouse for all listeners.

Belongs here: noticing changes and telling them. Does not: what is live, which views say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from psycopg import AsyncConnection, Error
from psycopg.sql import SQL
from psycopg_pool import PoolTimeout

from skyops_assets.serving import rows
from skyops_assets.serving.access import READ, allowed
from skyops_assets.serving.database import Database, Row
from skyops_assets.serving.pages import names, only_known
from skyops_assets.serving.problems import Problem, responses

log = logging.getLogger(__name__)
CHANNEL = "skyops_live"
"""Told by each pass of the live lane."""
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
KINDS = {
    "position": ("aircraft", ("icao24",), POSITION),
    "phase": ("aircraft", ("icao24",), PHASE),
    "prediction": ("arrivals", ("icao24", "flight_id"), PREDICTION),
    "alert": ("alerts", ("icao24", "flight_id", "alert", "scope", "scope_name", "started_at"),
              ALERT),
}  # fmt: skip
"""Each kind of event: its view, what tells its rows apart, and what of a row is told."""

router = APIRouter(
    tags=["data"],
    dependencies=[Depends(only_known)],
    responses=responses(401, 403, 422, 429, 503),
)

State = dict[str, dict[tuple[Any, ...], Row]]


class Sky:
    """What is live, as it was last read, and who listens to its changes.

    Args:
        conninfo: of a connection that hears notifications.
    """

    def __init__(self, database: Database, conninfo: str) -> None:
        self._database, self._conninfo = database, conninfo
        self._state: State = {kind: {} for kind in KINDS}
        self._listeners: dict[asyncio.Queue[bytes | None], frozenset[str]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._number = 0

    async def listen(self, kinds: frozenset[str]) -> AsyncGenerator[bytes]:
        """All that is there, then what changes, as messages; a comment where nothing does.

        Raises:
            Problem: 503; so many listen that one more is too many.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise Problem(503, f"{MOST_LISTENERS} listen already.", {"Retry-After": "60"})
        if not self._listeners:
            await self._look()
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(LONGEST_QUEUE)
        self._listeners[queue] = kinds
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            yield self._whole(kinds)
            while True:
                try:
                    told = await asyncio.wait_for(queue.get(), BEAT_S)
                except TimeoutError:
                    yield b": nothing new\n\n"
                    continue
                if told is None:  # Too far behind.
                    while not queue.empty():
                        queue.get_nowait()
                    told = self._whole(kinds)
                yield told
        finally:
            del self._listeners[queue]

    async def close(self) -> None:
        """Stop looking."""
        if self._watching:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        """Look with each pass of the lane, as long as anybody listens."""
        while self._listeners:
            try:
                async with await AsyncConnection.connect(
                    self._conninfo, autocommit=True, application_name="skyops serve: events"
                ) as ear:
                    await ear.execute(SQL("listen {}").format(SQL(CHANNEL)))
                    while self._listeners:
                        async for _ in ear.notifies(timeout=POLL_S, stop_after=1):
                            pass
                        await self._look()
            except (Error, PoolTimeout) as error:
                log.warning("Events wait for the warehouse: %s", error)
                await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        found: dict[str, list[Row]] = {}
        for view, wanted in _views().items():
            found[view] = await self._database.rows(
                SQL("select {} from live.{}").format(names(wanted), SQL(view))
            )
        changed: dict[str, list[bytes]] = {}
        for kind, (view, key, columns) in KINDS.items():
            now = {
                tuple(row[name] for name in key): {name: row[name] for name in columns}
                for row in found[view]
            }
            before = self._state[kind]
            self._state[kind] = now
            news = [row for place, row in now.items() if before.get(place) != row]
            gone = [dict(zip(key, place, strict=True)) for place in before.keys() - now.keys()]
            messages = [self._message(kind, news)] if news else []
            # Who is gone has no phase either.
            if gone and kind != "phase":
                messages.append(self._message(f"{kind}_gone", gone))
            if messages:
                changed[kind] = messages
        for queue, kinds in self._listeners.items():
            told = b"".join(m for kind in KINDS if kind in kinds for m in changed.get(kind, ()))
            if not told:
                continue
            try:
                queue.put_nowait(told)
            except asyncio.QueueFull:
                queue.get_nowait()
                queue.put_nowait(None)

    def _whole(self, kinds: Iterable[str]) -> bytes:
        begin = self._message("begin", {"at": datetime.now(UTC), "kinds": sorted(kinds)})
        return begin + b"".join(
            self._message(kind, list(self._state[kind].values())) for kind in KINDS if kind in kinds
        )

    def _message(self, kind: str, what: Any) -> bytes:
        self._number += 1
        data = orjson.dumps(what, option=orjson.OPT_UTC_Z)
        return b"event: %s\nid: %d\ndata: %s\n\n" % (kind.encode(), self._number, data)


@router.get(
    "/events",
    responses={
        200: {
            "description": "Events without end, as `text/event-stream`.",
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
    ] = ",".join(KINDS),
) -> StreamingResponse:
    """Positions, phases, predictions and alerts as they change.

    First `begin`, and all rows that there are; then rows that are new or changed, by the kind, and
    the keys of those that have gone (`position_gone`, `prediction_gone`, `alert_gone`). A message
    holds the rows of one pass of the live lane. A stream that falls behind begins anew.
    """
    sky: Sky = request.app.state.service.sky
    stream = sky.listen(frozenset(kinds.split(",")))
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


def _views() -> dict[str, list[str]]:
    """The columns that are read of each view."""
    wanted: dict[str, dict[str, None]] = {}
    for view, key, columns in KINDS.values():
        wanted.setdefault(view, {}).update(dict.fromkeys((*key, *columns)))
    return {view: list(columns) for view, columns in wanted.items()}
