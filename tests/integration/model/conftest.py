"""A server of its own for each module, whose probes measure in the tests' process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support.databases import short_dir, stop_server
from tests.support.model_loop import Here


@pytest.fixture(scope="module", autouse=True)
def measured_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skyops_assets.arrivals.models.probe.PREDICTIONS", 5)
        patch.setattr("skyops_assets.arrivals.models.probe.start", Here)
        yield


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    home = short_dir()
    try:
        yield Settings(home=home, database_url=None, warehouse_url=None, actor="tester")
    finally:
        stop_server(home / "postgres")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def server(settings: Settings) -> Warehouse:
    warehouse = open_warehouse(settings)
    migrate(warehouse)
    return warehouse
