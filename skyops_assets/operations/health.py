"""Whether the parts that SkyOps stands on work: one probe each, and what to do where one does not.

Belongs here: probes and their verdicts. Does not: how good data and models are
(checks). Dagster's part comes from `client`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from skyops_assets.errors import SkyOpsError, storable
from skyops_assets.operations import moving, service_health
from skyops_assets.reporting.markdown import table
from skyops_assets.settings import Settings
from skyops_assets.sources.opensky.live.boxes import boxes_around
from skyops_assets.sources.opensky.live.client import OpenSkyClient
from skyops_assets.sources.opensky.live.credits import CreditBudget, Reservation
from skyops_assets.sources.opensky.live.failures import (
    PermanentFailure,
    QuotaExceeded,
    TransientFailure,
)
from skyops_assets.store import DOCS_PAGE, open_store
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from mlflow import MlflowClient


class State(StrEnum):
    """How a part is, the worst last."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


MIN_FREE_GB = 1.0
"""With less free it is broken: a demo took 0.41 GB more than an empty home, of which 0.16 GB were
the embedded server's log, and each hourly build writes 0.11 to 0.15 GB of that until the checkpoint
of its quarter of an hour. The log may grow to 2 GB (`max_wal_size`) when much is loaded at once,
for which the warning below SKYOPS_MIN_DISK_GB leaves room; a quiet day leaves 0.06 GB."""
HEARTBEAT_S = 300.0
"""A daemon tells that it lives every 30 s; a long tick may keep it from it for minutes."""
OPENSKY_TIMEOUT_S = 10.0
OPENSKY_RADIUS_NM = 5.0
"""A box of this reach costs one credit anywhere short of the poles."""


@dataclass(frozen=True)
class Finding:
    """What a probe found; for what is not ok `says` holds what to do."""

    part: str
    state: State
    says: str


Probe = Callable[[Settings, Warehouse], tuple[State, str]]


def examine(
    settings: Settings,
    warehouse: Warehouse,
    heartbeats: Callable[[], Mapping[str, datetime | None]],
) -> list[Finding]:
    """Every part, in an order in which the first broken one is often the cause of the rest.

    Takes 5 to 10 s, most of it the import of MLflow, and one OpenSky credit.

    Args:
        heartbeats: when each daemon that Dagster needs last told that it lives; None if never.
    """
    probes: dict[str, Probe] = {
        "warehouse": probe_warehouse,
        "disk": probe_disk,
        "dagster daemons": lambda *_: judge_heartbeats(heartbeats(), datetime.now(UTC)),
        "model": probe_model,
        "model store": probe_model_store,
        "opensky": probe_opensky,
        "ui": probe_ui,
        "service": probe_service,
        "dbt docs": probe_docs,
    }
    return [_found(part, probe, settings, warehouse) for part, probe in probes.items()]


def _found(part: str, probe: Probe, settings: Settings, warehouse: Warehouse) -> Finding:
    """One probe's finding; whatever it raises, the others are still asked."""
    try:
        state, says = probe(settings, warehouse)
    except SkyOpsError as error:
        state, says = State.BROKEN, str(error)
    except Exception as error:
        state, says = State.BROKEN, f"{type(error).__name__}: {error}"
    # It goes to the UI, a log and alerts, and an address of artifacts may have a password.
    return Finding(part, state, storable(says))


def worst(findings: Sequence[Finding]) -> State:
    """The state of the whole."""
    return max((one.state for one in findings), key=list(State).index, default=State.OK)


def markdown(findings: Sequence[Finding]) -> str:
    """The findings as a table."""
    return table(("part", "state", ""), ((one.part, one.state, one.says) for one in findings))


def record(warehouse: Warehouse, findings: Sequence[Finding], run_id: str) -> None:
    """One row of ``audit.monitoring_log``; a run is written once, however often this is called."""
    from psycopg2.extras import Json

    wrong = [f"{one.part}: {one.says}" for one in findings if one.state != State.OK]
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into audit.monitoring_log (kind, verdict, error, run_id, details) "
            "values ('health_check', %s, %s, %s, %s) on conflict do nothing",
            (worst(findings).value, "\n".join(wrong) or None, run_id,
             Json({"findings": [asdict(one) for one in findings]})),
        )  # fmt: skip


