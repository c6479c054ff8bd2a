"""Runs one of Dagster's services with logs that are plain text, as files want them.

`python -m skyops_assets.instance.plain dagster_webserver -h ...`: the module, and its arguments.
Dagster's services colour what they log without asking whether a terminal reads it; their only other
formats are JSON, and one that is coloured too.
"""

from __future__ import annotations

import logging
import runpy
import sys
from typing import Any


class Plain(logging.Formatter):
    """Takes the arguments of what it replaces, and no styles."""

    def __init__(self, fmt: str | None = None, datefmt: str | None = None, **_styles: Any) -> None:
        super().__init__(fmt, datefmt)


def main() -> None:
    """Be that module."""
    import coloredlogs

    from skyops_assets.instance.private import start_code_servers_with

    coloredlogs.ColoredFormatter = Plain
    start_code_servers_with(["-m", __spec__.name, "dagster"])
    module = sys.argv[1]
    sys.argv = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
