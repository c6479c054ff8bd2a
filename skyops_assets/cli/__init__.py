"""The command `skyops`: `app`, with the commands of the modules beside.

Belongs here: arguments, progress, and errors as one sentence. What a command does lies in the
packages; they are imported when a command runs, so that `--help` stays quick.
"""

from __future__ import annotations

# isort: off
# In the order of `--help`: what a newcomer needs stands first.
from skyops_assets.cli import demo, services, keys, query, data, live, operations, models
from skyops_assets.cli import reprocess, monitoring, backups, store

# isort: on
from skyops_assets.cli.app import app

__all__ = ["app", "backups", "data", "demo", "keys", "live", "models", "monitoring", "operations",
           "query", "reprocess", "services", "store"]  # fmt: skip
