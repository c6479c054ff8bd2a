"""No logged prediction is lost or doubled: killed, without a database, on a full disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from skyops_assets.serving.prediction_log import PredictionLog
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support.databases import Query, short_dir, stop_server
from tests.support.serving import Served
from tests.support.serving import served as start

pytestmark = pytest.mark.xdist_group("serving")

LOGGED = "select id::text from ml.service_predictions"
RECORD = {"airport": "LFPG", "ground_speed_mps": 200.0}


def _wait(is_so: Callable[[], bool], seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def _ask(served: Served) -> str | None:
    """The id of one prediction; None where the service refuses."""
    answer = served.client.post("/v1/predict", json={"records": [RECORD]})
    if answer.status_code == 503:
        return None
    assert answer.status_code == 200, answer.text
    return str(answer.json()["predictions"][0]["id"])


def _unsent(served: Served) -> list[Path]:
    return list((served.home / "service" / "unsent").glob("*"))


@pytest.fixture
def alone() -> Iterator[tuple[Warehouse, Path]]:
    """A server that may be stopped, and a home for the service."""
    folder, home = short_dir(), short_dir()
    try:
        warehouse = open_warehouse(Settings(home=folder))
        migrate(warehouse)
        yield warehouse, home
    finally:
        stop_server(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def test_a_killed_service_loses_a_second_at_most_and_doubles_nothing(
    warehouse: Warehouse, home: Path, query: Query
) -> None:
    given: list[tuple[float, str]] = []
    with pytest.raises(httpx.TransportError), start(warehouse, home) as served:
        family = [psutil.Process(served.process.pid)]
        family += family[0].children(recursive=True)
        ends = time.monotonic() + 3
        while True:
            if time.monotonic() > ends:
                for process in family:
                    process.kill()
            one = _ask(served)
            assert one
            given.append((time.monotonic(), one))
    assert len(given) > 100
    with start(warehouse, home) as again:
        _wait(lambda: not _unsent(again))
        logged = [one for (one,) in query(warehouse, LOGGED)]
        assert len(set(logged)) == len(logged)
        lost = [at for at, one in given if one not in set(logged)]
        assert all(at > given[-1][0] - 1 for at in lost)
        assert _ask(again)


def test_a_database_that_goes_away_and_comes_back_misses_nothing(
    alone: tuple[Warehouse, Path], query: Query
) -> None:
    warehouse, home = alone
    data = Path(str(warehouse.url.query["host"]))
    given = []
    with start(warehouse, home) as served:
        given += [_ask(served) for _ in range(20)]
        stop_server(data)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            given.append(_ask(served))
            time.sleep(0.02)
        # Keys, and what predicts, are known; no answer waits for the database.
        assert None not in given and len(given) > 25
        assert _unsent(served)
        ready = served.client.get("/health/ready")
        assert (ready.status_code, ready.json()["causes"]) == (
            503, ["The warehouse cannot be reached."],
        )  # fmt: skip
        assert "Predictions cannot be sent to the warehouse" in ready.json()["warnings"][0]
        open_warehouse(Settings(home=data.parent))
        _wait(lambda: not _unsent(served))
        assert sorted(one for (one,) in query(warehouse, LOGGED)) == sorted(map(str, given))


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
def test_on_a_full_disk_predictions_go_on_as_long_as_the_database_takes_them(
    alone: tuple[Warehouse, Path], query: Query
) -> None:
    warehouse, home = alone
    folder = home / "service" / "unsent"
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (folder / "filler").write_bytes(b"x" * 65536)
        with start(warehouse, home) as served:
            given = [_ask(served) for _ in range(50)]
            assert None not in given
            _wait(lambda: len(query(warehouse, LOGGED)) == 50)
            stop_server(Path(str(warehouse.url.query["host"])))
            until = time.monotonic() + 20
            while (one := _ask(served)) is not None:
                given.append(one)
                assert time.monotonic() < until, "neither takes it, and it still predicts"
                time.sleep(0.02)
            refused = served.client.post("/v1/predict", json={"records": [RECORD]})
            assert refused.json()["detail"].startswith(
                "No prediction can be given, because it cannot"
            )
            (folder / "filler").unlink()
            _wait(lambda: _ask(served) is not None)
            open_warehouse(Settings(home=Path(str(warehouse.url.query["host"])).parent))
            _wait(lambda: not _unsent(served))
            logged = [one for (one,) in query(warehouse, LOGGED)]
            assert len(set(logged)) == len(logged)
            assert set(map(str, given)) <= set(logged)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_half_a_row_at_the_end_and_a_row_that_cannot_be_are_no_obstacle(
    warehouse: Warehouse, home: Path, query: Query
) -> None:
    row: dict[str, Any] = {
        "id": "019a1c3e-8f2b-7c4d-9e5f-0a1b2c3d4e5f", "asked_at": "2026-01-01T00:00:00Z",
        "key_id": "k", "model_name": "m", "model_version": "1", "ring_nm": 40, "airport": "LFPG",
        "crossed_at": "2026-01-01T00:00:00Z", "features": {}, "transit_min": 1.5, "latency_ms": 1,
    }  # fmt: skip
    import json

    line = json.dumps(row).encode()
    (home / "1.jsonl").write_bytes(line + b"\n" + line[:40])
    (home / "2.jsonl").write_bytes(line.replace(b'"k"', b'"\\u0000"') + b"\n")
    (home / "3.jsonl").write_bytes(line.replace(b"e5f", b"e60") + b"\n")
    kept = PredictionLog(warehouse.libpq(), home)
    kept.open()
    kept.close()
    assert len(query(warehouse, LOGGED)) == 2
    assert [path.name for path in home.glob("*")] == ["2.refused"]
