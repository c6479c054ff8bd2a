"""The page /fleet in a browser: what it draws of planted rows, its filters, empty sections."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import axe, complaining
from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")

PLANTED = """
insert into metrics.component_reliability_weekly (
    week_on, fleet, ata_chapter, part_number, event_count, unscheduled_event_count, removal_count,
    unscheduled_removal_count, failure_count, exposure_source, year_event_count,
    rate_per_1000_hours, rate_per_1000_hours_low, rate_per_1000_hours_high, mtbur_h, mtbur_low_h,
    mtbur_high_h, mtbf_reason, year_removal_count, month_rate_per_1000_hours,
    level_mean_per_1000_hours, level_2sd_per_1000_hours, level_3sd_per_1000_hours, excess_sd,
    trend, alert_level, is_current
)
select
    date '2024-01-01' + 7 * week, fleet, '32', part, 4, 3, 2, 1, 0, 'operator', 120, 1.5, 1.2, 1.9,
    5200.4, 4100, 6700, 'not_confirmed', 40,
    case when fleet = 'B738' and week > 70 then 4.25 else 1.5 end, 1.5, 2.5, 3.0, 0.5, 'steady',
    case when fleet = 'B738' and part = '' and week > 72 then 'alert' else 'normal' end, week = 79
from
    generate_series(0, 79) as weeks (week), unnest('{B738,A320}'::text[]) as fleets (fleet),
    unnest(array['', 'ACT-77']) as parts (part);
insert into metrics.dispatch_reliability_monthly (
    month_on, airline, fleet, departure_count, delayed_count, cancelled_count, technical_count,
    cause_unknown_count, dispatch_reliability_share, dispatch_reliability_share_low,
    dispatch_reliability_share_high
)
select date '2025-01-01' + n * interval '1 month', 'AFR', 'A320', 100, 5, 1, 2, 0, 0.98, 0.95, 0.99
from generate_series(0, 5) as months (n);
insert into metrics.maintenance_due (
    icao24, airframe, fleet, task, kind, description, hours_to_go, exposure_source, forecast_on,
    first_limit, forecast_reason, due_status
)
select
    '3944e0', case when n < 5 then 'FGKXA' else 'FGKXB' end, 'A320', 'T' || n, 'task',
    'Inspect <b>brakes</b>', 100, 'operator',
    case when n < 8 then current_date - 3 + 5 * n end, 'hours',
    case when n >= 8 then 'never_recorded' end,
    case when n = 0 then 'overdue' when n < 8 then 'open' else 'unknown' end
from generate_series(0, 9) as tasks (n);
insert into metrics.punctuality_daily (
    arrives_on, airport, airline, scheduled_count, landed_count, cancelled_count, not_seen_count,
    on_time_count, on_time_share, mean_arrival_delay_min, extreme_delay_count
)
select
    date '2021-10-01' + n, airport, airline, 10, 8, 1, 1, 6, 0.75,
    case when airline = 'AFR' then 4 else 8 end, 0
from
    generate_series(0, 4) as days (n), unnest('{LFPG,LFPO}'::text[]) as airports (airport),
    unnest('{AFR,BAW}'::text[]) as airlines (airline);
insert into ml.component_lives (
    scope, component, measure, life_count, failure_count, censored_count, left_out, median_life,
    weibull_shape, weibull_shape_low, weibull_shape_high, target_survival, interval_life,
    interval_low, interval_high, programme_interval, recommended_interval, decision, survival
) values (
    'part', 'ACT-77', 'hours', 60, 50, 10, '{}', 1400, 3.1, 2.6, 3.9, 0.95, 620, 560, 700, 900, 620,
    'recommended: enough wear-out', '[[500, 0.97, 0.93, 0.99], [900, 0.8, 0.72, 0.87]]'
);
insert into ml.failure_outlook (
    fleet, unit, cycle, remaining_life_cycles, remaining_life_low_cycles,
    remaining_life_high_cycles, limit_cycles, is_at_limit, within_cycles, failure_probability
)
select 'pumps', n::text, 100, 10 * n, 8 * n, 13 * n, 15, n < 2, 30, 1.0 / n
from generate_series(1, 5) as units (n);
update metrics.flight_anomaly_scores set
    anomaly_score = 2.5, isolation_score = 2, cluster_score = 3, is_anomalous = true,
    reasons = '[{"shape": "circle_count", "value": 5, "usual": 0.3, "part": 0.2,
                 "words": "5.0 full circles (usually 0.3)"}]'
