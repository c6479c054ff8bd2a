"""The demo as a new user runs it: `skyops demo`, `skyops up`, in homes of their own.

The tests of this file share one finished demo, so they run in one worker.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from skyops_assets.arrivals.models import registry
from skyops_assets.defs.raw.partitions import history_of
from skyops_assets.operations.sentinel import lives
from skyops_assets.runtime import environment as runtime_environment
from skyops_assets.settings import PROJECT_ROOT, Settings
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from tests.support.browser import chromium, complaining
from tests.support.contents import tables
from tests.support.databases import Query, short_dir, stop_server
from tests.support.documented import BLOCK, commands, queries
from tests.support.servers import free_port

pytestmark = pytest.mark.xdist_group("demo")

DEMO_LIMIT_S = 600
FOREIGN = {
    "DBT_TARGET": "prod", "DBT_PROFILE": "theirs", "DBT_DEFER": "true", "DBT_PROFILES_DIR": "/none",
    "MLFLOW_RUN_ID": "0" * 32, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    "MLFLOW_EXPERIMENT_NAME": "theirs", "DAGSTER_HOME": "/none", "DAGSTER_IS_DEV_CLI": "1",
}  # fmt: skip
"""What the shell of a person who works on other projects too may hold."""


def environment(home: Path, **more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k != "SKYOPS_FIRST_HOUR"}
    return {**inherited, **FOREIGN, "SKYOPS_HOME": str(home), **more}


def run_demo(home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "skyops_assets.cli", "demo"],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=DEMO_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def command(home: Path, *arguments: str, code: int = 0) -> str:
    """What a command says."""
    done = subprocess.run(
        [sys.executable, "-m", "skyops_assets.cli", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == code, said
    return said


def status(home: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "skyops_assets.cli", "status", "--json"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def finished() -> Iterator[tuple[Path, Warehouse, str]]:
    """A home in which the demo ran once, its warehouse, and what the demo printed."""
    home = short_dir()
    try:
        printed = run_demo(home)
        yield home, open_warehouse(Settings(home=home)), printed
    finally:
        stop_server(home / "postgres")
        shutil.rmtree(home, ignore_errors=True)


Finished = tuple[Path, Warehouse, str]


def test_every_position_is_accounted_for(finished: Finished, query: Query) -> None:
    _, warehouse, _ = finished
    [(read, loaded, duplicates, rejected)] = query(
        warehouse,
        "select sum(read_rows), sum(loaded_rows), sum(duplicate_rows), sum(rejected_rows) "
        "from raw.ingest_batches where target = 'raw.opensky_states'",
    )
    assert read == loaded + duplicates + rejected == 284_505
    assert query(warehouse, "select count(*) from raw.opensky_states") == [(loaded,)]
    assert query(warehouse, "select count(*) from raw.rejected_states") == [(rejected,)]


def test_a_backup_is_restored_in_another_home(finished: Finished, query: Query) -> None:
    home, warehouse, _ = finished
    other = short_dir()
    kept = other / "kept"
    try:
        (home / "collected").mkdir(exist_ok=True)
        (home / "collected" / "1.5-1.answer").write_bytes(b"{}")
        said = command(home, "backup", str(kept))
        assert re.search(r"MB, [\d,]+ rows of 3 databases, [\d,]+ files\.", said), said
        again = other / "home"
        said = command(again, "restore", str(kept))
        assert "every table has all its rows. `skyops status` counts them." in said
        assert (again / "collected" / "1.5-1.answer").read_bytes() == b"{}"
        restored = open_warehouse(Settings(home=again))
        assert tables(restored) == tables(warehouse)
        before, after = status(home), status(again)
        for part in ("counts", "champions", "last_runs"):
            assert after[part] == before[part], part
        # MLflow finds its files at their new place.
        [(run_id,)] = query(restored, "select min(mlflow_run_id) from ml.model_versions")
        place = registry.configure(restored, Settings(home=again)).get_run(run_id).info.artifact_uri
        assert place.startswith((again / "mlflow").as_uri())
        assert Path(place.removeprefix("file://"), registry.ONNX_FILE).exists()
        # A second time there is something.
        said = command(again, "restore", str(kept), code=1)
        assert "tables already; a backup is restored only into empty" in said
    finally:
        (home / "collected" / "1.5-1.answer").unlink(missing_ok=True)
        stop_server(other / "home" / "postgres")
        shutil.rmtree(other, ignore_errors=True)


def test_status_tells_what_there_is(finished: Finished) -> None:
    home, _, _ = finished
    found = status(home)
    assert found["warehouse"]["embedded"] is True
    assert found["counts"]["raw.opensky_states"] == 284_502
    assert 0 < found["counts"]["ml.predictions"] < found["counts"]["metrics.fct_ring_crossings"]
    assert found["last_runs"][0]["status"] == "SUCCESS"
    assert not any(found["champions"].values()), "98 landings are too few to promote on"


def test_the_demo_says_what_it_did(finished: Finished) -> None:
    _, _, printed = finished
    for word in ("raw/opensky_states", "metrics/fct_arrivals", "ml/promotion_decisions"):
        assert word in printed
    answer = printed.partition("\n\n")[2]
    for line in (
        "Flights       240 from 284,502 positions, 2021-10-07 12:00 to 15:00 UTC; 99 observed",
        "Landings      LFPG 48, LFPO 27, LFPB 16, LFOB 5, LFPV 2, LFOX 1",
        "LFPO 25 to 06 at 13:25, LFPG 26 to 08 at 13:32",
        "Busiest hour  LFPG from 14:00 on: 39 movements, 19 of them landings",
        "Holding       no aircraft flew a holding",
        "Model         not promoted, and rightly: it was off by 1.5 minutes, the best "
        "baseline by 2.9, but 29 arrivals on 1 day prove nothing",
        "http://localhost:3000",
    ):
        assert line in answer
    assert "│" not in printed, "the table of all tables is that of `skyops status`"
    # Three hours cannot show that a model is good; that is the gatekeeper's to say.
    red = {line.split()[-1] for line in printed.splitlines() if "check not passed" in line}
    assert "challenger_statistical" in red
    assert red <= {"challenger_statistical", "challenger_logical"}, "of the outer ring none"
    assert "Traceback" not in printed and "Warning" not in printed


def test_each_question_that_the_demo_offers_has_an_answer(finished: Finished) -> None:
    home, _, printed = finished
    asked = re.findall(r'^  .*?sql "(.*)"$', printed, re.MULTILINE)
    assert len(asked) == 5
    for query in asked:
        done = subprocess.run(
            [sys.executable, "-m", "skyops_assets.cli", "sql", query, "--json"],
            env=environment(home), capture_output=True, text=True, check=True,
        )  # fmt: skip
        rows = json.loads(done.stdout)
        assert 3 <= len(rows) <= 6
        assert all(None not in row.values() for row in rows)


def test_every_documented_query_works(finished: Finished, query: Query) -> None:
    """Each `skyops sql` of README and docs; what they show of the demo has rows."""
    _, warehouse, _ = finished
    asked = queries()
    assert len(asked) > 25
    rows = {sql: query(warehouse, sql) for sql in asked}
    empty = [sql for sql in rows if "39ceb1" in sql and not rows[sql]]
    assert empty == []
    [changes] = [rows[sql] for sql in rows if "to_char(changed_at" in sql]
    assert [row[0] for row in changes] == ["LFOB", "LFPB", "LFPO", "LFPG"]


def test_the_gatekeeper_gives_its_reasons(finished: Finished, query: Query) -> None:
    _, warehouse, _ = finished
    decided = query(
        warehouse, "select model_name, is_promoted, reasons from ml.promotion_decisions"
    )
    # The recording hardly reaches the outer ring.
    for name, also in (("arrival-transit-40nm", "test_days"), ("arrival-transit-100nm", "trained")):
        [(is_promoted, reasons)] = [row[1:] for row in decided if row[0] == name]
        assert is_promoted is False
        failed = {reason["rule"] for reason in reasons if not reason["is_passed"]}
        assert "train_rows" in failed and also in failed
    assert len(decided) == 2


def test_predictions_come_from_a_named_baseline_and_get_an_outcome(
    finished: Finished, query: Query
) -> None:
    _, warehouse, _ = finished
    for ring in (100, 40):
        [(model, crossings, called)] = query(
            warehouse,
            "select model_name, count(*), count(callsign) from ml.predictions where ring_nm = %s "
            "group by 1",
            ring,
        )
        assert model.startswith("baseline:")
        assert crossings == called > 0
        outcomes = dict(
            query(
                warehouse,
                "select outcome, count(*) from ml.prediction_outcomes where ring_nm = %s "
                "group by 1",
                ring,
            )
        )
        assert sum(outcomes.values()) == crossings
        landed = outcomes.get("landed", 0)
        for table, count in (("fct_arrivals", landed), ("fct_ring_crossings", crossings)):
            statement = f"select count(*) from metrics.{table} where ring_nm = %s"
            assert query(warehouse, statement, ring) == [(count,)]


def sources(
    home: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, column: str
) -> set[str]:
    """The raw columns that a column of features/arrival_features comes from, by what runs told."""
    import dagster as dg

    for name, value in runtime_environment(Settings(home=home), warehouse).items():
        monkeypatch.setenv(name, value)

    def back(key: dg.AssetKey, column: str) -> set[str]:
        if key.path[0] == "raw":
            return {f"{key.to_user_string()}.{column}"}
        event = instance.get_latest_materialization_event(key)
        assert event is not None and event.asset_materialization is not None
        found = event.asset_materialization.metadata.get("dagster/column_lineage")
        # Why, dagster-dbt tells the step's log alone.
        logs = [file.read_text(errors="replace") for file in home.rglob("*.err")]
        assert found is not None, f"{key.to_user_string()} has no column lineage: {logs}"
        parents = found.value.deps_by_column.get(column, [])
        return {raw for dep in parents for raw in back(dep.asset_key, dep.column_name)}

    with dg.DagsterInstance.get() as instance:
        return back(dg.AssetKey(["features", "arrival_features"]), column)


def test_column_lineage_reaches_raw(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a feature, step by step through what the runs recorded, to columns of raw tables."""
    home, warehouse, _ = finished
    for column, raw in (
        ("altitude_m", "raw/opensky_states.baro_altitude_m"),
        ("ground_speed_mps", "raw/opensky_states.velocity_mps"),
        ("bearing_deg", "raw/airports.latitude_deg"),
    ):
        assert raw in sources(home, warehouse, monkeypatch, column)


