"""Asking OpenSky for state vectors: ``/states/all`` over HTTPS.

Belongs here: tokens, requests, trying again, and the raw response. Does not: what a body means
(the reader), which failures pass (`failures`), how often to ask (`credits`).
API: https://openskynetwork.github.io/opensky-api/rest.html.
"""

from __future__ import annotations

import json
import re
import threading
import time as clock
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from skyops_assets.addresses import LOOPBACK
from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.live.boxes import BoundingBox, cost_of
from skyops_assets.sources.opensky.live.credits import Reservation, account_name
from skyops_assets.sources.opensky.live.failures import (
    REMAINING,
    STATES_PATH,
    PermanentFailure,
    QuotaExceeded,
    TransientFailure,
    of_fault,
    of_status,
    of_token_status,
)

if TYPE_CHECKING:
    import httpx

    from skyops_assets.settings import Settings

ATTEMPTS = 4
LONGEST_PAUSE_S = 20.0
TOKEN_LIFE_S = 1_800.0
"""OpenSky's tokens last 30 minutes; used where the token server does not say."""
RENEW_BEFORE_S = 60.0
LARGEST_BODY = 64 * 2**20
"""Forty times a response for the whole world (1.6 MB)."""
_ICAO24 = re.compile(r"[0-9a-f]{6}")


class Budget(Protocol):
    """Where credits come from: `credits.CreditBudget`, or a test's own."""

    def reserve(self, cost: int) -> Reservation:
        """Spend, or raise `QuotaExceeded`."""

    def settle(self, reservation: Reservation, remaining: int | None) -> None:
        """Hear that a request has ended, and what the server said is left, if it said so."""

    def block(self, seconds: float) -> None:
        """Hear that the server asks to wait."""


@dataclass(frozen=True)
class Response:
    """One response of ``/states/all``, as it came.

    Attributes:
        body: the bytes, decompressed, not judged in any way.
        received_at: when the last byte was there (UTC).
        status: HTTP status, always 200.
        rate_limit_remaining: credits that OpenSky says are left, if it says so.
        cost: credits of this one request.
        content_type: as the server names it; empty if it does not.
    """

    body: bytes = field(repr=False)
    received_at: datetime
    status: int
    rate_limit_remaining: int | None
    cost: int
    content_type: str = ""