def probe_warehouse(settings: Settings, warehouse: Warehouse) -> tuple[State, str]:
    """It answers, its schema is the code's, and how large the databases are."""
    from skyops_assets.warehouse.migrate import MIGRATIONS

    names = [str(warehouse.url.database), settings.dagster_database, settings.mlflow_database]
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select current_setting('server_version'), "
            "(select coalesce(sum(pg_database_size(oid)), 0) from pg_database "
            " where datname = any(%s))",
            (names,),
        )
        version, size = cursor.fetchone()  # type: ignore[misc]
        cursor.execute("select name from public.skyops_migrations")
        applied = {name for (name,) in cursor.fetchall()}
    known = {path.name for path in MIGRATIONS.glob("[0-9]*.sql")}
    if missing := sorted(known - applied):
        return (
            State.BROKEN,
            f"The schema lacks {', '.join(missing)}. Run `skyops status`, which migrates it.",
        )
    if newer := sorted(applied - known):
        return State.WARNING, (
            f"The schema has {', '.join(newer)}, which this version does not know: a newer SkyOps "
            "has migrated it. Upgrade this one."
        )
    return State.OK, f"Postgres {version}, {size / 2**30:.1f} GiB, schema current."


def probe_disk(settings: Settings, warehouse: Warehouse) -> tuple[State, str]:
    """The disk of SKYOPS_HOME, where an embedded warehouse lies too, and of a server's data."""
    from skyops_assets.warehouse.disk import data_folder

    try:
        data = data_folder(warehouse, settings.home)
    except SkyOpsError:
        data = None  # The warehouse's own probe says so.
    # By file system, so that a shared one is reported once.
    folders = {path.stat().st_dev: path for path in (data, settings.home) if path is not None}
    found = [
        judge_disk(shutil.disk_usage(path).free, settings.min_disk_gb, path)
        for path in folders.values()
    ]
    state = max((state for state, _ in found), key=list(State).index)
    says = " ".join(text for _, text in found)
    if state is State.OK:
        return state, says
    return state, says + (
        " Set or lower SKYOPS_RAW_RETENTION_DAYS, lower SKYOPS_RUN_RETENTION_DAYS, or make room."
    )


def judge_disk(free_bytes: int, min_gb: float, folder: Path) -> tuple[State, str]:
    """See `MIN_FREE_GB`; a warning below SKYOPS_MIN_DISK_GB."""
    free_gb = free_bytes / 1e9
    text = f"{free_gb:.1f} GB are free on the disk of {folder}"
    if free_gb < MIN_FREE_GB:
        return (
            State.BROKEN,
            f"{text}, too little for a load and its transform ({MIN_FREE_GB:g} GB).",
        )
    if free_gb < min_gb:
        return State.WARNING, f"{text}, limit {min_gb:g} GB."
    return State.OK, f"{text}."


def judge_heartbeats(last: Mapping[str, datetime | None], now: datetime) -> tuple[State, str]:
    """Whether each daemon has sent a heartbeat lately."""
    late = [
        f"{name} ({f'silent for {(now - at).total_seconds():.0f} s' if at else 'never seen'})"
        for name, at in sorted(last.items())
        if at is None or (now - at).total_seconds() > HEARTBEAT_S
    ]
    if late:
        return State.BROKEN, (
            f"Not alive: {', '.join(late)}. Nothing runs on schedule: start `skyops up`, or look "
            "at the daemon's log."
        )
    return State.OK, f"All {len(last)} have reported within {HEARTBEAT_S:.0f} s."


def probe_model(settings: Settings, warehouse: Warehouse) -> tuple[State, str]:
    """The registry answers, and each champion predicts a crossing without any feature."""
    from skyops_assets.arrivals.features import RINGS_NM
    from skyops_assets.arrivals.models import registry

    client = registry.configure(warehouse, settings)
    return _worst_of(_probe_champion(client, warehouse, ring_nm) for ring_nm in RINGS_NM)


