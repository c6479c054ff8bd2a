"""A registered model in a process of its own: whether it loads, and how heavy and fast it serves.

Memory and time are those of the service's way (`graphs`); the hourly run's, by MLflow, is to work.

Belongs here: starting that process, and what it measures. Does not: what is heavy or slow
(`gate.policy`). ``python -m skyops_assets.arrivals.models.probe`` is that process.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path

from skyops_assets.arrivals.features import NUMERIC
from skyops_assets.arrivals.gate.evidence import Probe
from skyops_assets.arrivals.learning import fit
from skyops_assets.arrivals.models import graphs, registry
from skyops_assets.arrivals.store import versions
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.runtime import environment
from skyops_assets.settings import Settings, load_settings
from skyops_assets.warehouse.connection import Warehouse, open_warehouse

PREDICTIONS = 200
TIMEOUT_S = 120
"""Twice what the gatekeeper allows for the start; then the process is ended."""
_MB = 1024 * 1024


class Running:
    """The process, while it measures."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def result(self) -> Probe:
        """Wait for what it measured; a failure is a `Probe` with its error."""
        try:
            said, complaint = self._process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.stop()
            return Probe(f"it did not load and predict within {TIMEOUT_S} s")
        lines = said.splitlines()
        if self._process.returncode != 0 or not lines:
            last = (complaint.strip().splitlines() or ["it said nothing"])[-1]
            return Probe(f"the process ended with {self._process.returncode}: {last}")
        return Probe(**json.loads(lines[-1]))

    def stop(self) -> None:
        """End the process where it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def start(warehouse: Warehouse, settings: Settings, version: ModelVersion) -> Running:
    """Begin to measure a registered version in a fresh process."""
    arguments = (version.model_name, version.version)
    return Running(
        subprocess.Popen(
            [sys.executable, "-m", __spec__.name, *arguments, str(time.time())],
            env={
                **os.environ,
                **environment(settings, warehouse),
                "SKYOPS_MLFLOW_DATABASE": settings.mlflow_database,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )


def measure(
    warehouse: Warehouse, settings: Settings, name: str, number: str, began: float
) -> Probe:
    """Load and predict as the service does, and then once as the hourly run does, in this process.

    Args:
        number: of the version.
        began: when the process was started, seconds since the epoch.
    """
    try:
        version = versions.version(warehouse, name, number)
        if version is None:
            raise SkyOpsError(f"There is no version {number} of {name}.")
        graph = graphs.read(warehouse, version)
        graph.ask(graph.background[:1])
        start_s, taken = time.time() - began, []
        for row in islice(cycle(graph.background), PREDICTIONS):
            before = time.process_time()
            graph.ask([row])
            taken.append(1000 * (time.process_time() - before))
        # Before MLflow comes, which the service never loads.
        peak = peak_memory_mb()
        is_equal = _as_the_hourly_run(warehouse, settings, version, graph.background[0])
    except SkyOpsError as error:
        return Probe(str(error))
    taken.sort()
    p50, p95, p99 = (taken[int(share * (len(taken) - 1))] for share in (0.5, 0.95, 0.99))
    return Probe(None, start_s, peak, len(taken), p50, p95, is_equal, p99)


def _as_the_hourly_run(
    warehouse: Warehouse, settings: Settings, version: ModelVersion, row: graphs.Row
) -> bool:
    """Whether MLflow has the signature that predictions are asked with, once the model answered."""
    import pandas as pd

    client = registry.configure(warehouse, settings)
    model = registry.load(client, version.model_name, version.version, version.mlflow_run_id)
    numbers = {name: float("nan") if row[name] is None else row[name] for name in NUMERIC}
    fit.predict_all(model, pd.DataFrame([{**row, **numbers}]))
    found = registry.read_signature(version.model_name, version.version)
    return bool(found == registry.signature())


def peak_memory_mb() -> float:
    """The most memory that this process ever held, MiB.

    Linux' ``ru_maxrss`` begins with what the parent held when it forked; its ``VmHWM`` does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (_MB if sys.platform == "darwin" else 1024)


def main() -> None:
    """Measure what the arguments name, and print it as one line of JSON."""
    name, number, began = sys.argv[1:]
    settings = load_settings()
    found = measure(open_warehouse(settings), settings, name, number, float(began))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
