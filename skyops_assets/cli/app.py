"""The root of the command line; the modules beside add their commands to it."""

from __future__ import annotations

from typing import Annotated

import typer

from skyops_assets import __version__

app = typer.Typer(
    help="SkyOps: flight-operations analytics on OpenSky data as one Dagster graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(is_asked: bool) -> None:
    if is_asked:
        print(f"skyops {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Options of every command."""
