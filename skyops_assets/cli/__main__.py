"""Runs the command `skyops`."""

from __future__ import annotations

import sys

from rich.markup import escape

from skyops_assets.cli import app
from skyops_assets.cli.output import err, print_error
from skyops_assets.errors import SkyOpsError, Stopped
from skyops_assets.warehouse.trouble import explain

INTERRUPTED = 130
"""Exit code of a command that a person stopped."""


def main() -> None:
    """Entry point: one clear sentence for an error, a traceback only with ``--debug``."""
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # What Typer makes of Ctrl-C.
            err.print("[yellow]Stopped.[/]")
        raise
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        if isinstance(error, SkyOpsError):
            print_error(error)
        elif said := explain(error):
            print_error(SkyOpsError(said))
        else:
            err.print(
                f"[red]Unexpected error:[/] {type(error).__name__}: {escape(str(error))} "
                "(`skyops --debug ...` shows where)",
                soft_wrap=True,
            )
        sys.exit(INTERRUPTED if isinstance(error, Stopped) else 1)


if __name__ == "__main__":
    main()
