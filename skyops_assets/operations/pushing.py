"""Tells a Pushgateway how a task that ends went: a load, a demo, a clean-up.

Prometheus asks the service for the rest; who runs tasks without it, by cron or in a container of
its own, still hears of them. A task never fails because nobody could be told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from skyops_assets.errors import Stopped, storable
from skyops_assets.settings import Settings, load_settings

JOB = "skyops"
TIMEOUT_S = 5.0
log = logging.getLogger(__name__)
Command = TypeVar("Command", bound=Callable[..., Any])


class Pushed(NamedTuple):
    """A metric that a task pushes, with the labels `LABELS`."""

    name: str
    meaning: str


SUCCESS = Pushed("skyops_task_success", "1 if the task's last run succeeded, 0 if it failed.")
DURATION = Pushed("skyops_task_duration_seconds", "Duration of the task's last run.")
END = Pushed("skyops_task_end_timestamp_seconds", "When the task last ended.")
SUCCEEDED = Pushed("skyops_task_success_timestamp_seconds", "When the task last succeeded.")
LABELS = ("task", "env")
PUSHED = (SUCCESS, DURATION, END, SUCCEEDED)


@contextmanager
def reported(task: str, settings: Settings) -> Iterator[None]:
    """Push how what is done within it went; nothing without a gateway.

    What a person stops is neither a success nor a failure, and is not told.
    """
    began = time.time()
    try:
        yield
    except Stopped:
        raise
    except Exception:
        _push(task, settings, began, is_success=False)
        raise
    _push(task, settings, began, is_success=True)


def reports(command: Command) -> Command:
    """The command as a task of its name, for `SKYOPS_PUSHGATEWAY_URL`."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        with reported(command.__name__, load_settings()):
            return command(*arguments, **options)

    return run  # type: ignore[return-value]


def _push(task: str, settings: Settings, began: float, *, is_success: bool) -> None:
    gateway = settings.pushgateway_url
    if gateway is None:
        return
    from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

    ended = time.time()
    values = {SUCCESS: float(is_success), DURATION: ended - began, END: ended}
    if is_success:
        values[SUCCEEDED] = ended
    registry = CollectorRegistry()
    for metric, value in values.items():
        Gauge(metric.name, metric.meaning, registry=registry).set(value)
    address, handler = _address(gateway.get_secret_value())
    try:
        # Adds: the last success stays where this try failed. By environment: else one's would take
        # the place of another's.
        pushadd_to_gateway(
            address,
            JOB,
            registry,
            grouping_key={"task": task, "env": settings.env},
            timeout=TIMEOUT_S,
            handler=handler,
        )
    except Exception as error:
        log.warning(
            "The result of %s could not be pushed to the Pushgateway: %s",
            task,
            storable(str(error), 300),
        )


def _address(url: str) -> tuple[str, Any]:
    """An address without user and password, which urllib would look up as part of the host."""
    from prometheus_client.exposition import basic_auth_handler, default_handler

    parts = urlsplit(url)
    if parts.username is None:
        return url, default_handler
    user, password = unquote(parts.username), unquote(parts.password or "")
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    return bare, partial(basic_auth_handler, username=user, password=password)
