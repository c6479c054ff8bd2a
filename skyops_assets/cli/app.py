"""The root of the command line; the modules beside add their commands to it."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="SkyOps: flight-operations analytics on OpenSky data as one Dagster graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
) -> None:
    """Options of every command."""
