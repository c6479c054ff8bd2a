"""A server that stands in for OpenSky: tokens, credits, responses, and every fault on demand.

Belongs here: what the server says and to whom; it listens on loopback only. It is for tests and
for trying SkyOps "live" without an account (``skyops fake-opensky``). Does not: the states that it
gives (`fake_states`), rows that are spoilt (`fake_faults`), anything that the rest of SkyOps relies
on. What it gives is marked as simulated, whatever it replays.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import secrets
import socket
import struct
import threading
import time as clock
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from skyops_assets.errors import SkyOpsError
from skyops_assets.simulate.fake_faults import check_fault, spoilt
from skyops_assets.simulate.fake_states import (
    CATEGORY,
    LAST_CONTACT,
    LATITUDE,
    LONGITUDE,
    TIME,
    Source,
    State,
)
from skyops_assets.sources.opensky.live.boxes import BoundingBox, cost_of
from skyops_assets.sources.opensky.live.credits import (
    ANONYMOUS,
    ANONYMOUS_CREDITS,
    STANDARD_CREDITS,
    account_name,
    seconds_left_of_day,
)
from skyops_assets.sources.opensky.live.failures import REMAINING, RETRY_AFTER
from skyops_assets.sources.opensky.reading.rest import SIMULATED

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

NAME = "fake-opensky"
"""What every response says of itself, so that nobody takes its positions for OpenSky's."""

HISTORY_S = 3_600

NEW_URL = "https://moved.example/api"
"""Where a 301 sends to; no such host can be (RFC 2606)."""


@dataclass
class Accounts:
    """What the server was asked and what it gave, for tests to compare with.

    Attributes:
        requests: requests for states, by account.
        asked_credits: what these would cost if every one counted, by account.
        charged_credits: what was taken: responses with status 200, by account.
        by_status: responses by HTTP status; a connection cut counts as "reset".
        by_fault: faults that were played.
        tokens: tokens given.
        rows: state vectors sent in bodies that can be read.
        delivered: (icao24, time) of every good state in a body that can be read, but for
            slow responses, which the asker may have given up on.
    """

    requests: Counter[str] = field(default_factory=Counter)
    asked_credits: Counter[str] = field(default_factory=Counter)
    charged_credits: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    by_fault: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    rows: int = 0
    delivered: set[tuple[str, int]] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        """The counts; of the delivered positions, their number."""
        return {**vars(self), "delivered": len(self.delivered)}


