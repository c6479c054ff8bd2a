"""What is predicted over HTTP is what lane and batch predict; a promotion is served within 5 s."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from skyops_assets.arrivals.models import graphs
from skyops_assets.arrivals.steps.predict import LivePredictions
from skyops_assets.arrivals.store import inputs, versions
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.serving import Served
from tests.support.serving_models import NAME, crossing, force, make_champion, train_another

pytestmark = pytest.mark.xdist_group("serving")


@pytest.fixture(scope="module")
def served(served: Served) -> Served:
    """With a champion of 40 NM, and nothing but a baseline of 100 NM."""
    settings = Settings(home=served.home, actor="tests")
    make_champion(served.warehouse, settings)
    _wait(lambda: _ask(served, {"airport": "LFPG"})["model"] == NAME)
    return served


@pytest.fixture(scope="module")
def second(served: Served) -> str:
    """A version that is no champion."""
    return train_another(served.warehouse, Settings(home=served.home, actor="tests"))


def _wait(is_so: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def _ask(served: Served, *records: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = served.client.post("/v1/predict", json={"records": list(records), **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_service_lane_and_batch_say_the_same_minutes(served: Served, query: Query) -> None:
    settings = Settings(home=served.home)
    batch = query(
        served.warehouse,
        "select flight_id, airport, predicted_transit_min, predicted_low_min, predicted_high_min,"
        " predicted_landing_at from ml.predictions where model_name = %s order by flight_id",
        NAME,
    )
    assert len(batch) == 400
    query(served.warehouse, "delete from ml.predictions")
    assert LivePredictions(served.warehouse, settings).predict().new_predictions > 50
    lane = dict(
        query(served.warehouse, "select flight_id, predicted_transit_min from ml.predictions")
    )
    frame = inputs.read_unpredicted_crossings(
        served.warehouse, 40, "nobody", "0", airports=(), history_after=None
    )
    places = dict(zip(frame["flight_id"], range(len(frame)), strict=True))
    said = _ask(served, *(crossing(frame, places[row[0]]) for row in batch))
    assert (said["model"], said["version"], said["is_champion"]) == (NAME, "1", True)
    for (flight, airport, minutes, low, high, landing_at), one in zip(
        batch, said["predictions"], strict=True
    ):
        assert one["airport"] == airport
        assert one["transit_min"] == pytest.approx(minutes, abs=0.001)
        assert one["low_min"] == pytest.approx(low, abs=0.001)
        assert one["high_min"] == pytest.approx(high, abs=0.001)
        assert one["landing_at"][:19] == landing_at.isoformat()[:19]
        if flight in lane:
            assert one["transit_min"] == pytest.approx(lane[flight], abs=0.001)


def test_an_aircraft_is_predicted_by_its_latest_crossing(served: Served, query: Query) -> None:
    [(icao24, flight, minutes)] = query(
        served.warehouse,
        "select f.icao24, p.flight_id, p.predicted_transit_min from ml.predictions as p"
        " inner join metrics.fct_flights as f using (flight_id)"
        " where p.model_name = %s order by p.crossed_at desc limit 1",
        NAME,
    )
    answer = served.client.post("/v1/predict", json={"aircraft": [{"icao24": icao24}]})
    assert answer.status_code == 422, "a synthetic flight's address is not one"
    query(served.warehouse, "update metrics.fct_flights set icao24 = '39ceb1' where flight_id = %s",
          flight)  # fmt: skip
    answer = served.client.post("/v1/predict", json={"aircraft": [{"icao24": "39ceb1"}]})
    [one] = answer.json()["predictions"]
    assert (one["icao24"], one["flight_id"]) == ("39ceb1", flight)
    assert one["transit_min"] == pytest.approx(minutes, abs=0.001)
    answer = served.client.post(
        "/v1/predict", json={"aircraft": [{"icao24": "39ceb1", "airport": "EGLL"}], "ring_nm": 40}
    )
    assert answer.status_code == 404
    assert answer.json()["detail"] == ("39ceb1 has crossed no 40 NM ring of EGLL that is known.")


def test_without_a_champion_the_baseline_in_force_answers_and_is_named(served: Served) -> None:
    said = _ask(served, {"airport": "LFPG", "ground_speed_mps": 200.0}, {"airport": "LFPG"},
                ring_nm=100)  # fmt: skip
    assert (said["model"], said["version"]) == ("baseline:distance_speed", "untrained")
    assert not said["is_champion"]
    first, second = said["predictions"]
    assert first["transit_min"] == pytest.approx(100 * 1852 / 200 / 60)
    assert (first["low_min"], second["transit_min"], second["landing_at"]) == (None, None, None)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 422, "1 value cannot be taken"),
        (b'{"records": []}', 422, "1 value cannot be taken"),
        (b"{}", 422, "either `records` or `aircraft`"),
        (b'{"records": [{"airport": "LFPG", "latitude_deg": 48.1, "longitude_deg": 2.1}]}', 422,
         "A position alone is not enough"),
        (b'{"records": [{"airport": "LFPG", "altitude_m": 1e9}]}', 422, "1 value"),
        (b'{"records": [{"airport": "LFPG", "altitude_m": "high"}]}', 422, "1 value"),
        (b'{"records": [{"airport": "LFPG", "altitude_m": NaN}]}', 422, "1 value"),
        (b'{"records": [{"airport": "LFPG", "altitud_m": 1}]}', 422, "1 value"),
        (b'{"records": [{"airport": "LFPG", "entries_5min_count": 1.5}]}', 422, "1 value"),
        (b'{"records": [{"airport": "LFPG", "crossed_at": "1633612659"}]}', 422, "1 value"),
        (b'{"records": [{"airport": "LFPG"}], "version": "99"}', 404, "has no version 99"),
        (b'{"records": [{"airport": "LFPG"}], "ring_nm": 50}', 422, "1 value"),
        (b'{"records": [{"airport": "LFPG", "crossed_at": "1931-01-01T00:00:00Z"}]}', 422,
         "body.records.0.crossed_at is 1931-01-01T00:00:00+00:00, not of this century."),
        (b'{"records": [' + b",".join([b'{"airport": "LFPG"}'] * 1001) + b"]}", 422, "1 value"),
        (b"[" * 100_000, 422, "1 value"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_with_a_sentence(
    served: Served, body: bytes, status: int, says: str
) -> None:
    answer = served.client.post("/v1/predict", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


def test_what_was_predicted_says_what_moved_it(served: Served, second: str) -> None:
    record = {"airport": "LFPG", "sector": "W", "altitude_m": 7000.0, "inbound_inside_count": 9,
              "ground_speed_mps": 150.0}  # fmt: skip
    said = _ask(served, record, version="1")
    [one] = said["predictions"]
    answer = served.client.get(f"/v1/predictions/{one['id']}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["features"] == record
    assert found["transit_min"] == one["transit_min"]
    moved = {each["group"]: each["minutes"] for each in found["moved"]}
    # Two minutes for each km more than usual, and 0.6 for each aircraft more.
    assert moved["altitude"] > 1.5
    assert moved["altitude"] == max(moved.values())
    assert moved["congestion"] > 0.5
    assert abs(moved["weather"]) < 0.01
    lane = served.client.get("/v1/predictions/f7-00399:LFPG:40")
    other = served.client.get("/v1/predictions/f7-00399:LFPH:40")
    assert {lane.status_code, other.status_code} == {200, 404}
    by_lane = (lane if lane.is_success else other).json()
    assert by_lane["flight_id"] == "f7-00399"
    assert by_lane["moved"]
    assert served.client.get("/v1/predictions/nothing").status_code == 404
    gone = served.client.get("/v1/predictions/019a1c3e-8f2b-7c4d-9e5f-0a1b2c3d4e5f")
    assert gone.status_code == 404


def test_the_models_are_listed_with_what_was_measured(served: Served, second: str) -> None:
    forty, hundred = sorted(
        served.client.get("/v1/models").json()["rings"], key=lambda ring: ring["ring_nm"]
    )
    assert forty["in_force"] == f"{NAME}:1"
    first, other = forty["versions"]
    assert first["is_champion"] and first["mae_min"] > 0 and first["is_promoted"]
    assert (other["version"], other["recipe"], other["mae_min"]) == (second, "ridge", None)
    assert (hundred["in_force"], hundred["versions"]) == (
        "baseline:distance_speed:untrained", [],
    )  # fmt: skip


def _offline(warehouse: Warehouse, number: str, record: dict[str, Any]) -> float:
    found = versions.version(warehouse, NAME, number)
    assert found
    return float(graphs.read(warehouse, found).ask([record])[0][0])


def test_champions_are_swapped_under_load_without_a_failed_request(
    served: Served, second: str, request: pytest.FixtureRequest
) -> None:
    swaps = 100 if request.config.getoption("--long") else 6
    record = {"airport": "LFPG", "sector": "W", "altitude_m": 5000.0}
    expected = {one: _offline(served.warehouse, one, record) for one in ("1", second)}
    assert abs(expected["1"] - expected[second]) > 0.01
    wrong: list[Any] = []
    seen: list[str] = []
    is_over = threading.Event()

    def load() -> None:
        import httpx

        with httpx.Client(base_url=served.client.base_url, headers=served.client.headers) as client:
            while not is_over.is_set():
                answer = client.post("/v1/predict", json={"records": [record]})
                if answer.status_code != 200:
                    wrong.append(answer.text)
                    continue
                said = answer.json()
                seen.append(said["version"])
                minutes = said["predictions"][0]["transit_min"]
                if abs(minutes - expected[said["version"]]) > 0.001:
                    wrong.append(said)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        longest = 0.0
        for number in range(swaps):
            after = (second, "1")[number % 2]
            force(served.warehouse, after)
            began = time.monotonic()
            _wait(lambda after=after: seen[-1:] == [after], 5)
            longest = max(longest, time.monotonic() - began)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert {"1", second} == set(seen)
    assert longest < 5


def test_a_graph_that_is_not_what_was_kept_is_not_taken(
    served: Served, second: str, query: Query
) -> None:
    [(content,)] = query(
        served.warehouse,
        "select content from ml.model_graphs where model_name = %s and version = %s", NAME, second,
    )  # fmt: skip
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    query(
        served.warehouse,
        "update ml.model_graphs set content = %s, sha256 = %s where version = %s",
        bytes(damaged), hashlib.sha256(b"another").digest(), second,
    )  # fmt: skip
    force(served.warehouse, second)
    try:
        _wait(lambda: bool(served.client.get("/health/ready").json()["warnings"]))
        ready = served.client.get("/health/ready")
        assert (ready.status_code, ready.json()["warnings"]) == (
            200,
            [f"The graph of {NAME}:{second} does not match its SHA-256. {NAME}:1 answers in its "
             "place."],
        )  # fmt: skip
        said = _ask(served, {"airport": "LFPG"})
        assert (said["version"], said["is_champion"]) == ("1", True)
    finally:
        query(
            served.warehouse,
            "update ml.model_graphs set content = %s, sha256 = %s where version = %s",
            bytes(content), hashlib.sha256(content).digest(), second,
        )  # fmt: skip
    _wait(lambda: not served.client.get("/health/ready").json()["warnings"])
    assert _ask(served, {"airport": "LFPG"})["version"] == second
    force(served.warehouse, "1")


def test_every_prediction_is_logged_once(served: Served, query: Query) -> None:
    ids = [
        one["id"]
        for _ in range(50)
        for one in _ask(served, {"airport": "LFPG"}, {"airport": "LFPH"})["predictions"]
    ]
    assert len(set(ids)) == 100
    logged = "select count(*) from ml.service_predictions where id::text = any(%s)"
    _wait(lambda: query(served.warehouse, logged, ids) == [(100,)])
    [(model, features, latency)] = query(
        served.warehouse,
        "select model_name, features, latency_ms from ml.service_predictions where id = %s",
        ids[1],
    )
    assert (model, features) == (NAME, {"airport": "LFPH"})
    assert 0 < latency < 1000


def test_versions_of_before_get_their_graphs_from_mlflow(
    served: Served, second: str, query: Query
) -> None:
    settings = Settings(home=served.home, actor="tests")
    kept = "select version, sha256, background -> 'minutes' from ml.model_graphs order by version"
    before = query(served.warehouse, kept)
    query(served.warehouse, "delete from ml.model_graphs")
    answer = served.client.post(
        "/v1/predict", json={"records": [{"airport": "LFPG"}], "version": second}
    )
    assert answer.status_code in (200, 503), "loaded before, or not there"
    assert graphs.fill_in(served.warehouse, settings) == 2
    for (number, mark, minutes), (same, other, again) in zip(
        before, query(served.warehouse, kept), strict=True
    ):
        assert (number, bytes(mark), minutes) == (same, bytes(other), again)
    assert graphs.fill_in(served.warehouse, settings) == 0
    _wait(lambda: not served.client.get("/health/ready").json()["warnings"])


def test_the_service_is_small_and_holds_no_library_of_learning(served: Served) -> None:
    first = psutil.Process(served.process.pid)
    family = [first, *first.children(recursive=True)]
    assert sum(one.memory_full_info().pss for one in family) < 200e6
    heavy = ("mlflow", "pandas", "sklearn", "dagster", "dbt", "great_expectations", "pyarrow")
    maps = "".join(Path(f"/proc/{one.pid}/maps").read_text() for one in family)
    assert "onnxruntime" in maps
    assert [name for name in heavy if f"/{name}/" in maps] == []
    code = f"import sys, skyops_assets.serving.app; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_aircraft_over_paris_is_predicted_as_the_hourly_run_did(
    over_paris: Served, paris: Warehouse, query: Query
) -> None:
    """In the tables that dbt makes."""
    rows = query(
        paris,
        "select distinct on (icao24) icao24, airport, predicted_transit_min from ml.predictions"
        " where ring_nm = 40 and source = 'positions' order by icao24, crossed_at desc",
    )
    assert len(rows) > 10
    asked = [{"icao24": icao24, "airport": airport} for icao24, airport, _ in rows]
    answer = over_paris.client.post("/v1/predict", json={"aircraft": asked})
    assert answer.status_code == 200, answer.text
    for one, (icao24, airport, minutes) in zip(answer.json()["predictions"], rows, strict=True):
        assert (one["icao24"], one["airport"]) == (icao24, airport)
        assert one["transit_min"] == (minutes and pytest.approx(minutes, abs=0.001))
