"""Whether an installation works from end to end: simulated flights through every part of it.

In a database of its own on the warehouse's server, which is dropped at the end; nothing of the
warehouse is read or written. Takes about a minute.

Belongs here: the steps, each with what it proves. Does not: whether the parts of the running
platform live (`health`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError, storable
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from skyops_assets.simulate.write import Simulation

AIRPORTS = ("LFPG", "EHAM", "LSZH")
JUDGED = "LFPG"
"""Its runways come with SkyOps: no network is needed."""
START = datetime(2024, 1, 31, tzinfo=UTC)
FLIGHTS, DAYS = 80, 1
FOUND_SHARE, WITHIN_S = 0.95, 60
READY_S = 30.0


@dataclass(frozen=True)
class Step:
    """What was tried, how long it took, and what went wrong, if anything did."""

    name: str
    seconds: float
    says: str
    error: str | None = None


@dataclass
class _Trial:
    """What the steps hand on."""

    settings: Settings
    warehouse: Warehouse
    folder: Path
    simulation: Simulation | None = None
    environment: dict[str, str] = field(default_factory=dict)


def run(settings: Settings, warehouse: Warehouse) -> Iterator[Step]:
    """The steps, one by one; what follows from a failed one is not tried."""
    with tempfile.TemporaryDirectory(prefix="selftest-") as name, _database(warehouse) as mine:
        from skyops_assets.runtime import environment

        trial = _Trial(settings, mine, Path(name))
        trial.environment = {
            **os.environ,
            **environment(settings, mine),
            "SKYOPS_WATCH_AIRPORTS": ",".join(AIRPORTS),
        }
        for step, work in STEPS.items():
            began = time.monotonic()
            try:
                says, error = work(trial), None
            except Exception as failure:  # Whatever it is, it is what the person wants to know.
                said = str(failure) if isinstance(failure, SkyOpsError) else repr(failure)
                says, error = "", storable(said, 2000)
            yield Step(step, time.monotonic() - began, says, error)
            if error is not None:
                return


@contextmanager
def _database(warehouse: Warehouse) -> Iterator[Warehouse]:
    from skyops_assets.warehouse.scratch import scratch

    with scratch(warehouse, f"skyops_selftest_{os.getpid()}") as mine:
        yield mine


def _load(trial: _Trial) -> str:
    from skyops_assets.simulate.flights import Plan
    from skyops_assets.simulate.write import Layout, simulate, write
    from skyops_assets.sources import reference
    from skyops_assets.sources.opensky.loading.states import load_states
    from skyops_assets.sources.opensky.reading.recording import by_source
    from skyops_assets.sources.opensky.reading.recordings import iter_recording

    airports = reference.airports()
    reference.replace_reference(trial.warehouse, "raw.airports", "airportsdata", airports)
    runways = reference.paris_runways()
    reference.replace_reference(trial.warehouse, "raw.runways", "paris", runways)
    plan = Plan(3, START, DAYS, AIRPORTS)
    trial.simulation = simulate(plan, flights=FLIGHTS, layout=Layout.history)
    write(trial.folder / "made", trial.simulation, plan)
    rows = 0
    recording = trial.folder / "made" / "recording"
    for part in by_source(iter_recording(recording, START, START + timedelta(days=DAYS + 2))):
        load_states(trial.warehouse, part)
        rows += len(part.states)
    return f"{rows:,} positions of {len(trial.simulation.flights)} flights"


def _build(trial: _Trial) -> str:
    from skyops_assets.transform.dbt import build_arguments

    variables = {
        "DBT_TARGET_PATH": str(trial.folder / "dbt"),
        "DBT_LOG_PATH": str(trial.folder / "dbt"),
    }
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "skyops_assets.transform.dbt", "--quiet", *build_arguments()],
        env=trial.environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SkyOpsError(f"dbt failed: {' '.join((done.stdout + done.stderr).split())[-1500:]}")
    return f"all models and their tests in {time.monotonic() - began:.0f} s"


def _compare(trial: _Trial) -> str:
    assert trial.simulation is not None
    found: dict[str, list[tuple[str, datetime]]] = {}
    with trial.warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select icao24, airport, moved_at from metrics.fct_movements where movement = 'landing'"
        )
        for icao24, airport, at in cursor.fetchall():
            found.setdefault(icao24, []).append((airport, at))
    true = [
        row
        for row in trial.simulation.movements.to_pylist()
        if row["movement"] == "landing" and row["airport"] == JUDGED
    ]
    right = sum(
        any(
            airport == row["airport"] and abs((at - row["moved_at"]).total_seconds()) <= WITHIN_S
            for airport, at in found.get(row["icao24"], ())
        )
        for row in true
    )
    if right < FOUND_SHARE * len(true):
        raise SkyOpsError(
            f"{right} of {len(true)} landings at {JUDGED} were found, fewer than {FOUND_SHARE:.0%}."
        )
    return f"{right} of {len(true)} landings at {JUDGED}, within {WITHIN_S} s"


def _model(trial: _Trial) -> str:
    from skyops_assets.arrivals import features
    from skyops_assets.arrivals.learning import fit, onnx_model, recipes
    from skyops_assets.arrivals.store import inputs

    rows = inputs.read_arrivals(trial.warehouse, features.RING_NM, with_simulated=True)
    frame, _ = features.usable_arrivals(rows)
    recipe = recipes.named(trial.settings.recipe)
    if len(frame) < recipe.min_fit_rows:
        raise SkyOpsError(f"{len(frame)} arrivals are too few to fit {recipe.name}.")
    model = fit.fit(frame, recipe)
    off = onnx_model.difference(onnx_model.export(model), model, frame)
    if off > onnx_model.TOLERANCE_MIN:
        raise SkyOpsError(
            f"The ONNX graph differs by {off:g} minutes from the model it was exported from."
        )
    return f"{recipe.name} fitted on {len(frame)} arrivals; its ONNX graph predicts the same"


def _serve(trial: _Trial) -> str:
    import socket

    import httpx

    from skyops_assets.audit import api_keys

    key = api_keys.create(
        trial.warehouse,
        "selftest",
        owner="selftest",
        scopes=[api_keys.READ],
        expires_at=None,
        actor="selftest",
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = trial.folder / "service.log"
    variables = {"SKYOPS_SERVICE_PORT": str(port), "SKYOPS_HOME": str(trial.folder / "home")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "skyops_assets.serving", "127.0.0.1"],
            env=trial.environment | variables, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(lambda: httpx.get(f"{address}/health/live", trust_env=False).is_success, process, log)
        statuses = {}
        for who, given in (("right", key), ("wrong", "sk_wrong")):
            answer = httpx.get(
                f"{address}/v1/flights", headers={"Authorization": f"Bearer {given}"},
                trust_env=False, timeout=20,
            )  # fmt: skip
            statuses[who] = answer.status_code
        if statuses != {"right": 200, "wrong": 401}:
            raise SkyOpsError(f"The service returned {statuses} instead of 200 and 401.")
    finally:
        process.terminate()
        process.wait(20)
    return "lists flights, and rejects a wrong key"


def _wait(is_up: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    import httpx

    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if is_up():
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise SkyOpsError(f"The service did not respond: {log.read_text()[-1500:]}")


STEPS: dict[str, Callable[[_Trial], str]] = {
    "load": _load,
    "build": _build,
    "landings": _compare,
    "model": _model,
    "service": _serve,
}