def _probe_champion(client: MlflowClient, warehouse: Warehouse, ring_nm: int) -> tuple[State, str]:
    import math

    import pandas as pd

    from skyops_assets.arrivals.features import CATEGORICAL, FEATURES
    from skyops_assets.arrivals.learning import fit
    from skyops_assets.arrivals.models import registry
    from skyops_assets.arrivals.scoring import LONGEST_TRANSIT_MIN
    from skyops_assets.arrivals.store import versions

    name = versions.model_name(ring_nm)
    champion = versions.champion(warehouse, name)
    if champion is None:
        return State.OK, f"{name} has no champion yet; the best baseline predicts."
    model = registry.load(client, champion.model_name, champion.version, champion.mlflow_run_id)
    unknown = {name: [None if name in CATEGORICAL else math.nan] for name in FEATURES}
    minutes = float(fit.predict(model, pd.DataFrame(unknown))[0])
    if not 0 < minutes <= LONGEST_TRANSIT_MIN:
        return State.BROKEN, (
            f"{champion.label} predicts {minutes:g} min, which is not within 0 to "
            f"{LONGEST_TRANSIT_MIN}. Go back with `skyops model rollback --ring {ring_nm}`."
        )
    return State.OK, f"{champion.label} loads and predicts."


def _worst_of(found: Iterable[tuple[State, str]]) -> tuple[State, str]:
    """What is said of several, with the worst of their states."""
    states, says = zip(*found, strict=True)
    return max(states, key=list(State).index), " ".join(says)


def probe_model_store(settings: Settings, warehouse: Warehouse) -> tuple[State, str]:
    """A small file is written where MLflow keeps artifacts, read, and removed.

    The same in the store, where it is set, and where the champion is exported to, and what lies
    there is the champion.
    """
    if settings.store is not None:
        state, says = _probe_store(settings)
        if state is not State.OK:
            return state, says
    state, says = _probe_artifacts(settings, warehouse)
    if settings.model_store is None or state is not State.OK:
        return state, says
    from skyops_assets.arrivals.features import RINGS_NM
    from skyops_assets.arrivals.models import export

    place = settings.model_store
    try:
        is_whole = export.is_usable(settings)
    except Exception as error:
        return State.BROKEN, (
            f"{place} cannot be written and read ({type(error).__name__}: {error}). See "
            "SKYOPS_MODEL_STORE and the rights there."
        )
    if not is_whole:
        return State.BROKEN, f"{place} returns something other than what was written there."
    state, has = _worst_of(_probe_export(settings, warehouse, ring_nm) for ring_nm in RINGS_NM)
    return state, f"{says} {place} too. {has}" if state is State.OK else has


def _probe_export(settings: Settings, warehouse: Warehouse, ring_nm: int) -> tuple[State, str]:
    from skyops_assets.arrivals.models import export
    from skyops_assets.arrivals.store import versions

    name = versions.model_name(ring_nm)
    champion = versions.champion(warehouse, name)
    exported = export.exported(settings, name)
    has = f"version {exported}" if exported else "no champion"
    if champion and champion.version != exported:
        return State.WARNING, (
            f"{settings.model_store} has {has}, but {champion.label} is champion. The next "
            "prediction exports it: materialise ml/predictions."
        )
    return State.OK, f"It has {has} of {name}."


def _probe_artifacts(settings: Settings, warehouse: Warehouse) -> tuple[State, str]:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    from skyops_assets.arrivals.models import registry

    root = registry.location(settings)
    try:
        repository = get_artifact_repository(root)
        with tempfile.TemporaryDirectory(prefix="health-") as folder:
            file = Path(folder) / (Path(folder).name + ".txt")
            file.write_text("health")
            repository.log_artifact(str(file))
            back = Path(repository.download_artifacts(file.name)).read_text()
            repository.delete_artifacts(file.name)
    except Exception as error:
        return State.BROKEN, (
            f"{root} cannot be written and read ({type(error).__name__}: {error}). See "
            "SKYOPS_MLFLOW_ARTIFACTS and the rights there."
        )
    if back != "health":
        return State.BROKEN, f"{root} returns something other than what was written there."
    with suppress(SkyOpsError):  # A warehouse that is away is a part of its own.
        if apart := moving.kept_apart(warehouse, settings):
            return State.WARNING, apart
    return State.OK, f"{root} can be written and read."


