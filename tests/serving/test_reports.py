"""Reports of a week and a month over Paris, made, kept, and shown to browsers."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx
import pytest

from skyops_assets.reports.store import publish
from skyops_assets.settings import Settings
from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")
NOW = datetime(2021, 11, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def within(over_paris: Served) -> httpx.Client:
    """A browser that entered by the link; both reports of LFPG are made."""
    settings = Settings(home=over_paris.home, watch_airports=("LFPG",))
    for kind in ("week", "month"):
        publish(over_paris.warehouse, settings, kind, NOW)
    browser = httpx.Client(base_url=f"http://127.0.0.1:{over_paris.port}", follow_redirects=True)
    (file,) = over_paris.home.glob("service-*.token")
    browser.get("/", params={"token": file.read_text().strip()})
    return browser


def row(page: str, words: str) -> list[str]:
    """The cells of a table's row that begins with these words."""
    [found] = re.findall(rf"<tr><td>{re.escape(words)}</td>(.*?)</tr>", page)
    return re.findall(r"<td>(.*?)</td>", found)


def test_a_week_has_the_figures_of_the_tables(
    within: httpx.Client, over_paris: Served, query: Query
) -> None:
    page = within.get("/reports/week/2021-10-04/LFPG").raise_for_status().text
    [(landings, takeoffs)] = query(
        over_paris.warehouse,
        "select count(*) filter (where movement in ('landing', 'touch_and_go')),"
        " count(*) filter (where movement in ('takeoff', 'touch_and_go'))"
        " from metrics.fct_movements where airport = 'LFPG'",
    )
    assert landings > 5 and takeoffs > 5
    assert row(page, "Arrivals, including touch-and-goes") == [str(landings), "0", "-", "0", "-"]
    assert row(page, "Departures, including touch-and-goes")[0] == str(takeoffs)
    # Nothing is known of the week before, and nothing is made of it.
    assert row(page, "Mean transit from the ring to the landing (min)")[1:] == ["-"] * 4
    assert "Week 40 of 2021" in page and "Europe/Paris" in page
    # 7 October 2021, 14:10 UTC, is 16:10 in Paris.
    assert re.search(r"Busiest hour: Thursday 07 October, 16:00 \(14:00 UTC\), \d+ movements", page)


def test_a_period_is_compared_with_the_ones_before(
    within: httpx.Client, over_paris: Served, query: Query
) -> None:
    settings = Settings(home=over_paris.home, watch_airports=("LFPG",))
    query(
        over_paris.warehouse,
        "create table metrics.kept as select * from metrics.fct_movements;"
        "insert into metrics.fct_movements select * from metrics.kept where airport = 'LFPG';"
        "update metrics.fct_movements set moved_at = moved_at - interval '28 days'"
        " where ctid in (select max(ctid) from metrics.fct_movements where airport = 'LFPG'"
        " group by movement_id)",
    )
    try:
        publish(over_paris.warehouse, settings, "month", NOW)
        page = within.get("/reports/month/2021-10-01/LFPG").text
        now, before, change, *_ = row(page, "Arrivals, including touch-and-goes")
        assert now == before != "0" and change == "+0%"
    finally:
        query(
            over_paris.warehouse,
            "truncate metrics.fct_movements;"
            "insert into metrics.fct_movements select * from metrics.kept;"
            "drop table metrics.kept",
        )


def test_all_reports_are_listed_and_each_link_answers(within: httpx.Client) -> None:
    listed = within.get("/reports").raise_for_status()
    links = re.findall(r'href="(/reports/[^"]+)"', listed.text)
    assert {"/reports/week/2021-10-04/LFPG", "/reports/month/2021-10-01/LFPG"} <= set(links)
    for link in links:
        answer = within.get(link)
        assert answer.status_code == 200 and "<h1>" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_who_has_no_session_sees_none(over_paris: Served) -> None:
    asked = httpx.get(f"http://127.0.0.1:{over_paris.port}/reports/week/2021-10-04/LFPG")
    assert asked.status_code == 401 and "skyops link" in asked.text
    assert "LFPG" not in asked.text


@pytest.mark.parametrize(
    ("link", "status"),
    [
        ("/reports/week/2020-01-06/LFPG", 404), ("/reports/champion/7", 404),
        ("/reports/data/..%2F..%2Fskyops", 404), ("/reports/day/2021-10-04/LFPG", 422),
        ("/reports/week/2021-10-04/lfpg", 422),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(within: httpx.Client, link: str, status: int) -> None:
    assert within.get(link).status_code == status
