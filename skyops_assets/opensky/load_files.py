"""Files of positions into the warehouse, one chunk a transaction.

Belongs here: what becomes of a file as a whole. Does not: reading it (`recordings`), or writing
rows (`load`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc

from skyops_assets.errors import SkyOpsError
from skyops_assets.opensky.bad_answers import keep_bad_answer
from skyops_assets.opensky.load import load_states
from skyops_assets.opensky.recordings import Recording, open_recording
from skyops_assets.opensky.rest import SOURCE, BadAnswer
from skyops_assets.warehouse.bulk import Batch
from skyops_assets.warehouse.server import Warehouse


@dataclass
class FileLoad:
    """What became of a file: ``read_rows = loaded_rows + duplicate_rows + rejected_rows``.

    Attributes:
        format: as a person reads it; "unknown" where it could not be told.
        hours: the good rows by the hour (UTC) of their time.
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
    error: str | None = None

    def add(self, batch: Batch) -> None:
        """Count a batch of the file."""
        self.read_rows += batch.read_rows
        self.loaded_rows += batch.loaded_rows
        self.duplicate_rows += batch.duplicate_rows
        self.rejected_rows += batch.rejected_rows


def load_file(
    warehouse: Warehouse, path: Path, on_rows: Callable[[int, int | None], None] | None = None
) -> FileLoad:
    """Load a recording to its end, or as far as it can be read.

    A REST answer that cannot be read is kept whole in ``raw.rejected_states``, as one row.

    Args:
        on_rows: called after each chunk with the rows read so far and, where the file says
            it, how many there are.

    Raises:
        SkyOpsError: the warehouse cannot be reached; nothing else is raised over a file.
    """
    report = FileLoad(path)
    began = time.monotonic()
    try:
        opened = open_recording(path)
        report.format = opened.format
        chunks = opened.chunks
        while (chunk := next(chunks, None)) is not None:
            batch = _load(warehouse, chunk)
            report.add(batch)
            report.hours.update(_hours(chunk))
            if on_rows:
                on_rows(report.read_rows, opened.rows)
    except _WarehouseError as error:
        raise error.cause from None
    except BadAnswer as error:
        report.add(keep_bad_answer(warehouse, error.body, error.reason, SOURCE))
        report.error = f"{path}: {error} It is kept in raw.rejected_states."
    except SkyOpsError as error:
        report.error = str(error)
    report.seconds = time.monotonic() - began
    return report


class _WarehouseError(Exception):
    """A failure of the warehouse, which no other file will mend."""

    def __init__(self, cause: SkyOpsError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _load(warehouse: Warehouse, chunk: Recording) -> Batch:
    try:
        return load_states(warehouse, chunk)
    except SkyOpsError as error:
        raise _WarehouseError(error) from None


def _hours(chunk: Recording) -> dict[datetime, int]:
    """The good rows of a chunk by hour."""
    good = chunk.states["time_position"].filter(pc.is_null(chunk.reasons))
    counts = pc.value_counts(pc.floor_temporal(good, unit="hour"))
    return {one["values"]: one["counts"] for one in counts.to_pylist()}
