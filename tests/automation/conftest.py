"""What is ticked: an instance that lives as long as one test, and the graph's repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def repository(graph: Any) -> Any:
    return graph.defs.get_repository_def()
