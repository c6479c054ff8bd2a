"""Recordings of positions, read into state vectors, a bounded number of rows at a time.

Belongs here: files and folders, and what a recording is. Does not: the columns and units of a
format (`formats`, `rest`), judging a value (`schema`) or writing to the warehouse (`load`).

A file's kind is told by what is in it, never by its name.
"""

from __future__ import annotations

import codecs
import importlib.util
import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.reading.columns import NULLABLE, Values, common_kind
from skyops_assets.sources.opensky.reading.formats import (
    ACCEPTED,
    REST,
    SYNTHETIC_MARK,
    Format,
    NoRecording,
    recognise,
)
from skyops_assets.sources.opensky.schema import rejection_reasons
from skyops_assets.sources.tables import (
    BROKEN,
    Dialect,
    Torn,
    csv_tables,
    decoded,
    dialect,
    joined,
    line_blocks,
    pieces,
    plain,
    shown,
)

DEMO_START = datetime(2021, 10, 7, 12, tzinfo=UTC)
DEMO_END = datetime(2021, 10, 7, 15, tzinfo=UTC)
"""The hours that the demo's recording covers: Paris, 12 to 15 UTC."""

JSON_ROW = "state"
"""The only column of `Recording.rows` where a row is kept as its JSON text."""
CHUNK_ROWS = 200_000
"""Rows held at once, and loaded in one transaction."""
BLOCK_BYTES = 8 << 20
"""Of a JSON array, parsed at once."""
HEAD_LINES = 100
"""Lines among which there is a whole one, where a file is JSON lines and begins with damage."""


@dataclass(frozen=True)
class Recording:
    """Positions as read, and as state vectors; row i of one is row i of the other.

    Attributes:
        source: short name of where the rows come from; part of a row's identity.
        rows: the rows as the file has them, for keeping a rejected one unchanged; where they
            are no table, one column `JSON_ROW` with each row's JSON text.
        states: the same rows with `STATE_VECTOR`'s columns and units.
        problems: a string for each row that could not be read as a state vector, else null;
            None where every row could.
    """

    source: str
    rows: pa.Table
    states: pa.Table
    problems: pa.ChunkedArray | None = None

    @cached_property
    def reasons(self) -> pa.ChunkedArray:
        """Why each row is rejected: unreadable, else untrue; null for a good one."""
        import pyarrow.compute as pc

        untrue = rejection_reasons(self.states)
        return untrue if self.problems is None else pc.coalesce(self.problems, untrue)

    def between(self, start: datetime, end: datetime) -> Recording:
        """The rows with ``start <= time_position < end``, and those without a time."""
        import pyarrow.compute as pc

        at = self.states["time_position"]
        within = pc.and_(
            pc.greater_equal(at, pa.scalar(start, at.type)), pc.less(at, pa.scalar(end, at.type))
        )
        # A row without a time belongs to no hour: each load of the file meets it, the first
        # rejects it, and for the later ones it is a duplicate.
        within = pc.fill_null(within, True)
        problems = None if self.problems is None else self.problems.filter(within)
        return Recording(
            self.source, self.rows.filter(within), self.states.filter(within), problems
        )

    def _all_problems(self) -> pa.ChunkedArray:
        if self.problems is not None:
            return self.problems
        return pa.chunked_array([pa.nulls(len(self.states), pa.string())])

    @staticmethod
    def concat(parts: list[Recording]) -> Recording:
        """Several recordings of one source as one, the rows in their order; at least one."""
        if len(parts) == 1:
            return parts[0]
        tables = [part.rows for part in parts]
        if len({tuple(table.schema) for table in tables}) > 1:
            tables = [_as_json(table) for table in tables]
        problems = None
        if any(part.problems is not None for part in parts):
            problems = pa.chunked_array(
                [chunk for part in parts for chunk in part._all_problems().chunks], pa.string()
            )
        return Recording(
            parts[0].source,
            pa.concat_tables(tables),
            pa.concat_tables([part.states for part in parts]),
            problems,
        )


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


