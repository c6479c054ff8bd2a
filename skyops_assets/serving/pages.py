"""Rows as answers: pages by key, JSON or CSV, with an ETag.

Belongs here: how rows are chosen, ordered and written. Does not: which tables there are (`reads`).
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Query, Request, Response
from psycopg.sql import SQL, Composable, Identifier, Placeholder
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator

from skyops_assets.serving.database import Row
from skyops_assets.serving.problems import Problem

CSV_TYPE, JSON_TYPE = "text/csv; charset=utf-8", "application/json"
MOST_ROWS, USUAL_ROWS = 5000, 100


class Page(BaseModel):
    """Which part of the rows an answer has, and how it is written."""

    limit: int
    after: str | None
    order: Literal["newest", "oldest"]
    format: Literal["json", "csv"] | None


def asked_page(
    limit: Annotated[
        int, Query(ge=1, le=MOST_ROWS, description="Maximum number of rows.")
    ] = USUAL_ROWS,
    after: Annotated[
        str | None,
        Query(max_length=600, description="Where to go on: what `next` of the last answer has."),
    ] = None,
    order: Annotated[
        Literal["newest", "oldest"], Query(description="Order of the rows.")
    ] = "newest",
    format: Annotated[
        Literal["json", "csv"] | None,
        Query(
            description="`csv` is the same as the header `Accept: text/csv`; the default is JSON."
        ),
    ] = None,
) -> Page:
    """The parameters that every list takes."""
    return Page(limit=limit, after=after, order=order, format=format)


@dataclass(frozen=True)
class Key:
    """What rows are ordered by: a moment, and columns that tell rows of one moment apart."""

    moment: str
    rest: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return (self.moment, *self.rest)

    def written(self, row: Row) -> str:
        """A row's place, for `Page.after`."""
        values = [row[self.moment].isoformat(), *(row[name] for name in self.rest)]
        return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")

    def read(self, text: str) -> dict[str, Any]:
        """The values of a place, by column.

        Raises:
            Problem: 404; it is none of `written`.
        """
        try:
            values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            moment, *rest = values
            is_text = all(isinstance(one, str) and "\0" not in one for one in rest)
            if len(values) != len(self.columns) or not is_text:
                raise ValueError
            return dict(
                zip(self.columns, (utc(datetime.fromisoformat(moment)), *rest), strict=True)
            )
        except (ValueError, TypeError, binascii.Error):
            raise Problem(
                404,
                "No page begins at this `after`: use the `next` of a response, or leave it out.",
            ) from None


def _no_number(value: Any) -> Any:
    """A number would be taken as seconds since 1970, which nobody means."""
    try:
        float(value)
    except (TypeError, ValueError):
        return value
    raise ValueError("a time looks like 2021-10-07T12:00:00Z, or 2021-10-07")


Moment = Annotated[datetime | date, BeforeValidator(_no_number)]


def utc(moment: datetime | date) -> datetime:
    """A moment in UTC; one without a zone is meant so, a day is its midnight."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        # Postgres does not know every offset that Python does.
        return moment.astimezone(UTC)
    except OverflowError:
        return (datetime.min if moment.year == 1 else datetime.max).replace(tzinfo=UTC)


Aware = Annotated[AwareDatetime, AfterValidator(utc)]
"""For bodies: a moment with its time zone, as UTC."""


@dataclass(frozen=True)
class Filter:
    """One condition on a row, and the value that it is bound to; None asks for nothing."""

    condition: Composable
    value: Any


def equal(**values: str | bool | None) -> dict[str, Filter]:
    """Columns, and what each is to be."""
    return {
        column: Filter(SQL("{} = {}").format(Identifier(column), Placeholder(column)), value)
        for column, value in values.items()
    }


async def page(
    request: Request,
    row: type[BaseModel],
    source: Composable,
    key: Key,
    *,
    asked: Page,
    filters: Mapping[str, Filter],
) -> Response:
    """One page of rows of a source, and where the next begins.

    Args:
        row: its fields are the columns.
        source: a table or a query, as it stands in ``from``.
        filters: by the name under which the condition has its value.
    """
    conditions: list[Composable] = [SQL("true")]
    values: dict[str, Any] = {}
    for name, one in filters.items():
        if one.value is not None:
            conditions.append(one.condition)
            values[name] = one.value
    is_newest = asked.order == "newest"
    if asked.after is not None:
        place = key.read(asked.after)
        conditions.append(
            SQL("({}) {} ({})").format(
                names(key.columns),
                SQL("<" if is_newest else ">"),
                SQL(", ").join(Placeholder(f"after_{name}") for name in key.columns),
            )
        )
        values |= {f"after_{name}": value for name, value in place.items()}
    direction = SQL("desc" if is_newest else "asc")
    query = SQL("select {} from {} where {} order by {} limit {}").format(
        names(row.model_fields),
        source,
        SQL(" and ").join(conditions),
        SQL(", ").join(SQL("{} {}").format(Identifier(name), direction) for name in key.columns),
        Placeholder("one_more"),
    )
    values["one_more"] = asked.limit + 1
    rows = await request.app.state.service.database.rows(query, values)
    after = key.written(rows[asked.limit - 1]) if len(rows) > asked.limit else None
    following = after and str(request.url.include_query_params(after=after).replace(
        scheme="", netloc=""
    ))  # fmt: skip
    return answer(request, list(row.model_fields), rows[: asked.limit], asked.format, following)


def answer(
    request: Request,
    columns: Sequence[str],
    rows: Sequence[Row],
    form: str | None,
    following: str | None = None,
    **beside: Any,
) -> Response:
    """Rows as JSON or CSV, with an ETag; 304 where the asker has them.

    Args:
        following: the address of the next page.
        beside: what the JSON has beside `data`.
    """
    wants_csv = form == "csv" or (
        form is None and "text/csv" in request.headers.get("accept", "").lower()
    )
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    headers["Vary"] = "Accept, Authorization, Cookie"
    if wants_csv:
        return tagged(request, _csv(columns, rows), CSV_TYPE, headers)
    body = {**beside, "data": rows, "next": following}
    return tagged(request, orjson.dumps(body, option=orjson.OPT_UTC_Z), JSON_TYPE, headers)


def tagged(
    request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer with its content's hash as ETag; 304 without content where the asker has it."""
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    all_headers = {**(headers or {}), "ETag": tag, "Cache-Control": "private, no-cache"}
    held = {one.strip().removeprefix("W/") for one in
            request.headers.get("if-none-match", "").split(",")}  # fmt: skip
    if tag in held or "*" in held:
        return Response(status_code=304, headers=all_headers)
    return Response(body, headers=all_headers, media_type=media_type)


def only_known(request: Request) -> None:
    """For `Depends`: a parameter that an endpoint does not know is an error, not ignored.

    Raises:
        Problem: 422, with the parameters that there are.
    """
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    for part in request.scope["route"].dependant.dependencies:
        known += [field.alias for field in part.query_params]
    if unknown := [name for name in request.query_params if name not in known]:
        raise Problem(
            422,
            f"There is no parameter {unknown[0]!r} here; "
            + (f"there are {', '.join(sorted(set(known)))}." if known else "there are none."),
        )


def names(columns: Iterable[str]) -> Composable:
    """Columns as they stand in a query."""
    return SQL(", ").join(Identifier(name) for name in columns)


def _csv(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, date) else value
