"""An operator's files into their raw table: the folder is the truth, with accounts to the row.

One transaction a kind. Loading the same files again changes nothing. A file that is read has its
former rows replaced: what it no longer has goes. One that cannot be read, or is no longer there,
removes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.sources.csv_tables import NEARLY_ALL
from skyops_assets.sources.operator.files import (
    Folder,
    Input,
    is_readable,
    open_folder,
    read_rows,
)
from skyops_assets.sources.operator.judge import Judged, Reader, settle
from skyops_assets.sources.operator.kinds import Kind
from skyops_assets.sources.operator.mapping import FILE, mapping_of, read_mappings
from skyops_assets.sources.operator.values import Known
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.rejects import keep_rejected, payload_of

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

FEW = 10
"""Rows from which a file of whose rows nearly all are bad counts as one that cannot be read."""


@dataclass
class Loaded:
    """What a load of one kind did.

    Attributes:
        batches: the accounts of each file that was read; a row that is loaded is new, or has other
            values than before.
        removed_rows: rows that their file no longer has.
        problems: files that could not be read, and why.
        reasons: how many rows are rejected for each reason.
        left: files that are no input, or that no mapping is for.
        notes: what else is to be known.
        absent: why there is nothing to load, or None.
    """

    batches: list[bulk.Batch] = field(default_factory=list)
    removed_rows: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    absent: str | None = None


def load_kind(
    warehouse: Warehouse,
    settings: Settings,
    kind: Kind,
    *,
    today: date | None = None,
    run_id: str | None = None,
) -> Loaded:
    """Load all files of a kind from ``SKYOPS_OPERATOR_DATA``, where there are any.

    Args:
        today: the day beyond which nothing can have happened; by default the present one.

    Raises:
        SkyOpsError: the folder is not there, or the bucket does not answer.
    """
    started_at = datetime.now(UTC)
    found = Loaded()
    put = f"put a CSV, JSON or Excel file named {kind.name}.csv (or .json, .xlsx), or a folder "
    put += f"{kind.name} of them, into "
    if settings.operator_data is None:
        found.absent = (
            f"No {kind.noun}: {put}a folder or bucket, and set SKYOPS_OPERATOR_DATA to it."
        )
        return found
    folder = open_folder(settings.operator_data)
    inputs = folder.inputs(kind)
    if not inputs:
        found.absent = f"No {kind.noun}: {put}{folder.place} (SKYOPS_OPERATOR_DATA)."
    known = _known(warehouse, today or started_at.date())
    judged = _read(folder, inputs, kind, known, found)
    with bulk.transaction(warehouse) as cursor:
        bulk.lock(cursor, kind.target)
        _store(cursor, kind, found, judged, started_at=started_at, run_id=run_id)
    return found


def _read(
    folder: Folder, inputs: Sequence[Input], kind: Kind, known: Known, found: Loaded
) -> dict[str, list[Judged]]:
    """The rows of each file that can be read, by its name."""
    judged: dict[str, list[Judged]] = {}
    try:
        mappings = read_mappings(folder.columns(), kind) if inputs else []
    except SkyOpsError as error:
        # Read without it, a file would have other rows than it is meant to have.
        found.problems = {one.name: f"{one.name} is not read: {error}" for one in inputs}
        return judged
    for one in inputs:
        mapped = mapping_of(one.name.rpartition("/")[2], mappings)
        if mapped is None or not is_readable(one.name):
            found.left.append(one.name)
            continue
        try:
            judged[one.name], notes = _read_file(folder, one, Reader(kind, mapped, known))
            found.notes += notes
        except SkyOpsError as error:
            found.problems[one.name] = f"{one.name} {str(error).rstrip('.')}."
    return judged


def _read_file(folder: Folder, one: Input, reader: Reader) -> tuple[list[Judged], list[str]]:
    body = folder.read(one.path)
    if body is None:
        raise SkyOpsError("was removed before it could be read. Load again")
    names, rows = read_rows(one.name, body, reader.mapped)
    judged, notes = reader.judge(one.name, names, rows)
    if not rows:
        notes.append(f"{one.name} has no rows.")
    bad = Counter(each.reason for each in judged if each.reason is not None)
    if len(rows) >= FEW and bad.total() >= NEARLY_ALL * len(rows):
        [(reason, count)] = bad.most_common(1)
        raise SkyOpsError(
            f"is read wrongly, or written so: {bad.total():,} of its {len(rows):,} rows are no "
            f"{reader.kind.noun}, {count:,} of them because {reason}. Correct it or {FILE}"
        )
    return judged, notes


def _known(warehouse: Warehouse, today: date) -> Known:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select icao, iata, timezone from raw.airports order by icao desc")
        rows = cursor.fetchall()
    return Known(
        today,
        {iata: icao for icao, iata, _ in rows if iata},
        {icao: zone for icao, _, zone in rows},
    )


def _store(
    cursor: Cursor,
    kind: Kind,
    found: Loaded,
    judged: Mapping[str, Sequence[Judged]],
    *,
    started_at: datetime,
    run_id: str | None,
) -> None:
    """Put the rows that count in the place of those that the files had before."""
    rows = settle(kind, [one for each in judged.values() for one in each])
    batch_ids = {name: bulk.next_batch(cursor) for name in judged}
    repeated = _give(cursor, kind, found, rows, batch_ids)
    changed = _changed(cursor, kind)
    for name, all_rows in judged.items():
        rejected = [(one.row.values, one.reason) for one in all_rows if one.reason is not None]
        _forget_rejected(cursor, kind, name, rejected)
        found.reasons.update(reason for _, reason in rejected)
        payloads = {payload_of(row) for row, _ in rejected}
        repeated[name] += sum(one.is_repeated for one in all_rows) + len(rejected) - len(payloads)
        new = keep_rejected(cursor, kind.target, name, rejected, batch_ids[name])
        loaded = changed.get(name, 0)
        times = _window(kind, [one for one in rows if one.source == name])
        batch = bulk.Batch(
            batch_ids[name], kind.target, name, *times, len(all_rows), loaded,
            len(all_rows) - loaded - new, new,
        )  # fmt: skip
        bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
        found.batches.append(batch)
    found.removed_rows = _replace(cursor, kind, list(judged))
    read = {name: (len(all_rows), repeated[name]) for name, all_rows in judged.items()}
    _account(cursor, kind, found, read)
    cursor.execute("drop table given")


def _window(kind: Kind, rows: Sequence[Judged]) -> tuple[datetime | None, datetime | None]:
    """First and last departure of schedules; of the other kinds none is told."""
    if kind.name != "schedules":
        return None, None
    times = [one.values["scheduled_departure_at"] for one in rows if one.values is not None]
    return min(times, default=None), max(times, default=None)


def _give(
    cursor: Cursor,
    kind: Kind,
    found: Loaded,
    rows: Sequence[Judged],
    batch_ids: Mapping[str, int],
) -> Counter[str]:
    """The rows that count as the temporary table ``given``.

    A row of a later file that cannot be read at present stands for an earlier file's.

    Returns:
        By file how many rows another one stands for.
    """
    import pyarrow as pa

    table = pa.Table.from_pylist([one.values for one in rows], schema=kind.schema)
    table = table.append_column("source", pa.array([one.source for one in rows], pa.string()))
    numbers = pa.array([one.row.number for one in rows], pa.int64())
    table = table.append_column("source_row", numbers)
    ids = pa.array([batch_ids[one.source] for one in rows], pa.int64())
    cursor.adbc_ingest("given", table.append_column("batch_id", ids), "create", temporary=True)
    cursor.execute("analyze given")
    cursor.execute(
        f"with gone as (delete from given using {kind.target} as stored "  # noqa: S608
        f"where {_equal('given', 'stored', kind.key)} and stored.source > given.source "
        "and stored.source = any(string_to_array($1, chr(10))) returning given.source) "
        "select source, count(*) from gone group by 1",
        ("\n".join(found.problems),),
    )
    return Counter({str(name): int(count) for name, count in cursor.fetchall()})


def _changed(cursor: Cursor, kind: Kind) -> dict[str, int]:
    """By file how many of its rows are new, or have other values than are stored."""
    names = [column.name for column in kind.columns]
    cursor.execute(
        "select given.source, count(*) from given "  # noqa: S608
        f"left join {kind.target} as stored on {_equal('given', 'stored', kind.key)} "
        f"where stored.source is null or ({_of('given', names)}) is distinct from "
        f"({_of('stored', names)}) group by 1"
    )
    return {str(name): int(count) for name, count in cursor.fetchall()}


def _replace(cursor: Cursor, kind: Kind, read: Sequence[str]) -> int:
    """Write ``given`` into the table; returns how many rows their file no longer has."""
    names = [column.name for column in kind.columns]
    removed = bulk.scalar(
        cursor,
        "with removed as ("  # noqa: S608
        f"delete from {kind.target} as stored "
        "where source = any(string_to_array($1, chr(10))) and not exists ("
        f"select from given where {_equal('given', 'stored', kind.key)}) returning 1) "
        "select count(*) from removed",
        ("\n".join(read),),
    )
    own = ("source", "source_row")
    listed = ", ".join((*names, *own, "batch_id"))
    cursor.execute(
        f"insert into {kind.target} as stored ({listed}) select {listed} from given "  # noqa: S608
        f"on conflict ({', '.join(kind.key)}) do update set "
        + ", ".join(f"{name} = excluded.{name}" for name in (*names, *own))
        + f", batch_id = case when ({_of('stored', names)}) is distinct from "
        f"({_of('excluded', names)}) then excluded.batch_id else stored.batch_id end "
        f"where ({_of('stored', (*names, *own))}) is distinct from "
        f"({_of('excluded', (*names, *own))})"
    )
    return int(removed)


def _forget_rejected(
    cursor: Cursor, kind: Kind, source: str, rejected: Sequence[tuple[Mapping[str, Any], str]]
) -> None:
    """Drop rejected rows that the file no longer has, or that are rejected for another reason."""
    import pyarrow as pa

    table = pa.table(
        {
            "payload": pa.array([payload_of(row) for row, _ in rejected], pa.string()),
            "reason": pa.array([reason for _, reason in rejected], pa.string()),
        }
    )
    cursor.adbc_ingest("rejected_now", table, "create", temporary=True)
    cursor.execute(
        "delete from raw.rejected_states as kept where target = $1 and source = $2 and not exists ("
        "select from rejected_now as now "
        "where now.payload::jsonb = kept.payload and now.reason = kept.reason)",
        (kind.target, source),
    )
    cursor.execute("drop table rejected_now")


def _account(
    cursor: Cursor, kind: Kind, found: Loaded, read: Mapping[str, tuple[int, int]]
) -> None:
    """Renew ``raw.operator_files``: what of each file's rows is where."""
    import pyarrow as pa

    names = [*read, *found.problems]
    table = pa.table(
        {
            "source": pa.array(names, pa.string()),
            "read_rows": pa.array([read.get(name, [None])[0] for name in names], pa.int64()),
            "repeated_rows": pa.array([read.get(name, [None])[-1] for name in names], pa.int64()),
            "problem": pa.array([found.problems.get(name) for name in names], pa.string()),
        }
    )
    cursor.adbc_ingest("files_now", table, "create", temporary=True)
    cursor.execute(
        f"""
        with stored as (select source, count(*) as rows from {kind.target} group by 1),

        rejected as (
            select source, count(*) as rows from raw.rejected_states where target = $1 group by 1
        ),

        counted as (
            select
                source,
                coalesce(stored.rows, 0) as kept_rows,
                coalesce(rejected.rows, 0) as rejected_rows
            from (
                select source from files_now
                union
                select source from raw.operator_files where target = $1
            ) as files
            left join stored using (source)
            left join rejected using (source)
        )

        insert into raw.operator_files as files
        select
            $1::text,
            counted.source,
            files_now.source is not null,
            coalesce(files_now.read_rows, former.read_rows, 0),
            counted.kept_rows,
            coalesce(
                files_now.repeated_rows,
                -- Of a file that is not read now, a row that went is one that another file has.
                former.read_rows - counted.kept_rows - counted.rejected_rows,
                0
            ),
            counted.rejected_rows,
            files_now.problem,
            case when files_now.read_rows is null then former.read_at else now() end
        from counted
        left join files_now using (source)
        left join raw.operator_files as former
            on former.target = $1 and counted.source = former.source
        on conflict (target, source) do update set
            is_there = excluded.is_there,
            read_rows = excluded.read_rows,
            kept_rows = excluded.kept_rows,
            repeated_rows = excluded.repeated_rows,
            rejected_rows = excluded.rejected_rows,
            problem = excluded.problem,
            read_at = excluded.read_at
        """,  # noqa: S608
        (kind.target,),
    )
    cursor.execute("drop table files_now")
    # Of a file that is gone, and left nothing, there is nothing to tell.
    cursor.execute(
        "delete from raw.operator_files "
        "where target = $1 and not is_there and kept_rows = 0 and rejected_rows = 0",
        (kind.target,),
    )


def _of(table: str, names: Sequence[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


def _equal(one: str, other: str, names: Sequence[str]) -> str:
    return " and ".join(f"{one}.{name} = {other}.{name}" for name in names)
