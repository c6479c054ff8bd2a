"""Puts blocks of rows together into recordings of a bounded size, whatever a damaged file raises.

Belongs here: what the readers of all formats share. Does not: a format of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.reading.columns import NULLABLE, Values
from skyops_assets.sources.opensky.reading.formats import (
    ACCEPTED,
    Format,
    NoRecording,
    recognise,
)
from skyops_assets.sources.opensky.reading.recording import JSON_ROW, Recording
from skyops_assets.sources.text import BROKEN, MalformedLine, shown

CHUNK_ROWS = 200_000
"""Rows held at once, and loaded in one transaction."""
BLOCK_BYTES = 8 << 20
"""Of a JSON array, parsed at once."""
HEAD_LINES = 100
"""Lines among which there is a whole one, where a file is JSON lines and begins with damage."""


@dataclass(frozen=True)
class Opened:
    """A file whose format is known.

    Attributes:
        format: its name, for people.
        chunks: its rows, in their order, to be taken once.
        rows: how many there are, where the file says so.
    """

    format: str
    chunks: Iterator[Recording]
    rows: int | None = None


def unreadable(source: str, texts: list[str], reasons: list[str]) -> Recording:
    """Rows that fit in no table, as a recording: their JSON texts, and a reason each."""
    return Recording(
        source,
        pa.table({JSON_ROW: pa.array(texts, pa.string())}),
        pa.table([pa.nulls(len(texts), field.type) for field in NULLABLE], schema=NULLABLE),
        pa.chunked_array([pa.array(reasons, pa.string())]),
    )


def error_text(error: Exception) -> str:
    """What an error says, on one line, cut off where it is long."""
    return " ".join(str(error).split())[:300]


Block = tuple[Any, list[MalformedLine]]
"""Some rows of a file, and what of it is torn."""


def in_chunks(
    blocks: Iterator[Block],
    chunk_rows: int,
    make: Callable[[list[Any], list[MalformedLine]], Iterator[Recording]],
) -> Iterator[Recording]:
    """So many rows at once, at least one chunk; where the file breaks off, what came before."""
    waiting: list[Any] = []
    torn: list[MalformedLine] = []
    rows, is_first = 0, True
    broken: Exception | None = None
    while broken is None:
        try:
            block, bad = next(blocks)
        except StopIteration:
            break
        except (*BROKEN, ValueError, RecursionError) as error:
            broken = error
            break
        waiting.append(block)
        torn += bad
        rows += len(block) + len(bad)
        if rows >= chunk_rows:
            yield from make(waiting, torn)
            waiting, torn, rows, is_first = [], [], 0, False
    if rows or is_first:
        yield from make(waiting, torn)
    if broken is not None:
        raise broken


def malformed_chunk(kind: Format, path: Path, torn: list[MalformedLine]) -> Iterator[Recording]:
    """The malformed lines of a file as rejected rows; nothing where there are none."""
    if torn:
        texts = [json.dumps({"line": one.line}) for one in torn]
        yield unreadable(kind.source_of(path), texts, [one.reason for one in torn])


def table_chunk(kind: Format, path: Path, rows: pa.Table) -> Recording:
    """Rows of a format as state vectors, each unreadable value with its reason."""
    columns: Mapping[str, Values] = dict(zip(rows.column_names, rows.columns, strict=True))
    states, problems = kind.read(columns, len(rows))
    return Recording(kind.source_of(path), rows, states, problems)


def recognised(names: Iterable[str], path: Path, rest: Iterator[Any]) -> Format:
    """As `recognise`; of a file that breaks off in its head it is said that it does."""
    try:
        return recognise(names, path)
    except NoRecording:
        next(rest, None)
        raise


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Whatever a damaged file raises, as one sentence."""
    try:
        yield
    except (*BROKEN, ValueError, RecursionError, pa.ArrowException) as error:
        said = error_text(error).encode("utf-8", "backslashreplace").decode()
        raise SkyOpsError(
            f"The recording {shown(path)} cannot be read: {said}. {ACCEPTED}."
        ) from None


def guarded(path: Path, chunks: Iterator[Recording]) -> Iterator[Recording]:
    """The chunks; an error at the tenth is as clear as one at the first."""
    with readable_errors(path):
        yield from chunks
