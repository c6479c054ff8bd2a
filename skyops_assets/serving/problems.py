"""How the service says what is wrong: problem details (RFC 9457), one sentence each."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import OperationalError
from psycopg.errors import InvalidSchemaName, QueryCanceled, UndefinedTable
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from skyops_assets.errors import SkyOpsError, storable

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
UNBUILT = "Nothing has been built yet: load positions, then run `skyops refresh`."
log = logging.getLogger(__name__)


class FieldError(BaseModel):
    """One value of a request that cannot be taken."""

    where: str = Field(description="Where it stands, such as `body.records.0.distance_nm`.")
    message: str


class ProblemDetails(BaseModel):
    """What is wrong with a request, or with the service (RFC 9457)."""

    type: str = Field("about:blank", description="Always `about:blank`: the status is the type.")
    title: str
    status: int
    detail: str = Field(description="One sentence: what is wrong, where, and what to do.")
    errors: list[FieldError] | None = Field(None, description="For 422: each value, at most 20.")


class Problem(Exception):
    """An answer that is no success.

    Args:
        status: HTTP status.
        detail: one sentence: what is wrong, where, and what to do.
        headers: of the answer, such as ``Retry-After``.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For an endpoint's OpenAPI: the problems that it answers with."""
    return {
        status: {"description": _title(status), "content": {MEDIA_TYPE: {
            "schema": {"$ref": "#/components/schemas/ProblemDetails"},
            "example": {"type": "about:blank", "title": _title(status), "status": status,
                        "detail": EXAMPLES.get(status, _title(status))},
        }}}
        for status in statuses
    }  # fmt: skip


EXAMPLES = {
    400: "The body is not JSON in UTF-8.",
    401: "No key was given: send it as `Authorization: Bearer ...`; `skyops key create` makes one.",
    403: "The key `planner` may read; this needs the scope `admin`.",
    404: "There is no flight '4b1a2c-20211007T121503'.",
    413: "The body has 2,400,000 bytes; at most 1,000,000 are taken.",
    422: "1 value cannot be taken; `errors` names it.",
    429: "The key `planner` has used its 100 predictions of this minute; try again in 12 s.",
    503: "The warehouse cannot be reached; the next request tries again.",
}


def install(app: FastAPI) -> None:
    """Let an app answer errors as problem details, its own and those of the framework."""
    app.exception_handler(Problem)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(PoolTimeout)(_away)
    app.exception_handler(OperationalError)(_away)
    app.exception_handler(UndefinedTable)(_unbuilt)
    app.exception_handler(InvalidSchemaName)(_unbuilt)
    app.exception_handler(QueryCanceled)(_slow)
    app.exception_handler(SkyOpsError)(_known)
    app.exception_handler(Exception)(_unknown)


async def _problem(_: Request, problem: Problem) -> JSONResponse:
    return answer(problem.status, problem.detail, headers=problem.headers)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    # Without the values themselves: they may be secrets, or megabytes.
    found = [
        {"where": ".".join(str(part) for part in one["loc"]), "message": one["msg"]}
        for one in error.errors()
    ]
    count = len(found)
    named = "it" if count == 1 else "them"
    if count > MOST_ERRORS:
        named = f"the first {MOST_ERRORS}"
    detail = f"{count} value{'s' * (count > 1)} cannot be taken; `errors` names {named}."
    return answer(422, detail, errors=found[:MOST_ERRORS])


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    detail = EXAMPLES[400] if error.status_code == 400 else str(error.detail)
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path!r}; /v1/openapi.json lists all addresses."
    elif error.status_code == 405:
        # The framework names the methods of one of the routes of an address.
        methods = sorted(
            method
            for path, operations in request.app.openapi()["paths"].items()
            if compile_path(path)[0].match(request.url.path)
            for method in operations
        )
        allowed = ", ".join(methods).upper()
        detail = f"{request.url.path!r} does not answer {request.method}, only {allowed}."
        return answer(405, detail, headers={"Allow": allowed})
    return answer(error.status_code, detail, headers=error.headers)


async def _away(_: Request, error: Exception) -> JSONResponse:
    log.warning("The warehouse cannot be reached: %s", storable(str(error), 500))
    return answer(503, EXAMPLES[503], headers={"Retry-After": "5"})


async def _unbuilt(_: Request, __: Exception) -> JSONResponse:
    return answer(503, UNBUILT, headers={"Retry-After": "60"})


async def _slow(_: Request, __: Exception) -> JSONResponse:
    return answer(503, "The warehouse took too long; request less, such as a shorter time.")


async def _known(_: Request, error: SkyOpsError) -> JSONResponse:
    return answer(503, storable(str(error), 2000))


async def _unknown(_: Request, error: Exception) -> JSONResponse:
    log.error("A response failed", exc_info=error)
    return answer(500, "The service failed; its log says how.")


def answer(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> JSONResponse:
    """A problem as a response."""
    body = {"type": "about:blank", "title": _title(status), "status": status, "detail": detail}
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def _title(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
