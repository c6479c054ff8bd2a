"""The logs of `skyops up`: where they are, how long they may become, and their ends.

Belongs here: files of text. Does not: what the demo logs (`cli.output.steps`), output of runs.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from skyops_assets.errors import SkyOpsError

LARGEST = 10 * 2**20
"""Bytes of a log, and of the part before it, `NAME.1`: some weeks of the daemon's."""
SERVICES = ("up", "code-server", "daemon", "ui", "service", "docs", "follow", "sentinel")


def files(home: Path) -> dict[str, Path]:
    """Every log that grows, by name; whether it is there or not."""
    return {
        **{name: home / "logs" / f"{name}.log" for name in SERVICES},
        "postgres": home / "postgres" / "log",
    }


def rotate(paths: Iterable[Path], largest: int = LARGEST) -> None:
    """Begin each log anew that has grown too large; what it held is kept once, as `NAME.1`.

    By a copy, as the processes that write have it open, for appending. A line that is written
    between copying and cutting is lost.
    """
    for path in paths:
        # A disk that is full has no room for the copy, and the log grows no more.
        with suppress(OSError):
            if path.stat().st_size > largest:
                shutil.copyfile(path, path.with_name(path.name + ".1"))
                os.truncate(path, 0)


def chosen(home: Path, name: str | None) -> dict[str, Path]:
    """The log of this name, or all that are there.

    Raises:
        SkyOpsError: there is no such log, or none at all.
    """
    once = {name: home / "logs" / f"{name}.log" for name in ("demo", "load", "refresh")}
    known = {**files(home), **once}
    if name is not None and name not in known:
        raise SkyOpsError(f"There is no log {name!r}; the logs are {', '.join(known)}.")
    found = {each: path for each, path in known.items() if name in (None, each) and path.is_file()}
    if not found:
        what = "are no logs" if name is None else f"is no log {name!r}"
        raise SkyOpsError(f"There {what} in {home} yet; `skyops up` writes them.")
    return found


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        block = b""
        # Lines are a hundred bytes: nearly always one step.
        while end > 0 and block.count(b"\n") <= count:
            start = max(0, end - 64 * 1024)
            file.seek(start)
            block = file.read(end - start) + block
            end = start
    lines = block.decode(errors="replace").splitlines()
    return lines[len(lines) - min(count, len(lines)) :]


def follow(path: Path, position: int | None = None) -> Iterator[str | None]:
    """Each further line of a file, from its present end or a position; None where none is new."""
    at = path.stat().st_size if position is None else position
    part = b""
    while True:
        with suppress(FileNotFoundError), path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < at:
                at, part = 0, b""  # It began anew.
            file.seek(at)
            *lines, part = (part + file.read()).split(b"\n")
            at = file.tell()
            for line in lines:
                yield line.decode(errors="replace")
        yield None


def follow_all(paths: dict[str, Path], pause_s: float = 0.3) -> Iterator[tuple[str, str]]:
    """Each further line of several files, with the name of its file; without end."""
    tails = {name: follow(path) for name, path in paths.items()}
    while True:
        for name, tail in tails.items():
            while (line := next(tail)) is not None:
                yield name, line
        time.sleep(pause_s)
