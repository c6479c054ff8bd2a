"""The dbt project as dbt itself reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def nodes(manifest: Path) -> dict[str, Any]:
    """The manifest: its nodes, sources, exposures and unit tests."""
    found: dict[str, Any] = json.loads(manifest.read_text())
    return found
