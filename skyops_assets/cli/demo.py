"""The demo: the whole graph on the Paris recording, and then what it found."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from skyops_assets.cli.app import app
from skyops_assets.cli.output import out, prepare, steps
from skyops_assets.errors import SkyOpsError, Stopped
from skyops_assets.operations.pushing import reports

if TYPE_CHECKING:
    from skyops_assets.settings import Settings
    from skyops_assets.warehouse.connection import Warehouse


HOURS = ("SKYOPS_FIRST_HOUR", "SKYOPS_LAST_HOUR")
MAKES = ".venv/bin/skyops"
"""The command as `make` calls it, in whose folder `make` can be called."""


@app.command()
@reports
def demo() -> None:
    """Run the whole graph on the Paris recording and show what it found."""
    from skyops_assets.settings import load_settings
    from skyops_assets.sources.opensky.reading.recordings import DEMO, DEMO_END, DEMO_START
    from skyops_assets.warehouse.connection import only_one

    name = _own_name()
    given = load_settings()
    if not given.shows_the_demo:
        # Its hours are to be partitions, here and in what this starts.
        for setting in HOURS:
            os.environ.pop(setting, None)
    settings, warehouse = prepare()
    log = settings.home / "logs" / "demo.log"
    try:
        with (
            steps(log) as progress,
            only_one(warehouse, "skyops.demo", lambda: progress.line("waiting for another demo")),
        ):
            progress.line("loading the asset graph")
            from skyops_assets.client import run_main

            recording = None if settings.recording else DEMO
            run = run_main(DEMO_START, DEMO_END, progress.event, recording)
    except KeyboardInterrupt:
        raise Stopped(
            "The demo was stopped. Its results so far stay; the next demo starts over."
        ) from None
    if not run.is_success:
        raise SkyOpsError(f"The main job failed. {' '.join(run.failures)} (full output: {log})")
    _show(settings, warehouse, name)
    usual = type(settings).model_fields["watch_airports"].default
    if not set(usual) & set(settings.watch_airports):
        out.print(
            f"\nSKYOPS_WATCH_AIRPORTS is {','.join(settings.watch_airports)}, but the recording is "
            "of Paris, so there are no arrivals and no model. Unset it and run the demo again to "
            "get them.",
            soft_wrap=True,
        )
    start, end = (moment.replace(tzinfo=None) for moment in (DEMO_START, DEMO_END))
    if given.first_hour > start or (given.hours_end and given.hours_end < end):
        until = f" to {given.last_hour:%Y-%m-%d %H:%M}" if given.last_hour else " on"
        out.print(
            f"\nThe graph of `skyops up` shows the hours from {given.first_hour:%Y-%m-%d %H:%M}"
            f"{until}, not the demo's. To see those, unset {' and '.join(HOURS)}.",
            soft_wrap=True,
        )


def _show(settings: Settings, warehouse: Warehouse, name: str) -> None:
    """The answer, where to look, and what to ask.

    Args:
        name: how the command `skyops` is called.
    """
    from skyops_assets.operations.entrance import address
    from skyops_assets.operations.highlights import QUESTIONS, highlights
    from skyops_assets.sources.opensky.reading.recordings import DEMO_END, DEMO_START

    out.print()
    for word, sentence in highlights(warehouse, DEMO_START, DEMO_END):
        line = Table.grid(padding=(0, 2))
        line.add_column(width=12, style="bold")
        line.add_row(word, Text(sentence))
        out.print(line)
    out.print("\n[bold]Look[/]")
    up = "make up" if name == MAKES else f"{name} up"
    out.print(f"  {up}, then open in the browser", soft_wrap=True)
    out.print(
        f"  http://localhost:{settings.ui_port}  the graph, with every column traced to its source"
    )
    out.print(f"  http://localhost:{settings.docs_port}/dbt/  every table described")
    hour = f"{DEMO_END - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    at = address(settings)
    out.print(f"  {at}/#replay={hour}  the sky over Paris, replayed", soft_wrap=True)
    out.print(f"  {at}/fleet  fleet use, and flights unlike the others")
    out.print("  The last two need a login: open the link printed as Live page once.")
    out.print("\n[bold]Query[/]")
    for question, query in QUESTIONS.items():
        out.print(f"  {question}")
        out.print(f'  {name} sql "{query}"', style="dim", markup=False, soft_wrap=True)
    out.print(
        f"\nAll tables: {name} tables. More about the model: {name} model show.", soft_wrap=True
    )


def _own_name() -> str:
    """How this command is called from the present folder; before our own folder is on the path."""
    path = Path(sys.argv[0]).absolute()
    if path.name != "skyops" or shutil.which("skyops") == str(path):
        return "skyops"
    return os.path.relpath(path)
