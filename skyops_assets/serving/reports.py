"""Reports as pages for browsers: of weeks and months, of the champion, of the data's tests.

Belongs here: the list of all of them, and each. Does not: making them (`reports`,
`monitoring.report`, `quality.data_docs`).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Coroutine
from datetime import date
from hashlib import sha256
from html import escape
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi import Path as Part
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from psycopg.sql import SQL

from skyops_assets.monitoring.report import name as report_name
from skyops_assets.quality import data_docs
from skyops_assets.reporting import html
from skyops_assets.serving import live_page
from skyops_assets.serving.entry import is_let_in
from skyops_assets.serving.problems import Problem
from skyops_assets.store import open_store

MOST = 200
_ALL = SQL("select kind, starts_on, airport, title, made_at from audit.reports "
           "order by starts_on desc, kind, airport limit %(most)s")  # fmt: skip
_ONE = SQL("select page from audit.reports where kind = %(kind)s "
           "and starts_on = %(starts_on)s and airport = %(airport)s")  # fmt: skip
_DRIFT = SQL("select log_id, logged_at, verdict, model_name, report from audit.monitoring_log "
             "where report is not null order by log_id desc limit %(most)s")  # fmt: skip
_POLICY = "; ".join((
    "default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'",
    "frame-ancestors 'none'", "style-src 'sha256-{}'",
))  # fmt: skip
"""No script and nothing from elsewhere; the one style is the page's own, of when it was made."""
_STYLE = re.compile("<style>(.*?)</style>", re.DOTALL)


class OnceLetIn(APIRoute):
    """A page for browsers with a session, or where all may read; others are told how to enter."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint, behind that question."""
        page = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if not is_let_in(request):
                env = request.app.state.service.settings.env
                return live_page.answer(401, env, is_let_in=False)
            return await page(request)

        return answer


router = APIRouter(prefix="/reports", include_in_schema=False, route_class=OnceLetIn)


@router.get("")
async def listed(request: Request) -> Response:
    """All reports, newest first."""
    service = request.app.state.service
    asked = {"most": MOST}
    found = await service.database.rows(_ALL, asked)
    looks = await service.database.rows(_DRIFT, asked)
    docs = await run_in_threadpool(data_docs.suites, open_store(service.settings))
    return _shown(html.page("Reports", [
        "<h1>Reports</h1>",
        '<p><a href="/">The live page</a> · <a href="/analysis">Analysis</a> · '
        '<a href="/fleet">Fleet</a></p>',
        "<h2>Weeks and months</h2>",
        _links("None yet: they are written on Mondays, on the first of each month, and by the job "
        "`main`.", [
            (f"/reports/{row['kind']}/{row['starts_on']}/{row['airport']}", row["title"],
             f"{row['made_at']:%Y-%m-%d %H:%M} UTC")
            for row in found
        ]),
        "<h2>The champion: skill and drift</h2>",
        _links("None yet: the champion is monitored every day once there is one.", [
            (f"/reports/champion/{row['log_id']}", f"{row['model_name'] or 'Champion'}: "
             f"{row['verdict']}", f"{row['logged_at']:%Y-%m-%d %H:%M} UTC")
            for row in looks
        ]),
        "<h2>Data tests (Great Expectations)</h2>",
        _links("None yet: the first load writes them.", [
            (f"/reports/data/{suite}", suite.replace("_", " "), "") for suite in docs
        ]),
    ]))  # fmt: skip


@router.get("/{kind}/{starts_on}/{airport}")
async def periodic(
    request: Request,
    kind: Literal["week", "month"],
    starts_on: date,
    airport: Annotated[str, Part(pattern="^[A-Z0-9]{2,4}$")],
) -> Response:
    """One weekly or monthly report."""
    service = request.app.state.service
    asked = {"kind": kind, "starts_on": starts_on, "airport": airport}
    for row in await service.database.rows(_ONE, asked):
        return _shown(row["page"])
    raise Problem(404, f"No report of the {kind} of {starts_on} at {airport}; /reports lists all.")


@router.get("/champion/{log_id}")
async def champion(request: Request, log_id: int) -> Response:
    """One drift report on the champion."""
    name = report_name(log_id)
    page = await _page(request, name)
    if page is None:
        raise Problem(404, f"The report {name} is no longer stored; its row in the log is.")
    return _shown(page)


@router.get("/data/{suite}")
async def data(request: Request, suite: Annotated[str, Part(pattern=r"^\w+$")]) -> Response:
    """Data Docs of one suite."""
    page = await _page(request, data_docs.name(suite))
    if page is None:
        raise Problem(404, f"No Data Docs of {suite}; /reports lists all.")
    return _shown(page)


async def _page(request: Request, name: str) -> str | None:
    """A page of the store; None if there is none."""
    store = open_store(request.app.state.service.settings)
    content = await run_in_threadpool(store.read, name)
    return None if content is None else content.decode()


def _links(none: str, rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return f"<p>{escape(none)}</p>"
    lines = [
        f'<tr><td><a href="{escape(link)}">{escape(words)}</a></td><td>{escape(when)}</td></tr>'
        for link, words, when in rows
    ]
    return "<table>" + "\n".join(lines) + "</table>"


def _shown(page: str) -> Response:
    style = _STYLE.search(page)
    digest = sha256(style[1].encode() if style else b"").digest()
    policy = _POLICY.format(b64encode(digest).decode())
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})
