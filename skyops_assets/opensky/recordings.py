"""Recordings of positions, read into state vectors, a bounded number of rows at a time.

Belongs here: files and folders, and what a recording is. Does not: the columns and units of a
format (`formats`, `rest`), judging a value (`schema`) or writing to the warehouse (`load`).

A file's kind is told by what is in it, never by its name.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib.util
import io
import json
import math
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from skyops_assets.errors import SkyOpsError
from skyops_assets.opensky.columns import NULLABLE, Values, common_kind
from skyops_assets.opensky.formats import ACCEPTED, REST, SYNTHETIC_MARK, Format, recognise
from skyops_assets.opensky.schema import rejection_reasons

DEMO_START = datetime(2021, 10, 7, 12, tzinfo=UTC)
DEMO_END = datetime(2021, 10, 7, 15, tzinfo=UTC)
"""The hours that the demo's recording covers: Paris, 12 to 15 UTC."""

JSON_ROW = "state"
"""The only column of `Recording.rows` where a row is kept as its JSON text."""
CHUNK_ROWS = 200_000
"""Rows held at once, and loaded in one transaction."""
BLOCK_BYTES = 8 << 20
LINES = 1 << 20
DELIMITERS = ",;\t|"


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

    @property
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
    """The files named, and those in the folders named, at any depth, in the order of their names.

    Files and folders whose names begin with a dot or an underscore are left out of a folder:
    writers of datasets keep their own notes in them.

    Raises:
        SkyOpsError: a path does not exist, or there is no file.
    """
    given = list(paths)
    found: dict[Path, None] = {}
    for path in given:
        if not path.exists():
            raise _missing(path)
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in inside:
            below = file.relative_to(path).parts
            if file.is_file() and not any(part.startswith((".", "_")) for part in below):
                found[file] = None
    if not found:
        raise SkyOpsError(f"There is no file in {', '.join(map(str, given))}.")
    return list(found)


def open_recording(path: Path, chunk_rows: int = CHUNK_ROWS) -> Opened:
    """Tell a file's format, and read it a chunk at a time.

    Parquet, CSV and JSON records take memory for one chunk, however large the file; a REST
    answer (1.6 MB for the whole world) and JSON by columns are read whole.

    Args:
        path: a file; see docs/recordings.md for what it may hold.
        chunk_rows: rows of a chunk, more or less.

    Raises:
        SkyOpsError: the file is missing, damaged or of no format that SkyOps reads; also
            while the chunks are taken.
        BadAnswer: it is a REST answer that cannot be read.
    """
    if not path.is_file():
        raise _missing(path)
    with _clear(path):
        head = _head(path)
        if head[:4] == b"PAR1":
            return _open_parquet(path, chunk_rows)
        start = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        if start == b"[":
            return _open_records(path, chunk_rows)
        if start == b"{":
            return _open_object(path)
        return _open_csv(path, chunk_rows)


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
    if not path.exists():
        raise _missing(path)
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
    if not path.is_file():
        raise _missing(path)
    return Recording.concat(list(iter_recording(path, start, end)))


def read_recordings(path: Path, start: datetime, end: datetime) -> list[Recording]:
    """As `read_recording`, of a file or of all in a folder: one recording for each source."""
    if not path.is_dir():
        return [read_recording(path, start, end)]
    found: dict[str, list[Recording]] = {}
    for chunk in iter_recording(path, start, end):
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
        f"The recording {path} does not exist. Correct SKYOPS_RECORDING, or the path."
    )


@contextmanager
def _clear(path: Path) -> Iterator[None]:
    """Whatever a damaged file raises, as one sentence."""
    try:
        yield
    except (OSError, EOFError, zlib.error, ValueError, RecursionError, csv.Error) as error:
        # Arrow's errors are ValueErrors or OSErrors.
        said = " ".join(str(error).split())[:300]
        raise SkyOpsError(f"The recording {path} cannot be read: {said}. {ACCEPTED}.") from None


def _clearly(path: Path, chunks: Iterator[Recording]) -> Iterator[Recording]:
    """The chunks; an error at the tenth is as clear as one at the first."""
    with _clear(path):
        yield from chunks


