"""Fixtures of the service's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.arrivals.features import RINGS_NM
from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.warehouse.connection import Warehouse
from tests.support.browser import chromium, needs_page
from tests.support.databases import Databases, short_dir
from tests.support.dbt import dbt_environment, run_dbt
from tests.support.monitored import dagster_instance, lived_in
from tests.support.paris import paris as recordings
from tests.support.serving import Served, Start
from tests.support.serving import served as start
from validation.sparse import thinned

PARIS_AT = "2021-10-07 14:20:00+00"


@pytest.fixture(scope="session")
def paris(databases: Databases) -> Iterator[Warehouse]:
    """Part of the Paris recording, built, with predictions and scores of flights.

    Its clock stands at `PARIS_AT`.
    """
    from skyops_assets.anomalous import look
    from skyops_assets.arrivals.steps.predict import predict_crossings
    from skyops_assets.transform.dbt import prepare_manifest

    prepare_manifest()
    warehouse, folder = databases.new(), short_dir()
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
    runways = reference.paris_runways()
    reference.replace_reference(warehouse, "raw.runways", "ourairports", runways)
    states = thinned(recordings(80), 10, 0)
    load_states(warehouse, Recording("paris", states, states))
    variables = dbt_environment(folder, folder, warehouse)
    code, output = run_dbt(folder / "log", variables, "--quiet", "run", ours=True)
    assert code == 0, output
    for ring_nm in RINGS_NM:
        predict_crossings(warehouse, Settings(home=folder), ring_nm=ring_nm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "LEAST_FITTED", 20)
        look.score_flights(warehouse)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"alter database {warehouse.url.database} set skyops.now_at = '{PARIS_AT}'")
    yield warehouse
    databases.drop(warehouse)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def over_paris(paris: Warehouse) -> Iterator[Served]:
    """The service on `paris`, for tests that only read."""
    folder = short_dir()
    try:
        with start(paris, folder) as one:
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A home with a short path, for the tests of one module."""
    made = short_dir()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def dagster(databases: Databases, folder: Path) -> Iterator[Warehouse]:
    """Dagster's database, as Dagster itself has written it."""
    made = databases.new(is_migrated=False)
    with dagster_instance(made, folder) as instance:
        lived_in(instance)
    yield made
    databases.drop(made)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the pages."""
    needs_page()
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def starts(shared_warehouse: Warehouse) -> Iterator[Start]:
    """Starts services on the warehouse that the tests of one module share; takes settings."""
    with ExitStack() as stack:

        def begin(module: str = "skyops_assets.serving", **variables: str) -> Served:
            folder = short_dir()
            stack.callback(partial(shutil.rmtree, folder, ignore_errors=True))
            return stack.enter_context(start(shared_warehouse, folder, variables, module))

        yield begin


@pytest.fixture(scope="module")
def served(starts: Start) -> Served:
    """The service on the warehouse that the tests of one module share."""
    return starts()


@pytest.fixture(scope="module")
def probed(starts: Start) -> Served:
    """The same with the routes of `tests.support.probe_service`."""
    return starts("tests.support.probe_service")
