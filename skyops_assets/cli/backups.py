"""Commands that copy everything away, and bring it back."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from skyops_assets.cli.app import app
from skyops_assets.cli.output import JsonOption, err, note, note_settings, out, prepare, print_json
from skyops_assets.store import MLFLOW

PLACE = typer.Argument(help="A folder, or s3://bucket/prefix; access by AWS' own variables.")


@app.command()
def backup(place: Annotated[str, PLACE], as_json: JsonOption = False) -> None:
    """Back up databases, models and data not yet stored; SkyOps may keep running."""
    from skyops_assets.operations import backup as backups
    from skyops_assets.operations.pushing import reported

    settings, warehouse = prepare()
    with reported("backup", settings), err.status("Copying databases and files"):
        where, made = backups.back_up(settings, warehouse, place)
    if as_json:
        print_json({"backup": where, **backups.facts(made)})
        return
    rows = sum(sum(counts.values()) for counts in made.rows.values())
    out.print(
        f"Backup written to {escape(where)} and read back: {made.size / 1e6:,.0f} MB, {rows:,} "
        f"rows of {len(made.rows)} databases, {len(made.files) - len(made.rows):,} files. "
        "It contains no secrets.",
        soft_wrap=True,
    )
    if backups.kept(settings, MLFLOW) is None:
        note(
            "MLflow's files are in a place that only MLflow reads (SKYOPS_MLFLOW_ARTIFACTS), and "
            "not in the backup."
        )


@app.command()
def restore(place: Annotated[str, PLACE], as_json: JsonOption = False) -> None:
    """Restore a backup, the one named or the newest, into an empty home and empty databases."""
    from skyops_assets.operations import backup as backups
    from skyops_assets.settings import load_settings
    from skyops_assets.warehouse.connection import open_warehouse

    settings = load_settings()
    note_settings()
    with err.status("Restoring databases and files"):
        where, made = backups.restore(settings, open_warehouse(settings), place)
    # Its schema becomes that of this SkyOps, and roles and grants are made.
    prepare()
    differences = backups.differences(made)
    if as_json:
        print_json({"backup": where, **backups.facts(made), "differences": differences})
        return
    out.print(
        f"Restored {escape(where)}, made at {made.made_at:.16}: every table has all its rows. "
        "`skyops status` counts them.",
        soft_wrap=True,
    )
    for one in differences:
        note(one)
