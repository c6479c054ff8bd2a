"""The service's own process, `python -m skyops_assets.serving HOST`; `skyops serve` starts it."""

from __future__ import annotations

import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from skyops_assets.settings import load_settings

BACKLOG = 512


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    Granian(
        "skyops_assets.serving.app:create_app",
        factory=True,
        address=sys.argv[1],
        port=load_settings().service_port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        workers_kill_timeout=10,
    ).serve()


if __name__ == "__main__":
    main()
