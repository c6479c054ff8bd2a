"""What every SkyOps process needs around it: the warehouse, folders, environment.

Belongs here: preparing the surroundings and naming them in environment variables, so that
dagster, dbt and MLflow started from here find the same warehouse and stay quiet.
Does not: running anything.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from skyops_assets import __version__, launchers
from skyops_assets.addresses import LOOPBACK
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.store import S3
from skyops_assets.transform.dbt import DBT_PROJECT, prepare_manifest
from skyops_assets.warehouse import environments
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.embedded import unusable
from skyops_assets.warehouse.migrate import migrate
from skyops_assets.warehouse.roles import SERVICE, connected, ensure, grant_reading

PACKAGE = Path(__file__).parent
QUIET = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Nothing that SkyOps starts reports its use to anyone."""
OTHERS = ("DAGSTER_", "DBT_", "MLFLOW_")
"""Prefixes of variables that belong to another project of the same shell: `DBT_TARGET` stops each
transform, `MLFLOW_RUN_ID` each training. What SkyOps needs of them it sets itself."""
PASSED_ON = ("MLFLOW_S3_",)
"""Of those, what a person sets for SkyOps: the server of MLflow's files, where it is not that of
`AWS_ENDPOINT_URL`."""
WITHHELD = tuple(
    f"SKYOPS_{name}"
    for name in ("DATABASE_URL", "POSTGRES_PASSWORD", "READER_DATABASE_URL",
                 "SERVICE_DATABASE_URL", "SOURCE_", "PG_", "OPENSKY_CLIENT_", "ALERT_",
                 "CELERY_")
)  # fmt: skip
"""Prefixes of variables that the service, which everybody talks to, does not see."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


def dagster_home(settings: Settings) -> Path:
    """Dagster's instance folder, in which `launchers` writes ``dagster.yaml``."""
    return settings.home / "dagster"


def environment(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    """The variables that SkyOps' child processes need, on top of the present ones."""
    bin_dir = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    return {
        **QUIET,
        **no_proxy(os.environ),
        **aws(os.environ),
        # OpenMP's threads spin while they wait. On busy cores a fit of 58 rows took 100 s with
        # four of them and 0.5 s with one; and one thread adds up in the same order each time.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PATH": path if bin_dir in path.split(os.pathsep) else bin_dir + os.pathsep + path,
        "SKYOPS_HOME": str(settings.home),
        "SKYOPS_ENV": settings.env,
        **database_variables(warehouse),
        "SKYOPS_WATCH_AIRPORTS": ",".join(settings.watch_airports),
        "SKYOPS_ASMA_REFERENCE_YEAR": str(settings.asma_reference_year or ""),
        "SKYOPS_DBT_THREADS": str(settings.dbt_threads),
        "SKYOPS_DAGSTER_URL": warehouse.sqlalchemy(settings.dagster_database),
        **launchers.variables(settings),
        "DAGSTER_HOME": str(dagster_home(settings)),
        "DBT_PROJECT_DIR": str(DBT_PROJECT),
        "DBT_PROFILES_DIR": str(DBT_PROJECT),
    }


def aws(variables: Mapping[str, str]) -> dict[str, str]:
    """The buckets' region also under the name by which boto3 looks for it, which knows no other."""
    region = variables.get("AWS_DEFAULT_REGION") or variables.get("AWS_REGION")
    return {"AWS_DEFAULT_REGION": region} if region else {}


def no_proxy(variables: Mapping[str, str]) -> dict[str, str]:
    """What keeps connections to this machine away from the proxy that a person has set.

    Without a proxy nothing is set: macOS would then no longer ask the system's settings for one.
    """
    if not any(variables.get(name) or variables.get(name.upper()) for name in PROXIES):
        return {}
    low, high = variables.get("no_proxy"), variables.get("NO_PROXY")
    names = {"no_proxy": low or high, "NO_PROXY": high or low}
    # gRPC, which the code server speaks, asks for a variable of its own first, and knows no `*`.
    exempt = {"no_grpc_proxy": _with_loopback(variables.get("no_grpc_proxy") or low or high)}
    for name, given in names.items():
        # All hosts, which is understood only if it stands alone.
        exempt[name] = "*" if given and given.strip() == "*" else _with_loopback(given)
    return exempt


def _with_loopback(given: str | None) -> str:
    hosts = [host.strip() for host in (given or "").split(",") if host.strip()]
    return ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])