class OpenSkyClient:
    """OpenSky's REST API, with an account or anonymously.

    One client may be used by several threads. Close it, or use it as a context manager.

    Args:
        url: address of the API, such as ``https://opensky-network.org/api``.
        token_url: address of the token server.
        client_id: the API client's id; None asks anonymously.
        client_secret: its secret.
        timeout_s: seconds for a connection, for a pause between bytes, and for a whole response.
        budget: every request that goes out, repeated ones too, first reserves its cost here.
        sleep: how pauses are made; a test's clock, or a wait that a signal ends.
        on_body: called with the body of a response with status 200 and the time of its last byte,
            before anything else is done with it.

    Raises:
        SkyOpsError: id without secret or the reverse, or an address that would send them in
            the clear.
    """

    def __init__(
        self,
        url: str,
        token_url: str,
        client_id: str | None = None,
        client_secret: SecretStr | None = None,
        *,
        timeout_s: float = 30.0,
        budget: Budget | None = None,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = clock.sleep,
        on_body: Callable[[bytes, datetime], None] | None = None,
    ) -> None:
        import httpx

        if (client_id is None) != (client_secret is None):
            here, lacking = ("ID", "SECRET") if client_secret is None else ("SECRET", "ID")
            raise SkyOpsError(
                f"SKYOPS_OPENSKY_CLIENT_{here} is set and SKYOPS_OPENSKY_CLIENT_{lacking} is not: "
                "set both, or neither for anonymous access."
            )
        if client_id is not None:
            _must_be_private("SKYOPS_OPENSKY_URL", url)
            _must_be_private("SKYOPS_OPENSKY_TOKEN_URL", token_url)
        self.url = url.rstrip("/")
        self.account = account_name(client_id)
        self.is_anonymous = client_id is None
        self._token_url = token_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._timeout_s = timeout_s
        self._budget = budget
        self._attempts = attempts
        self._sleep = sleep
        self._on_body = on_body
        # A proxy of the surroundings does not lead to this machine.
        is_here = urlsplit(url).hostname in LOOPBACK
        self._http = httpx.Client(
            timeout=timeout_s, headers={"Accept": "application/json"}, trust_env=not is_here
        )
        self._lock = threading.Lock()
        self._token: SecretStr | None = None
        self._renew_at = 0.0
        self._blocked_until = 0.0

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        budget: Budget | None = None,
        *,
        sleep: Callable[[float], None] = clock.sleep,
        on_body: Callable[[bytes, datetime], None] | None = None,
    ) -> Self:
        """The client that the settings describe."""
        return cls(
            settings.opensky_url,
            settings.opensky_token_url,
            settings.opensky_client_id,
            settings.opensky_client_secret,
            timeout_s=settings.opensky_timeout_s,
            budget=budget,
            sleep=sleep,
            on_body=on_body,
        )

    def __repr__(self) -> str:
        return f"OpenSkyClient({self.url!r}, account={self.account!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def states(
        self,
        box: BoundingBox | None = None,
        icao24: Sequence[str] = (),
        time: datetime | None = None,
        extended: bool = True,
    ) -> Response:
        """The state vectors of now, or of a moment within the last hour.

        Server and network faults are tried again, four times in all with growing random
        pauses of at most 20 s; a response with status 200 never is, whatever its body.

        Args:
            box: only aircraft within; None asks for the whole world, which costs most.
            icao24: only these aircraft, six hexadecimal digits each; none means all.
            time: the moment, with a time zone; only with an account.
            extended: also ask for the category, the 18th field.

        Raises:
            TransientFailure: it failed each time; it may pass.
            PermanentFailure: it cannot work until something is changed; the message says what.
            QuotaExceeded: no credits; nothing is sent until ``retry_after_s`` have passed.
            SkyOpsError: an argument cannot be used.
        """
        from tenacity import (
            Retrying,
            retry_if_exception_type,
            stop_after_attempt,
            wait_random_exponential,
        )

        parameters = self._parameters(box, icao24, time, extended)
        cost = cost_of(box)
        asked = "the whole world" if box is None else f"a box of {box.area_deg2:.1f} square degrees"
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=wait_random_exponential(multiplier=1, max=LONGEST_PAUSE_S),
            retry=retry_if_exception_type(TransientFailure),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._ask, parameters, cost, asked)

    def _parameters(
        self, box: BoundingBox | None, icao24: Sequence[str], at: datetime | None, extended: bool
    ) -> list[tuple[str, str]]:
        """The query of a request, checked."""
        found: list[tuple[str, str]] = []
        if box is not None:
            found += [
                ("lamin", str(box.min_latitude_deg)),
                ("lomin", str(box.min_longitude_deg)),
                ("lamax", str(box.max_latitude_deg)),
                ("lomax", str(box.max_longitude_deg)),
            ]
        if isinstance(icao24, str):
            raise SkyOpsError(f"icao24 is a list of addresses; give [{icao24!r}].")
        for address in icao24:
            if not _ICAO24.fullmatch(address.lower()):
                raise SkyOpsError(f"{address!r} is not an icao24: it is six hexadecimal digits.")
            found.append(("icao24", address.lower()))
        if at is not None:
            if at.tzinfo is None:
                raise SkyOpsError(f"The time {at} has no time zone; give it in UTC.")
            if self.is_anonymous:
                raise SkyOpsError(
                    f"OpenSky answers queries for an earlier time ({at}) only with an account: set "
                    "SKYOPS_OPENSKY_CLIENT_ID and SKYOPS_OPENSKY_CLIENT_SECRET."
                )
            found.append(("time", str(int(at.timestamp()))))
        if extended:
            found.append(("extended", "1"))
        return found

    def _ask(self, parameters: list[tuple[str, str]], cost: int, asked: str) -> Response:
        """One request; a second one with a fresh token if the first is refused with 401."""
        wait_s = self._blocked_until - clock.monotonic()
        if wait_s > 0:
            raise QuotaExceeded(
                f"OpenSky asked SkyOps to wait; {wait_s:.0f} s of it are left.",
                retry_after_s=wait_s,
            )
        token = None if self.is_anonymous else self._fresh_token()
        response, body = self._send(parameters, cost, asked, token)
        if response.status_code == 401 and token is not None:
            self._drop(token)
            response, body = self._send(parameters, cost, asked, self._fresh_token())
        received_at = datetime.now(UTC)
        if response.status_code == 200 and self._on_body is not None:
            self._on_body(body, received_at)
        failure = of_status(
            response.status_code,
            response.headers,
            asked=asked,
            url=str(response.url),
            is_anonymous=self.is_anonymous,
        )
        if isinstance(failure, QuotaExceeded):
            self._blocked_until = clock.monotonic() + failure.retry_after_s
            if self._budget is not None:
                self._budget.block(failure.retry_after_s)
        if failure is not None:
            raise failure
        return Response(
            body=body,
            received_at=received_at,
            status=response.status_code,
            rate_limit_remaining=_remaining(response.headers),
            cost=cost,
            content_type=response.headers.get("Content-Type", ""),
        )

    def _send(
        self, parameters: list[tuple[str, str]], cost: int, asked: str, token: SecretStr | None
    ) -> tuple[httpx.Response, bytes]:
        """Reserve, send, read and settle; sending and reading within the timeout."""
        reservation = None if self._budget is None else self._budget.reserve(cost)
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        try:
            response, body = self._exchange(
                "GET", f"{self.url}{STATES_PATH}", asked, params=parameters, headers=headers
            )
        except (TransientFailure, PermanentFailure) as failure:
            # A server that was too slow may charge for it yet: the request stays under way.
            if not (isinstance(failure, TransientFailure) and failure.is_too_late):
                self._settle(reservation, None)
            raise
        self._settle(reservation, _remaining(response.headers))
        return response, body

    def _settle(self, reservation: Reservation | None, remaining: int | None) -> None:
        """Tell the budget how a request ended.

        A response in hand is worth more than its note in a warehouse that has just gone away; the
        next one brings the same number again.
        """
        if self._budget is not None and reservation is not None:
            with suppress(SkyOpsError):
                self._budget.settle(reservation, remaining)

    def _exchange(
        self,
        method: str,
        url: str,
        asked: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        data: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[httpx.Response, bytes]:
        """One exchange over HTTP.

        The failure is raised outside the handler: httpx's error holds the request, and with it
        the token, and must not hang on to ours.
        """
        import httpx

        setting = "SKYOPS_OPENSKY_" + ("TOKEN_URL" if url == self._token_url else "URL")
        deadline = clock.monotonic() + self._timeout_s
        failure: SkyOpsError
        try:
            with self._http.stream(
                method, url, params=tuple(params), data=data, headers=headers
            ) as response:
                parts, size = [], 0
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > LARGEST_BODY:
                        raise httpx.DecodingError("too large")
                    # httpx's own limit is for each read; a trickle of bytes would never end.
                    if clock.monotonic() > deadline:
                        raise httpx.ReadTimeout("the whole response")
                return response, b"".join(parts)
        except httpx.InvalidURL:
            failure = PermanentFailure(f"{url} is not an address. Correct {setting}.")
        except httpx.HTTPError as error:
            failure = of_fault(error, asked=asked, url=url, setting=setting)
        raise failure

    def _fresh_token(self) -> SecretStr:
        """The token, renewed before it expires; only one thread asks for a new one."""
        with self._lock:
            if self._token is None or clock.monotonic() >= self._renew_at:
                self._token, life_s = self._new_token()
                # A short life is shared: at most a tenth of it goes to caution.
                self._renew_at = clock.monotonic() + life_s - min(RENEW_BEFORE_S, life_s / 10)
            return self._token

    def _drop(self, token: SecretStr) -> None:
        """Forget a token that was refused, unless another thread has a newer one already."""
        with self._lock:
            if self._token is token:
                self._token = None

    def _new_token(self) -> tuple[SecretStr, float]:
        """A token and its life in seconds."""
        assert self._client_id is not None and self._client_secret is not None
        response, body = self._exchange(
            "POST",
            self._token_url,
            "a token",
            data={
                "grant_type": "client_credentials",
                "client_id": self._client_id,
                "client_secret": self._client_secret.get_secret_value(),
            },
        )
        failure = of_token_status(response.status_code, response.headers, self._token_url)
        if failure is not None:
            raise failure
        found = _token_in(body)
        if found is None:
            # Raised here and not where it was read: a decoder's error quotes what it read.
            raise TransientFailure(
                f"The token server {self._token_url} returned no token. If this persists, correct "
                "SKYOPS_OPENSKY_TOKEN_URL."
            )
        return found


def _token_in(body: bytes) -> tuple[SecretStr, float] | None:
    """The token and its life in a response of the token server, or None if there is none."""
    try:
        response = json.loads(body)
        token = response["access_token"]
        life_s = float(response.get("expires_in", TOKEN_LIFE_S))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    # It goes into a header: what cannot stand there would fail with the token in the message.
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token) or not life_s > 0:
        return None
    return SecretStr(token), life_s


def _remaining(headers: Mapping[str, str]) -> int | None:
    """What a response says is left; None where it says nothing, or what is no number of credits."""
    value = headers.get(REMAINING, "")
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        return None
    return max(int(value), 0)


def _must_be_private(name: str, url: str) -> None:
    """Refuse to send a secret or token in the clear, but for a server on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise SkyOpsError(
            f"{name} is {url}, and a secret is not sent without encryption: use https, or a "
            "server on this machine (127.0.0.1)."
        )