def test_dagster_shows_the_model_card(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    home, warehouse, _ = finished
    for name, value in runtime_environment(Settings(home=home), warehouse).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        for table, said in (
            ("training_runs", "## Data"),
            ("promotion_decisions", "The gatekeeper, "),
        ):
            event = instance.get_latest_materialization_event(dg.AssetKey(["ml", table]))
            assert event is not None and event.asset_materialization is not None
            card = event.asset_materialization.metadata["model_card"]
            assert isinstance(card, dg.MarkdownMetadataValue)
            assert str(card.value).startswith("# arrival-transit-40nm, version 1\n")
            assert said in str(card.value)


@pytest.mark.mirror
def test_landings_agree_with_the_yardstick(finished: Finished, query: Query, mirror: Path) -> None:
    """Of the peer's 98 landings at least 93 are found at the same airport within 90 s."""
    _, warehouse, _ = finished
    peer = pd.read_csv(mirror / "yardstick" / "paris_landings.csv", parse_dates=["moved_until"])
    peer = peer[peer["apt"].notna()]
    ours = pd.DataFrame(
        query(
            warehouse,
            "select f.callsign, m.airport, m.moved_at, m.movement_id from metrics.fct_movements m "
            "join metrics.fct_flights f using (flight_id) where m.movement = 'landing'",
        ),
        columns=["callsign", "airport", "moved_at", "movement_id"],
    )
    pairs = peer.merge(ours, left_on=["cs", "apt"], right_on=["callsign", "airport"])
    apart = (pairs["moved_at"] - pairs["moved_until"]).abs() <= pd.Timedelta(90, "s")
    near = pairs[apart]
    assert len(peer) == 98
    assert near["fid"].nunique() >= 93
    assert len(ours) - near["movement_id"].nunique() <= 5


def test_the_runway_change_is_seen(finished: Finished, query: Query) -> None:
    """At LFPG and LFPO landings turn from west to east between 13:15 and 13:35 UTC."""
    _, warehouse, _ = finished
    for airport in ("LFPG", "LFPO"):
        rows = query(
            warehouse,
            "select moved_at, runway_direction::int between 18 and 35 as is_west "
            "from metrics.fct_movements where movement = 'landing' and airport = %s order by 1",
            airport,
        )
        last_west = max(at for at, is_west in rows if is_west)
        first_east = min(at for at, is_west in rows if not is_west)
        assert "13:00" <= f"{last_west:%H:%M}" <= "13:35", (airport, last_west)
        assert "13:15" <= f"{first_east:%H:%M}" <= "13:40", (airport, first_east)
        assert last_west < first_east


def test_the_drift_report_names_the_runway_changes(finished: Finished, query: Query) -> None:
    _, warehouse, _ = finished
    [(verdict, triggered, report, changes)] = query(
        warehouse,
        "select verdict, triggered, report, details -> 'runway_changes' from audit.monitoring_log "
        "where kind = 'monitor' and model_name = 'arrival-transit-40nm' "
        "order by log_id desc limit 1",
    )
    assert (verdict, triggered) == ("no champion", False)
    named = {one["airport"]: one for one in changes}
    assert {"LFPG", "LFPO"} <= set(named)
    for one in (named["LFPG"], named["LFPO"]):
        assert "2021-10-07T13:15" <= one["changed_at"] <= "2021-10-07T13:40"
        assert int(one["from_direction"]) > 18 > int(one["to_direction"])
    page = Path(report).read_text()
    assert "Runway changes in the window" in page and "LFPG" in page


def test_a_range_is_computed_again_and_its_rows_are_told(finished: Finished, query: Query) -> None:
    """As after a rule by which some rows were not found; nothing else changes."""
    home, warehouse, _ = finished
    expected = tables(warehouse)
    hour = "2021-10-07T13:00", "2021-10-07T14:00"
    within = "last_fix_at >= %s::timestamptz and last_fix_at < %s::timestamptz"
    query(warehouse, f"delete from metrics.fct_movements where {within}", *(f"{t}Z" for t in hour))
    told = json.loads(skyops(home, "reprocess", *hour, "--json").stdout)
    movements, flights = told["metrics.fct_movements"], told["metrics.fct_flights"]
    assert movements["before"] == 0 < movements["after"]
    assert flights["before"] == flights["after"] > 0
    assert tables(warehouse) == expected
    run = status(home)["last_runs"][0]
    assert (run["job"], run["status"]) == ("reprocess", "SUCCESS")
    said = skyops(home, "reprocess", "2021-10-08", "2021-10-09")
    assert said.returncode == 1
    assert "No positions are loaded from 2021-10-08 00:00 to 2021-10-09 00:00 UTC" in said.stderr


def test_a_killed_demo_ends_with_the_same_tables(
    request: pytest.FixtureRequest, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed (-9) while it predicts; then run in full, and all but that is there already."""
    if not request.config.getoption("--long"):
        pytest.skip("two more demos take three minutes: `make torture` runs them")
    _, undisturbed, _ = finished
    home = short_dir()
    try:
        kill_when(home, "ml/predictions", 0.3)
        run_demo(home)
        expected = tables(undisturbed)
        assert len(expected) > 20
        warehouse = open_warehouse(Settings(home=home))
        assert tables(warehouse) == expected
        # Now by models that looked at new data only.
        altitude = sources(home, warehouse, monkeypatch, "altitude_m")
        assert "raw/opensky_states.baro_altitude_m" in altitude
        runs = status(home)["last_runs"]
        assert [run["status"] for run in runs] == ["SUCCESS", *["FAILURE"] * (len(runs) - 1)]
    finally:
        stop_server(home / "postgres")
        shutil.rmtree(home, ignore_errors=True)


def kill_when(home: Path, moment: str, delay_s: float) -> None:
    """Start a demo and kill its process, not its children, ``delay_s`` after it prints a word."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "skyops_assets.cli", "demo"],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if moment in line:
                break
        else:
            pytest.fail(f"The demo never came to {moment!r}: {''.join(said)}")
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)


def skyops(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "skyops_assets.cli", *arguments],
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="module")
def services(finished: Finished) -> Iterator[tuple[str, str]]:
    """`skyops up` on the finished home, behind a proxy: addresses of the UI and of the docs."""
    home, _, _ = finished
    ui, docs, service = (str(free_port()) for _ in range(3))
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    ports = {
        "SKYOPS_UI_PORT": ui, "SKYOPS_DOCS_PORT": docs, "SKYOPS_SERVICE_PORT": service,
        "SKYOPS_TRAININGS_AN_HOUR": "2",
    }  # fmt: skip
    try:
        done = skyops(home, "up", "--detach", FORCE_COLOR="1", **ports, **proxies)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[0] == "Preparing the warehouse"
        assert f"http://localhost:{ui}" in done.stdout
        second = skyops(home, "up")
        assert second.returncode == 1
        assert second.stderr.startswith(f"Error: SkyOps already runs in {home}: process ")
        assert second.stderr.endswith(f"http://localhost:{ui}. `skyops down` stops it.\n")
        yield f"http://127.0.0.1:{ui}", f"http://127.0.0.1:{docs}"
    finally:
        groups = json.loads((home / "up.pid").read_text())["groups"].values()
        done = skyops(home, "down")
    assert done.returncode == 0 and done.stdout.endswith("SkyOps is down.\n"), done.stderr
    assert not [group for group in groups if lives(group)]
    assert skyops(home, "down").stdout == f"Nothing is running in {home}.\n"


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of a headless Chromium; what it complains of is in ``page.complaints``."""
    with chromium() as browser:
        yield complaining(browser.new_page(viewport={"width": 1800, "height": 1100}))


def test_the_ui_loads_the_code_location(services: tuple[str, str], page: Any) -> None:
    page.goto(f"{services[0]}/deployment/locations")
    page.get_by_text("Loaded", exact=True).first.wait_for()
    assert page.get_by_text("Failed", exact=True).count() == 0


def test_from_the_readme_alone_a_stranger_gets_to_the_page_an_answer_and_a_prediction(
    services: tuple[str, str], finished: Finished
) -> None:
    """Each block of shell lines under "Try it", in its order, but for the first: it is done."""
    readme = (PROJECT_ROOT / "README.md").read_text()
    section = readme.partition("\n## Try it\n")[2].partition("\n## ")[0]
    first, *blocks = BLOCK.findall(section)
    assert list(commands(first)) == ["make demo", "make up"]
    recipes = (PROJECT_ROOT / "Makefile").read_text()
    for name in ("demo", "up"):
        assert re.search(rf"^{name}: .*\n\t@\$\(BIN\)/skyops {name}$", recipes, re.MULTILINE)
    home, _, _ = finished
    port = str(json.loads((home / "up.pid").read_text())["service_port"])

    def typed(block: str) -> str:
        """What a person's shell answers, by this test's programs, home and port."""
        block = block.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
        done = subprocess.run(
            ["bash", "-ec", block.replace("127.0.0.1:8000", f"127.0.0.1:{port}")],
            env=environment(home, SKYOPS_SERVICE_PORT=port),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    [asked] = [block for block in blocks if "skyops sql" in block]
    answer = typed(asked)
    for row in (("LFPG", "13:32", "26", "08"), ("LFPO", "13:25", "25", "06")):
        assert re.search(r".*".join(row), answer), answer
    [programs] = [block for block in blocks if "curl" in block]
    link, answer = typed(programs).split("\n", 1)
    with httpx.Client(headers={"Accept": "text/html"}, timeout=20) as browser:
        without = browser.get(link.partition("?")[0])
        assert without.status_code == 401, "by the link alone"
        shown = browser.get(link, follow_redirects=True)
        assert shown.status_code == 200 and "<title>" in shown.text
    told = json.loads(answer)
    assert told["model"].startswith("baseline:")
    assert 5 < told["predictions"][0]["transit_min"] < 30
    assert len(blocks) == 2, "a block that this test does not run"


SEEN_AFTER_THE_DEMO = """{
  repositoryOrError(
    repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "skyops"}
  ) { ... on Repository { jobs { name runs(limit: 2) { status } } } }
  runsOrError(filter: {tags: [{key: ".dagster/repository", value: "__repository__@skyops"}]}) {
    ... on Runs { results { jobName status } }
  }
  assetNodes {
    assetKey { path }
    groupName
    partitionStats { numPartitions numMaterialized numFailed }
    backfillPolicy { maxPartitionsPerRun }
    freshnessPolicy: internalFreshnessPolicy {
      ... on TimeWindowFreshnessPolicy { failWindowSeconds }
    }
  }
}"""


def test_the_ui_shows_the_demo_as_a_run_of_main_whose_hours_are_all_filled(
    services: tuple[str, str],
) -> None:
    asked = httpx.post(f"{services[0]}/graphql", json={"query": SEEN_AFTER_THE_DEMO}, timeout=60)
    found = asked.json()["data"]
    runs = {job["name"]: job["runs"] for job in found["repositoryOrError"]["jobs"]}
    assert runs["main"] == [{"status": "SUCCESS"}]
    # The timeline's.
    assert {"jobName": "main", "status": "SUCCESS"} in found["runsOrError"]["results"]
    assets = {"/".join(one["assetKey"]["path"]): one for one in found["assetNodes"]}
    positions = assets["raw/opensky_states"]
    assert positions["partitionStats"] == {
        "numPartitions": 3, "numMaterialized": 3, "numFailed": 0,
    }  # fmt: skip
    assert positions["backfillPolicy"] == {"maxPartitionsPerRun": 24}
    # What "Materialize all" is asked for.
    stats = [one["partitionStats"] for one in assets.values() if one["partitionStats"]]
    days = len(history_of(Settings()).get_partition_keys())
    assert sorted(one["numPartitions"] for one in stats) == [1, 3, days]
    sizes = Counter(one["groupName"] for one in assets.values())
    assert max(sizes.values()) <= 16, sizes
    year_s = 365 * 86_400
    policies = [one["freshnessPolicy"] for one in assets.values() if one["freshnessPolicy"]]
    assert len(policies) > 100
    assert all(one["failWindowSeconds"] <= year_s for one in policies)


def test_the_ui_shows_one_lineage(services: tuple[str, str], page: Any) -> None:
    page.goto(f"{services[0]}/asset-groups?expanded=global%40global%3Araw")
    for name in ("opensky_states", "staging", "features", "model", "predictions"):
        page.get_by_text(name).first.wait_for()


def test_the_ui_shows_a_plot(services: tuple[str, str], page: Any) -> None:
    page.goto(f"{services[0]}/assets/ml/evaluations?view=overview")
    page.get_by_text("residuals", exact=True).wait_for()
    page.get_by_text("[Show Markdown]").last.click()
    picture = page.locator("img[src^='data:image/png']")
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 300


def test_the_ui_shows_a_check_and_a_run(services: tuple[str, str], page: Any) -> None:
    page.goto(f"{services[0]}/assets/raw/opensky_states?view=checks")
    page.get_by_text("state_vectors_are_plausible").first.click()
    page.get_by_text("Passed").first.wait_for()
    page.goto(f"{services[0]}/runs")
    page.get_by_text("Success").first.wait_for()


def test_the_docs_are_served(services: tuple[str, str], page: Any) -> None:
    page.goto(f"{services[1]}/dbt/")
    page.get_by_text("fct_arrivals").first.wait_for(state="attached")
    page.goto(f"{services[1]}/")
    page.get_by_role("heading", name="Documentation").wait_for()


def test_nobody_complains(services: tuple[str, str], page: Any, finished: Finished) -> None:
    """No error in the pages, no deprecated or preview API in what the services log."""
    assert [told for told in page.complaints if any(one in told for one in services)] == []
    log = "".join(path.read_text() for path in (finished[0] / "logs").glob("*.log"))
    assert "Started Dagster code server" in log and "Completed successfully" in log
    assert "\x1b" not in log, "a file has no colours"
    for word in ("DeprecationWarning", "BetaWarning", "PreviewWarning", "SupersessionWarning"):
        assert word not in log
    # dbt's; the daemon's own, of a first start, have no brackets.
    assert re.findall(r"WARNING\][^\n]*\n[^\n]*", log) == []
    shown = skyops(finished[0], "logs", "code-server", "-n", "1").stdout
    assert shown.count("\n") == 1 and "Started Dagster code proxy server" in shown


def test_a_program_starts_a_look_at_the_champion_and_sees_how_it_went(
    services: tuple[str, str], finished: Finished, tmp_path: Path
) -> None:
    home, _, _ = finished
    made = skyops(home, "key", "create", "demo", "--scope", "admin", "--scope", "read", "--json")
    headers = {"Authorization": f"Bearer {json.loads(made.stdout)['key']}"}
    port = json.loads((home / "up.pid").read_text())["service_port"]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as client:
        asked = client.post("/v1/train", json={"dry_run": True, "airports": ["lfpg"]})
        assert [one["airport"] for one in asked.json()["airports"]] == ["LFPG"], asked.text
        started = client.post("/v1/monitor", json={})
        assert started.status_code == 202, started.text
        patience = time.monotonic() + 120
        while True:
            run = client.get(f"/v1/runs/{started.json()['run_id']}").json()
            if run["status"] in ("SUCCESS", "FAILURE") or time.monotonic() > patience:
                break
            time.sleep(1)
    assert (run["status"], run["job"], run["asked_by"]) == ("SUCCESS", "monitor", "demo")
    assert {one["verdict"] for one in run["monitored"]} == {"no arrivals", "no champion"}
    # What is left of the limit, and what comes after it: all as the document promises.
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"), "run",
            f"http://127.0.0.1:{port}/v1/openapi.json", "--checks", "all", "--include-path-regex",
            "^/v1/(train|monitor|runs.*)$", "--max-examples", "5", "--seed", "7", "--no-color",
            "--header", f"Authorization: {headers['Authorization']}", "--generation-database",
            "none",
        ],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
