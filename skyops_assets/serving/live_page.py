"""The pages for browsers: their files, what browsers may do with them, what is said without them.

Belongs here: how the folder `page` is served. Does not: the session (`entry`), what it shows.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from skyops_assets.serving.page_libraries import are_there
from skyops_assets.settings import Settings

FOLDER = Path(__file__).parent / "page"
LOCK = Path(__file__).parent / "page_libraries.json"
UNNAMED = Settings.model_fields["env"].default
SHEETS = ("analysis", "fleet")
"""Pages beside the live one, each at its name."""
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""No script, style or request but to this service; none that stands in the page itself."""


class PageFiles(StaticFiles):
    """The page's own modules and its libraries."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file; a worker goes by the policy of its own answer."""
        scope["route"] = self  # For the figures: one label for all files.
        await super().__call__(scope, receive, send)

    path = "/page/{file}"

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """A file, with the page's policy."""
        answer = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        answer.headers["Content-Security-Policy"] = POLICY
        return answer


def add_page(app: FastAPI) -> None:
    """Let an app serve the page's files."""
    app.mount("/page", PageFiles(directory=FOLDER), name="page")


def wants_page(request: Request) -> bool:
    """Whether who asks is a browser that goes to an address, and no program."""
    return "text/html" in request.headers.get("accept", "")


def answer(status: int, env: str, name: str = "index", *, is_let_in: bool) -> Response:
    """A page, how to get in, or why it is not there; titled by the environment's name.

    `dev` is the name where none is set, and is left out.
    """
    if not is_let_in:
        name = "enter"
    elif not are_there(LOCK, FOLDER / "vendor"):
        name = "absent"
    return HTMLResponse(_read(name, env), status, {"Content-Security-Policy": POLICY})


@cache
def _read(name: str, env: str) -> str:
    page = (FOLDER / f"{name}.html").read_text("utf-8")
    return page if env == UNNAMED else page.replace("<title>SkyOps", f"<title>SkyOps {env}", 1)
