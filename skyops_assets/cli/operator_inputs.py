"""`skyops load --operator`: schedules and maintenance records, and what became of each file."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from skyops_assets.cli.output import err, out, prepare, print_json, steps
from skyops_assets.errors import SkyOpsError, Stopped


def load_operator_inputs(as_json: bool) -> None:
    """Load all kinds as one run of Dagster, and show the accounts of each file.

    Raises:
        SkyOpsError: no folder is set or it cannot be read, a file could not be read, or rows were
            written around the loader.
    """
    from skyops_assets.quality.operator_files import FileAccounts, file_accounts
    from skyops_assets.sources.operator.kinds import KINDS

    settings, warehouse = prepare()
    if settings.operator_data is None:
        raise SkyOpsError(
            "SKYOPS_OPERATOR_DATA is not set: set it to a folder or s3://bucket/prefix with "
            "schedules and maintenance records (docs/operator_data.md)."
        )
    try:
        with steps(settings.home / "logs" / "load.log", stream=2) as progress:
            progress.line(f"reading {settings.operator_data}")
            from skyops_assets.client import run_operator_inputs

            run = run_operator_inputs(progress.event)
    except KeyboardInterrupt:
        raise Stopped("The load was stopped. Loaded rows stay; load again for the rest.") from None
    files: list[tuple[str, FileAccounts]] = [
        (kind.name, one) for kind in KINDS for one in file_accounts(warehouse, kind.target)
    ]
    if as_json:
        print_json([{"kind": kind, **vars(one)} for kind, one in files])
    else:
        table = Table("kind", "file", "read", "kept", "repeated", "rejected")
        for kind, one in files:
            numbers = (one.read_rows, one.kept_rows, one.repeated_rows, one.rejected_rows)
            gone = "" if one.is_there else " (no longer there)"
            table.add_row(kind, escape(one.source) + gone, *(f"{rows:,}" for rows in numbers))
        out.print(table)
    problems = [one.problem for _, one in files if one.problem]
    for problem in problems:
        err.print(f"[red]Not loaded:[/] {escape(problem)}", soft_wrap=True)
    if not run.is_success:
        raise SkyOpsError(" ".join(run.failures))
    if problems:
        whose = "its" if len(problems) == 1 else "their"
        raise SkyOpsError(
            f"{len(problems)} of the files could not be read; {whose} rows stay as they were, and "
            "the others are loaded. Correct the problems reported above and load again."
        )
    if not any(one.is_there for _, one in files):
        raise SkyOpsError(
            f"{settings.operator_data} has no file of any kind: {', '.join(k.name for k in KINDS)} "
            "(docs/operator_data.md)."
        )
