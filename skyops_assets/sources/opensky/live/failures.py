"""What can go wrong when OpenSky is asked, classed once: it may pass, it will not, or wait.

Belongs here: the three classes and the one place that decides which applies. Does not: trying
again (`client`), and whether a body that came whole is any good, which the reader judges.
No message quotes a body or a header of the response, as they may repeat a secret; but for the
address that a redirect sends to, without its user and query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import httpx

RETRY_AFTER = "X-Rate-Limit-Retry-After-Seconds"
REMAINING = "X-Rate-Limit-Remaining"
UNKNOWN_WAIT_S = 60.0
"""What to wait after a 429 that does not say for how long."""
LONGEST_WAIT_S = 86_400.0
"""Credits come back every day, so no true wait is longer."""
STATES_PATH = "/states/all"
LONGEST_ADDRESS = 200
_MAY_PASS = frozenset({408, 425})


class TransientFailure(SkyOpsError):
    """It may pass by itself: the server or the network had a fault. Ask again later.

    Attributes:
        is_too_late: the response was not waited for any longer; the server may be at it still.
    """

    def __init__(self, message: str, *, is_too_late: bool = False) -> None:
        super().__init__(message)
        self.is_too_late = is_too_late


class PermanentFailure(SkyOpsError):
    """Asking again the same way fails again: something has to be changed first.

    Attributes:
        is_sent_elsewhere: the address redirects (3xx). Where it gave responses before, it may be a
            page of maintenance, a gateway or a network's login, and end without anyone's doing.
    """

    def __init__(self, message: str, *, is_sent_elsewhere: bool = False) -> None:
        super().__init__(message)
        self.is_sent_elsewhere = is_sent_elsewhere


class QuotaExceeded(SkyOpsError):
    """There are no credits, or OpenSky asks to wait.

    Attributes:
        retry_after_s: seconds until asking makes sense again.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def of_status(
    status: int, headers: Mapping[str, str], *, asked: str, is_anonymous: bool, url: str = ""
) -> SkyOpsError | None:
    """The failure that a response's status is, or None for 200.

    Args:
        asked: what was asked, in words fit for a message.
        is_anonymous: whether the request carried no token.
        url: the address that was asked, for a redirect that names only a path.
    """
    if status == 200:
        return None
    if status == 429:
        wait_s = retry_after_s(headers)
        return QuotaExceeded(
            f"OpenSky has no credits left for {asked} (429) and asks to wait {wait_s:.0f} s. "
            + (
                "With an account there are ten times the credits: set SKYOPS_OPENSKY_CLIENT_ID and "
                "SKYOPS_OPENSKY_CLIENT_SECRET."
                if is_anonymous
                else "No request is sent before then; fewer or smaller boxes cost less."
            ),
            wait_s,
        )
    if status >= 500 or status in _MAY_PASS:
        return TransientFailure(
            f"OpenSky answered {status} to {asked}: a fault of the server that usually passes. "
            "If this persists, see https://opensky-network.org."
        )
    if status < 300:
        return TransientFailure(
            f"OpenSky answered {status} to {asked}, which is not a response with states: a fault "
            "of the server, or of a proxy in between, that usually passes. If it lasts, check "
            "SKYOPS_OPENSKY_URL."
        )
    if status < 400:
        return PermanentFailure(
            f"OpenSky answered {status} to {asked}: "
            + _moved(url, headers, "SKYOPS_OPENSKY_URL", STATES_PATH),
            is_sent_elsewhere=True,
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
    if status < 300:
        return TransientFailure(
            f"The token server {url} answered {status}, which is not a response with a token: a "
            "fault that usually passes. If it lasts, correct SKYOPS_OPENSKY_TOKEN_URL."
        )
    if status < 400:
        return PermanentFailure(
            f"The token server {url} answered {status}: "
            + _moved(url, headers, "SKYOPS_OPENSKY_TOKEN_URL"),
            is_sent_elsewhere=True,
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
    """The failure that a fault below HTTP is: no connection, no response, a broken one.

    Args:
        setting: the variable that holds the address.
    """
    import httpx

    kind = type(error).__name__
    if isinstance(error, httpx.UnsupportedProtocol):
        return PermanentFailure(f"{url} is not an http or https address. Correct {setting}.")
    if isinstance(error, httpx.TimeoutException):
        return TransientFailure(
            f"{url} did not answer in time to {asked} ({kind}). If it lasts, raise "
            "SKYOPS_OPENSKY_TIMEOUT_S or request a smaller box.",
            is_too_late=not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)),
        )
    return TransientFailure(
        f"The connection to {url} failed for {asked} ({kind}). If this persists, check the network "
        f"and {setting}."
    )


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds that a response asks to wait: OpenSky's header, else HTTP's, else a minute."""
    for name in (RETRY_AFTER, "Retry-After"):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if seconds >= 0:
            return min(seconds, LONGEST_WAIT_S)
    return UNKNOWN_WAIT_S


def _moved(url: str, headers: Mapping[str, str], setting: str, path: str = "") -> str:
    """Where an address sends to, and what a person does about it.

    Args:
        path: what SkyOps adds to the setting.
    """
    given = headers.get("Location", "").strip()
    target = _place(given, url) if given else None
    if target is None:
        return f"it moved elsewhere and does not say where. Correct {setting}."
    if target == _place(url, url):
        return (
            f"it moved to {target}, which is the requested address. Something in between, such as "
            f"a proxy, redirects it in a loop; otherwise correct {setting}."
        )
    if target.endswith(path):
        return f"it moved to {target}. Set {setting}={target.removesuffix(path)}"
    return (
        f"it moved to {target}, which is not an address of the API: a maintenance page, or a "
        f"network that requires a login? Open it in a browser; otherwise correct {setting}."
    )


def _place(url: str, base: str) -> str | None:
    """An address without what may be secret: no user, no query. None for one that is none."""
    try:
        parts = urlsplit(urljoin(base, url))
        port = "" if parts.port is None else f":{parts.port}"
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    host = f"[{host}]" if ":" in host else host
    place = f"{parts.scheme}://{host}{port}{parts.path}"
    return place if len(place) <= LONGEST_ADDRESS and place.isprintable() else None


def _advice(status: int, is_anonymous: bool) -> str:
    """What a person does about a response that stays as it is."""
    if status == 401:
        return (
            "it requires an account. Set SKYOPS_OPENSKY_CLIENT_ID and SKYOPS_OPENSKY_CLIENT_SECRET."
            if is_anonymous
            else "it refuses even a fresh token. Check that SKYOPS_OPENSKY_TOKEN_URL belongs to "
            "SKYOPS_OPENSKY_URL and that the account is active."
        )
    if status == 403:
        return (
            "this account or address has no access. OpenSky blocks some data centres; otherwise "
            "check the account's rights at https://opensky-network.org."
        )
    if status == 400:
        return "it cannot be answered. A time may be at most one hour in the past."
    if status == 404:
        return "there is nothing at this address. Correct SKYOPS_OPENSKY_URL."
    return "trying again will not help. Check SKYOPS_OPENSKY_URL and the request."
