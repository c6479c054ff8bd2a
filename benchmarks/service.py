"""The service under wrk: one record a request, on a core of its own.

Debian's `wrk` makes the load on another core. Keys, limits and the log are on.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.storage import Row, scratch

if TYPE_CHECKING:
    import pandas as pd

    from skyops_assets.warehouse.connection import Warehouse

ROWS = 5_000
SECONDS = 10
WARM_S = 3
BARE = """
import json, sys, time
from skyops_assets.arrivals.learning import onnx_model
from skyops_assets.arrivals.models.graphs import Graph
graph = Graph(onnx_model.session(open(sys.argv[1], "rb").read()))
row, taken = json.loads(sys.argv[2]), []
for _ in range(5000):
    began = time.perf_counter()
    graph.ask([row])
    taken.append(time.perf_counter() - began)
taken.sort()
print(1000 * taken[2500], 1000 * taken[4950])
"""
NAME = "arrival-transit-40nm"


@dataclass(frozen=True)
class Load:
    """What wrk measured, and what the processes used meanwhile."""

    per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    service_cpu: float
    postgres_cpu: float
    waited: float


def measure() -> Iterator[Row]:
    """With one connection and with eight, beside the bare model."""
    if shutil.which("wrk") is None:
        yield ("the service", "not measured", "Debian's wrk is not installed", "-")
        return
    frame = _arrivals()
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        path = Path(folder) / "model.onnx"
        path.write_bytes(_keep_version(warehouse, frame))
        record = _record(frame)
        with _served(warehouse, Path(folder)) as (port, key, pid):
            script = Path(folder) / "post.lua"
            body = orjson.dumps({"records": [record]}).decode()
            script.write_text(
                'wrk.method = "POST"\n'
                f"wrk.body = [[{body}]]\n"
                f'wrk.headers["Authorization"] = "Bearer {key}"\n'
            )
            database = str(warehouse.url.database)
            bare_p50, bare_p99 = _bare(path, record)
            _wrk(script, port, pid, database, connections=1, seconds=WARM_S)
            for connections, allowed in ((1, "1 and 5 ms"), (8, "1,500/s; 15 ms at 99 %")):
                found = _wrk(script, port, pid, database, connections=connections, seconds=SECONDS)
                yield (
                    f"/v1/predict, {len(record)} fields, {connections} connection"
                    + "s" * (connections > 1),
                    f"{found.per_s:,.0f}/s; 50 %: {found.p50_ms:.2f} ms, 99 %: "
                    f"{found.p99_ms:.2f} ms; {found.failed} failed; service {found.service_cpu:.0%}"
                    f" of a core, waiting for it {found.waited:.0%}, Postgres "
                    f"{found.postgres_cpu:.0%}",
                    f"the bare model: {bare_p50:.2f} ms, {bare_p99:.2f} ms; aim {allowed}",
                    f"{found.p50_ms / bare_p50:.1f}",
                )
            yield ("its memory after that", f"{_memory_mb(pid):.0f} MB", "at most 200 MB", "-")
            yield ("its log, a second later", f"{_logged(warehouse):,} rows", "", "-")


def _arrivals() -> pd.DataFrame:
    """Arrivals with every feature, anywhere in its range, and minutes that follow some of them."""
    import numpy as np
    import pandas as pd

    from skyops_assets.arrivals.feature_table import TABLE, TEXT

    rng = np.random.default_rng(7)
    columns: dict[str, Any] = {
        one.name: rng.choice(list(one.takes or ("LFPG", "LFPO")), ROWS)
        if one.type == TEXT
        else rng.uniform(float(one.takes[0]), float(one.takes[1]), ROWS).round(3)
        for one in TABLE
        if one.group and (one.takes or one.type == TEXT)
    }
    frame = pd.DataFrame(columns).astype({"airport": object, "sector": object, "wake": object})
    minutes = 12 + frame["altitude_m"] / 2000 + 3 * frame["bearing_sin"]
    frame["transit_min"] = minutes + frame["entries_15min_count"] / 200 + rng.normal(0, 1, ROWS)
    frame["crossed_at"] = pd.date_range("2026-01-01", periods=ROWS, freq="5min", tz="UTC")
    frame["landed_at"] = frame["crossed_at"] + pd.to_timedelta(frame["transit_min"], unit="min")
    frame["flight_id"] = [f"f{number}" for number in range(ROWS)]
    return frame


def _record(frame: pd.DataFrame) -> dict[str, Any]:
    from skyops_assets.arrivals.feature_table import COUNT, TABLE, TEXT

    row = frame.iloc[0]
    return {
        one.name: row[one.name]
        if one.type == TEXT
        else (int if one.type == COUNT else float)(row[one.name])
        for one in TABLE
        if one.group
    } | {"crossed_at": row["crossed_at"].isoformat()}


def _keep_version(warehouse: Warehouse, frame: pd.DataFrame) -> bytes:
    """A champion of the usual recipe (300 trees, and 100 for each bound of the interval)."""
    from skyops_assets.arrivals.learning import fit, onnx_model
    from skyops_assets.arrivals.models import graphs
    from skyops_assets.arrivals.store import versions

    content = onnx_model.export(fit.fit(frame))
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into ml.training_sets (fingerprint, ring_nm, row_count, excluded, airports)"
            " values ('bench', 40, 1, '{}', '{}')"
        )
        cursor.execute(
            "insert into ml.training_runs (training_run_id, model_name, ring_nm, recipe,"
            " fingerprint, features, params, train_share, train_rows, test_rows, embargoed_rows,"
            " shared_flight_rows) values ('bench', %s, 40, 'hgb-l1', 'bench', '{}', '{}', 0.7, 1,"
            " 1, 0, 0)",
            (NAME,),
        )
        cursor.execute(
            "insert into ml.model_versions (model_name, version, training_run_id, fingerprint,"
            " mlflow_run_id, is_champion) values (%s, '1', 'bench', 'bench', 'bench', true)",
            (NAME,),
        )
    version = versions.version(warehouse, NAME, "1")
    assert version
    graphs.keep(warehouse, version, content, frame)
    return content


@contextmanager
def _served(warehouse: Warehouse, home: Path) -> Iterator[tuple[int, str, int]]:
    """The service on the first core, everything of Postgres on the other: port, key, process."""
    from skyops_assets.runtime import environment
    from skyops_assets.settings import load_settings

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = "sk_" + secrets.token_urlsafe(32)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into audit.api_keys (key_id, key_sha256, owner, scopes, created_by)"
            " values ('bench', %s, 'bench', '{predict}', 'bench')",
            (hashlib.sha256(key.encode()).digest(),),
        )
    settings = load_settings().model_copy(update={"home": home})
    with (home / "service.log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", "0", sys.executable, "-m", "skyops_assets.serving", "127.0.0.1"],
            # The address too, or it keeps an embedded server of its own.
            env={**os.environ, **environment(settings, warehouse),
                 "SKYOPS_DATABASE_URL": warehouse.libpq(), "SKYOPS_SERVICE_PORT": str(port),
                 "SKYOPS_PREDICTIONS_A_MINUTE": "1000000"},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        patience = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > patience:
                    raise SystemExit((home / "service.log").read_text()) from None
                time.sleep(0.1)
        yield port, key, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _bare(path: Path, record: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds of asking the graph alone, on the service's core: in the middle, and at 99 %."""
    row = {name: value for name, value in record.items() if name != "crossed_at"}
    said = subprocess.run(
        ["taskset", "-c", "0", sys.executable, "-c", BARE, str(path), orjson.dumps(row).decode()],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    p50, p99 = map(float, said.split())
    return p50, p99


def _wrk(
    script: Path, port: int, pid: int, database: str, *, connections: int, seconds: int
) -> Load:
    before = (_cpu_s(pid), _postgres_cpu_s(database), _waited_s(pid))
    began = time.monotonic()
    said = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
         "-s", str(script), f"http://127.0.0.1:{port}/v1/predict"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    took = time.monotonic() - began
    shares = re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", said, re.MULTILINE)
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    at = {share: float(value) * units[unit] for share, value, unit in shares}
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert rate, said
    return Load(
        float(rate[1]),
        at["50"],
        at["99"],
        int(failed[1]) if failed else 0,
        (_cpu_s(pid) - before[0]) / took,
        (_postgres_cpu_s(database) - before[1]) / took,
        (_waited_s(pid) - before[2]) / took,
    )


def _family(pid: int) -> list[Any]:
    import psutil

    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def _cpu_s(pid: int) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in _family(pid))


def _waited_s(pid: int) -> float:
    """How long its threads were ready while the core was another's: on a quiet machine hardly."""
    files = [path for one in _family(pid) for path in Path(f"/proc/{one.pid}/task").glob("*")]
    return sum(int((path / "schedstat").read_text().split()[1]) for path in files) / 1e9


def _postgres_cpu_s(database: str) -> float:
    """Of the backends of this database that live: those of the service."""
    import psutil

    return sum(
        sum(one.info["cpu_times"][:2])
        for one in psutil.process_iter(["cmdline", "cpu_times"])
        if one.info["cmdline"] and f" {database} " in one.info["cmdline"][0]
    )


def _memory_mb(pid: int) -> float:
    """What the service's processes hold, each page once."""
    return sum(one.memory_full_info().pss for one in _family(pid)) / 1e6


def _logged(warehouse: Warehouse) -> int:
    time.sleep(1)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from ml.service_predictions")
        (rows,) = cursor.fetchone() or (0,)
    return int(rows)


if __name__ == "__main__":
    from benchmarks.storage import show

    show(measure())