@contextmanager
def _plain(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked where it is gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
        else:
            with gzip.open(file) as unpacked:
                yield unpacked  # type: ignore[misc]


def _head(path: Path) -> bytes:
    with _plain(path) as file:
        return file.read(4096)


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
                yield _table_chunk(kind, path, pa.Table.from_batches([batch]))

    return Opened(kind.name, _clearly(path, chunks()), total)


# CSV


def _open_csv(path: Path, chunk_rows: int) -> Opened:
    with _plain(path) as file:
        line = io.TextIOWrapper(file, "utf-8-sig").readline(LINES)
    headers = [next(csv.reader([line], delimiter=sign), []) for sign in DELIMITERS]
    names, delimiter = max(zip(headers, DELIMITERS, strict=True), key=lambda header: len(header[0]))
    kind = recognise(names, path)
    return Opened(kind.name, _clearly(path, _csv_chunks(path, kind, names, delimiter, chunk_rows)))


def _csv_chunks(
    path: Path, kind: Format, names: list[str], delimiter: str, chunk_rows: int
) -> Iterator[Recording]:
    import pyarrow.csv as pacsv

    # Arrow's reader adds to it while it reads ahead, in a thread of its own.
    torn: deque[tuple[str, str]] = deque()

    def keep(row: pacsv.InvalidRow) -> str:
        reason = f"the line has {row.actual_columns} fields instead of {row.expected_columns}"
        torn.append((json.dumps({"line": row.text}), reason))
        return "skip"

    def take_torn() -> Iterator[Recording]:
        if taken := [torn.popleft() for _ in range(len(torn))]:
            texts, reasons = zip(*taken, strict=True)
            yield unreadable(kind.source_of(path), list(texts), list(reasons))

    with _plain(path) as file:
        batches = pacsv.open_csv(
            pa.PythonFile(file, "r"),
            pacsv.ReadOptions(block_size=1 << 20, use_threads=False),
            pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=keep),
            # No guessing of types: an address such as 1e1234 must not become a number.
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(batch)
            if sum(map(len, waiting)) >= chunk_rows:
                yield _table_chunk(kind, path, pa.Table.from_batches(waiting))
                waiting = []
                yield from take_torn()
        yield _table_chunk(kind, path, pa.Table.from_batches(waiting, batches.schema))
        yield from take_torn()


# JSON


def _open_records(path: Path, chunk_rows: int) -> Opened:
    """A JSON array of objects, each a row."""
    blocks = _json_blocks(path)
    first = next(blocks, [])
    names = list(dict.fromkeys(name for row in first if isinstance(row, dict) for name in row))
    kind = recognise(names, path)

    def chunks() -> Iterator[Recording]:
        waiting = first
        for block in blocks:
            waiting.extend(block)
            if len(waiting) >= chunk_rows:
                yield from _record_chunks(kind, path, waiting)
                waiting = []
        yield from _record_chunks(kind, path, waiting)

    return Opened(kind.name, _clearly(path, chunks()))


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
        return _table_chunk(kind, path, pa.table(arrays))
    states, problems = kind.read(columns, rows)
    texts = [
        json.dumps(dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]
    kept = pa.table({JSON_ROW: pa.array(texts, pa.string())})
    return Recording(kind.source_of(path), kept, states, problems)


def _json_blocks(path: Path) -> Iterator[list[Any]]:
    """The elements of a JSON array, some megabytes at a time.

    What is read so far is cut after an object and read as an array of its own. That succeeds
    only where the cut lies between two elements; otherwise the block before is tried, then more
    is read.
    """
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    with _plain(path) as file:
        text = decode(file.read(BLOCK_BYTES)).lstrip()[1:]
        worth_trying = 0
        while True:
            more = file.read(BLOCK_BYTES)
            if not more:
                yield json.loads("[" + text + decode(b"", True))
                return
            if len(text) >= worth_trying:
                cut, elements = _cut(text)
                worth_trying = 0 if cut else 2 * len(text)
                if cut:
                    yield elements
                    text = text[cut:]
            text += decode(more)


def _cut(text: str, tries: int = 5) -> tuple[int, list[Any]]:
    """How much of the text is elements with the comma after them, and those; 0 for none."""
    at = len(text)
    for _ in range(tries):
        at = text.rfind("},", 0, at)
        if at < 0:
            break
        try:
            return at + 2, json.loads("[" + text[: at + 1] + "]")
        except ValueError:
            continue
    return 0, []


def _open_object(path: Path) -> Opened:
    """A REST answer, or a table by columns as pandas writes it: {column: {row: value}}."""
    from skyops_assets.opensky.rest import read_answer

    with _plain(path) as file:
        body = file.read()
    if b'"states"' in body[:4096]:
        return Opened(REST, iter([read_answer(body)]))
    found = json.loads(body.decode("utf-8-sig"))
    kind = recognise(found, path)
    columns = [values for values in found.values() if isinstance(values, dict)]
    keys = list(dict.fromkeys(key for values in columns for key in values))
    if len(columns) < len(found):
        odd = next(name for name, values in found.items() if not isinstance(values, dict))
        raise SkyOpsError(f"The recording {path} has a column {odd} that is not {{row: value}}.")
    table = {name: [values.get(key) for key in keys] for name, values in found.items()}
    return Opened(kind.name, iter([_column_chunk(kind, path, table, len(keys))]))


# Rows as JSON, as they are kept when rejected


def _as_json(rows: pa.Table) -> pa.Table:
    """The rows as their JSON texts; tables of different columns become alike."""
    if rows.column_names == [JSON_ROW]:
        return rows
    return pa.table({JSON_ROW: pa.array([row_json(row) for row in rows.to_pylist()], pa.string())})


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
