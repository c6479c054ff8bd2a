"""What stands before the service: the names it goes by, how much is read, how answers are sent.

Belongs here: what holds for every request, before it is known who asks. Does not: who may do what
(`access`), how often (`limits`).
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skyops_assets.serving.metrics import Measured
from skyops_assets.serving.problems import answer
from skyops_assets.settings import Settings

BODY_MAX = 1_000_000
BODY_S = 10.0
"""A whole body has arrived by then. Who sends 1 MB over 1 Mbit/s needs eight seconds."""
HELD_MAX = 32 * BODY_MAX
"""Bodies of all requests together: 300 senders of 1 MB would take more memory than the service."""
SHORT = 64_000
"""A body that is taken still when others fill that: else they would keep out everybody."""
CLOSES = {"Connection": "close"}
"""What is still being sent would be taken for the next request."""
ANSWER_HEADERS = "skyops.headers"
"""In a request's scope: a list of headers for its answer, however that is made."""
SECURITY = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"private, no-cache",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""Of every answer, unless it has its own. None allows another origin to read (CORS)."""


class Guard:
    """The service behind what holds for every request.

    Args:
        hosts: names by which it is asked, beside those of this machine and IP addresses.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._held = 0
        names = frozenset(host.lower() for host in hosts)
        self._is_ours = lru_cache(1000)(lambda host: is_ours(host, names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added: list[tuple[bytes, bytes]] = []
        scope[ANSWER_HEADERS] = added

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                own = {name for name, _ in headers}
                headers += [one for one in SECURITY.items() if one[0] not in own]
                message["headers"] = headers + added
            await send(message)

        host, length = _read_head(scope)
        if not self._is_ours(host):
            text = (
                f"This service does not go by the name {host.decode('latin-1')!r}. If it should, "
                "add it to SKYOPS_SERVICE_HOSTS."
            )
            await _refuse(scope, receive, sending, 421, text)
        elif length == 0:
            await self._app(scope, receive, sending)
        elif length is not None and length > BODY_MAX:
            text = _too_long(f"has {length:,} bytes")
            await _refuse(scope, receive, sending, 413, text, CLOSES)
        else:
            await self._with_body(scope, receive, sending)

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body whole, so that nothing that comes after has to wait or to count."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return
                    chunk = message.get("body", b"")
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > BODY_MAX:
                        text = _too_long(f"has more than {BODY_MAX:,} bytes")
                        await _refuse(scope, receive, send, 413, text, CLOSES)
                        return
                    if self._held > HELD_MAX and len(body) > SHORT:
                        text = "Too many requests are being sent at once; try again in a second."
                        await _refuse(
                            scope, receive, send, 503, text, {**CLOSES, "Retry-After": "1"}
                        )
                        return
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            text = f"The body had not arrived after {BODY_S:.0f} s; send it at once."
            await _refuse(scope, receive, send, 408, text, CLOSES)
            return
        else:
            whole: list[Message] = [{"type": "http.request", "body": bytes(body)}]

            async def replay() -> Message:
                return whole.pop() if whole else await receive()

            await self._app(scope, replay, send)
        finally:
            self._held -= len(body)


def is_ours(host: bytes, names: frozenset[str]) -> bool:
    """Whether a `Host` is this service's.

    A page of another site can give its own name an address of this machine (DNS rebinding) and then
    ask here without the browser's rules for other sites; the request names that site. An address
    instead of a name cannot come about that way.
    """
    try:
        name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
    except ValueError:
        return False
    if name in names or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _read_head(scope: Scope) -> tuple[bytes, int | None]:
    """A request's `Host`, and the length of its body; None for one in chunks."""
    host: bytes = b""
    length: int | None = 0
    for name, value in scope["headers"]:
        if name == b"host":
            host = value
        elif name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            length = None
    return host, length


async def _refuse(  # noqa: PLR0917
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
) -> None:
    await answer(status, detail, headers=headers)(scope, receive, send)


def _too_long(found: str) -> str:
    return f"The body {found}; at most {BODY_MAX:,} are taken."


def guarded(app: ASGIApp, settings: Settings) -> ASGIApp:
    """An app behind its guard, whose refusals are counted as well."""
    return Measured(Guard(app, hosts(settings)))


def hosts(settings: Settings) -> list[str]:
    """The names by which the service is asked, beside those of this machine."""
    addresses = (settings.public_url, settings.service_url)
    given = [urlsplit(one).hostname for one in addresses if one]
    return [*settings.service_hosts, *(name for name in given if name)]
