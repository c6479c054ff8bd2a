"""How often a process of SkyOps searches for unused objects that refer to each other.

The graph and the libraries under it are a million objects that stay. With Python's own thresholds
the collector scans all of them several times while they are loaded, a tenth of the CPU of that.
"""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Scan new objects after each 100,000 of them, not after each 700."""
    gc.set_threshold(100_000, 50, 50)
