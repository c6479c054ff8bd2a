"""The command that computes a range of hours again."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from skyops_assets.cli.app import app
from skyops_assets.cli.output import JsonOption, err, out, prepare, print_json, steps
from skyops_assets.errors import SkyOpsError, Stopped
from skyops_assets.operations.pushing import reports


@app.command()
@reports
def reprocess(
    since: Annotated[
        str, typer.Argument(metavar="FROM", help="The start, such as 2021-10-07T12:00 (UTC).")
    ],
    until: Annotated[str, typer.Argument(metavar="TO", help="The end, exclusive.")],
    as_json: JsonOption = False,
) -> None:
    """Recompute a range of hours from the loaded positions, after a rule has changed.

    Rebuilds the flights of the range and everything downstream; loads and trains nothing. Prints
    each table's rows in the range, before and after. To check rows again that the old rule
    rejected, use `skyops replay-rejected`.
    """
    from skyops_assets.transform.reprocess import Range, rows_of, timed_tables
    from skyops_assets.warehouse.connection import only_one

    chosen = Range.of(since, until)
    settings, warehouse = prepare()
    tables = timed_tables()

    def rows() -> dict[str, int]:
        return {
            ".".join(table): rows_of(warehouse, table, time, chosen)
            for table, time in sorted(tables.items())
        }

    before, log = rows(), settings.home / "logs" / "reprocess.log"
    try:
        with (
            steps(log, stream=2) as progress,
            only_one(
                warehouse, "skyops.refresh", lambda: progress.line("waiting for another build")
            ),
        ):
            progress.line("loading the asset graph")
            from skyops_assets.client import run_reprocess

            run = run_reprocess(chosen.since.isoformat(), chosen.until.isoformat(), progress.event)
    except KeyboardInterrupt:
        raise Stopped(
            "Reprocessing was stopped. The next build, such as `skyops refresh`, completes it."
        ) from None
    if not run.is_success:
        raise SkyOpsError(f"Reprocessing failed. {' '.join(run.failures)} (full output: {log})")
    after = rows()
    if as_json:
        print_json({name: {"before": before[name], "after": after[name]} for name in after})
        return
    table = Table("table", "rows before", "rows after", "difference")
    for name, count in after.items():
        table.add_row(name, f"{before[name]:,}", f"{count:,}", f"{count - before[name]:+,}")
    out.print(table)
    err.print(f"Recomputed: {chosen}.")
