"""The analysis page in a browser: every card is drawn or says why not; filters are the address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.serving.page_libraries import are_there
from tests.support.browser import complaining
from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")
TESTS = Path(".venv/page-tests")


def opened(browser: Any, served: Served, place: str = "", **options: Any) -> Any:
    """The page as a browser sees it that has entered by the link."""
    options.setdefault("viewport", {"width": 1500, "height": 900})
    sheet = complaining(browser.new_context(**options).new_page())
    sheet.asked = []
    sheet.on("request", lambda request: sheet.asked.append(request.url))
    (file,) = served.home.glob("service-*.token")
    address = f"http://127.0.0.1:{served.port}/"
    sheet.request.get(f"{address}?token={file.read_text().strip()}")
    sheet.goto(f"{address}analysis{place}")
    drawn(sheet)
    return sheet


def drawn(sheet: Any, turn: int = 1) -> None:
    """Wait until all cards of so many choices are."""
    sheet.locator(f"html[data-drawn='{turn}']").wait_for()


def rows(sheet: Any, card: str) -> int:
    """How many rows a card shows."""
    return int(sheet.locator(f"#{card}").get_attribute("data-rows"))


@pytest.fixture
def sheet(browser: Any, over_paris: Served) -> Iterator[Any]:
    one = opened(browser, over_paris, "")
    yield one
    assert one.complaints == []
    one.context.close()


def test_every_card_is_drawn_or_says_why_it_is_empty(sheet: Any, over_paris: Served) -> None:
    shown, silent = [], []
    for figure in sheet.locator("figure").all():
        card = figure.locator(".chart, .table").get_attribute("id")
        (shown if rows(sheet, card) else silent).append(card)
        assert figure.locator("p.note").inner_text().endswith(".")
        if rows(sheet, card):
            assert figure.locator("canvas, table").count() >= 1
            assert figure.locator("p.why").is_hidden()
        else:
            assert figure.locator("p.why").inner_text().endswith(".")
    assert {"altitudes", "phases", "countries", "correlations", "traffic", "runways",
            "runway-sums"} <= set(shown)  # fmt: skip
    # Nothing was trained in this warehouse.
    assert {"scores", "skill", "within", "importance", "latency", "lights"} <= set(silent)
    assert (
        "No challenger has been trained for this ring yet"
        in sheet.locator("#scores-note").inner_text()
    )
    own = f"http://127.0.0.1:{over_paris.port}/"
    assert [url for url in sheet.asked if not url.startswith((own, "data:", "blob:"))] == []


def test_filters_stand_in_the_address_and_come_back_from_it(
    sheet: Any, browser: Any, over_paris: Served
) -> None:
    everything = rows(sheet, "runways")
    sheet.locator("#filters [name=airport]").select_option("LFPO")
    drawn(sheet, 2)
    assert sheet.url.endswith("/analysis?airport=LFPO")
    of_orly = rows(sheet, "runways")
    assert 0 < of_orly < everything
    sheet.locator("#filters [name=airline]").select_option("AFR")
    drawn(sheet, 3)
    sheet.locator("#filters [name=period]").select_option("own")
    drawn(sheet, 4)
    sheet.locator("#filters [name=from]").fill("2021-10-07T13:00")
    sheet.locator("#filters [name=from]").blur()
    drawn(sheet, 5)
    assert "airport=LFPO&period=own&from=2021-10-07T13%3A00" in sheet.url
    # Who is sent the address sees the same.
    other = opened(browser, over_paris, sheet.url.partition("/analysis")[2])
    for name in ("airport", "airline", "period", "from", "to"):
        field = f"#filters [name={name}]"
        assert other.locator(field).input_value() == sheet.locator(field).input_value() != ""
    assert rows(other, "runways") == rows(sheet, "runways")
    assert other.complaints == []
    other.context.close()
    for turn in (6, 7, 8):
        sheet.go_back()
        drawn(sheet, turn)
    assert sheet.url.endswith("/analysis?airport=LFPO")
    assert rows(sheet, "runways") == of_orly
    sheet.get_by_role("button", name="Clear").click()
    drawn(sheet, 9)
    assert sheet.url.endswith("/analysis") and rows(sheet, "runways") == everything


def test_the_rows_of_a_card_are_its_csv(sheet: Any) -> None:
    sheet.locator("#filters [name=airport]").select_option("LFPO")
    drawn(sheet, 2)
    with sheet.expect_download() as downloading:
        sheet.locator("#runway-sums-links a").first.click()
    text = Path(downloading.value.path()).read_text()
    lines = text.splitlines()
    assert lines[0] == "from_at,airport,runway,landing_count,takeoff_count"
    assert len(lines) - 1 == rows(sheet, "runway-sums")
    assert {line.split(",")[1] for line in lines[1:]} == {"LFPO"}


def test_a_card_leads_to_its_table_where_the_docs_are(browser: Any, over_paris: Served) -> None:
    assert over_paris.client.get("/v1/links").json() == {"docs": None}
    index = over_paris.home / "docs" / "index.html"
    index.parent.mkdir()
    index.touch()
    try:
        one = opened(browser, over_paris)
        address = one.locator("#holdings-links a", has_text="Table").get_attribute("href")
        assert address.startswith("http://localhost:")
        assert address.endswith("/#!/model/model.skyops.fct_holdings")
        address = one.locator("#errors-links a", has_text="Table").get_attribute("href")
        assert address.endswith("/#!/source/source.skyops.ml.predictions")
        # SkyOps' own step writes these rows.
        assert one.locator("#scores-links a").all_inner_texts() == ["CSV"]
        one.context.close()
    finally:
        index.unlink()
        index.parent.rmdir()


def test_the_model_is_shown_with_its_challenger(
    browser: Any, over_paris: Served, query: Query
) -> None:
    """Of a training that the test writes: the recording is too short for one."""
    warehouse = over_paris.warehouse
    columns = "training_run_id, candidate, role, test_rows, predicted_rows, scored_rows, mae_min"
    columns += ", rmse_min, r2, within_1min_share, within_2min_share, reference, is_reference"
    columns += ", skill, skill_low, skill_high, champion, champion_gain, champion_gain_low"
    columns += ", champion_gain_high"
    reasons = (
        '[{"light": "technical", "rule": "trained", "is_passed": true, "text": "version 2"},'
        ' {"light": "statistical", "rule": "skill", "is_passed": false, "text": "too little"}]'
    )
    try:
        query(warehouse, "insert into ml.training_sets (fingerprint, ring_nm, row_count, excluded,"
              " airports) values ('f', 100, 9, '{}', '{}')")  # fmt: skip
        query(
            warehouse,
            "insert into ml.training_runs (training_run_id, model_name, ring_nm, recipe,"
            " fingerprint, features, params, train_share, train_rows, test_rows, embargoed_rows,"
            " shared_flight_rows) values ('t', 'arrival-transit-100nm', 100, 'hgb-l1', 'f', '{}',"
            " '{}', 0.8, 7, 2, 0, 0)",
        )
        for version, champion in (("1", True), ("2", False)):
            query(
                warehouse,
                "insert into ml.model_versions (model_name, version, training_run_id, fingerprint,"
                " mlflow_run_id, is_champion) values ('arrival-transit-100nm', %s, 't', 'f', %s,"
                " %s)", version, f"m{version}", champion,
            )  # fmt: skip
        for candidate, role, gain in (
            ("arrival-transit-100nm:2", "challenger", 0.03),
            ("arrival-transit-100nm:1", "champion", None),
            ("baseline:mean", "baseline", None),
        ):
            low, high = (0.01, 0.05) if gain else (None, None)
            query(
                warehouse,
                f"insert into ml.evaluations ({columns}) values ('t', %s, %s, 2, 2, 2, 1, 2, 0.8,"
                " 0.6, 0.9, 'baseline:mean', %s, 0.3, 0.2, 0.4, null, %s, %s, %s)",
                candidate, role, role == "baseline", gain, low, high,
            )  # fmt: skip
        query(warehouse, "insert into ml.feature_importance values ('t', 'altitude', 0.7)")
        query(warehouse, "insert into ml.challenger_evidence (training_run_id, mlflow_run_id,"
              " p50_ms, p95_ms, p99_ms) values ('t', 'm2', 0.1, 0.2, 0.3)")  # fmt: skip
        query(
            warehouse,
            "insert into ml.promotion_decisions (training_run_id, model_name, challenger_version,"
            " is_promoted, reasons, summary) values ('t', 'arrival-transit-100nm', '2', false, %s,"
            " 'not promoted: too little')", reasons,
        )  # fmt: skip
        query(
            warehouse,
            "insert into audit.monitoring_log (kind, window_end_at, model_name, verdict, skill,"
            " drift_score, details) values ('monitor', '2021-10-07 14:00+00',"
            " 'arrival-transit-100nm', 'drift', 0.2, 0.4, %s)",
            '{"decision": "retrain", "beyond": [{"column": "weekday", "statistic": "psi",'
            ' "value": 0.5, "threshold": 0.2}]}',
        )
        one = opened(browser, over_paris, "?ring=100")
        for card in ("scores", "skill", "within", "importance", "latency", "lights", "monitoring",
                     "drifted"):  # fmt: skip
            assert rows(one, card) > 0, card
            assert one.locator(f"#{card}").locator("canvas, table").count() >= 1
        lights = one.locator("#lights").inner_text()
        assert "technical: green" in lights and "statistical: red" in lights
        assert "too little" in lights
        assert "3.0 % (1.0 to 5.0)" in one.locator("#scores").inner_text()
        assert one.complaints == []
        one.context.close()
    finally:
        for table in ("promotion_decisions", "challenger_evidence", "feature_importance",
                      "evaluations", "model_versions", "training_runs"):  # fmt: skip
            query(warehouse, f"delete from ml.{table} where training_run_id = 't'")
        query(warehouse, "delete from ml.training_sets where fingerprint = 'f'")
        query(warehouse, "delete from audit.monitoring_log where verdict = 'drift'")


def test_axe_finds_nothing_serious(browser: Any, over_paris: Served) -> None:
    if not are_there(Path("tests/support/page_libraries.json"), TESTS):
        pytest.skip("npm could not be reached: there is no axe-core")
    one = opened(browser, over_paris, color_scheme="light", bypass_csp=True)
    one.add_script_tag(path=TESTS / "axe.min.js")
    grave = {}
    for width in (1500, 400):
        one.set_viewport_size({"width": width, "height": 844})
        assert one.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for _ in range(2):
            for each in one.evaluate("axe.run()")["violations"]:
                if each["impact"] in ("serious", "critical"):
                    grave[each["id"]] = [node["html"] for node in each["nodes"]]
            one.locator("#theme").click()
    assert grave == {}
    one.context.close()
