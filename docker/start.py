"""Entry point of the containers: wait for the warehouse, set the environment, be the command.

`skyops exec` would stay as a parent that keeps the stop signal for itself; here the command
takes this process's place, so that Dagster hears of the stop and lets its runs end.
"""

from __future__ import annotations

import os
import sys

from skyops_assets.errors import SkyOpsError
from skyops_assets.runtime import prepare
from skyops_assets.settings import load_settings, notices


def main() -> None:
    """Become the command given as arguments; `skyops` itself prepares what it needs."""
    command = sys.argv[1:]
    try:
        if os.path.basename(command[0]) != "skyops":
            settings = load_settings()
            for notice in notices():
                _note(notice)
            warehouse = prepare(settings, _note)
            if command[0] == "mlflow":
                # Not as an argument: those are shown to whoever lists processes.
                database = warehouse.sqlalchemy(settings.mlflow_database)
                os.environ["MLFLOW_BACKEND_STORE_URI"] = database
        os.execvp(command[0], command)  # noqa: S606
    except SkyOpsError as error:
        sys.exit(f"Error: {error}")
    except FileNotFoundError:
        sys.exit(f"Error: there is no command {command[0]!r} in this image.")


def _note(text: str) -> None:
    print(f"Note: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
