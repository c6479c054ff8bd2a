"""The service's own process, `python -m skyops_assets.serving HOST`; `skyops serve` starts it."""

from __future__ import annotations

import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from skyops_assets.settings import load_settings
from skyops_assets.warehouse.embedded import start_embedded

BACKLOG = 512


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = load_settings()
    if settings.database_url is None:
        # Counts as a user of the embedded server, which stops when none is left.
        start_embedded(settings.home / "postgres")
    Granian(
        "skyops_assets.serving.app:create_app",
        factory=True,
        address=sys.argv[1],
        port=settings.service_port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        workers_kill_timeout=10,
    ).serve()


if __name__ == "__main__":
    main()
