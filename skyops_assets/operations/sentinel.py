"""Ends the services when their keeper is gone, whatever ended it: a process beside `skyops up`.

It holds the read end of a pipe whose write end only the keeper has, is told the process groups of
the services, and comes to the pipe's end when the keeper does, even by kill -9.

Belongs here: that process, how the keeper speaks to it, how a group is ended. Does not: which
services there are (`supervise`). It imports little, as it runs
as long as the keeper.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

STOP_S = 10.0
"""How long a group has from the request to end until it is killed."""


class Sentinel:
    """The keeper's side: starts the process, tells it the groups, starts it again where it died."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._groups: set[int] = set()
        self._start()

    def _start(self) -> None:
        with (self._home / "logs" / "sentinel.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(self._home)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for group in self._groups:
            self._tell(f"+{group}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # Where it is dead, `watch` starts another one and tells it all.
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def add(self, group: int) -> None:
        """A service was started in this process group."""
        self._groups.add(group)
        self._tell(f"+{group}")

    def watch(self) -> None:
        """Forget groups that are empty, as their numbers come back; see that the process lives."""
        for group in [one for one in self._groups if not _is_there(one)]:
            self._groups.discard(group)
            self._tell(f"-{group}")
        if self._process.poll() is not None:
            self._start()

    def end(self) -> None:
        """End what is left of all groups, and then the process."""
        end_groups(self._groups)
        self._groups.clear()
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._process.stdin.close()


def lives(group: int) -> bool:
    """Whether a process group has a member that has not ended."""
    import psutil

    if not _is_there(group):
        return False
    # In a container without an init nobody takes note of what has ended.
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        # Not permitted: nobody of ours, on macOS one that has ended.
        return False
    return True


def end_groups(groups: Iterable[int], wait_s: float = STOP_S) -> None:
    """Ask process groups to end, wait, and kill those that did not."""
    left = set(groups)
    deadline = time.monotonic() + wait_s
    _signal(left, signal.SIGTERM)
    while left := {group for group in left if lives(group)}:
        if time.monotonic() > deadline:
            _signal(left, signal.SIGKILL)
            return
        time.sleep(0.1)


def _signal(groups: set[int], number: int) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def stop_server(home: Path) -> None:
    """Stop the embedded server of a home, where there is one that nobody uses any more."""
    from skyops_assets.warehouse.embedded import stop_if_unused

    if (home / "postgres").is_dir():
        stop_if_unused(home / "postgres")


def main() -> None:
    """Wait for the end of the keeper, and end what it has left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    end_groups(groups)
    stop_server(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
