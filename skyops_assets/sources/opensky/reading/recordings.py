"""Recordings of positions, read into state vectors, a bounded number of rows at a time.

Belongs here: files and folders, and what a recording is. Does not: the columns and units of a
format (`formats`, `rest`), judging a value (`schema`) or writing to the warehouse (`load`).

A file's kind is told by what is in it, never by its name.
"""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.csv_tables import Dialect, csv_tables, decoded, dialect, joined
from skyops_assets.sources.opensky.reading.chunks import (
    CHUNK_ROWS,
    Opened,
    error_text,
    guarded,
    in_chunks,
    malformed_chunk,
    readable_errors,
    recognised,
    table_chunk,
)
from skyops_assets.sources.opensky.reading.formats import (
    ACCEPTED,
    SYNTHETIC_MARK,
    Format,
    NoRecording,
    recognise,
)
from skyops_assets.sources.opensky.reading.json_files import is_json_lines, open_json, open_lines
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.text import MalformedLine, decompressed, pieces, shown

DEMO_START = datetime(2021, 10, 7, 12, tzinfo=UTC)
DEMO_END = datetime(2021, 10, 7, 15, tzinfo=UTC)
"""The hours that the demo's recording covers: Paris, 12 to 15 UTC."""


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


DEMO = "demo"
"""The demo's recording by name, where a path may stand."""


def named_recording(name: str | Path) -> Path:
    """The path of a recording, or of the demo's where it is called `demo`."""
    return demo_recording() if str(name) == DEMO else Path(name)


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
    REST response (1.6 MB for the whole world) and JSON by columns are read whole. Where a file
    breaks off, the chunks before are given first.

    Args:
        path: a file; see docs/recordings.md for what it may hold.
        chunk_rows: rows of a chunk, more or less.

    Raises:
        NoRecording: the file is of no format that SkyOps reads, or no file but a pipe, say.
        SkyOpsError: the file is missing or damaged; also while the chunks are taken.
        BadAnswer: it is a REST response that cannot be read.
    """
    _ask_to_read(path)
    with readable_errors(path):
        head = _head(path)
        if head[:4] == b"PAR1":
            return _open_parquet(path, chunk_rows)
        start = head.lstrip()[:1]
        if start in (b"[", b"{"):
            try:
                return open_json(path, start, head, chunk_rows)
            except (ValueError, RecursionError) as error:
                if b"icao24" in head:
                    raise
                # As a file of settings begins, or a page with a link.
                raise NoRecording(
                    f"The file {shown(path)} is neither JSON ({error_text(error)}) nor another "
                    f"table. {ACCEPTED}."
                ) from None
        if is_json_lines(head):
            return open_lines(path, chunk_rows)
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
            f"The folder {shown(path)} cannot be searched, or is not a single recording."
        )
    if not stat.S_ISREG(kind):
        name = "pipe" if stat.S_ISFIFO(kind) else "socket" if stat.S_ISSOCK(kind) else "device"
        raise NoRecording(f"{shown(path)} is a {name}, not a file. {ACCEPTED}.")


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


def _missing(path: Path) -> SkyOpsError:
    return SkyOpsError(f"The recording {shown(path)} does not exist: correct the path.")


def _head(path: Path) -> bytes:
    with decompressed(path) as file:
        return next(pieces(file, 1 << 16), b"")


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
                yield table_chunk(kind, path, file.schema_arrow.empty_table())
            for batch in file.iter_batches(chunk_rows):
                columns = map(decoded, pa.Table.from_batches([batch]).columns)
                rows = pa.table(dict(zip(batch.schema.names, columns, strict=True)))
                yield table_chunk(kind, path, rows)

    return Opened(kind.name, guarded(path, chunks()), total)


def _open_csv(path: Path, chunk_rows: int) -> Opened:
    with decompressed(path) as file:
        parts = pieces(file)
        form = dialect(next(parts, b""))
        kind = recognised(form.names[: len(form.names) - form.unnamed], path, parts)
    return Opened(kind.name, guarded(path, _csv_chunks(path, kind, form, chunk_rows)))


def _csv_chunks(path: Path, kind: Format, form: Dialect, chunk_rows: int) -> Iterator[Recording]:
    def make(tables: list[pa.Table], torn: list[MalformedLine]) -> Iterator[Recording]:
        if tables:
            yield table_chunk(kind, path, joined(tables))
        yield from malformed_chunk(kind, path, torn)

    with decompressed(path) as file:
        yield from in_chunks(csv_tables(pieces(file), form), chunk_rows, make)
