"""The service's own process, `python -m skyops_assets.serving HOST`; `skyops serve` starts it."""

from __future__ import annotations

import os
import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from starlette.types import ASGIApp

from skyops_assets.operations import entrance
from skyops_assets.settings import load_settings
from skyops_assets.warehouse.embedded import start_embedded

BACKLOG = 512


def create_service() -> ASGIApp:
    """The app behind its guard."""
    from skyops_assets.serving.app import create_app
    from skyops_assets.serving.guard import guarded

    return guarded(create_app(), load_settings())


def main(service: str = "skyops_assets.serving.__main__:create_service") -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        service: module and function that make what is served.
    """
    settings = load_settings()
    if settings.database_url is None:
        # Counts as a user of the embedded server, which stops when none is left.
        start_embedded(settings.home / "postgres", settings.postgres_port)
    # The worker reads it from there; nobody but this user sees a process's environment.
    os.environ[entrance.VARIABLE] = token = entrance.token(settings)
    entrance.keep(settings, token)
    server = Granian(
        service,
        factory=True,
        address=sys.argv[1],
        port=settings.service_port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        workers_kill_timeout=10,
    )
    try:
        server.serve()
    finally:
        entrance.file(settings).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