def _probe_store(settings: Settings) -> tuple[State, str]:
    store, name, content = open_store(settings), f".health/{uuid4().hex}", b"health"
    try:
        store.write(name, content)
        back = store.read(name)
        store.delete(name)
    except OSError as error:
        return State.BROKEN, (
            f"{store.place} cannot be written and read ({error}). See SKYOPS_STORE and the rights "
            "there."
        )
    if back != content:
        return State.BROKEN, f"{store.place} gives back something else than was written there."
    return State.OK, ""


class _OneRequest:
    """A budget for one request: a second one, which the client makes after a 401, is refused."""

    def __init__(self, budget: CreditBudget) -> None:
        self.budget = budget
        self.is_spent = False

    def reserve(self, cost: int) -> Reservation:
        if self.is_spent:
            raise PermanentFailure(
                "OpenSky refuses even a fresh token (401). Check that the account is active, and "
                "that SKYOPS_OPENSKY_TOKEN_URL belongs to SKYOPS_OPENSKY_URL."
            )
        self.is_spent = True
        return self.budget.reserve(cost)

    def settle(self, reservation: Reservation, remaining: int | None) -> None:
        self.budget.settle(reservation, remaining)

    def block(self, seconds: float) -> None:
        self.budget.block(seconds)


def probe_opensky(settings: Settings, warehouse: Warehouse) -> tuple[State, str]:
    """One request for a small box, one credit; a network or server that is away is a warning."""
    import airportsdata

    code = settings.watch_airports[0]
    place = airportsdata.load("ICAO").get(code)
    if place is None:
        raise SkyOpsError(f"SKYOPS_WATCH_AIRPORTS has an unknown airport code: {code}.")
    (box, *_) = boxes_around(place["lat"], place["lon"], OPENSKY_RADIUS_NM)
    budget = CreditBudget.from_settings(settings, warehouse)
    try:
        with OpenSkyClient(
            settings.opensky_url,
            settings.opensky_token_url,
            settings.opensky_client_id,
            settings.opensky_client_secret,
            timeout_s=min(settings.opensky_timeout_s, OPENSKY_TIMEOUT_S),
            budget=_OneRequest(budget),
            attempts=1,
        ) as client:
            client.states(box)
    except (TransientFailure, QuotaExceeded) as failure:
        # Nothing here is broken: it passes, or the next day brings new credits.
        return State.WARNING, str(failure)
    left = budget.read()
    who = "anonymously" if settings.opensky_client_id is None else "with an account"
    return (
        State.OK,
        f"It answers {who}; {left.remaining:,} of {left.limit:,} credits are left today.",
    )


def probe_ui(settings: Settings, _: Warehouse) -> tuple[State, str]:
    """The Dagster UI answers; where nothing runs it is a warning."""
    try:
        version = service_health.ask_ui(settings)
    except service_health.NotRunning as error:
        return State.WARNING, f"{error} Start it with `skyops up`, or set SKYOPS_UI_URL."
    return State.OK, f"It answers (Dagster {version})."


def probe_service(settings: Settings, warehouse: Warehouse) -> tuple[State, str]:
    """The service is ready, refuses a wrong key, and predicts; nothing running is a warning."""
    try:
        works, says = service_health.ask_service(settings, warehouse)
    except service_health.NotRunning as error:
        return State.WARNING, (
            f"{error} Start it with `skyops up` or `skyops serve`, or set SKYOPS_SERVICE_URL."
        )
    return State.OK if works else State.BROKEN, says


def probe_docs(settings: Settings, _: Warehouse) -> tuple[State, str]:
    """The dbt docs are built, as one whole page."""
    store = open_store(settings)
    where = store.address(DOCS_PAGE)
    try:
        page = store.read(DOCS_PAGE)
    except OSError as error:
        return State.BROKEN, f"{where} cannot be read ({error}). See SKYOPS_STORE."
    if page is None:
        return State.WARNING, f"There is no page at {where}. Build it with `skyops docs`."
    if b"</html>" not in page[-1_000:]:
        return (
            State.BROKEN,
            f"The page at {where} is incomplete. Build it again with `skyops docs`.",
        )
    return State.OK, f"{where}, {len(page) / 2**20:.1f} MiB."
