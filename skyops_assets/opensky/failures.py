"""What can go wrong when OpenSky is asked, classed once: it may pass, it will not, or wait.

Belongs here: the three classes and the one place that decides which applies. Does not: trying
again (`client`), and whether a body that came whole is any good, which the reader judges.
No message quotes a body or a header of the answer: they may repeat a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import httpx

RETRY_AFTER = "X-Rate-Limit-Retry-After-Seconds"
REMAINING = "X-Rate-Limit-Remaining"
UNKNOWN_WAIT_S = 60.0
"""What to wait after a 429 that does not say for how long."""
LONGEST_WAIT_S = 86_400.0
"""Credits come back every day, so no true wait is longer."""
_MAY_PASS = frozenset({408, 425})


class TransientFailure(SkyOpsError):
    """It may pass by itself: the server or the network had a fault. Ask again later."""


class PermanentFailure(SkyOpsError):
    """Asking again the same way fails again: something has to be changed first."""


class QuotaExceeded(SkyOpsError):
    """There are no credits, or OpenSky asks to wait.

    Attributes:
        retry_after_s: seconds until asking makes sense again.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def of_status(
    status: int, headers: Mapping[str, str], *, asked: str, is_anonymous: bool
) -> SkyOpsError | None:
    """The failure that an answer's status is, or None for 200.

    Args:
        asked: what was asked, in words fit for a message.
        is_anonymous: whether the request carried no token.
    """
    if status == 200:
        return None
    if status == 429:
        wait_s = retry_after_s(headers)
        return QuotaExceeded(
            f"OpenSky has no credits left for {asked} (429) and asks to wait {wait_s:.0f} s. "
            + (
                "An account has ten times the credits: set SKYOPS_OPENSKY_CLIENT_ID and "
                "SKYOPS_OPENSKY_CLIENT_SECRET."
                if is_anonymous
                else "Nothing is asked before; fewer or smaller boxes cost less."
            ),
            wait_s,
        )
    if status >= 500 or status in _MAY_PASS:
        return TransientFailure(
            f"OpenSky answered {status} to {asked}: a fault of the server that usually passes. "
            "If it lasts, see https://opensky-network.org."
        )
    return PermanentFailure(
        f"OpenSky answered {status} to {asked}: {_advice(status, is_anonymous=is_anonymous)}"
    )


def of_token_status(status: int, headers: Mapping[str, str], url: str) -> SkyOpsError | None:
    """The failure that the token server's status is, or None for 200."""
    if status == 200:
        return None
    if status == 429:
        wait_s = retry_after_s(headers)
        return QuotaExceeded(f"The token server {url} asks to wait {wait_s:.0f} s (429).", wait_s)
    if status >= 500 or status in _MAY_PASS:
        return TransientFailure(
            f"The token server {url} answered {status}: a fault of the server that usually passes."
        )
    if status in (400, 401, 403):
        return PermanentFailure(
            f"The token server {url} refuses the client ({status}). Correct "
            "SKYOPS_OPENSKY_CLIENT_ID and SKYOPS_OPENSKY_CLIENT_SECRET; OpenSky's account page "
            "shows the first and renews the second."
        )
    return PermanentFailure(
        f"The token server {url} answered {status}. Correct SKYOPS_OPENSKY_TOKEN_URL."
    )


def of_fault(error: httpx.HTTPError, *, asked: str, url: str, setting: str) -> SkyOpsError:
    """The failure that a fault below HTTP is: no connection, no answer, a broken one.

    Args:
        setting: the variable that holds the address.
    """
    import httpx

    kind = type(error).__name__
    if isinstance(error, httpx.UnsupportedProtocol):
        return PermanentFailure(f"{url} is no http or https address. Correct {setting}.")
    if isinstance(error, httpx.TimeoutException):
        return TransientFailure(
            f"{url} did not answer in time to {asked} ({kind}). If it lasts, raise "
            "SKYOPS_OPENSKY_TIMEOUT_S or ask for a smaller box."
        )
    return TransientFailure(
        f"The connection to {url} failed for {asked} ({kind}). If it lasts, check the network and "
        f"{setting}."
    )


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that an answer asks to wait: OpenSky's header, else HTTP's, else a minute."""
    for name in (RETRY_AFTER, "Retry-After"):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if seconds >= 0:
            return min(seconds, LONGEST_WAIT_S)
    return UNKNOWN_WAIT_S


def _advice(status: int, is_anonymous: bool) -> str:
    """What a person does about an answer that stays as it is."""
    if 300 <= status < 400:
        return "it moved elsewhere. Correct SKYOPS_OPENSKY_URL."
    if status == 401:
        return (
            "it wants an account. Set SKYOPS_OPENSKY_CLIENT_ID and SKYOPS_OPENSKY_CLIENT_SECRET."
            if is_anonymous
            else "it refuses even a fresh token. Check that SKYOPS_OPENSKY_TOKEN_URL belongs to "
            "SKYOPS_OPENSKY_URL and that the account is active."
        )
    if status == 403:
        return (
            "this account or address may not ask. OpenSky blocks some data centres; otherwise "
            "check the account's rights at https://opensky-network.org."
        )
    if status == 400:
        return "it cannot be answered. A time may lie at most one hour back."
    if status == 404:
        return "there is nothing at this address. Correct SKYOPS_OPENSKY_URL."
    return "asking again will not help. Check SKYOPS_OPENSKY_URL and what was asked for."
