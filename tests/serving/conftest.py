"""Fixtures of the service's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import short_dir
from tests.support.serving import Served
from tests.support.serving import served as start


@pytest.fixture(scope="module")
def served(shared_warehouse: Warehouse) -> Iterator[Served]:
    """The service on the warehouse that the tests of one module share."""
    folder = short_dir()
    try:
        with start(shared_warehouse, folder) as one:
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)
