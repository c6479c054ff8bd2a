"""Responses on disk from their last byte until their rows are stored.

Belongs here: the files. A process that is killed leaves the response in its hand in one of them,
and the next collector on this home stores it first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

ANSWER = ".answer"
_PART = ".part"


class Spool:
    """A folder of responses that are not stored yet; at most one of them is this process's.

    Args:
        folder: made when the first response comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: Path | None = None

    def keep(self, body: bytes, received_at: datetime) -> None:
        """Write a response down, whole or not at all; a disk that is full costs only this."""
        name = f"{received_at.timestamp():.6f}-{os.getpid()}"
        part = self.folder / (name + _PART)
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(body)
            self._own = part.rename(self.folder / (name + ANSWER))

    def drop(self) -> None:
        """Forget this process's response: it is stored."""
        if self._own is not None:
            self._own.unlink(missing_ok=True)
            self._own = None

    def left(self) -> Iterator[tuple[bytes, datetime]]:
        """Responses that others left, the oldest first; one is dropped as the next is taken."""
        for path in self.folder.glob("*" + _PART):
            path.unlink(missing_ok=True)
        for path in sorted(self.folder.glob("*" + ANSWER)):
            if path == self._own:
                continue
            try:
                body = path.read_bytes()
            except FileNotFoundError:
                continue
            yield body, datetime.fromtimestamp(float(path.name.partition("-")[0]), UTC)
            path.unlink(missing_ok=True)
