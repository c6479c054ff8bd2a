"""Who may ask the service for what: API keys and their scopes.

A key is `sk_` and 43 characters of base64url: 256 random bits. Where a caller comes from says
nothing: on a shared machine everybody comes from loopback.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import Request

from skyops_assets.serving.database import Database
from skyops_assets.serving.problems import Problem

READ, PREDICT, ADMIN = SCOPES = ("read", "predict", "admin")
KNOWN_FOR_S = 2.0
"""So long a key that was revoked may still be taken."""


@dataclass(frozen=True)
class Caller:
    """Who asks: a key, by the name that it was given."""

    key_id: str
    owner: str
    scopes: frozenset[str]
    expires_at: datetime | None


class Keys:
    """The keys of the warehouse, as they were at most `KNOWN_FOR_S` ago."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, Caller] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, key: str) -> Caller | None:
        """Whose key it is; None where it is none, or none any more.

        Raises:
            psycopg.OperationalError: keys were never read, and the warehouse is away.
        """
        if time.monotonic() - self._read_at > KNOWN_FOR_S:
            async with self._reading:
                if time.monotonic() - self._read_at > KNOWN_FOR_S:
                    await self._read()
        found = self._known.get(hashlib.sha256(key.encode()).digest())
        if found and found.expires_at and found.expires_at <= datetime.now(UTC):
            return None
        return found

    async def _read(self) -> None:
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
        self._read_at = time.monotonic()


def allowed(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """For `Depends`: the caller, who has this scope.

    Raises:
        Problem: 401 without a key that is known, 403 without the scope.
    """

    async def check(request: Request) -> Caller:
        caller = await _caller(request)
        if scope not in caller.scopes:
            raise Problem(403, f"The key {caller.key_id!r} lacks the scope {scope!r}.")
        return caller

    return check


async def _caller(request: Request) -> Caller:
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not key:
        raise Problem(
            401,
            "No key was given: send it as `Authorization: Bearer ...`; `skyops key create` makes "
            "one.",
            {"WWW-Authenticate": "Bearer"},
        )
    caller = await request.app.state.service.keys.find(key.strip())
    if caller is None:
        raise Problem(
            401,
            "The key is not known, or it was revoked or has expired; `skyops key create` makes "
            "another.",
            {"WWW-Authenticate": "Bearer"},
        )
    found: Caller = caller
    return found
