"""Files of positions into the warehouse, one chunk a transaction.

Belongs here: what becomes of a file as a whole. Does not: reading it (`recordings`), or writing
rows (`load`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc

from skyops_assets.errors import SkyOpsError
from skyops_assets.opensky.bad_answers import keep_bad_answer
from skyops_assets.opensky.formats import REST
from skyops_assets.opensky.load import load_states
from skyops_assets.opensky.recordings import Recording, open_recording
from skyops_assets.opensky.rest import BadAnswer
from skyops_assets.warehouse.bulk import Batch, together
from skyops_assets.warehouse.server import Warehouse


@dataclass
class FileLoad:
    """What became of a file: ``read_rows = loaded_rows + duplicate_rows + rejected_rows``.

    Attributes:
        format: as a person reads it; "unknown" where it could not be told.
        hours: the good rows by the hour (UTC) of their time.
        total_rows: the file's rows, where it says how many.
        error: why it was not read to its end; what was read before is loaded.
    """

    path: Path
    format: str = "unknown"
    read_rows: int = 0
    loaded_rows: int = 0
    duplicate_rows: int = 0
    rejected_rows: int = 0
    hours: Counter[datetime] = field(default_factory=Counter)
    seconds: float = 0.0
    total_rows: int | None = None
    error: str | None = None

    def add(self, batch: Batch) -> None:
        """Count a batch of the file."""
        self.read_rows += batch.read_rows
        self.loaded_rows += batch.loaded_rows
        self.duplicate_rows += batch.duplicate_rows
        self.rejected_rows += batch.rejected_rows


def load_file(
    warehouse: Warehouse,
    path: Path,
    on_rows: Callable[[int, int | None], None] | None = None,
    report: FileLoad | None = None,
) -> FileLoad:
    """Load a recording to its end, or as far as it can be read.

    A REST answer that cannot be read is kept whole in ``raw.rejected_states``, as one row.

    Args:
        on_rows: called after each chunk with the rows read so far and, where the file says
            it, how many there are.
        report: filled as chunks are committed, for a caller that may be interrupted.

    Raises:
        SkyOpsError: the warehouse cannot be reached; nothing else is raised over a file.
    """
    report = report or FileLoad(path)
    began = time.monotonic()
    for chunk in _chunks(warehouse, report):
        report.add(load_states(warehouse, chunk))
        report.hours.update(good_hours(chunk))
        report.seconds = time.monotonic() - began
        if on_rows:
            on_rows(report.read_rows, report.total_rows)
    report.seconds = time.monotonic() - began
    return report


def load_hour(
    warehouse: Warehouse,
    recordings: list[Recording],
    start: datetime,
    end: datetime,
    *,
    run_id: str | None = None,
) -> Batch:
    """Load the rows with ``start <= time_position < end``, and those without a time.

    Args:
        recordings: one or more, each of a source of its own.

    Returns:
        The accounts of all sources together, under the number of the last batch.
    """
    parts = [recording.between(start, end) for recording in recordings]
    # A folder of a hundred files should not leave a hundred empty batches; one says it was read.
    parts = [part for part in parts if len(part.states)] or parts[:1]
    batches = [load_states(warehouse, part, run_id=run_id) for part in parts]
    return batches[0] if len(batches) == 1 else together(batches, f"{len(batches)} sources")


def _chunks(warehouse: Warehouse, report: FileLoad) -> Iterator[Recording]:
    """The file's chunks; what is wrong with the file ends them and goes to the report."""
    try:
        opened = open_recording(report.path)
        report.format, report.total_rows = opened.format, opened.rows
        yield from opened.chunks
    except BadAnswer as error:
        report.format = REST
        report.add(keep_bad_answer(warehouse, error.body, error.reason, error.source))
        report.error = f"{report.path}: {error} It is kept in raw.rejected_states."
    except SkyOpsError as error:
        report.error = str(error)


def good_hours(chunk: Recording) -> dict[datetime, int]:
    """The good rows of a chunk by the hour (UTC) of their time."""
    good = chunk.states["time_position"].filter(pc.is_null(chunk.reasons))
    counts = pc.value_counts(pc.floor_temporal(good, unit="hour"))
    return {one["values"]: one["counts"] for one in counts.to_pylist()}
