"""The link by which a browser enters the service, and the token in it.

The token is that of one start of the service. It lies in SKYOPS_HOME, where its owner alone reads
it; who may read that may do anything there. It is in no log.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from skyops_assets.errors import SkyOpsError
from skyops_assets.files import write_secret
from skyops_assets.settings import Settings
from skyops_assets.warehouse.embedded import unusable

VARIABLE = "SKYOPS_SERVICE_TOKEN"


def token(settings: Settings) -> str:
    """The token that is set, or a new one."""
    given = settings.service_token
    return given.get_secret_value() if given else secrets.token_urlsafe(32)


def file(settings: Settings) -> Path:
    """Where the token of the service on this port lies while it runs."""
    return settings.home / f"service-{settings.service_port}.token"


def keep(settings: Settings, value: str) -> None:
    """Write the token where `link` finds it.

    Raises:
        SkyOpsError: SKYOPS_HOME cannot be written to.
    """
    try:
        write_secret(file(settings), value)
    except OSError as error:
        raise SkyOpsError(unusable(settings.home, error)) from None


def link(settings: Settings) -> str:
    """The link by which a browser enters the running service.

    Raises:
        SkyOpsError: none runs here.
    """
    try:
        value = file(settings).read_text().strip()
    except FileNotFoundError:
        raise SkyOpsError(
            f"No service for {settings.home} runs on port {settings.service_port}; `skyops up` and "
            "`skyops serve` start it."
        ) from None
    except OSError as error:
        raise SkyOpsError(f"{file(settings)} cannot be read: {error.strerror}") from None
    return f"{address(settings)}/?token={value}"


def address(settings: Settings) -> str:
    """Where browsers reach the service."""
    return settings.public_url or f"http://localhost:{settings.service_port}"
