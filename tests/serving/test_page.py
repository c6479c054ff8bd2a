"""The live page in a browser: what it draws, how it is used, and that it asks nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.serving import live_page
from tests.support.browser import axe, complaining
from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")
REPLAY = "#replay=2021-10-07T14:10:00Z"


def opened(
    browser: Any, served: Served, place: str = "", *, refused: int = 0, **options: Any
) -> Any:
    """The page as a browser sees it that has entered by the link.

    Args:
        refused: so often the stream of events is, at first.
    """
    options.setdefault("viewport", {"width": 1440, "height": 900})
    page = complaining(browser.new_context(**options).new_page())
    if refused:
        page.route("**/v1/events*", lambda route: route.fulfill(status=503), times=refused)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    (file,) = served.home.glob("service-*.token")
    page.goto(f"http://127.0.0.1:{served.port}/?token={file.read_text().strip()}{place}")
    page.locator("#map[data-aircraft]:not([data-aircraft='0'])").wait_for()
    return page


@pytest.fixture(scope="module")
def page(browser: Any, over_paris: Served) -> Iterator[Any]:
    """The live page."""
    one = opened(browser, over_paris)
    yield one
    assert one.complaints == []
    one.context.close()


def text(page: Any, selector: str) -> str:
    """The text of an element, with plain blanks."""
    found: str = page.locator(selector).inner_text()
    return re.sub(r"\s+", " ", found.replace("\u202f", " "))


def test_who_has_no_session_is_told_how_to_enter(browser: Any, over_paris: Served) -> None:
    one = browser.new_page()
    answer = one.goto(f"http://127.0.0.1:{over_paris.port}/")
    assert answer.status == 401 and "skyops link" in one.inner_text("main")
    one.close()
    # A program is told what this is, as before.
    assert over_paris.client.get("/").json()["title"] == "SkyOps"


def test_what_is_live_is_drawn_and_counted(page: Any, over_paris: Served, query: Query) -> None:
    [(count,)] = query(over_paris.warehouse, "select count(*) from live.fixes")
    assert int(page.locator("#map").get_attribute("data-aircraft")) == count > 5
    page.locator("#mode[data-mode='live']").wait_for()
    assert text(page, "#f-aircraft") == str(count)
    assert re.fullmatch(r"[\d,]+ ft", text(page, "#f-altitude"))
    assert re.fullmatch(r"\d+ kt", text(page, "#f-speed"))
    board = query(
        over_paris.warehouse,
        "select coalesce(callsign, icao24) from live.arrivals order by predicted_landing_at",
    )
    page.locator("#rows tr").first.wait_for()
    assert page.locator("#rows button").all_inner_texts() == [name for (name,) in board]


def test_it_asks_nobody_but_the_service(page: Any, over_paris: Served) -> None:
    own = (f"http://127.0.0.1:{over_paris.port}/", "data:", "blob:")
    assert [url for url in page.asked if not url.startswith(own)] == []
    policy = over_paris.client.get("/", headers={"Accept": "text/html"})
    assert "script-src 'self';" in policy.headers["content-security-policy"]


def test_a_symbol_moves_with_its_load(page: Any, over_paris: Served, query: Query) -> None:
    [(icao24,)] = query(over_paris.warehouse, "select min(icao24) from live.fixes")
    page.locator("#find").fill(icao24)
    page.keyboard.press("Enter")
    page.locator("#flight:not([hidden])").wait_for()
    try:
        query(
            over_paris.warehouse,
            "insert into raw.opensky_states (icao24, time_position, latitude_deg, longitude_deg,"
            " baro_altitude_m, source, batch_id)"
            " values (%s, '2021-10-07 14:20:00+00', 48.5, 2.5, 1234.5, 'a test', 0)",
            icao24,
        )
        query(over_paris.warehouse, "notify skyops_loads")
        page.locator("#flight-facts").get_by_text(re.compile("^4,050.ft$")).wait_for()
    finally:
        query(over_paris.warehouse, "delete from raw.opensky_states where source = 'a test'")
    page.locator("#close").click()


def test_critical_alerts_stand_on_top(page: Any, over_paris: Served, query: Query) -> None:
    warehouse = over_paris.warehouse
    columns = "anomaly, anomaly_class, icao24, flight_id, callsign, started_at, ended_at"
    columns += ", sample_count, strongest_value, threshold, unit, source"
    try:
        for anomaly, at in (("overspeed", "14:19:50"), ("squawk_7700", "14:18:00")):
            query(
                warehouse,
                f"insert into metrics.fct_anomalies ({columns}) select %s, 'flight', icao24,"
                " flight_id, callsign, %s, %s, 3, 4, 2, 's',"
                " 'a test' from live.aircraft where flight_id is not null order by icao24 limit 1",
                anomaly, f"2021-10-07 {at}+00", "2021-10-07 14:19:55+00",
            )  # fmt: skip
        query(warehouse, "notify skyops_live")
        page.locator("#alert-list li").nth(1).wait_for()
        assert [line.get_attribute("class") for line in page.locator("#alert-list li").all()] == [
            "critical", "flight",
        ]  # fmt: skip
        assert text(page, "#alert-count") == "1 critical of 2"
    finally:
        query(warehouse, "delete from metrics.fct_anomalies where source = 'a test'")
        query(warehouse, "notify skyops_live")
    page.locator("#alerts.none").wait_for()


def test_a_flight_is_looked_at_by_keyboard(page: Any) -> None:
    name = page.locator("#rows button").first.inner_text()
    page.locator("#rows button").first.focus()
    page.keyboard.press("Enter")
    page.locator("#flight-name").get_by_text(name, exact=True).wait_for()
    page.get_by_text("Lands at").wait_for()
    page.locator("#profile canvas").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("#flight").is_hidden()
    page.locator("#find").fill(name.lower())
    page.keyboard.press("Enter")
    page.locator("#flight:not([hidden])").wait_for()
    page.locator("#close").click()


def test_times_are_utc_or_the_airports(page: Any) -> None:
    assert text(page, "#clock").endswith("UTC") and text(page, "#clock").startswith("14:2")
    page.locator("#zone").select_option("Europe/Paris")
    page.get_by_text(re.compile(r"^16:2\d:\d\d local$")).wait_for()
    page.locator("#zone").select_option("UTC")


def test_an_hour_is_replayed_and_never_looks_live(browser: Any, over_paris: Served) -> None:
    one = opened(browser, over_paris, REPLAY)
    one.locator("#mode[data-mode='replay']").wait_for()
    assert text(one, "#mode") == "Replay of 7 October 2021"
    assert text(one, "#f-feed") == "–"
    # It goes on, ten times as fast as the hour was.
    first = one.locator("#map").get_attribute("data-newest")
    one.locator(f"#map:not([data-newest='{first}'])").wait_for()
    assert first.startswith("2021-10-07T14:1")
    one.locator("#play").click()
    at_rest = one.locator("#at").inner_text()
    one.locator("#slider").focus()
    for _ in range(3):
        one.keyboard.press("ArrowRight")
    assert one.locator("#at").inner_text() != at_rest
    one.locator("#slider").fill("1200")
    assert one.locator("#at").inner_text() == "14:20:00"
    assert one.url.endswith("#replay=2021-10-07T14:20:00Z")
    then = over_paris.client.get("/v1/moment?at=2021-10-07T14:20:00Z").json()["arrivals"]
    expected = {row["callsign"] or row["icao24"] for row in then}
    for _ in range(20):
        if set(one.locator("#rows button").all_inner_texts()) == expected:
            break
        one.wait_for_timeout(500)
    assert set(one.locator("#rows button").all_inner_texts()) == expected != set()
    one.locator("#live").click()
    one.locator("#mode[data-mode='live']").wait_for()
    assert one.complaints == []
    one.context.close()


def test_axe_finds_nothing_serious(browser: Any, over_paris: Served) -> None:
    one = opened(browser, over_paris, REPLAY, color_scheme="light", bypass_csp=True)
    one.locator("#rows button").first.click()
    one.locator("#profile canvas").wait_for()
    one.locator("#play").click()
    assert axe(one, (1440, 1440, 390, 390)) == {}
    one.context.close()


def test_a_stream_that_is_refused_is_asked_for_again(browser: Any, over_paris: Served) -> None:
    one = opened(browser, over_paris, refused=2)
    assert one.locator("#mode").get_attribute("data-mode") == "live"
    assert len([url for url in one.asked if "/v1/events" in url]) == 3
    one.context.close()


def test_without_its_libraries_the_page_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(live_page, "LOCK", tmp_path / "another")
    answer = live_page.answer(200, "dev", is_let_in=True)
    assert answer.status_code == 200 and b"<pre>make page</pre>" in answer.body
    assert b"<title>SkyOps: no page</title>" in answer.body
    titled = live_page.answer(401, "staging", is_let_in=False)
    assert b"<title>SkyOps staging: enter</title>" in titled.body