where flight_id = (
    select min(flight_id) from metrics.flight_anomaly_scores where anomaly_score is not null
);
"""
TABLES = (
    "metrics.component_reliability_weekly", "metrics.dispatch_reliability_monthly",
    "metrics.maintenance_due", "metrics.punctuality_daily", "ml.component_lives",
    "ml.failure_outlook",
)  # fmt: skip


def opened(browser: Any, served: Served, path: str = "/fleet", **options: Any) -> Any:
    """The page once everything is drawn."""
    options.setdefault("viewport", {"width": 1500, "height": 900})
    page = complaining(browser.new_context(**options).new_page())
    (file,) = served.home.glob("service-*.token")
    page.goto(f"http://127.0.0.1:{served.port}/?token={file.read_text().strip()}")
    page.goto(f"http://127.0.0.1:{served.port}{path}")
    ready(page)
    return page


def ready(page: Any) -> None:
    page.locator("body[data-ready='yes']").wait_for()


def table(page: Any, name: str) -> list[list[str]]:
    """The cells of a table."""
    return [
        [cell.replace("\u202f", " ") for cell in row.locator("th, td").all_inner_texts()]
        for row in page.locator(f"#{name} ~ .scroll tbody tr").all()
    ]


def note(page: Any, name: str) -> str:
    found: str = page.locator(f"figure:has(#{name}) .note").inner_text()
    return found


@pytest.fixture(scope="module")
def empty(browser: Any, over_paris: Served) -> Iterator[Any]:
    """What the page says before an operator gave anything."""
    page = opened(browser, over_paris)
    yield page.inner_text("main")
    assert page.complaints == []
    page.context.close()


@pytest.fixture(scope="module")
def planted(empty: str, over_paris: Served) -> Iterator[Served]:
    """The service on Paris with what an operator could have given."""
    with over_paris.warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("create table public.kept as table metrics.flight_anomaly_scores")
        cursor.execute(PLANTED)
    index = over_paris.home / "docs" / "index.html"
    index.parent.mkdir()
    index.touch()
    yield over_paris
    index.unlink()
    index.parent.rmdir()
    with over_paris.warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"truncate {', '.join(TABLES)}; truncate metrics.flight_anomaly_scores")
        cursor.execute("insert into metrics.flight_anomaly_scores table public.kept")
        cursor.execute("drop table public.kept")


@pytest.fixture(scope="module")
def page(browser: Any, planted: Served) -> Iterator[Any]:
    """The page without filters."""
    one = opened(browser, planted)
    yield one
    assert one.complaints == []
    one.context.close()


def test_what_is_not_there_is_told_with_what_to_do(empty: str) -> None:
    assert "No maintenance events: put the files into the folder" in empty
    assert "No schedules: put the files" in empty
    assert "No maintenance programme and no bulletins" in empty
    assert "set SKYOPS_AIRCRAFT_CSV to an aircraft database" in empty
    # Each said once, not in every chart of a section.
    assert empty.count("No maintenance events:") == 1


def test_hours_stand_beside_their_coverage(page: Any, planted: Served, query: Query) -> None:
    found = table(page, "u-airframes")
    stored = query(
        planted.warehouse,
        "select icao24, flight_count::text, round(airborne_h::numeric, 1)::text,"
        " round(100 * coverage_share)::text || ' %' from metrics.fleet_daily"
        " order by airborne_h desc, icao24",
    )
    assert [(row[0], row[3], row[4], row[6]) for row in found] == stored[:50]
    assert page.locator("#u-time canvas").count() == 1
    assert page.locator("#u-airlines canvas").count() == 1
    assert page.locator("#u-areas canvas").count() > 0


def test_an_alert_stands_first_and_shows_its_levels(page: Any) -> None:
    rows = table(page, "r-chapters")
    assert rows[0][:7] == ["B738", "32", "Alert", "4.25", "1.50", "2.50", "3.00"]
    assert rows[0][7] == "1.50 (1.20 to 1.90)"
    assert [row[2] for row in rows] == ["Alert", "Normal"]
    assert note(page, "r-chapters").startswith("1 in alert.")
    assert page.locator("figure:has(#r-rate) figcaption").inner_text().startswith("B738, ATA 32")
    series = page.evaluate(
        "echarts.getInstanceByDom(document.getElementById('r-rate')).getOption().series.map("
        "one => [one.name, one.data.length])"
    )
    assert dict(series[2:]) == {
        "Year's rate": 80, "Mean": 80, "+2 SD": 80, "+3 SD": 80, "Month's rate": 80, "Alert": 7,
    }  # fmt: skip
    parts = table(page, "r-parts")
    assert parts[0][2] == "ACT-77" and parts[0][4] == "5,200 (4,100 to 6,700)"
    assert parts[0][5] == "shop confirmation is missing"
    assert page.locator("#r-dispatch canvas").count() == 1


def test_what_is_due_first_stands_first(page: Any) -> None:
    rows = table(page, "m-tasks")
    assert [row[2] for row in rows] == [f"T{n}" for n in range(10)]
    # Text of a file is text.
    assert rows[0][3:5] == ["Inspect <b>brakes</b>", "Overdue"]
    assert rows[9][5] == "no event names it, so there is no starting point"
    counts = page.evaluate(
        "echarts.getInstanceByDom(document.getElementById('m-status')).getOption().series[0].data"
        ".map(one => one.value)"
    )
    assert counts == [0, 2, 7, 1]


def test_lives_outlook_and_decisions_are_shown(page: Any) -> None:
    [life] = table(page, "l-lives")
    assert life[:8] == [
        "ACT-77", "hours", "60", "50", "1,400", "3.10 (2.60 to 3.90)", "620 (560 to 700)", "620",
    ]  # fmt: skip
    assert page.locator("#l-curve canvas").count() == 1
    assert "red are at their limit (1 of 5)" in note(page, "l-outlook")


def test_a_strange_flight_has_its_track(page: Any, planted: Served) -> None:
    rows = table(page, "a-flights")
    flights = planted.client.get("/v1/anomalous-flights?limit=100").json()["data"]
    assert [row[7] for row in rows] == [f"{one['anomaly_score']:.2f}" for one in flights]
    assert any(row[8] == "5.0 full circles (usually 0.3)" for row in rows)
    chosen = flights[-1]
    page.locator("#a-flights ~ .scroll button").last.click()
    ready(page)
    assert f"flight={chosen['flight_id']}" in page.url
    drawn = page.evaluate(
        "echarts.getInstanceByDom(document.getElementById('a-track')).getOption().series.flatMap("
        "one => one.data).filter(one => one.length === 3).map(one => one[2])"
    )
    track = planted.client.get(f"/v1/flights/{chosen['flight_id']}/track?every_s=10").json()
    assert set(drawn) == set(range(len(track["tracks"][0][4])))
    assert page.locator("#profile canvas").count() == 1
    replay = page.locator("figure:has(#a-track) a", has_text="Replay").get_attribute("href")
    assert replay == f"/#replay={chosen['first_seen_at'][:19]}Z"


def test_punctuality_is_summed(page: Any) -> None:
    assert table(page, "p-airlines") == [
        ["AFR", "100", "75 %", "4.0", "0", "10", "10"],
        ["BAW", "100", "75 %", "8.0", "0", "10", "10"],
    ]
    assert [row[:4] for row in table(page, "p-airports")] == [
        ["LFPG", "100", "75 %", "6.0"], ["LFPO", "100", "75 %", "6.0"],
    ]  # fmt: skip


def test_filters_stand_in_the_address(browser: Any, planted: Served) -> None:
    page = opened(browser, planted, "/fleet?airline=AFR&from=2021-10-03&through=2021-10-04")
    assert page.locator("[name=airline]").input_value() == "AFR"
    assert table(page, "p-airlines") == [["AFR", "40", "75 %", "4.0", "0", "4", "4"]]
    # Of these days nobody flew.
    assert note(page, "u-time") == (
        "Nothing fits the filters (airline AFR, from 2021-10-03, through 2021-10-04)."
    )
    page.locator("#clear").click()
    ready(page)
    assert page.url.endswith("/fleet") and len(table(page, "p-airlines")) == 2
    page.locator("[name=ata]").fill("27")
    page.keyboard.press("Enter")
    ready(page)
    assert page.url.endswith("/fleet?ata=27")
    assert note(page, "r-chapters") == "Nothing fits the filters (ATA chapter 27)."
    page.go_back()
    ready(page)
    assert table(page, "r-chapters")[0][0] == "B738"
    page.locator("[name=type]").fill("a320")
    page.keyboard.press("Enter")
    ready(page)
    assert [row[:2] for row in table(page, "r-chapters")] == [["A320", "32"]]
    name = table(page, "m-tasks")[0][0]
    page.locator("#m-tasks ~ .scroll button").first.click()
    ready(page)
    assert page.url.endswith(f"/fleet?type=A320&airframe={name}")
    assert {row[0] for row in table(page, "m-tasks")} == {name}
    assert note(page, "a-flights") == f"No flights of {name} are known."
    page.locator("[name=airline]").fill("A4")
    page.keyboard.press("Enter")
    ready(page)
    assert page.locator("#wrong").inner_text() == (
        'An airline is a three-letter ICAO designator, such as AFR; not "A4".'
    )
    assert page.complaints == []
    page.context.close()


def test_every_figure_leads_to_its_rows_and_its_table(page: Any, planted: Served) -> None:
    models = set()
    for figure in page.locator("figure:visible").all():
        hrefs = [one.get_attribute("href") for one in figure.locator(".links a").all()]
        [found] = [one for one in hrefs if one.startswith("/v1/")]
        answer = planted.client.get(found)
        assert answer.status_code == 200, found
        # Positions of a flight are packed.
        assert "/track?" in found or next(csv.reader(io.StringIO(answer.text)))
        models |= {one for one in hrefs if "#!/model/" in one}
    assert len(models) >= 7
    documented = planted.client.get("/v1/links").json()["docs"]
    assert all(one.startswith(f"{documented}/#!/model/model.skyops.") for one in models)


def test_axe_finds_nothing_serious_at_any_width(browser: Any, planted: Served) -> None:
    one = opened(browser, planted, color_scheme="light", bypass_csp=True)
    assert axe(one, (1500, 400)) == {}
    assert one.complaints == []
    one.context.close()


@pytest.mark.parametrize(
    ("path", "count"),
    [("of=type", 1), ("of=month", 1), ("of=day&to=2021-10-01", 0), ("of=airframe&limit=7", 7)],
)
def test_totals_are_the_sums_of_their_list(over_paris: Served, path: str, count: int) -> None:
    found = over_paris.client.get(f"/v1/fleet/totals?{path}").json()["data"]
    assert len(found) == count
    if count == 1:
        rows = over_paris.client.get("/v1/fleet?limit=5000").json()["data"]
        for name in ("airborne_h", "heard_h", "perhaps_airborne_h", "flight_count"):
            assert found[0][name] == pytest.approx(sum(row[name] for row in rows))
        assert found[0]["airframe_count"] == len(rows)
        assert re.fullmatch(r"unknown|2021-10-01", found[0]["name"])