def demo_recording() -> Path:
    """Path of the Paris recording that ships as data inside the ``traffic`` wheel.

    Raises:
        SkyOpsError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("traffic")
    if spec is None or spec.origin is None:
        raise SkyOpsError(
            "The demo's recording is not installed: run `make demo`, which installs it, or set "
            "SKYOPS_RECORDING to a recording of your own."
        )
    return Path(spec.origin).parent / "data/samples/collections/quickstart.json.gz"


def find_recordings(paths: Iterable[Path]) -> list[Path]:
    """The files named, and what is in the folders named, at any depth, in the order of the names.

    Files and folders whose names begin with a dot or an underscore are left out of a folder:
    writers of datasets keep their own notes in them. Links to folders are followed; a folder that
    is met again, as by a link in a circle, is searched once. What cannot be read is found as well,
    so that `open_recording` says of it what it is.

    Raises:
        SkyOpsError: a path does not exist, or there is no file.
    """
    given = list(paths)
    found: dict[Path, None] = {}
    searched: set[tuple[int, int]] = set()
    for path in given:
        if os.path.isdir(path):
            found.update(dict.fromkeys(_files_in(path, searched)))
        elif os.path.lexists(path):
            found[path] = None
        else:
            raise _missing(path)
    if not found:
        raise SkyOpsError(f"There is no file in {', '.join(map(shown, given))}.")
    return list(found)


def _files_in(folder: Path, searched: set[tuple[int, int]]) -> Iterator[Path]:
    """All below a folder that is none; the folder itself where it cannot be searched."""
    try:
        status = folder.stat()
        names = sorted(os.listdir(folder))
    except OSError:
        yield folder
        return
    if (status.st_dev, status.st_ino) in searched:
        return
    searched.add((status.st_dev, status.st_ino))
    for name in names:
        if name.startswith((".", "_")):
            continue
        path = folder / name
        if os.path.isdir(path):
            yield from _files_in(path, searched)
        else:
            yield path


def open_recording(path: Path, chunk_rows: int = CHUNK_ROWS) -> Opened:
    """Tell a file's format, and read it a chunk at a time.

    Parquet, CSV, JSON records and JSON lines take memory for one chunk, however large the file; a
    REST answer (1.6 MB for the whole world) and JSON by columns are read whole. Where a file breaks
    off, the chunks before are given first.

    Args:
        path: a file; see docs/recordings.md for what it may hold.
        chunk_rows: rows of a chunk, more or less.

    Raises:
        NoRecording: the file is of no format that SkyOps reads, or no file but a pipe, say.
        SkyOpsError: the file is missing or damaged; also while the chunks are taken.
        BadAnswer: it is a REST answer that cannot be read.
    """
    _ask_to_read(path)
    with _clear(path):
        head = _head(path)
        if head[:4] == b"PAR1":
            return _open_parquet(path, chunk_rows)
        start = head.lstrip()[:1]
        if start in (b"[", b"{"):
            try:
                return _open_json(path, start, head, chunk_rows)
            except (ValueError, RecursionError) as error:
                if b"icao24" in head:
                    raise
                # As a file of settings begins, or a page with a link.
                raise NoRecording(
                    f"The file {shown(path)} is neither JSON ({_said(error)}) nor another table. "
                    f"{ACCEPTED}."
                ) from None
        if _is_json_lines(head):
            return _open_lines(path, chunk_rows)
        return _open_csv(path, chunk_rows)


def _ask_to_read(path: Path) -> None:
    """Refuse what is no file, before it is opened: a pipe would be waited for."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        if not os.path.lexists(path):
            raise _missing(path) from None
        raise SkyOpsError(
            f"The recording {shown(path)} is a link to {shown(path.readlink())}, which is not "
            "there. Correct the link, or remove it."
        ) from None
    except OSError as error:
        raise SkyOpsError(
            f"The recording {shown(path)} cannot be read: {error.strerror}."
        ) from None
    if stat.S_ISDIR(kind):
        raise SkyOpsError(
            f"The folder {shown(path)} cannot be searched, or is no single recording."
        )
    if not stat.S_ISREG(kind):
        name = "pipe" if stat.S_ISFIFO(kind) else "socket" if stat.S_ISSOCK(kind) else "device"
        raise NoRecording(f"{shown(path)} is a {name} and no file. {ACCEPTED}.")


