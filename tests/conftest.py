"""Fixtures that every test may use: homes, warehouses, the asset graph, the data mirror.

One embedded Postgres runs per xdist worker; each test or module gets a database of its own on
it, copied from a migrated template. Everything is stopped and removed at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from skyops_assets.garbage import collect_rarely
from skyops_assets.runtime import QUIET, environment
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, short_dir, stop_server
from tests.support.dbt import Dbt, dbt_environment, run_dbt

if TYPE_CHECKING:
    import dagster as dg

    from tests.support.citus import Cluster

MIRROR = "SKYOPS_DATA_MIRROR"
KEPT = (MIRROR, "SKYOPS_TEST_CITUS")
"""Of a person's shell: where the data mirror is, and a script that starts Citus."""
LIVE_SINCE = "SKYOPS_FIRST_HOUR"
"""Set while tests run: their graph has hours up to the present, as on a platform that is live."""
OURS = ("SKYOPS_", "DAGSTER_", "DBT_", "MLFLOW_")
"""Prefixes of the variables that a person's shell may hold and a test must not see."""

collect_rarely()
os.environ.update(QUIET)
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no failure, and nothing is kept beside the tests.
hypothesis.settings.register_profile(
    "skyops",
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("skyops")

# What reads the environment at import, before the first fixture, must not see them either.
# What is kept stays: xdist's workers inherit it from this process.
for _name in [name for name in os.environ if name.startswith(OURS)]:
    if _name not in (*QUIET, *KEPT):
        del os.environ[_name]
os.environ[LIVE_SINCE] = "2019-03-01T00:00"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="also what takes many minutes, as `make torture` does"
    )


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for processes of their own."""
    from joblib import cpu_count

    return int(cpu_count()) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A `mirror` test without a mirror is skipped; in CI it fails (see `_environment`)."""
    if os.environ.get(MIRROR) or os.environ.get("CI") == "true":
        return
    for item in items:
        if item.get_closest_marker("mirror"):
            item.add_marker(pytest.mark.skip(reason=f"{MIRROR} is not set"))


@pytest.fixture(autouse=True)
def signals_reach_children() -> None:
    """What this process ignores, its children ignore too.

    A suite in the background, or under nohup, ignores two; a test of who ends in order, all three.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(autouse=True)
def _environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one test sets, such as `prepare` does for its process, no other test sees."""
    for name in list(os.environ):
        if name.startswith(OURS) and name not in {*QUIET, *KEPT, LIVE_SINCE}:
            monkeypatch.delenv(name)
    if request.node.get_closest_marker("mirror") and not os.environ.get(MIRROR):
        pytest.fail(f"{MIRROR} is not set, and in CI no test may be skipped for want of it")
    before = dict(os.environ)
    yield
    # Nor a fixture of the whole session that a later test is the first to ask for.
    for name in os.environ.keys() - before.keys():
        if name.startswith(OURS):
            del os.environ[name]


@pytest.fixture
def mirror() -> Path:
    """The folder of the data mirror, for tests marked `mirror`."""
    return Path(os.environ[MIRROR])


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of its own for one test; an embedded server started in it is stopped."""
    folder = short_dir()
    try:
        yield folder
    finally:
        stop_server(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """This worker's server."""
    folder = short_dir()
    try:
        yield Databases(folder)
    finally:
        stop_server(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def warehouse(databases: Databases) -> Iterator[Warehouse]:
    """An empty, migrated warehouse for one test."""
    fresh = databases.new()
    yield fresh
    databases.drop(fresh)


@pytest.fixture(scope="module")
def shared_warehouse(databases: Databases) -> Iterator[Warehouse]:
    """An empty, migrated warehouse for the tests of one module."""
    fresh = databases.new()
    yield fresh
    databases.drop(fresh)


@pytest.fixture
def pointed(warehouse: Warehouse, home: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """The test's warehouse, with this process pointed at it as `skyops` points its children."""
    monkeypatch.setenv("SKYOPS_HOME", str(home))
    for name, value in environment(Settings(home=home), warehouse).items():
        if name.startswith("SKYOPS_"):
            monkeypatch.setenv(name, value)
    return warehouse


@pytest.fixture
def query() -> Callable[..., list[tuple[Any, ...]]]:
    """Run a statement on a warehouse and return its rows, if it has any."""

    def run(warehouse: Warehouse, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture(scope="module")
def dbt(
    shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[int, str]]:
    """Run dbt on the warehouse that the tests of one module share; its exit code and output."""
    target = tmp_path_factory.mktemp("target")
    variables = dbt_environment(target, target, shared_warehouse)

    def run(*arguments: str) -> tuple[int, str]:
        return run_dbt(target / "output", variables, "--quiet", *arguments, ours=False)

    return run


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dbt manifest, parsed once for all workers: a copy, as only the latest are kept."""
    from skyops_assets.transform.dbt import prepare_manifest

    return Path(shutil.copy(prepare_manifest(), tmp_path_factory.mktemp("manifest")))


@pytest.fixture(scope="module")
def dbt_folder() -> Iterator[Path]:
    """Where `dbt_of` has its artifacts: a folder for each database, by its name."""
    folder = short_dir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def dbt_of(dbt_folder: Path) -> Callable[[Warehouse], Dbt]:
    """Run `skyops-dbt` on a warehouse, as a run of the graph does."""

    def on(warehouse: Warehouse) -> Dbt:
        target = dbt_folder / str(warehouse.url.database)
        variables = dbt_environment(dbt_folder, target, warehouse)

        def run(*arguments: str) -> str:
            target.mkdir(exist_ok=True)
            code, output = run_dbt(target / "output", variables, *arguments, ours=True)
            assert code == 0, output
            return output

        return run

    return on


@pytest.fixture(scope="session")
def graph(manifest: Path) -> Any:
    """`build_defs`, and `defs`: the graph with its usual resources, which needs the manifest."""
    from skyops_assets.definitions import build_defs, usual_defs

    return SimpleNamespace(build_defs=build_defs, defs=usual_defs())


@pytest.fixture(scope="module")
def servers() -> Iterator[Cluster]:
    """A Citus cluster; skips the test where there is none."""
    from tests.support.citus import cluster

    with cluster() as found:
        yield found


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A module of a job that notes in Postgres when its steps begin and end."""
    from tests.support.runs import JOB

    path = tmp_path / "job.py"
    path.write_text(JOB)
    return path


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that other processes can open, as schedules and launched runs ask for."""
    import dagster as dg

    with dg.DagsterInstance.local_temp(str(tmp_path)) as fresh:
        yield fresh
