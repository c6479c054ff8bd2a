"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write, which takes its place once it is whole and on the disk.

    Killed at any moment, `path` is what it was or what it was to be. Each writer has a file of its
    own, and one that fails leaves none; a killed one leaves a ``*.part``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def beat(home: Path, name: str) -> None:
    """Show that a process which nobody can ask still works: its file has the present time."""
    path = home / "alive" / name
    # A full disk is told of elsewhere, and is no reason to end.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_secret(path: Path, text: str, *, keep: bool = False) -> None:
    """A line that only its owner reads, in a file that is there whole or not at all.

    Args:
        keep: one that is there stays as it is; of several writers the first wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        if keep:
            with suppress(FileExistsError):
                path.hardlink_to(part)
        else:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
