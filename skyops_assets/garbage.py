"""How often a process of SkyOps looks for unused objects that refer to each other.

The graph and the libraries under it are a million objects that stay. Python's collector would
look through them after each 700 new ones, the oldest after some seconds of import: a tenth of the
time of loading the graph.
"""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Look through new objects by the hundred thousand, not by the 700."""
    gc.set_threshold(100_000, 50, 50)
