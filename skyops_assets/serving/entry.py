"""How a browser enters: the token of the link becomes a cookie, a signed session with an end.

Belongs here: the session, the way in, and from which pages it may be used. Does not: the link
(`operations.entrance`), what a session may do (`access`).
"""

from __future__ import annotations

import hmac
import secrets
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from itsdangerous import BadSignature, TimestampSigner

from skyops_assets import __version__
from skyops_assets.operations.entrance import address
from skyops_assets.serving import live_page
from skyops_assets.serving.examples import answered
from skyops_assets.serving.problems import Problem, responses
from skyops_assets.settings import Settings

SESSION_S = 7 * 24 * 3600
"""A browser enters again after a week, or after the service has started anew."""
READS_ONLY = ("GET", "HEAD")
NAMED = {"title": "SkyOps", "version": __version__, "openapi": "/v1/openapi.json"}
router = APIRouter(tags=["service"])


class Sessions:
    """Sessions of one start of the service: signed with a key that its token gives.

    Without a token nobody enters this way.
    """

    def __init__(self, settings: Settings) -> None:
        token = settings.service_token
        self._token = token.get_secret_value().encode() if token else None
        self._signer = TimestampSigner(
            self._token or secrets.token_bytes(32), salt="skyops session"
        )
        self._is_secure = address(settings).startswith("https://")
        # A cookie goes to every port of its host.
        self.cookie = f"skyops-{settings.service_port}"

    def begin(self, token: str, answer: Response) -> None:
        """Give the browser a session.

        Raises:
            Problem: 401, it is another token.
        """
        if self._token is None or not hmac.compare_digest(self._token, token.encode()):
            raise Problem(
                401,
                "The link's token is not the running service's, which changes with each start; "
                "`skyops link` prints the present link.",
                {"WWW-Authenticate": "Bearer"},
            )
        answer.set_cookie(
            self.cookie,
            self._signer.sign(secrets.token_urlsafe(9)).decode(),
            max_age=SESSION_S,
            path="/",
            secure=self._is_secure,
            httponly=True,
            samesite="strict",
        )

    def ends_at(self, request: Request) -> datetime | None:
        """When the session of a request ends; None where it has none that holds.

        Raises:
            Problem: 403, a page of another origin asks with it.
        """
        cookie = request.cookies.get(self.cookie)
        if not cookie or self._token is None:
            return None
        try:
            _, signed_at = self._signer.unsign(cookie, max_age=SESSION_S, return_timestamp=True)
        except BadSignature:
            return None
        if not is_own_page(request):
            raise Problem(
                403,
                "A page from another address used the browser's session; only this service's own "
                "pages may do so. Programs send a key as `Authorization: Bearer ...`.",
            )
        ends_at: datetime = signed_at.astimezone(UTC) + timedelta(seconds=SESSION_S)
        return ends_at


def is_own_page(request: Request) -> bool:
    """Whether a request with a cookie comes from this service's own page, or from no page.

    SameSite is not enough: another port of localhost is another user's, and the same site.
    """
    headers = request.headers
    site = headers.get("sec-fetch-site")
    if request.method in READS_ONLY:
        # A link on another page may lead here; its page does not see the answer.
        is_followed = headers.get("sec-fetch-mode") == "navigate"
        return site in (None, "same-origin", "none") or is_followed
    if site is not None:
        return site == "same-origin"
    # Browsers before 2023.
    return headers.get("origin", "").partition("://")[2] == headers.get("host")


@router.get("/", responses={**answered(NAMED), **responses(401)})
async def enter(request: Request, token: str | None = None) -> Response:
    """The live page for browsers; with the token that `skyops link` prints, it starts a session."""
    if token is None:
        if not live_page.wants_page(request):
            return JSONResponse(NAMED, headers={"Vary": "Accept"})
        return _page(request, "index")
    # Without the token, which would stay in the browser's history.
    answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
    request.app.state.service.sessions.begin(token, answer)
    return answer


async def sheet(request: Request) -> Response:
    """One of the pages beside the live one."""
    return _page(request, request.url.path.removeprefix("/"))


for _name in live_page.SHEETS:
    router.add_api_route(f"/{_name}", sheet, include_in_schema=False)


def is_let_in(request: Request) -> bool:
    """Whether a browser may see pages: it has a session, or all may read."""
    service = request.app.state.service
    return service.settings.public_read or service.sessions.ends_at(request) is not None


def _page(request: Request, name: str) -> Response:
    may = is_let_in(request)
    env = request.app.state.service.settings.env
    return live_page.answer(200 if may else 401, env, name, is_let_in=may)
