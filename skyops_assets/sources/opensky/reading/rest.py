"""Responses of OpenSky's REST interface, read into state vectors.

Belongs here: the layout of a ``/states/all`` response and what can be wrong with it. Does not:
asking for one (`client`), the limits of a value (`schema`).
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.reading.columns import Reader
from skyops_assets.sources.opensky.reading.recording import JSON_ROW, Recording

SOURCE = "opensky:rest"
"""Source of live responses and of snapshots of them: one position, however it came, is one row."""

SIMULATED = "simulated"
"""Field of a response that OpenSky did not give: the name of what gave it, such as fake-opensky.
In the body, so that it stays with the response in a file, in the spool and among the rejected."""
SIMULATED_SOURCES = f"{SIMULATED}:"
"""What the sources of such responses begin with; dbt's macro `is_simulated` tells by it."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_MARKED = re.compile(rf'\s*\{{\s*"{SIMULATED}"\s*:\s*"({_NAME.pattern})"'.encode())

FIELDS = (
    "icao24", "callsign", "origin_country", "time_position", "last_contact", "longitude",
    "latitude", "baro_altitude", "on_ground", "velocity", "true_track", "vertical_rate",
    "sensors", "geo_altitude", "squawk", "spi", "position_source", "category",
)  # fmt: skip
"""Fields by position; the last only with ``extended=1``
(https://openskynetwork.github.io/opensky-api/rest.html)."""

LENGTHS = (len(FIELDS) - 1, len(FIELDS))
ANSWER_TIME = "the time of its answer"
CLOCK_TOLERANCE = timedelta(seconds=5)
"""In 32,104 real states no time is later than the response's; a second comes from rounding."""


class MalformedResponse(SkyOpsError):
    """A response that is none as a whole.

    Attributes:
        source: of the rows that it should have had.
        reason: what is wrong with it, the same words for the same fault.
        body: the response as it came.
    """

    def __init__(self, source: str, reason: str, body: bytes) -> None:
        super().__init__(
            f"The response of {source} ({len(body):,} bytes) is not a /states/all response: "
            f"{reason}. It begins with {body[:60]!r}."
        )
        self.source = source
        self.reason = reason
        self.body = body


def is_of_answers(source: str) -> bool:
    """Whether rows of this source came in responses of ``/states/all``, OpenSky's or simulated."""
    return source == SOURCE or source.startswith(SIMULATED_SOURCES)


def read_response(body: bytes, source: str = SOURCE) -> Recording:
    """Read a ``/states/all`` response; its units are SI already.

    Args:
        body: JSON, gzip allowed; ``states`` may be null.
        source: noted as the rows' source, which is part of a row's identity; a response that says
            of itself that it is simulated has its own.

    Returns:
        One row per element of ``states``, in their order; `Recording.rows` holds the element's
        JSON text. An element that is no list of 17 or 18 fields, or has a field that cannot be
        read, has its reason in `Recording.problems`.

    Raises:
        BadAnswer: the whole cannot be read: not JSON (cut off, HTML), without ``time`` or
            ``states``, or either is of another kind, or it nests too deep.
    """
    if marked := _MARKED.match(body):
        # Also where the rest is cut off.
        source = SIMULATED_SOURCES + marked[1].decode()
    text, response = _parse(body, source)
    if response.get(SIMULATED):
        source = _source_of(response[SIMULATED])
    elements = response["states"] or []
    asked_at = Reader(1).time("time", [response["time"]])
    if not asked_at[0].is_valid:
        raise MalformedResponse(source, "its time is not a time", body)
    try:
        rows = pa.table({JSON_ROW: _row_texts(text, elements)})
    except RecursionError:
        raise MalformedResponse(source, "it nests too deep", body) from None
    states, problems = read_rows(elements, asked_at[0].as_py() + CLOCK_TOLERANCE)
    return Recording(source, rows, states, problems)


def _source_of(mark: Any) -> str:
    """The source that a mark stands for; one that is no name is a mark all the same."""
    is_name = isinstance(mark, str) and _NAME.fullmatch(mark)
    return SIMULATED_SOURCES + (mark if is_name else "unnamed")


def _misshape(row: Any) -> str | None:
    """What is wrong with a row as a whole."""
    if not isinstance(row, list):
        return "the row is not a list"
    if len(row) in LENGTHS:
        return None
    return f"the row has {len(row)} fields instead of {LENGTHS[0]} or {LENGTHS[1]}"


def _parse(body: bytes, source: str) -> tuple[str, dict[str, Any]]:
    plain = body
    try:
        if body[:2] == b"\x1f\x8b":
            plain = gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        raise MalformedResponse(source, "its gzip is cut off or damaged", body) from None
    # A byte that is no UTF-8 becomes half a character of its value, and costs one row.
    text = plain.decode("utf-8-sig", "surrogateescape")
    if text.lstrip().startswith("<"):
        raise MalformedResponse(source, "it is HTML", body)
    try:
        response = json.loads(text)
    except (ValueError, RecursionError):
        said = "it is not JSON, or cut off" if _is_whole(text) else "it is not UTF-8"
        raise MalformedResponse(source, said, body) from None
    if not isinstance(response, dict):
        raise MalformedResponse(source, "it is not a JSON object", body)
    for name in ("time", "states"):
        if name not in response:
            raise MalformedResponse(source, f"it has no {name}", body)
    if not isinstance(response["states"], (list, type(None))):
        raise MalformedResponse(source, "its states are not a list", body)
    return text, response


def _is_whole(text: str) -> bool:
    """Whether a text has whole characters only."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _row_texts(text: str, elements: list[Any]) -> pa.Array:
    """Each row's JSON text, as it came where that can be cut out safely.

    Writing 10,700 rows as JSON again takes 31 ms, cutting them out 5 ms. With no bracket but the
    rows' own and the list's, every "], [" lies between two rows.
    """
    is_plain = text.count("]") == text.count("[") == len(elements) + 1
    if elements and is_plain and _is_whole(text):
        inner = text[text.index("[") + 1 : text.rindex("]")].strip()
        parts = re.split(r"\]\s*,\s*\[", inner[1:-1])
        if len(parts) == len(elements) and inner[0] == "[" and inner[-1] == "]":
            return pa.array([f"[{part}]" for part in parts], pa.string())
    return pa.array([json.dumps(row) for row in elements], pa.string())


def read_rows(
    elements: list[Any], latest: datetime | pa.Array
) -> tuple[pa.Table, pa.ChunkedArray | None]:
    """Elements of ``states`` as state vectors, and the reasons of those that cannot be read.

    Args:
        latest: the latest time that a row can have, of all or of each.
    """
    full = len(FIELDS)
    read = Reader(len(elements))
    shapes = [_misshape(row) for row in elements]
    for shape in {shape for shape in shapes if shape}:
        read.reject(pa.array([found == shape for found in shapes]), shape)
    rows = [
        [None] * full if shape else row if len(row) == full else [*row, None]
        for row, shape in zip(elements, shapes, strict=True)
    ]
    columns = dict(zip(FIELDS, zip(*rows, strict=True), strict=True)) if rows else {}

    def times(name: str) -> pa.Array:
        found = read.time(name, columns.get(name))
        return read.no_later(name, found, latest, ANSWER_TIME)

    def numbers(name: str) -> pa.Array:
        return read.number(name, columns.get(name))

    states = read.states(
        {
            "icao24": pc.utf8_lower(read.text("icao24", columns.get("icao24"))),
            "time_position": times("time_position"),
            "last_contact": times("last_contact"),
            "longitude_deg": numbers("longitude"),
            "latitude_deg": numbers("latitude"),
            "baro_altitude_m": numbers("baro_altitude"),
            "geo_altitude_m": numbers("geo_altitude"),
            "velocity_mps": numbers("velocity"),
            "true_track_deg": numbers("true_track"),
            "vertical_rate_mps": numbers("vertical_rate"),
            "callsign": read.text("callsign", columns.get("callsign")),
            "origin_country": read.text("origin_country", columns.get("origin_country")),
            "squawk": read.squawk("squawk", columns.get("squawk")),
            "is_on_ground": read.flag("on_ground", columns.get("on_ground")),
            "is_spi": read.flag("spi", columns.get("spi")),
            "position_source": read.code("position_source", columns.get("position_source")),
            "category": read.code("category", columns.get("category")),
        }
    )
    return states, read.problems
