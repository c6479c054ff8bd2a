"""Whether the daemons of the instance live, by what they tell.

Belongs here: looking. Does not: judging how long one may be silent (`operations.health`), runs
(`repair`).
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg


def heartbeats(instance: dg.DagsterInstance) -> dict[str, datetime | None]:
    """When each daemon that this instance needs last told that it lives (UTC); None if never."""
    told = instance.get_daemon_heartbeats()
    return {
        name: datetime.fromtimestamp(told[name].timestamp, UTC) if name in told else None
        for name in instance.get_required_daemon_types()
    }