class FakeOpenSky:
    """The server's behaviour, in one place for its endpoints and for tests in its process.

    Args:
        source: what it replays.
        speed: seconds of the recording in one second.
        faults: names out of `FAULTS` that are played at random.
        fault_rate: the share of requests that meet one of them.
        seed: of the random faults.
        daily_credits: of every account that has a client id; anonymous askers have 400.
        client_secret: the one that is accepted; None accepts any.
        token_life_s: seconds until a token is stale.
        slow_s: how long a slow response takes.
        starts_at: when the recording's first second is to be, Unix seconds; None keeps its times.

    Raises:
        SkyOpsError: a fault that it does not know, or a speed or rate that makes no sense.
    """

    def __init__(
        self,
        source: Source,
        *,
        speed: float = 1.0,
        faults: Sequence[str] = (),
        fault_rate: float = 0.2,
        seed: int = 1,
        daily_credits: int = STANDARD_CREDITS,
        anonymous_credits: int = ANONYMOUS_CREDITS,
        client_secret: str | None = None,
        token_life_s: float = 1_800.0,
        slow_s: float = 60.0,
        starts_at: int | None = None,
    ) -> None:
        for name in faults:
            check_fault(name)
        if not (speed >= 0 and math.isfinite(speed)):
            raise SkyOpsError(f"A speed of {speed} is not valid; 1 is as recorded.")
        if not 0 <= fault_rate <= 1:
            raise SkyOpsError(f"A share of {fault_rate} faults is not valid; give 0 to 1.")
        self.source = source
        self.speed = speed
        self.accounts = Accounts()
        self.server: uvicorn.Server | None = None
        self._faults = tuple(faults)
        self._fault_rate = fault_rate
        self._random = random.Random(seed)  # noqa: S311
        self._credits = daily_credits
        self._anonymous_credits = anonymous_credits
        self._client_secret = client_secret
        self._token_life_s = token_life_s
        self._slow_s = slow_s
        self._shift = 0 if starts_at is None else starts_at - source.start
        self._began = clock.monotonic()
        self._skipped_s = 0.0
        self._demanded: deque[str] = deque()
        self._tokens: dict[str, tuple[str, float]] = {}
        self._retry_after_s: float | None = None
        self._lock = threading.RLock()

    def demand(self, fault: str, times: int = 1) -> None:
        """Play a fault on the next requests, before any random one."""
        self._demanded.extend([check_fault(fault)] * times)

    def advance(self, seconds: float) -> None:
        """Let the replayed time jump ahead."""
        self._skipped_s += seconds

    def expire_tokens(self) -> None:
        """Make every token stale that was given so far."""
        self._tokens = {token: (account, 0.0) for token, (account, _) in self._tokens.items()}

    def ask_to_wait(self, seconds: float | None) -> None:
        """What a 429 says; None is the time until midnight UTC."""
        self._retry_after_s = seconds

    @property
    def tokens(self) -> list[str]:
        """Every token that was given."""
        return list(self._tokens)

    @property
    def now(self) -> int:
        """The replayed time in Unix seconds."""
        passed = (clock.monotonic() - self._began) * self.speed + self._skipped_s
        return self.source.start + self._shift + int(passed)

    def answer_at(self, second: int) -> tuple[int, list[State]]:
        """The response of a moment, times moved; past its end the recording starts again."""
        cycle, offset = divmod(second - self._shift - self.source.start, self.source.length)
        at, rows = self.source.at(self.source.start + offset)
        move = self._shift + cycle * self.source.length
        moved = [
            [
                value + move if place in (TIME, LAST_CONTACT) and value is not None else value
                for place, value in enumerate(row)
            ]
            for row in rows
        ]
        return at + move, moved

    def remaining(self, account: str) -> int:
        """Credits that an account has left."""
        whole = self._anonymous_credits if account == ANONYMOUS else self._credits
        return whole - self.accounts.charged_credits[account]

    def app(self) -> Starlette:
        """The endpoints, as an ASGI application."""
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse, Response
        from starlette.routing import Route

        async def token(request: Request) -> Response:
            return self._give_token(await request.body())

        async def accounts(_: Request) -> Response:
            return JSONResponse(self.accounts.as_json())

        async def demand(request: Request) -> Response:
            try:
                self.demand(
                    request.query_params["name"], int(request.query_params.get("times", "1"))
                )
            except (SkyOpsError, KeyError, ValueError) as error:
                return JSONResponse({"error": str(error)}, status_code=400)
            return Response(status_code=204)

        return Starlette(
            routes=[
                Route("/api/states/all", self._states),
                Route("/token", token, methods=["POST"]),
                Route("/fake/accounts", accounts),
                Route("/fake/faults", demand, methods=["POST"]),
            ]
        )

    def _give_token(self, body: bytes) -> Response:
        from starlette.responses import JSONResponse

        form = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
        if form.get("grant_type") != "client_credentials" or not form.get("client_id"):
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        given = form.get("client_secret", "")
        if not given or self._client_secret not in (None, given):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        token = secrets.token_urlsafe(32)
        account = account_name(form["client_id"])
        with self._lock:
            self._tokens[token] = (account, clock.monotonic() + self._token_life_s)
            self.accounts.tokens += 1
        return JSONResponse(
            {"access_token": token, "expires_in": self._token_life_s, "token_type": "Bearer"}
        )

    def _asker(self, request: Request) -> tuple[str, bool]:
        """Who asks, and whether their token is still good."""
        given = request.headers.get("Authorization")
        if given is None:
            return ANONYMOUS, True
        account, until = self._tokens.get(given.removeprefix("Bearer "), ("unknown", 0.0))
        return account, clock.monotonic() < until

    def _next_fault(self) -> str | None:
        if self._demanded:
            return self._demanded.popleft()
        if self._faults and self._random.random() < self._fault_rate:
            return self._random.choice(self._faults)
        return None

    async def _states(self, request: Request) -> Response:
        from starlette.responses import Response

        with self._lock:
            fault = self._next_fault()
            if fault:
                self.accounts.by_fault[fault] += 1
            status, body, headers = self._decide(request, fault)
            self.accounts.by_status[str(status) if status else "reset"] += 1
        if fault == "slow":
            await asyncio.sleep(self._slow_s)
        if not status:
            self._cut(request)
        kind = "text/html" if body.lstrip().startswith(b"<") else "application/json"
        return Response(body, status or 500, headers, media_type=kind)

    def _decide(
        self, request: Request, fault: str | None
    ) -> tuple[int, bytes, dict[str, str] | None]:
        """Status (0 cuts the connection), body and headers; books what it says."""
        try:
            box = _box_of(request)
            at = self._time_of(request)
        except (SkyOpsError, ValueError):
            return 400, b'{"error": "bad request"}', None
        account, is_known = self._asker(request)
        cost = cost_of(box)
        self.accounts.requests[account] += 1
        self.accounts.asked_credits[account] += cost
        if not is_known or fault == "401":
            return 401, b'{"error": "unauthorized"}', None
        if at is None and "time" in request.query_params and account != ANONYMOUS:
            return 400, b'{"error": "time is more than one hour ago"}', None
        if fault == "429" or self.remaining(account) < cost:
            wait_s = self._retry_after_s
            if wait_s is None:
                wait_s = seconds_left_of_day(datetime.now(UTC))
            return 429, b"Too many requests", {RETRY_AFTER: f"{math.ceil(wait_s)}"}
        if failure := _failure(request, fault):
            return failure
        self.accounts.charged_credits[account] += cost
        headers = {REMAINING: str(self.remaining(account))}
        if fault == "html":
            return 200, b"<!doctype html><title>Maintenance</title>", headers
        return 200, self._body(request, box, at, fault), headers

    def _time_of(self, request: Request) -> int | None:
        """The moment that is asked for; None without one or for one out of reach."""
        given = request.query_params.get("time")
        if given is None:
            return None
        second = int(given)
        return second if 0 <= self.now - second <= HISTORY_S else None

    def _body(
        self, request: Request, box: BoundingBox | None, at: int | None, fault: str | None
    ) -> bytes:
        is_anonymous = "Authorization" not in request.headers
        second, rows = self.answer_at(self.now if at is None or is_anonymous else at)
        wanted = {address.lower() for address in request.query_params.getlist("icao24")}
        rows = [
            row
            for row in rows
            if (not wanted or row[0] in wanted) and (box is None or _is_within(row, box))
        ]
        good = {(row[0], row[TIME]) for row in rows if row[TIME] is not None}
        rows = spoilt(rows, fault, second, self._random)
        if request.query_params.get("extended") != "1":
            rows = [row[:CATEGORY] for row in rows]
        # The mark comes first, so that a response that is cut off has it too.
        marked = {SIMULATED: NAME, "time": second}
        body = json.dumps({**marked, "states": rows or None}).encode()
        if fault == "null-states":
            return json.dumps({**marked, "states": None}).encode()
        if fault == "truncated":
            return body[: len(body) // 2]
        if fault != "slow":
            self.accounts.rows += len(rows)
            self.accounts.delivered |= good
        return body

    def _cut(self, request: Request) -> None:
        """Close the connection with a reset (RST), in place of a response."""
        assert self.server is not None and request.client is not None
        for connection in list(self.server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport and getattr(connection, "client", None) == tuple(request.client):
                option = struct.pack("ii", 1, 0)
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, option
                )
                transport.abort()


def _failure(
    request: Request, fault: str | None
) -> tuple[int, bytes, dict[str, str] | None] | None:
    """The response to a request that costs nothing, because the fault keeps it from the states."""
    if fault == "204":
        return 204, b"", None
    if fault == "301":
        return 301, b"", {"Location": f"{NEW_URL}{request.url.path[4:]}?{request.url.query}"}
    if fault in ("500", "503"):
        return int(fault), b"<html>Something went wrong</html>", None
    if fault == "reset":
        return 0, b"", None
    return None


def _box_of(request: Request) -> BoundingBox | None:
    names = ("lamin", "lomin", "lamax", "lomax")
    given = [request.query_params.get(name) for name in names]
    if not any(given):
        return None
    return BoundingBox(*(float(value or "nan") for value in given))


def _is_within(row: State, box: BoundingBox) -> bool:
    if row[LATITUDE] is None or row[LONGITUDE] is None:
        return False
    return box.contains(row[LATITUDE], row[LONGITUDE])


@dataclass(frozen=True)
class Running:
    """A server that answers: its address and its behaviour."""

    base: str
    fake: FakeOpenSky

    @property
    def url(self) -> str:
        """For SKYOPS_OPENSKY_URL."""
        return f"{self.base}/api"

    @property
    def token_url(self) -> str:
        """For SKYOPS_OPENSKY_TOKEN_URL."""
        return f"{self.base}/token"


def _server(fake: FakeOpenSky, port: int) -> tuple[uvicorn.Server, socket.socket, Running]:
    import uvicorn

    # asyncio spares only sockets of this protocol Nagle's wait: 1 ms a response instead of 44.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise SkyOpsError(
            f"Port {port} of this machine cannot be used ({error.strerror}). Give another."
        ) from None
    config = uvicorn.Config(
        fake.app(),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    fake.server = uvicorn.Server(config)
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    return fake.server, listener, Running(base, fake)


def serve(fake: FakeOpenSky, port: int, on_start: Callable[[Running], None]) -> None:
    """Answer in this process until it is interrupted.

    Args:
        port: 0 takes a free one.
        on_start: called with the address once the port is taken.

    Raises:
        SkyOpsError: the port cannot be used.
    """
    server, listener, running = _server(fake, port)
    on_start(running)
    server.run(sockets=[listener])


@contextmanager
def running(fake: FakeOpenSky, port: int = 0) -> Iterator[Running]:
    """A server in a thread, on a free port, for the time of a ``with``."""
    server, listener, found = _server(fake, port)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="fake-opensky", daemon=True
    )
    thread.start()
    try:
        until = clock.monotonic() + 10
        while not server.started:
            if clock.monotonic() > until or not thread.is_alive():
                raise SkyOpsError(f"The fake OpenSky did not start on {found.base}.")
            clock.sleep(0.005)
        yield found
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
