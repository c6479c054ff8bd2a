"""The graph as Dagster resolves it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def asset_graph(graph: Any) -> Any:
    return graph.defs.resolve_asset_graph()
