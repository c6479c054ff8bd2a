"""Whether a process still lives: one that was noted down on this machine, a daemon of the instance.

Belongs here: looking. Does not: ending a dead process's run (`repair`).
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import dagster as dg

CLOCK_S = 2.0
"""How far a process's start, as the system tells it, may lie after what it noted itself."""


def is_alive(pid: int, noted_at: datetime) -> bool:
    """Whether the process that had this number at a moment still runs.

    A number is used again, after a reboot or in a container soon: who started after the moment is
    another process.

    Args:
        noted_at: when the process noted its number, with a time zone.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        return (
            process.create_time() <= noted_at.timestamp() + CLOCK_S
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False


def is_here(host: str) -> bool:
    """Whether a host's address is one of this machine (in a container: of the container)."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def listens(host: str, port: int) -> bool:
    """Whether anyone takes connections there; a doubt is a yes."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return True


def heartbeats(instance: dg.DagsterInstance) -> dict[str, datetime | None]:
    """When each daemon that this instance needs last told that it lives (UTC); None if never."""
    told = instance.get_daemon_heartbeats()
    return {
        name: datetime.fromtimestamp(told[name].timestamp, UTC) if name in told else None
        for name in instance.get_required_daemon_types()
    }
