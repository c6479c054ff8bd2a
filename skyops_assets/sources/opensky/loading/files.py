"""Files of positions into the warehouse, one chunk a transaction.

Belongs here: what becomes of a file as a whole. Does not: reading it (`recordings`), or writing
rows (`load`).
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.csv_tables import NEARLY_ALL
from skyops_assets.sources.opensky.loading.malformed_responses import keep_malformed_response
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.formats import REST, NoRecording
from skyops_assets.sources.opensky.reading.recording import Recording, by_source, row_texts
from skyops_assets.sources.opensky.reading.recordings import find_recordings, open_recording
from skyops_assets.sources.opensky.reading.rest import MalformedResponse
from skyops_assets.sources.text import shown
from skyops_assets.warehouse.bulk import Batch, together
from skyops_assets.warehouse.connection import Warehouse

EXAMPLE = 300
"""Characters of a rejected row in a message."""

_FIELDS = "the line has too few or too many fields"
_NO_POSITION = ("no time of position", "no position")
"""Of responses as they come: an aircraft whose position nobody received."""
_ADVICE = (
    ("is not a time", "Write times as ISO 8601 (2021-10-07T12:00:00Z), or count since 1970."),
    ("is not a number", "Write numbers with a decimal point, or a whole row with decimal commas."),
    ("fields", "Quote values that contain the column separator, such as decimal commas."),
    ("do not pair", "Double a quote inside a value, and put the value in quotes."),
    ("is later than", "Is its clock in another time zone? Write UTC, or the zone with each time."),
    ("look swapped", "Swap the names of the two columns."),
    ("icao24", "An address is text of six hexadecimal digits, with leading zeros."),
    (
        "stale",
        "OpenSky repeats a vector when an aircraft is no longer heard; nothing needs fixing.",
    ),
)


@dataclass
class FileLoad:
    """What became of a file: ``read_rows = loaded_rows + duplicate_rows + rejected_rows``.

    Attributes:
        is_named: whether somebody asked for this file, and not for the folder that it is in.
        format: as a person reads it; "unknown" where it could not be told.
        hours: the good rows by the hour (UTC) of their time.
        total_rows: the file's rows, where it says how many.
        reasons: the rows that are bad by their reason, those among them that were rejected before;
            of lines that have too few or too many fields all under one.
        examples: the first such row, as JSON.
        error: why it was not read to its end; what was read before is loaded.
        foreign: why it is no recording at all, such as a README.
    """

    path: Path
    is_named: bool = True
    format: str = "unknown"
    read_rows: int = 0
    loaded_rows: int = 0
    duplicate_rows: int = 0
    rejected_rows: int = 0
    hours: Counter[datetime] = field(default_factory=Counter)
    seconds: float = 0.0
    total_rows: int | None = None
    seen_rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    foreign: str | None = None

    @property
    def bad_rows(self) -> int:
        """Rows that are rejected, or were before."""
        return sum(self.reasons.values())

    @property
    def nearly_all_rejected(self) -> str | None:
        """Where nearly all rows are rejected: why, an example, and what to do; else None."""
        usual = sum(self.reasons[one] for one in _NO_POSITION) if self.format == REST else 0
        judged, bad = self.seen_rows - usual, self.bad_rows - usual
        if not bad or bad < NEARLY_ALL * judged:
            return None
        reason, rows = next(
            (reason, rows)
            for reason, rows in self.reasons.most_common()
            if not (usual and reason in _NO_POSITION)
        )
        advice = next((text for part, text in _ADVICE if part in reason), "Correct the file.")
        return (
            f"{shown(self.path)}: {bad:,} of {judged:,} rows are rejected, {rows:,} of them "
            f"because {reason}. The first of these: {self.examples[reason]}. {advice} They are "
            "kept in raw.rejected_states; loading the file again does not load them."
        )

    @property
    def failure(self) -> str | None:
        """Why the file is not loaded as somebody would expect, or None."""
        return self.error or (self.foreign if self.is_named else None) or self.nearly_all_rejected

    def note(self, chunk: Recording) -> None:
        """Count a chunk's rows by the reasons why they are bad, and by the hour where not."""
        self.seen_rows += len(chunk.states)
        self.hours.update(good_hours(chunk))
        if chunk.reasons.null_count == len(chunk.reasons):
            return
        for one in pc.value_counts(chunk.reasons.drop_null()).to_pylist():
            reason = re.sub("the line has .* fields .*", _FIELDS, one["values"])
            self.reasons[reason] += one["counts"]
            if reason not in self.examples:
                at = pc.index(chunk.reasons, one["values"]).as_py()
                self.examples[reason] = _example(chunk, at)

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

    A REST response that cannot be read is kept whole in ``raw.rejected_states``, as one row.

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
        report.note(chunk)
        report.seconds = time.monotonic() - began
        if on_rows:
            on_rows(report.read_rows, report.total_rows)
    report.seconds = time.monotonic() - began
    return report


def read_hours(
    warehouse: Warehouse, path: Path, start: datetime, end: datetime, *, run_id: str | None = None
) -> tuple[list[Recording], list[FileLoad]]:
    """Read the rows with ``start <= time_position < end``, and those without a time, of all files.

    As `load_file` does, file by file: what is no recording, or breaks off, is told of in its
    report, and a response that cannot be read is kept.

    Args:
        path: a file, or a folder of them.

    Returns:
        One recording for each source, and what is to be told of each file. Its accounts are those
        of its kept response alone: the rows are not loaded.

    Raises:
        SkyOpsError: there is nothing that could be read.
    """
    reports = [FileLoad(file, file == path) for file in find_recordings([path])]
    found: list[Recording] = []
    for report in reports:
        for chunk in _chunks(warehouse, report, run_id):
            found.append(chunk.between(start, end))
            report.note(found[-1])
    if not found:
        told = (report.error or report.foreign for report in reports)
        raise SkyOpsError(
            next((text for text in told if text), f"There is no recording in {shown(path)}.")
        )
    return by_source(found), reports


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


def _chunks(
    warehouse: Warehouse, report: FileLoad, run_id: str | None = None
) -> Iterator[Recording]:
    """The file's chunks; what is wrong with the file ends them and goes to the report."""
    try:
        opened = open_recording(report.path)
        report.format, report.total_rows = opened.format, opened.rows
        yield from opened.chunks
    except MalformedResponse as error:
        report.format = REST
        report.add(
            keep_malformed_response(
                warehouse, error.body, error.reason, error.source, run_id=run_id
            )
        )
        report.error = f"{shown(report.path)}: {error} It is kept in raw.rejected_states."
    except NoRecording as error:
        report.foreign = str(error)
    except SkyOpsError as error:
        report.error = str(error)


def good_hours(chunk: Recording) -> dict[datetime, int]:
    """The good rows of a chunk by the hour (UTC) of their time."""
    good = chunk.states["time_position"].filter(pc.is_null(chunk.reasons))
    counts = pc.value_counts(pc.floor_temporal(good, unit="hour"))
    return {one["values"]: one["counts"] for one in counts.to_pylist()}


def _example(chunk: Recording, at: int) -> str:
    [text] = row_texts(chunk.rows.slice(at, 1))
    row = json.loads(text)
    text = row["line"] if isinstance(row, dict) and row.keys() == {"line"} else text
    return text if len(text) <= EXAMPLE else f"{text[:EXAMPLE]} ..."
