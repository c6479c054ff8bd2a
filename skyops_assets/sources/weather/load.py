"""METARs into ``raw.metars``: deduplicated and accounted for.

One transaction an airport and day, so that a killed process leaves all of it or nothing; loading a
day again adds only what was not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.settings import Settings
from skyops_assets.sources.history.source import history_file
from skyops_assets.sources.weather.schema import METAR, Judged, judge
from skyops_assets.sources.weather.source import Place, read_reports
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.idempotent import Classified, load_idempotently

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

TARGET = "raw.metars"
TIME_TAKEN = "another report of this time is there already"


def airports(day: date, settings: Settings) -> tuple[str, ...]:
    """Whose weather of a day is of use: watched ones, and the history's where it has the day."""
    history = (
        code for code in settings.history_airports if history_file(code, day, settings).exists
    )
    return tuple(dict.fromkeys([*settings.watch_airports, *history]))


def load_place(warehouse: Warehouse, found: Place, *, run_id: str | None = None) -> bulk.Batch:
    """Load one airport's day; a day without reports is a batch of no rows.

    Raises:
        SkyOpsError: the place does not answer, or has something else than METARs.
    """
    rows = read_reports(found)
    return load_rows(warehouse, rows, found.airport, found.day, source=found.name, run_id=run_id)


def load_rows(
    warehouse: Warehouse,
    rows: list[dict[str, Any]],
    airport: str,
    day: date,
    *,
    source: str,
    run_id: str | None = None,
) -> bulk.Batch:
    """Load the rows of one airport and day; bad ones go to ``raw.rejected_states``.

    Of reports with one time the first that was loaded stays, because it is what was known first; of
    those that come together one that corrects none. The others are rejected.

    Args:
        rows: as `source.read_reports` gives them.
        source: where they come from, kept with each row.

    Returns:
        The accounts; the window is that of the new reports, as a day is loaded every hour while it
        lasts. A row whose text equals a stored report, or a rejected row that was kept before,
        counts as a duplicate.
    """
    started_at = datetime.now(UTC)
    judged = judge(rows, airport, day)
    return load_idempotently(
        warehouse,
        METAR,
        lambda cursor: _sort(judged, _stored(cursor, airport, day)),
        target=TARGET,
        source=source,
        read_rows=len(rows),
        started_at=started_at,
        run_id=run_id,
    )


def _stored(cursor: Cursor, airport: str, day: date) -> dict[datetime, str]:
    cursor.execute(
        f"select observed_at, report from {TARGET} where airport = $1 "  # noqa: S608
        "and observed_at >= $2 and observed_at < $2 + 1",
        (airport, day),
    )
    return {at.astimezone(UTC): report for at, report in cursor.fetchall()}


def _sort(judged: Sequence[Judged], stored: Mapping[datetime, str]) -> Classified:
    """What is new, with its window, and what is rejected with its reason."""
    first = dict(stored)
    new: list[dict[str, Any]] = []
    rejected: list[tuple[Mapping[str, Any], str]] = []
    for item in sorted(judged, key=lambda one: one.is_correction):
        if item.report is None:
            rejected.append((item.row, str(item.reason)))
            continue
        at = item.report["observed_at"]
        if at not in first:
            first[at] = item.report["report"]
            new.append(item.report)
        elif first[at] != item.report["report"]:
            rejected.append((item.row, TIME_TAKEN))
    times = [report["observed_at"] for report in new]
    return Classified(new, rejected, (min(times, default=None), max(times, default=None)))
