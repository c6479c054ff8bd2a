"""Machines that are none: processes with numbers, mounts and a host name of their own, as root.

Belongs here: starting and losing one. Does not: what runs there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ALONE = ["unshare", "--fork", "--pid", "--mount", "--mount-proc", "--uts", "--kill-child"]
START = """
hostname "$1"; shift
while [ "$1" != -- ]; do mount -t tmpfs none "$1"; shift; done
shift; exec "$@"
"""


def machine(
    name: str,
    command: Sequence[str],
    variables: Mapping[str, str],
    log: Path,
    hidden: Sequence[Path] = (),
) -> subprocess.Popen[bytes]:
    """A machine with one command; killed, all that runs there is gone at once, as without power.

    Args:
        hidden: folders that it does not see: the homes of others.
    """
    if subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no machine can be made here")
    with log.open("ab") as file:
        return subprocess.Popen(
            [*ALONE, "sh", "-ec", START, "sh", name, *map(str, hidden), "--", *command],
            env=dict(variables), stdout=file, stderr=file, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def lose(process: subprocess.Popen[bytes]) -> None:
    """Its power fails."""
    process.kill()
    process.wait(30)
