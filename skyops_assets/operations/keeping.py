"""Who keeps the services of a home: the file `up.pid`, locked by the keeper while it lives.

The lock counts, not the number in the file: it is free as soon as its holder is gone, however that
ended, and a number that comes back is another process's.

Belongs here: taking, reading and ending. Does not: keeping (`supervise`).
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from skyops_assets.errors import SkyOpsError
from skyops_assets.operations.sentinel import end_groups
from skyops_assets.settings import Settings
from skyops_assets.warehouse.embedded import unusable

FILE = "up.pid"
GLANCE_S = 0.5
"""Who only looks whether the lock is held, shares it for a moment with others who look."""
DOWN_S = 60.0
"""The keeper gives its services half of it."""


@dataclass(frozen=True)
class Keeper:
    """What `up.pid` says.

    Attributes:
        started_at: UTC, ISO 8601.
        is_ready: whether its addresses answer.
        groups: the process group of each service.
    """

    pid: int
    started_at: str
    ui_port: int
    docs_port: int
    is_ready: bool = False
    groups: dict[str, int] = field(default_factory=dict)
    service_port: int | None = None

    @property
    def says(self) -> str:
        """Which process, since when, which address."""
        return (
            f"process {self.pid}, since {self.started_at[:16].replace('T', ' ')} UTC, "
            f"http://localhost:{self.ui_port}"
        )


class Claim:
    """The right to keep a home's services, and the file that says so."""

    def __init__(self, file: TextIO, settings: Settings) -> None:
        self._file = file
        self.left = _parse(file)
        """What a keeper that was killed has left here."""
        self.keeper = Keeper(
            os.getpid(),
            datetime.now(UTC).isoformat(timespec="seconds"),
            settings.ui_port,
            settings.docs_port,
            service_port=settings.service_port,
        )
        self.note()

    def note(self, **changed: object) -> None:
        """Write what is so now."""
        self.keeper = replace(self.keeper, **changed)  # type: ignore[arg-type]
        text = json.dumps(asdict(self.keeper))
        # In one go: others read it at any time.
        os.truncate(self._file.fileno(), 0)
        os.write(self._file.fileno(), text.encode())


@contextmanager
def claimed(settings: Settings) -> Iterator[Claim]:
    """Be the one process that keeps this home's services.

    Raises:
        SkyOpsError: another one does; the message says which, and how to end it.
    """
    path = settings.home / FILE
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise SkyOpsError(unusable(settings.home, error)) from None
    with file:
        if not _lock(file, GLANCE_S):
            require_none(settings)
            raise SkyOpsError(f"Another `skyops up` is starting in {settings.home}; try again.")
        claim = Claim(file, settings)
        try:
            yield claim
        finally:
            os.truncate(file.fileno(), 0)


def require_none(settings: Settings) -> None:
    """Raise `SkyOpsError` where the services of this home are kept already."""
    if keeper := find(settings.home):
        raise SkyOpsError(
            f"SkyOps already runs in {settings.home}: {keeper.says}. `skyops down` stops it."
        )


def find(home: Path) -> Keeper | None:
    """The living keeper of a home; None where there is none."""
    deadline = time.monotonic() + GLANCE_S
    while True:
        try:
            with (home / FILE).open() as file:
                if _lock(file, 0, fcntl.LOCK_SH):
                    return None
                if keeper := _parse(file):
                    return keeper
        except OSError:
            return None
        if time.monotonic() > deadline:
            return None
        time.sleep(0.02)  # It is just writing.


def end(home: Path, say: Callable[[str], None]) -> bool:
    """End the keeper of a home, or what is left of one that was killed, and wait for it.

    Returns:
        Whether there was anything to end.
    """
    keeper = find(home)
    if keeper is None:
        return end_leftovers(home, left_in(home), say)
    import psutil

    try:
        process = psutil.Process(keeper.pid)
        process.terminate()
        say(f"Ending {keeper.says}")
        deadline = time.monotonic() + DOWN_S
        # The lock is free before: the process then ends the embedded server.
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                process.kill()
                end_leftovers(home, keeper, say)
                break
            time.sleep(0.1)
    except psutil.AccessDenied:
        raise SkyOpsError(
            f"That is {keeper.says}, started by another user, who must stop it."
        ) from None
    except psutil.NoSuchProcess:
        pass
    return True


def left_in(home: Path) -> Keeper | None:
    """What the file says, whoever wrote it."""
    try:
        with (home / FILE).open() as file:
            return _parse(file)
    except OSError:
        return None


def end_leftovers(home: Path, left: Keeper | None, say: Callable[[str], None]) -> bool:
    """End the services that a killed keeper has left, where its sentinel has not done so.

    Returns:
        Whether there were any.
    """
    if left is None:
        return False
    found = {name: group for name, group in left.groups.items() if _is_of(group, home)}
    if found:
        say(f"Stopping what an earlier `skyops up` left running: {', '.join(found)}")
        end_groups(found.values())
    return bool(found)


def _is_of(group: int, home: Path) -> bool:
    """Whether a process group has a member that was started for this home.

    The number alone is not enough, it may be another's by now.
    """
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == group:
                return process.environ().get("SKYOPS_HOME") == str(home)
    return False


def _lock(file: TextIO, wait_s: float, kind: int = fcntl.LOCK_EX) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def _parse(file: TextIO) -> Keeper | None:
    file.seek(0)
    try:
        return Keeper(**json.load(file))
    except (ValueError, TypeError):
        return None  # Empty: it ended in order; or it is just being written.
