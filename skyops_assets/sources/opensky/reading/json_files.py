"""Reads JSON recordings: OpenSky responses, lists of objects, JSON lines, whole or cut off.

Belongs here: JSON text to blocks of rows. Does not: which columns they are (`formats`).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.reading.chunks import (
    BLOCK_BYTES,
    HEAD_LINES,
    Block,
    Opened,
    guarded,
    in_chunks,
    malformed_chunk,
    recognised,
    table_chunk,
    unreadable,
)
from skyops_assets.sources.opensky.reading.columns import common_kind
from skyops_assets.sources.opensky.reading.formats import (
    REST,
    Format,
    recognise,
)
from skyops_assets.sources.opensky.reading.recording import JSON_ROW, Recording
from skyops_assets.sources.text import (
    BROKEN,
    MalformedLine,
    decompressed,
    line_blocks,
    pieces,
    shown,
)


def open_json(path: Path, start: bytes, head: bytes, chunk_rows: int) -> Opened:
    """A list of objects, JSON lines, or one object, told by how the file begins."""
    if start == b"[":
        return _open_rows(path, _json_blocks(path), chunk_rows)
    if is_json_lines(head):
        return open_lines(path, chunk_rows)
    return _open_object(path)


def open_lines(path: Path, chunk_rows: int) -> Opened:
    """JSON lines: an object a line, each a row."""
    return _open_rows(path, _line_objects(path), chunk_rows)


def _open_rows(path: Path, blocks: Iterator[Block], chunk_rows: int) -> Opened:
    """JSON objects, each a row."""
    first: Block = next(blocks, ([], []))
    names = list(dict.fromkeys(name for row in first[0] if isinstance(row, dict) for name in row))
    kind = recognised(names, path, blocks)

    def make(parts: list[list[Any]], torn: list[MalformedLine]) -> Iterator[Recording]:
        yield from _record_chunks(kind, path, list(chain.from_iterable(parts)))
        yield from malformed_chunk(kind, path, torn)

    return Opened(kind.name, guarded(path, in_chunks(chain([first], blocks), chunk_rows, make)))


def is_json_lines(head: bytes) -> bool:
    """Whether a file's first lines hold a recording's row as an object on a line of its own."""
    for line in islice(head.splitlines(), HEAD_LINES):
        if line[:1] == b"{" and b"icao24" in line:
            try:
                row = _loads(line)
            except (ValueError, RecursionError):
                continue
            # In a table by columns each of them is an object.
            if isinstance(row, dict) and not isinstance(row.get("icao24"), (dict, list)):
                return "icao24" in row
    return False


def _loads(text: bytes) -> Any:
    """JSON; bytes that are no UTF-8 become half characters of their values."""
    return json.loads(text.decode("utf-8", "surrogateescape"))


def _line_objects(path: Path) -> Iterator[Block]:
    with decompressed(path) as file:
        for block in line_blocks(pieces(file)):
            elements: list[Any] = []
            torn: list[MalformedLine] = []
            for line in block.split(b"\n"):
                if not (line := line.strip()):
                    continue
                try:
                    elements.append(_loads(line))
                except (ValueError, RecursionError):
                    torn.append(MalformedLine.of(line, "the line is not JSON"))
            yield elements, torn


def _record_chunks(kind: Format, path: Path, elements: list[Any]) -> Iterator[Recording]:
    records = [row for row in elements if isinstance(row, dict)]
    names = list(dict.fromkeys(name for row in records for name in row))
    yield _column_chunk(
        kind, path, {name: [row.get(name) for row in records] for name in names}, len(records)
    )
    if others := [json.dumps(row) for row in elements if not isinstance(row, dict)]:
        reasons = ["the row is not an object"] * len(others)
        yield unreadable(kind.source_of(path), others, reasons)


def _column_chunk(
    kind: Format, path: Path, columns: Mapping[str, list[Any]], rows: int
) -> Recording:
    """Columns of Python values; where one has no common type, the rows are kept as JSON."""
    arrays = {name: common_kind(values) for name, values in columns.items()}
    if all(array is not None for array in arrays.values()):
        try:
            return table_chunk(kind, path, pa.table(arrays))
        except UnicodeEncodeError:
            # Half a character in a column's name.
            pass
    states, problems = kind.read(columns, rows)
    texts = [
        json.dumps(dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]
    kept = pa.table({JSON_ROW: pa.array(texts, pa.string())})
    return Recording(kind.source_of(path), kept, states, problems)


def _json_blocks(path: Path) -> Iterator[Block]:
    """The elements of a JSON array, some megabytes at a time, and what lies torn between them.

    What is read so far is cut after an object and read as an array of its own. That succeeds
    only where the cut lies between two elements; otherwise the block before is tried, then more
    is read. Where it never succeeds there is damage, and elements are taken one by one.
    """
    decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    with decompressed(path) as file:
        text, is_start = "", True
        worth_trying = 0
        try:
            for piece in pieces(file, BLOCK_BYTES):
                text += decode(piece)
                if is_start:
                    text, is_start = text.lstrip()[1:], False
                if len(text) < worth_trying:
                    continue
                cut, elements = _cut(text)
                if cut:
                    yield elements, []
                elif len(text) >= 3 * BLOCK_BYTES:
                    elements, torn, cut = _one_by_one(text, is_end=False)
                    yield elements, torn
                text, worth_trying = text[cut:], 0 if cut else 2 * len(text)
        except BROKEN:
            yield _one_by_one(text, is_end=False)[:2]
            raise
        text += decode(b"", True)
    try:
        yield json.loads("[" + text), []
    except (ValueError, RecursionError):
        elements, torn, end = _one_by_one(text, is_end=True)
        yield elements, torn
        if text[end:].strip() != "]":
            raise


_ENDS = re.compile(r"\s*(?:,\s*|(?=\]\s*$))")
"""What follows an element: a comma, or the end of the array."""
_NEXT = re.compile(r"\}\s*,\s*(?=\{)")
"""Where after damage the next row begins, whose values are no objects."""


def _one_by_one(text: str, *, is_end: bool) -> tuple[list[Any], list[MalformedLine], int]:
    """The elements of an array that is damaged, what lies torn between, and where they end.

    Args:
        is_end: whether the array ends with the text; else what may go on is left.
    """
    read = json.JSONDecoder().raw_decode
    elements: list[Any] = []
    torn: list[MalformedLine] = []
    at = len(text) - len(text.lstrip())
    while at < len(text) and text[at] != "]":
        try:
            element, end = read(text, at)
            found = _ENDS.match(text, end)
        except (ValueError, RecursionError):
            found = None
        else:
            if found:
                elements.append(element)
                at = found.end()
                continue
        following = _NEXT.search(text, at)
        if following is None:
            if is_end and (end := text.rfind("}", at)) > 0 and text[end + 1 :].strip() == "]":
                torn.append(_torn_text(text[at : end + 1]))
                at = end + 1
            break
        torn.append(_torn_text(text[at : following.start() + 1]))
        at = following.end()
    return elements, torn, at


def _torn_text(text: str) -> MalformedLine:
    return MalformedLine.of(text.encode("utf-8", "surrogateescape"), "the row is not JSON")


def _cut(text: str, tries: int = 5) -> tuple[int, list[Any]]:
    """How much of the text is elements with the comma after them, and those; 0 for none."""
    at = len(text)
    for _ in range(tries):
        at = text.rfind("},", 0, at)
        if at < 0:
            break
        try:
            return at + 2, json.loads("[" + text[: at + 1] + "]")
        except (ValueError, RecursionError):
            continue
    return 0, []


def _open_object(path: Path) -> Opened:
    """A REST response, or a table by columns as pandas writes it: {column: {row: value}}."""
    from skyops_assets.sources.opensky.reading.rest import read_response

    with decompressed(path) as file:
        body = b"".join(pieces(file))
    if b'"states"' in body[:4096]:
        return Opened(REST, iter([read_response(body)]))
    found = _loads(body)
    kind = recognise(found, path)
    columns = [values for values in found.values() if isinstance(values, dict)]
    keys = list(dict.fromkeys(key for values in columns for key in values))
    if len(columns) < len(found):
        odd = next(name for name, values in found.items() if not isinstance(values, dict))
        raise SkyOpsError(
            f"The recording {shown(path)} has a column {odd} that is not {{row: value}}."
        )
    table = {name: [values.get(key) for key in keys] for name, values in found.items()}
    return Opened(kind.name, iter([_column_chunk(kind, path, table, len(keys))]))