def _forget_others() -> None:
    """Drop from this process, and so from all that it starts, what another project has set."""
    for name in list(os.environ):
        if name.startswith(OTHERS) and not name.startswith(PASSED_ON):
            del os.environ[name]


def database_variables(warehouse: Warehouse) -> dict[str, str]:
    """The variables that name the warehouse's database, for SkyOps and for dbt."""
    return {
        "SKYOPS_WAREHOUSE_URL": warehouse.libpq(),
        **{f"SKYOPS_PG_{name.upper()}": value for name, value in warehouse.parts.items()},
    }


def service_environment(
    settings: Settings,
    warehouse: Warehouse,
    say: Callable[[str], None],
    variables: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The whole environment of the service's process: these variables, but for some.

    Its addresses of databases are those of the role that reads what the service answers from.

    Args:
        say: told why that role cannot be used, where it cannot.
    """
    found, why = connected(warehouse, settings, SERVICE)
    if why:
        say(f"The service has no database role of its own: {why}")
    else:
        grant_reading(warehouse, settings.dagster_database, str(found.url.username))
    hidden = (*WITHHELD, "PGPASSWORD")
    kept = {name: value for name, value in variables.items() if not name.startswith(hidden)}
    if not warehouse.is_embedded:
        # That it is another server, the process must know.
        kept["SKYOPS_DATABASE_URL"] = found.libpq()
    return {
        **kept,
        "SKYOPS_WAREHOUSE_URL": found.libpq(),
        "SKYOPS_DAGSTER_URL": found.sqlalchemy(settings.dagster_database),
    }


def code_version(package: Path = PACKAGE, project: Path = DBT_PROJECT) -> str:
    """The release, and 12 hex digits of what makes a model: ``arrivals/`` and dbt's SQL.

    The release alone would name many commits; git is not there where SkyOps is installed.
    """
    digest = hashlib.sha256()
    for root, files in (
        (package, sorted((package / "arrivals").rglob("*.py"))),
        (
            project,
            sorted(p for part in ("models", "macros") for p in (project / part).rglob("*.sql")),
        ),
    ):
        for path in files:
            content = path.read_bytes()
            digest.update(
                f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content
            )
    return f"{__version__}+{digest.hexdigest()[:12]}"


def check_airports(settings: Settings) -> None:
    """Refuse airports that no list has: nothing would ever be found of them.

    Raises:
        SkyOpsError: one is not known.
    """
    named = {
        name: getattr(settings, name)
        for name in ("watch_airports", "history_airports")
        # The list takes 0.1 s to read.
        if getattr(settings, name) != Settings.model_fields[name].default
    }
    if not named:
        return
    import airportsdata

    known = airportsdata.load("ICAO")
    for name, codes in named.items():
        if unknown := [code for code in codes if code not in known]:
            raise SkyOpsError(
                f"SKYOPS_{name.upper()} has unknown airport codes: {', '.join(unknown)}."
            )


def check_store(settings: Settings) -> None:
    """Refuse a bucket without the library by which MLflow and Dagster reach it.

    Raises:
        SkyOpsError: it is not installed.
    """
    for name, place in (
        ("SKYOPS_STORE", settings.store_root), ("SKYOPS_MLFLOW_ARTIFACTS", settings.artifact_root),
    ):  # fmt: skip
        if place.startswith(S3) and find_spec("boto3") is None:
            raise SkyOpsError(
                f"{name} names {place}, and what reaches buckets is not installed: run "
                "`make buckets`, or install requirements-s3.lock (docs/storage.md)."
            )


def prepare(settings: Settings, say: Callable[[str], None] = lambda _: None) -> Warehouse:
    """Bring up the surroundings and set this process's environment to them.

    Safe to repeat, and by several processes at once.

    Args:
        say: told where Dagster's instance file is a person's own, and so not written.

    Raises:
        SkyOpsError: the home, the launcher, the warehouse or the dbt project cannot be used.
    """
    check_airports(settings)
    check_store(settings)
    launchers.check(settings)
    _forget_others()
    os.environ.update(no_proxy(os.environ))
    warehouse = open_warehouse(settings)
    # First: a mistyped variable must not bring another environment's tables to this version.
    environments.require(warehouse, settings.env)
    migrate(warehouse)
    environments.remember(warehouse, settings.env)
    ensure(warehouse, settings)
    try:
        if noted := launchers.write(settings, dagster_home(settings) / "dagster.yaml"):
            say(noted)
    except OSError as error:
        raise SkyOpsError(unusable(settings.home, error)) from None
    os.environ.update(environment(settings, warehouse))
    prepare_manifest()
    return warehouse
