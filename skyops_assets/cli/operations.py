"""Commands that start, show and query the platform."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from skyops_assets.cli.app import app
from skyops_assets.cli.output import (
    Format,
    err,
    gather,
    out,
    plain,
    prepare,
    show_decision,
    show_status,
    steps,
    text,
)
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    from skyops_assets.settings import Settings


@app.command()
def demo() -> None:
    """Run the whole graph on the Paris recording and show what it produced."""
    from skyops_assets.sources.opensky.reading.recordings import DEMO, DEMO_END, DEMO_START
    from skyops_assets.warehouse.connection import only_one

    settings, warehouse = prepare()
    with (
        steps(settings.home / "logs" / "demo.log") as progress,
        only_one(warehouse, "skyops.demo", lambda: progress.line("waiting for another demo")),
    ):
        progress.line("loading the asset graph")
        from skyops_assets.client import run_main

        recording = None if settings.recording else DEMO
        run = run_main(DEMO_START, DEMO_END, progress.event, recording)
    if not run.is_success:
        raise SkyOpsError(
            f"The main job failed. {' '.join(run.failures)} "
            f"(everything it printed: {settings.home / 'logs' / 'demo.log'})"
        )
    out.print()
    show_status(gather(settings, warehouse))
    show_decision(warehouse)
    out.print("\nNext: [bold]make up[/] opens the graph in the Dagster UI.")


@app.command()
def docs() -> None:
    """Build the dbt docs as one static page."""
    settings, _ = prepare()
    out.print(f"The dbt docs are in {_build_docs(settings)}")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the warehouse, its rows, the champion model and the last runs."""
    settings, warehouse = prepare()
    found = gather(settings, warehouse)
    if as_json:
        print(json.dumps(found, indent=2, default=str))
    else:
        show_status(found)


@app.command()
def health(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask every part whether it works; exit code 1 if one is broken. Costs one OpenSky credit."""
    from dataclasses import asdict

    from skyops_assets.operations import health as parts

    settings, warehouse = prepare()
    with err.status("Asking every part"):
        from skyops_assets.client import heartbeats_now

        found = parts.examine(settings, warehouse, heartbeats_now)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        colours = {
            parts.State.OK: "green",
            parts.State.WARNING: "yellow",
            parts.State.BROKEN: "red",
        }
        table = Table("part", "state", "")
        for one in found:
            table.add_row(one.part, f"[{colours[one.state]}]{one.state}[/]", escape(one.says))
        out.print(table)
    if parts.worst(found) == parts.State.BROKEN:
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT on the warehouse.")],
    format: Annotated[Format, typer.Option(help="How to print the answer.")] = Format.table,
) -> None:
    """Query the warehouse (read-only)."""
    import psycopg2

    from skyops_assets.warehouse.query import read_only

    _, warehouse = prepare()
    try:
        names, rows = read_only(warehouse, query)
    except psycopg2.Error as error:
        raise SkyOpsError(f"Postgres refuses the query: {str(error).strip()}") from error
    if not names:
        raise SkyOpsError("The statement returns no rows; `skyops sql` takes a SELECT.")
    if format is Format.json:
        print(json.dumps([dict(zip(names, map(plain, row), strict=True)) for row in rows]))
    elif format is Format.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows([["" if v is None else text(v) for v in row] for row in rows])
    else:
        table = Table(*[escape(name) for name in names])
        for row in rows:
            table.add_row(*["" if v is None else escape(text(v)) for v in row])
        out.print(table)


@app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def exec_(context: typer.Context) -> None:
    """Run any command in SkyOps' environment: skyops exec -- dagster job list."""
    if not context.args:
        raise SkyOpsError("Name a command to run, such as: skyops exec -- dagster job list")
    prepare()
    try:
        done = subprocess.run(context.args, check=False)
    except FileNotFoundError:
        raise SkyOpsError(f"There is no command {context.args[0]!r} to run.") from None
    raise typer.Exit(done.returncode)


def _docs_page(settings: Settings) -> Path:
    return settings.home / "docs" / "index.html"


def _build_docs(settings: Settings) -> Path:
    from skyops_assets.transform.dbt import build_docs

    with err.status("Building the dbt docs"):
        return build_docs(_docs_page(settings))
