"""How much MLflow's artifacts take, where they are in a folder.

Belongs here: measuring it, seldom. Does not: the artifacts, which are `arrivals/models/`'s.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from skyops_assets.serving import metrics

EVERY_S = 60.0
"""A folder of 10,000 files takes 50 ms."""


class Artifacts:
    """MLflow's artifacts of an installation.

    Args:
        root: `Settings.artifact_root`; of one that is an address nothing is measured.
    """

    def __init__(self, root: str) -> None:
        self._folder = None if "://" in root.removeprefix("file://") else root
        self._due = 0.0

    def measure(self) -> None:
        """Set the metric; not more often than once in `EVERY_S`."""
        if self._folder is None or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_S
        metrics.ARTIFACTS.set(size_bytes(Path(self._folder.removeprefix("file://"))))


def size_bytes(folder: Path) -> int:
    """All files below a folder; 0 where there is none. What vanishes meanwhile does not count."""
    found = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                found += os.lstat(os.path.join(where, name)).st_size
            except FileNotFoundError:
                continue
    return found
