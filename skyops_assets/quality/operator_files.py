"""What became of the rows of an operator's files, against what the tables hold.

Belongs here: the accounts of each file. Does not: loading (`sources.operator`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skyops_assets.errors import first_few
from skyops_assets.warehouse.connection import Warehouse


@dataclass(frozen=True)
class FileAccounts:
    """One file: what its last load wrote down, and what is stored.

    Attributes:
        source: the file; of rows that no load tells of it is what they say.
        is_there: whether the last load found it.
        stored_rows, stored_rejected_rows: counted in the tables.
        problem: why the last load could not read it, or None.
    """

    source: str
    is_there: bool
    read_rows: int
    kept_rows: int
    repeated_rows: int
    rejected_rows: int
    stored_rows: int
    stored_rejected_rows: int
    problem: str | None

    @property
    def is_balanced(self) -> bool:
        """Whether every row that was read is somewhere."""
        accounted = self.kept_rows + self.repeated_rows + self.rejected_rows
        return (
            self.read_rows == accounted
            and self.kept_rows == self.stored_rows
            and self.rejected_rows == self.stored_rejected_rows
        )


def file_accounts(warehouse: Warehouse, target: str) -> list[FileAccounts]:
    """The accounts of all files of a table, by name.

    Args:
        target: ``schema.table``.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"""
            with stored as (select source, count(*) as rows from {target} group by 1),
            rejected as (
                select source, count(*) as rows from raw.rejected_states
                where target = %(target)s group by 1
            ),
            files as (select * from raw.operator_files where target = %(target)s)
            select
                source,
                coalesce(files.is_there, false),
                coalesce(files.read_rows, 0),
                coalesce(files.kept_rows, 0),
                coalesce(files.repeated_rows, 0),
                coalesce(files.rejected_rows, 0),
                coalesce(stored.rows, 0),
                coalesce(rejected.rows, 0),
                files.problem
            from files
            full join stored using (source)
            full join rejected using (source)
            order by source
            """,  # noqa: S608
            {"target": target},
        )
        return [FileAccounts(*row) for row in cursor.fetchall()]


def accounts_problem(target: str, files: Sequence[FileAccounts]) -> str | None:
    """Which files' rows are not all accounted for, and what to do; None if all are."""
    wrong = [
        f"{one.source}: {one.read_rows:,} rows read, {one.stored_rows:,} in the table, "
        f"{one.repeated_rows:,} repeated, {one.stored_rejected_rows:,} rejected"
        for one in files
        if not one.is_balanced
    ]
    if not wrong:
        return None
    return (
        f"Rows were written or removed without the loader: {first_few(wrong)}. "
        f"Materialise {target.replace('.', '/')} again, which restores the files' rows; delete "
        f"rows that are in no file from {target} by hand."
    )


def reading_problem(target: str, files: Sequence[FileAccounts], limit: float) -> str | None:
    """Files that could not be read, or of which too many rows are rejected; None if there are none.

    Args:
        limit: the largest share of rejected rows that is no problem.
    """
    said = [one.problem for one in files if one.problem]
    said += [
        f"{one.source}: {one.rejected_rows:,} of {one.read_rows:,} rows are rejected; "
        f"raw.rejected_states has the reasons. Correct the file or columns.toml."
        for one in files
        if one.is_there and not one.problem and one.rejected_rows > limit * one.read_rows
    ]
    if not said:
        return None
    return f"{first_few(said)} Then materialise {target.replace('.', '/')}."