def iter_recording(
    path: Path,
    start: datetime | None = None,
    end: datetime | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[Recording]:
    """Read a recording, or a folder of them, a chunk at a time, in the order of the files.

    Args:
        start, end: only rows with ``start <= time_position < end``, and those without a time.
        chunk_rows: rows held at once, more or less.

    Raises:
        SkyOpsError: as `open_recording`, at the file that cannot be read.
    """
    first, last = start or datetime(1, 1, 1, tzinfo=UTC), end or datetime(9999, 1, 1, tzinfo=UTC)
    for file in find_recordings([path]):
        for chunk in open_recording(file, chunk_rows).chunks:
            yield chunk if start is None and end is None else chunk.between(first, last)


def read_recording(path: Path, start: datetime, end: datetime) -> Recording:
    """Read the rows of a recording with ``start <= time_position < end``, and those without a time.

    Args:
        path: a file; its rows are held at once, so the time asked for bounds the memory.

    Raises:
        SkyOpsError: the file is missing, cannot be read, or is of no format that SkyOps reads.
    """
    _ask_to_read(path)
    return Recording.concat(list(iter_recording(path, start, end)))


def by_source(chunks: Iterable[Recording]) -> list[Recording]:
    """One recording for each source, in the order in which they came."""
    found: dict[str, list[Recording]] = {}
    for chunk in chunks:
        found.setdefault(chunk.source, []).append(chunk)
    return [Recording.concat(parts) for parts in found.values()]


def unreadable(source: str, texts: list[str], reasons: list[str]) -> Recording:
    """Rows that fit in no table, as a recording: their JSON texts, and a reason each."""
    return Recording(
        source,
        pa.table({JSON_ROW: pa.array(texts, pa.string())}),
        pa.table([pa.nulls(len(texts), field.type) for field in NULLABLE], schema=NULLABLE),
        pa.chunked_array([pa.array(reasons, pa.string())]),
    )


def _missing(path: Path) -> SkyOpsError:
    return SkyOpsError(
        f"The recording {shown(path)} does not exist. Correct SKYOPS_RECORDING, or the path."
    )


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


@contextmanager
def _clear(path: Path) -> Iterator[None]:
    """Whatever a damaged file raises, as one sentence."""
    try:
        yield
    except (*BROKEN, ValueError, RecursionError, pa.ArrowException) as error:
        said = _said(error).encode("utf-8", "backslashreplace").decode()
        raise SkyOpsError(
            f"The recording {shown(path)} cannot be read: {said}. {ACCEPTED}."
        ) from None


def _clearly(path: Path, chunks: Iterator[Recording]) -> Iterator[Recording]:
    """The chunks; an error at the tenth is as clear as one at the first."""
    with _clear(path):
        yield from chunks


def _head(path: Path) -> bytes:
    with plain(path) as file:
        return next(pieces(file, 1 << 16), b"")


Block = tuple[Any, list[Torn]]
"""Some rows of a file, and what of it is torn."""


def _in_chunks(
    blocks: Iterator[Block],
    chunk_rows: int,
    make: Callable[[list[Any], list[Torn]], Iterator[Recording]],
) -> Iterator[Recording]:
    """So many rows at once, at least one chunk; where the file breaks off, what came before."""
    waiting: list[Any] = []
    torn: list[Torn] = []
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


def _torn_chunk(kind: Format, path: Path, torn: list[Torn]) -> Iterator[Recording]:
    if torn:
        texts = [json.dumps({"line": one.line}) for one in torn]
        yield unreadable(kind.source_of(path), texts, [one.reason for one in torn])


def _table_chunk(kind: Format, path: Path, rows: pa.Table) -> Recording:
    columns: Mapping[str, Values] = dict(zip(rows.column_names, rows.columns, strict=True))
    states, problems = kind.read(columns, len(rows))
    return Recording(kind.source_of(path), rows, states, problems)


# Parquet


def _open_parquet(path: Path, chunk_rows: int) -> Opened:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        kind = recognise(file.schema_arrow.names, path)
        mark = (file.schema_arrow.metadata or {}).get(SYNTHETIC_MARK)
        if mark is not None:
            kind = replace(kind, source=f"synthetic:{mark.decode()}")
        total = file.metadata.num_rows

    def chunks() -> Iterator[Recording]:
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            if not total:
                yield _table_chunk(kind, path, file.schema_arrow.empty_table())
            for batch in file.iter_batches(chunk_rows):
                columns = map(decoded, pa.Table.from_batches([batch]).columns)
                rows = pa.table(dict(zip(batch.schema.names, columns, strict=True)))
                yield _table_chunk(kind, path, rows)

    return Opened(kind.name, _clearly(path, chunks()), total)


def _recognised(names: Iterable[str], path: Path, rest: Iterator[Any]) -> Format:
    """As `recognise`; of a file that breaks off in its head it is said that it does."""
    try:
        return recognise(names, path)
    except NoRecording:
        next(rest, None)
        raise


# CSV


def _open_csv(path: Path, chunk_rows: int) -> Opened:
    with plain(path) as file:
        parts = pieces(file)
        form = dialect(next(parts, b""))
        kind = _recognised(form.names[: len(form.names) - form.unnamed], path, parts)
    return Opened(kind.name, _clearly(path, _csv_chunks(path, kind, form, chunk_rows)))


def _csv_chunks(path: Path, kind: Format, form: Dialect, chunk_rows: int) -> Iterator[Recording]:
    def make(tables: list[pa.Table], torn: list[Torn]) -> Iterator[Recording]:
        if tables:
            yield _table_chunk(kind, path, joined(tables))
        yield from _torn_chunk(kind, path, torn)

    with plain(path) as file:
        yield from _in_chunks(csv_tables(pieces(file), form), chunk_rows, make)


# JSON


def _open_json(path: Path, start: bytes, head: bytes, chunk_rows: int) -> Opened:
    if start == b"[":
        return _open_rows(path, _json_blocks(path), chunk_rows)
    if _is_json_lines(head):
        return _open_lines(path, chunk_rows)
    return _open_object(path)


def _open_lines(path: Path, chunk_rows: int) -> Opened:
    """JSON lines: an object a line, each a row."""
    return _open_rows(path, _line_objects(path), chunk_rows)


def _open_rows(path: Path, blocks: Iterator[Block], chunk_rows: int) -> Opened:
    """JSON objects, each a row."""
    first: Block = next(blocks, ([], []))
    names = list(dict.fromkeys(name for row in first[0] if isinstance(row, dict) for name in row))
    kind = _recognised(names, path, blocks)

    def make(parts: list[list[Any]], torn: list[Torn]) -> Iterator[Recording]:
        yield from _record_chunks(kind, path, list(chain.from_iterable(parts)))
        yield from _torn_chunk(kind, path, torn)

    return Opened(kind.name, _clearly(path, _in_chunks(chain([first], blocks), chunk_rows, make)))


def _is_json_lines(head: bytes) -> bool:
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
    with plain(path) as file:
        for block in line_blocks(pieces(file)):
            elements: list[Any] = []
            torn: list[Torn] = []
            for line in block.split(b"\n"):
                if not (line := line.strip()):
                    continue
                try:
                    elements.append(_loads(line))
                except (ValueError, RecursionError):
                    torn.append(Torn.of(line, "the line is not JSON"))
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
            return _table_chunk(kind, path, pa.table(arrays))
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
    with plain(path) as file:
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


def _one_by_one(text: str, *, is_end: bool) -> tuple[list[Any], list[Torn], int]:
    """The elements of an array that is damaged, what lies torn between, and where they end.

    Args:
        is_end: whether the array ends with the text; else what may go on is left.
    """
    read = json.JSONDecoder().raw_decode
    elements: list[Any] = []
    torn: list[Torn] = []
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


def _torn_text(text: str) -> Torn:
    return Torn.of(text.encode("utf-8", "surrogateescape"), "the row is not JSON")


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
    """A REST answer, or a table by columns as pandas writes it: {column: {row: value}}."""
    from skyops_assets.sources.opensky.reading.rest import read_answer

    with plain(path) as file:
        body = b"".join(pieces(file))
    if b'"states"' in body[:4096]:
        return Opened(REST, iter([read_answer(body)]))
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


# Rows as JSON, as they are kept when rejected


def _as_json(rows: pa.Table) -> pa.Table:
    """The rows as their JSON texts; tables of different columns become alike."""
    if rows.column_names == [JSON_ROW]:
        return rows
    return pa.table({JSON_ROW: pa.array(row_texts(rows), pa.string())})


def row_texts(rows: pa.Table) -> list[str]:
    """The rows of `Recording.rows` as JSON that Postgres takes, also those Python cannot hold."""
    columns = [_values(column) for column in rows.columns]
    return [
        row_json(dict(zip(rows.column_names, row, strict=True)))
        for row in zip(*columns, strict=True)
    ]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Python values; as text where one is a time beyond the year 9999, say, or text within lists
    is no UTF-8."""
    for kind in (None, pa.string()):
        try:
            return (column if kind is None else column.cast(kind)).to_pylist()
        except (ValueError, OverflowError, pa.ArrowException):
            continue
    return ["(unreadable)"] * len(column)


def row_json(row: dict[str, Any]) -> str:
    """A row of `Recording.rows` as JSON that Postgres takes.

    JSON has no infinity and no NaN, and Postgres no NUL and no half a character: they become
    the text that shows them. What JSON does not know, such as a time, becomes text as well, and so
    does a row that nests too deep to be walked through.
    """
    text = row[JSON_ROW] if row.keys() == {JSON_ROW} else None
    try:
        value = storable(row if text is None else json.loads(text))
        return json.dumps(value, default=str, sort_keys=True)
    except RecursionError:
        return json.dumps(storable(json.dumps(row, default=str) if text is None else text))


def storable(value: Any) -> Any:
    """A value as JSON that Postgres takes; see `row_json`."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        if value.isprintable():
            return value
        shown = value.replace("\0", "\\u0000")
        return shown.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value
