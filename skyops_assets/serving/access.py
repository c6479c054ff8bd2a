"""Who may ask the service for what: API keys, a browser's session, and their scopes.

Where a caller comes from says nothing: on a shared machine everybody comes from loopback, in
containers and behind a proxy everybody does.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import Request
from psycopg_pool import PoolTimeout

from skyops_assets.audit.api_keys import ADMIN, BROWSER, PREDICT, PUBLIC, READ, SCOPES
from skyops_assets.serving.database import Database
from skyops_assets.serving.guard import ANSWER_HEADERS
from skyops_assets.serving.limits import PREDICTIONS, TRAININGS
from skyops_assets.serving.problems import Problem

__all__ = ["ADMIN", "PREDICT", "PREDICTIONS", "READ", "SCOPES", "TRAININGS", "Caller", "Keys",
           "allowed", "spend"]  # fmt: skip

KNOWN_FOR_S = 2.0
"""So long a key that was revoked may still be taken, while the warehouse answers."""
RENEWED_AFTER_S = 1.0
"""Keys are read again by then while requests come, beside them; so none waits."""
READ_EVERY_S = 0.2
KEPT_FOR_S = 3600.0
"""So long keys that were known are taken while the warehouse is away."""
READ_WITHIN_S = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who asks: a key by the name that it was given, a browser, or anybody."""

    key_id: str
    owner: str
    scopes: frozenset[str]
    expires_at: datetime | None


ANYBODY = Caller(PUBLIC, PUBLIC, frozenset({READ}), None)


class Keys:
    """The keys of the warehouse, as they were at most `KNOWN_FOR_S` ago."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, Caller] = {}
        self._began_at = float("-inf")
        self._asked_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._is_away = False

    async def find(self, key: str) -> Caller | None:
        """Whose key it is; None where it is none, or none any more.

        Raises:
            psycopg.OperationalError: keys were not read for long, and the warehouse is away.
        """
        digest = hashlib.sha256(key.encode()).digest()
        age = self._age()
        if age > RENEWED_AFTER_S:
            self._begin()
            # While the warehouse is away nobody waits for keys that are known.
            if (age > KNOWN_FOR_S and not self._is_away) or age > KEPT_FOR_S:
                await self._end()
        if digest not in self._known:
            # It may have been made since.
            await self._read_after(time.monotonic())
        if self._age() > KEPT_FOR_S:
            raise PoolTimeout("The keys cannot be read.")
        found = self._known.get(digest)
        if found and found.expires_at and found.expires_at <= datetime.now(UTC):
            return None
        return found

    def _age(self) -> float:
        return time.monotonic() - self._began_at

    def _begin(self) -> None:
        """Have the keys read, by one for all who ask; no oftener than so, whoever guesses keys."""
        now = time.monotonic()
        if self._reading is None and now - self._asked_at >= READ_EVERY_S:
            self._asked_at = now
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._done)

    async def _end(self) -> None:
        """Wait for the keys that are being read."""
        if self._reading:
            done, _ = await asyncio.wait([self._reading], timeout=READ_WITHIN_S)
            self._is_away = not done or self._is_away

    async def _read_after(self, moment: float) -> None:
        """Wait for keys whose reading began after a moment, unless the warehouse is away."""
        while self._began_at < moment and not self._is_away:
            if self._reading is None:
                # Timers may be a little early.
                await asyncio.sleep(self._asked_at + READ_EVERY_S - time.monotonic())
                self._begin()
            await self._end()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        error = None if task.cancelled() else task.exception()
        self._is_away = error is not None
        if error:
            log.warning("The keys cannot be read (%s)", type(error).__name__)

    async def _read(self) -> None:
        began_at = time.monotonic()
        rows = await self._database.rows(
            "select key_id, key_sha256, owner, scopes, expires_at from audit.api_keys"
            " where revoked_at is null"
        )
        self._known = {
            bytes(row["key_sha256"]): Caller(
                row["key_id"], row["owner"], frozenset(row["scopes"]), row["expires_at"]
            )
            for row in rows
        }
        self._began_at = began_at


def allowed(scope: str, counted: str | None = None) -> Callable[[Request], Awaitable[Caller]]:
    """For `Depends`: the caller, who has this scope.

    Args:
        counted: `PREDICTIONS`, where each request takes one of those that the caller has.

    Raises:
        Problem: 401 without a key that is known, 403 without the scope, 429 where no more is left.
    """

    async def check(request: Request) -> Caller:
        caller = await _caller(request)
        if scope not in caller.scopes:
            raise Problem(403, _lacking(caller, scope))
        if counted:
            await spend(request, caller, counted)
        return caller

    return check


async def spend(request: Request, caller: Caller, what: str) -> None:
    """Take one of what a caller has of `PREDICTIONS` or `TRAININGS`; the answer tells the rest.

    Raises:
        Problem: 429, no more is left; 503, a training, where nothing can be counted.
    """
    headers = await request.app.state.service.limits.spend(caller.key_id, what)
    request.scope[ANSWER_HEADERS] += headers


async def _caller(request: Request) -> Caller:
    service = request.app.state.service
    given = request.headers.get("authorization")
    if given is None:
        if ends_at := service.sessions.ends_at(request):
            return Caller(BROWSER, BROWSER, frozenset({READ, PREDICT}), ends_at)
        if service.settings.public_read:
            return ANYBODY
    kind, _, key = (given or "").partition(" ")
    if kind.lower() != "bearer" or not key:
        raise Problem(
            401,
            "No key was given: send it as `Authorization: Bearer ...`; `skyops key create` makes "
            "one. In a browser, open the link that `skyops link` prints.",
            {"WWW-Authenticate": "Bearer"},
        )
    caller: Caller | None = await service.keys.find(key.strip())
    if caller is None:
        raise Problem(
            401,
            "The key is not known, or it was revoked or has expired; `skyops key create` makes "
            "another.",
            {"WWW-Authenticate": "Bearer"},
        )
    return caller


def _lacking(caller: Caller, scope: str) -> str:
    if caller.key_id in (BROWSER, PUBLIC):
        who = "A browser's session" if caller.key_id == BROWSER else "A request without a key"
        return f"{who} may not do this: send a key with the scope {scope!r}."
    return f"The key {caller.key_id!r} lacks the scope {scope!r}."
