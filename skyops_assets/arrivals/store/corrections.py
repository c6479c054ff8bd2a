"""A person's word on arrivals: what is left out of training and skill, and landings put right.

Belongs here: the rows of ``audit.corrections``, and what of them a read of arrivals follows. Does
not: reading arrivals (`inputs`). One bad week of a receiver poisons the training of a month.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import ARRIVALS_TABLE, LABEL
from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all, fetch_one, field_names, insert_statement

if TYPE_CHECKING:
    import pandas as pd

TIME, FLIGHT, LANDING = "leave out time", "leave out flight", "correct landing"
LEFT_OUT = """exists (
    select from audit.corrections c
    where c.undone_at is null and (
        c.kind = 'leave out flight' and c.flight_id = t.flight_id::text
        or c.kind = 'leave out time'
            and t.crossed_at < c.through_at and coalesce(t.landed_at, t.crossed_at) >= c.from_at
            and (c.airport is null or c.airport = t.airport::text)
    )
)"""
"""Whether a person left a row `t` of arrivals out."""


@dataclass(frozen=True)
class Correction:
    """A row of ``audit.corrections``; times are UTC."""

    correction_id: int
    made_at: datetime
    kind: str
    airport: str | None
    from_at: datetime | None
    through_at: datetime | None
    flight_id: str | None
    landed_at: datetime | None
    author: str
    reason: str
    undone_at: datetime | None
    undone_by: str | None
    undone_because: str | None

    @property
    def text(self) -> str:
        """What it says, in words."""
        if self.kind == TIME:
            where = self.airport or "all airports"
            return (
                f"left out: arrivals at {where} from {_at(self.from_at)} to {_at(self.through_at)}"
            )
        if self.kind == FLIGHT:
            return f"left out: flight {self.flight_id}"
        return f"flight {self.flight_id} landed at {self.airport} at {_at(self.landed_at)}"


def leave_out_time(  # noqa: PLR0917
    warehouse: Warehouse,
    since: datetime,
    until: datetime,
    airport: str | None,
    author: str,
    reason: str,
) -> Correction:
    """Leave out arrivals that were on their way within a time, at one airport or everywhere.

    Raises:
        SkyOpsError: the time has no length, the airport is not known, or the reason is empty.
    """
    if since >= until:
        raise SkyOpsError(f"The time to leave out ends ({until}) before it begins ({since}).")
    if airport is not None and not _is_known(warehouse, "raw.airports", "icao", airport):
        raise SkyOpsError(f"There is no airport {airport!r}; codes are ICAO's, such as LFPG.")
    row = {"kind": TIME, "airport": airport, "from_at": since, "through_at": until}
    return _add(warehouse, row, author, reason)


def leave_out_flight(warehouse: Warehouse, flight_id: str, author: str, reason: str) -> Correction:
    """Leave out a flight's arrivals.

    Raises:
        SkyOpsError: no arrival is of this flight, or the reason is empty.
    """
    if not _is_known(warehouse, ARRIVALS_TABLE, "flight_id", flight_id):
        raise SkyOpsError(
            f"No arrival belongs to a flight {flight_id!r}; metrics.fct_arrivals has ids."
        )
    return _add(warehouse, {"kind": FLIGHT, "flight_id": flight_id}, author, reason)


def correct_landing(  # noqa: PLR0917
    warehouse: Warehouse,
    flight_id: str,
    airport: str,
    landed_at: datetime,
    author: str,
    reason: str,
) -> Correction:
    """Say when a flight landed; an earlier word on the same landing is taken back.

    Raises:
        SkyOpsError: the flight has no arrival there, it had not crossed a ring by then, or the
            reason is empty.
    """
    crossed = fetch_one(
        warehouse,
        f"select max(crossed_at) as at from {ARRIVALS_TABLE}"  # noqa: S608
        " where flight_id = %(flight_id)s and airport = %(airport)s",
        {"flight_id": flight_id, "airport": airport},
    )
    if crossed is None or crossed["at"] is None:
        raise SkyOpsError(f"Flight {flight_id!r} has no arrival at {airport!r}.")
    if landed_at <= crossed["at"]:
        raise SkyOpsError(
            f"Flight {flight_id!r} crossed its last ring at {crossed['at']}; it cannot have landed "
            f"at {landed_at}."
        )
    row = {"kind": LANDING, "flight_id": flight_id, "airport": airport, "landed_at": landed_at}
    return _add(warehouse, row, author, reason)


def undo(warehouse: Warehouse, correction_id: int, author: str, reason: str) -> Correction:
    """Take a word back; its row stays, and says who did and why.

    Raises:
        SkyOpsError: there is none in force with this number, or the reason is empty.
    """
    _check_reason(reason)
    row = fetch_one(
        warehouse,
        "update audit.corrections set undone_at = clock_timestamp(), undone_by = %(author)s,"  # noqa: S608
        " undone_because = %(reason)s where correction_id = %(id)s and undone_at is null"
        f" returning {field_names(Correction)}",
        {"id": correction_id, "author": author, "reason": reason.strip()},
    )
    if row is None:
        raise SkyOpsError(
            f"No correction {correction_id} is in force; `skyops model corrections` lists them."
        )
    return Correction(**row)


def corrections(warehouse: Warehouse) -> list[Correction]:
    """Every word, the newest first; those that were taken back too."""
    rows = fetch_all(
        warehouse,
        f"select {field_names(Correction)} from audit.corrections order by correction_id desc",  # noqa: S608
        {},
    )
    return [Correction(**row) for row in rows]


def put_right(warehouse: Warehouse, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of arrivals (flight_id, airport, landed_at, and what else) with corrected landings."""
    import pandas as pd

    rows = fetch_all(
        warehouse,
        "select flight_id, airport, landed_at from audit.corrections"
        " where kind = %(kind)s and undone_at is null",
        {"kind": LANDING},
    )
    said = {(row["flight_id"], row["airport"]): row["landed_at"] for row in rows}
    if not said or frame.empty:
        return frame
    keys = pd.MultiIndex.from_frame(frame[["flight_id", "airport"]])
    is_meant = pd.Series(keys.isin(list(said)), index=frame.index)
    if "crossed_at" in frame:
        # The ring may have been crossed later by now, with more data.
        landed = pd.Series([said.get(key) for key in keys], index=frame.index)
        is_meant &= pd.to_datetime(landed, utc=True) > frame["crossed_at"]
    frame = frame.copy()
    for place in frame.index[is_meant]:
        key = (frame.at[place, "flight_id"], frame.at[place, "airport"])
        frame.at[place, "landed_at"] = pd.Timestamp(said[key])
    if LABEL in frame:
        minutes = (frame["landed_at"] - frame["crossed_at"]).dt.total_seconds() / 60
        frame[LABEL] = frame[LABEL].mask(is_meant, minutes)
        frame["label_quality"] = frame["label_quality"].mask(is_meant, "observed")
    return frame


def _add(warehouse: Warehouse, row: dict[str, Any], author: str, reason: str) -> Correction:
    _check_reason(reason)
    row = {**row, "author": author, "reason": reason.strip()}
    with warehouse.connect() as connection, connection.cursor() as cursor:
        if row["kind"] == LANDING:
            cursor.execute(
                "update audit.corrections set undone_at = clock_timestamp(),"
                " undone_by = %(author)s, undone_because = 'corrected again'"
                " where kind = %(kind)s and flight_id = %(flight_id)s and airport = %(airport)s"
                " and undone_at is null",
                row,
            )
        cursor.execute(
            insert_statement("audit.corrections", row) + f" returning {field_names(Correction)}",
            row,
        )
        return Correction(*cursor.fetchone())  # type: ignore[misc]


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _is_known(warehouse: Warehouse, table: str, column: str, value: str) -> bool:
    query = f"select 1 as one from {table} where {column} = %(value)s limit 1"  # noqa: S608
    return fetch_one(warehouse, query, {"value": value}) is not None


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise SkyOpsError("The reason is empty; say why the data are wrong.")
