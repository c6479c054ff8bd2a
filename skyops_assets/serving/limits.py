"""How often a caller may ask: a moving window, counted in this process or in Redis for all copies.

Belongs here: counting, and what is told of it. Does not: who the caller is (`access`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter as SharedWindow
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter as OwnWindow

from skyops_assets.serving.metrics import LIMITED
from skyops_assets.serving.problems import Problem
from skyops_assets.settings import Settings

PREDICTIONS, TRAININGS = "predictions", "trainings"
ANSWERS_WITHIN_S = 0.25
ASKED_AGAIN_S = 5.0
"""So long Redis is not asked again after it did not answer: else every request would wait."""
LOW = 10
"""Where limits cannot be counted, predictions have this part of theirs, in each process."""
log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class _Limit:
    item: RateLimitItem
    per: str

    def headers(self, name: str, left: int, reset_s: int) -> list[Header]:
        """As the IETF's draft has them (draft-ietf-httpapi-ratelimit-headers)."""
        policy = f'"{name}";q={self.item.amount};w={self.item.get_expiry()}'
        return [
            (b"ratelimit-policy", policy.encode()),
            (b"ratelimit", f'"{name}";r={max(0, left)};t={reset_s}'.encode()),
        ]


class Limits:
    """What each caller has had of what is limited."""

    def __init__(self, settings: Settings) -> None:
        predictions, trainings = settings.predictions_a_minute, settings.trainings_an_hour
        self._limits = {
            PREDICTIONS: _Limit(RateLimitItemPerMinute(predictions), "minute"),
            TRAININGS: _Limit(RateLimitItemPerHour(trainings), "hour"),
        }
        self._low = _Limit(RateLimitItemPerMinute(max(1, predictions // LOW)), "minute")
        # The library's own for asyncio asks a thread each time: 12 us instead of 2.
        self._own = OwnWindow(MemoryStorage())
        self._shared: SharedWindow | None = None
        self._ask_again_at = 0.0
        if settings.limits_url:
            self._shared = SharedWindow(
                RedisStorage(
                    f"async+{settings.limits_url.get_secret_value()}",
                    implementation="redispy",
                    key_prefix="skyops",
                    socket_connect_timeout=ANSWERS_WITHIN_S,
                )
            )

    @property
    def is_counted(self) -> bool:
        """Whether limits are counted where they are meant to be."""
        return self._shared is None or time.monotonic() >= self._ask_again_at

    async def spend(self, caller: str, what: str) -> list[Header]:
        """Take one of what a caller has, and what the answer's headers tell of the rest.

        Raises:
            Problem: 429, it has had all; 503, a training, where nothing can be counted.
        """
        limit = self._limits[what]
        if self._shared is None:
            return self._spend_own(limit, caller, what)
        if self.is_counted:
            try:
                async with asyncio.timeout(ANSWERS_WITHIN_S):
                    is_taken = await self._shared.hit(limit.item, what, caller)
                    stats = await self._shared.get_window_stats(limit.item, what, caller)
                return _told(limit, caller, what, is_taken, stats)
            except Exception as error:
                if isinstance(error, Problem):
                    raise
                self._ask_again_at = time.monotonic() + ASKED_AGAIN_S
                # Without its words, which may hold the address.
                log.warning("SKYOPS_LIMITS_URL does not answer (%s)", type(error).__name__)
        if what != PREDICTIONS:
            raise Problem(
                503,
                f"No {what} are started: the Redis that counts them does not answer. Try again in "
                f"{ASKED_AGAIN_S:.0f} s.",
                {"Retry-After": f"{ASKED_AGAIN_S:.0f}"},
            )
        return self._spend_own(self._low, caller, what)

    def _spend_own(self, limit: _Limit, caller: str, what: str) -> list[Header]:
        is_taken = self._own.hit(limit.item, what, caller)
        stats = self._own.get_window_stats(limit.item, what, caller)
        return _told(limit, caller, what, is_taken, stats)


def _told(
    limit: _Limit, caller: str, what: str, is_taken: bool, stats: tuple[float, int]
) -> list[Header]:
    resets_at, left = stats
    reset_s = max(1, math.ceil(resets_at - time.time()))
    headers = limit.headers(what, left, reset_s)
    if is_taken:
        return headers
    LIMITED.labels(what).inc()
    raise Problem(
        429,
        f"The key {caller!r} has used its {limit.item.amount} {what} of this {limit.per}; try "
        f"again in {reset_s} s.",
        {"Retry-After": str(reset_s), **{name.decode(): value.decode() for name, value in headers}},
    )
