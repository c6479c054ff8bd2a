"""What the analysis page is told: each figure against one that is computed from the rows."""

from __future__ import annotations

import csv
import io
import itertools
import statistics
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

import pytest

from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")
HOURS = "from=2021-10-07T13:00:00Z&hours=3"
SKY = ("altitudes", "phases", "countries", "correlations", "traffic")
OTHERS = (
    "runways", "runway-changes", "asma", "holdings", "go-arounds", "choices", "model",
    "model/scores", "model/importance", "model/lights", "model/latency", "model/errors",
    "model/residuals", "model/monitoring", "model/drifted",
)  # fmt: skip


def get(one: Served, path: str) -> list[dict[str, Any]]:
    answer = one.client.get(f"/v1/analysis/{path}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


@pytest.fixture
def minutes(over_paris: Served, query: Query) -> list[dict[str, Any]]:
    """The rows that the sky's figures are of."""
    return [row for (row,) in query(
        over_paris.warehouse,
        "select to_jsonb(m) || jsonb_build_object('airline', f.airline, 'typecode', f.typecode,"
        " 'airports', array[f.departure_airport, f.arrival_airport])"
        " from intermediate.int_positions__sampled_1m as m"
        " left join metrics.fct_flights as f"
        " on m.icao24 = f.icao24 and m.flight_id = f.flight_id"
        " where positioned_at >= '2021-10-07 13:00+00' and positioned_at < '2021-10-07 16:00+00'",
    )]  # fmt: skip


def flying(minutes: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return [row for row in minutes if row["phase"] != "GROUND" and row[column] is not None]


def test_altitudes_are_counted_in_steps_and_their_density_is_one_in_all(
    over_paris: Served, minutes: list[dict[str, Any]]
) -> None:
    found = get(over_paris, f"altitudes?{HOURS}")
    expected = Counter(int(row["altitude_m"] / 304.8 // 1) for row in flying(minutes, "altitude_m"))
    counted = {round(row["from_altitude_m"] / 304.8): row["minute_count"] for row in found}
    assert {bin: count for bin, count in counted.items() if count} == dict(expected)
    assert len(expected) > 10
    # What lies outside of the bins is the curve's tails.
    assert 0.9 < sum(row["density_share"] for row in found) <= 1.001
    steps = [row["from_altitude_m"] for row in found]
    assert steps == sorted(steps)


def test_phases_share_all_minutes(over_paris: Served, minutes: list[dict[str, Any]]) -> None:
    found = get(over_paris, f"phases?{HOURS}")
    expected = Counter(row["phase"] for row in minutes)
    assert {row["phase"]: row["minute_count"] for row in found} == dict(expected)
    for row in found:
        assert row["share"] == pytest.approx(expected[row["phase"]] / len(minutes))


def test_countries_are_those_of_the_hourly_table(over_paris: Served, query: Query) -> None:
    found = {row["country"]: row for row in get(over_paris, f"countries?{HOURS}")}
    stored = query(
        over_paris.warehouse,
        "select country, sum(speed_minute_count),"
        " sum(mean_ground_speed_mps * speed_minute_count) / sum(speed_minute_count),"
        " max(max_ground_speed_mps) from metrics.country_hourly"
        " where speed_minute_count > 0 and hour_at >= '2021-10-07 13:00+00'"
        " and hour_at < '2021-10-07 16:00+00' group by country",
    )
    assert len(found) == len(stored) > 3
    for country, count, mean, most in stored:
        assert found[country]["minute_count"] == count
        assert found[country]["mean_ground_speed_mps"] == pytest.approx(mean, abs=0.01)
        assert found[country]["max_ground_speed_mps"] == most


def test_correlations_are_pearsons(over_paris: Served, minutes: list[dict[str, Any]]) -> None:
    found = {(row["feature"], row["other_feature"]): row["correlation"]
             for row in get(over_paris, f"correlations?{HOURS}")}  # fmt: skip
    assert len(found) == 10
    both = [row for row in flying(minutes, "altitude_m") if row["ground_speed_mps"] is not None]
    assert found["altitude", "speed"] == pytest.approx(
        statistics.correlation(
            [row["altitude_m"] for row in both], [row["ground_speed_mps"] for row in both]
        )
    )
    flights = defaultdict(list)
    for row in flying(minutes, "positioned_at"):
        flights[row["icao24"], row["flight_id"]].append(row)
    pairs = []
    for rows in flights.values():
        rows.sort(key=lambda row: row["positioned_at"])
        for before, row in itertools.pairwise(rows):
            seconds = (
                datetime.fromisoformat(row["positioned_at"])
                - datetime.fromisoformat(before["positioned_at"])
            ).total_seconds()
            heights = (row["altitude_m"], before["altitude_m"])
            if seconds <= 120 and None not in heights:
                pairs.append((row["latitude_deg"], (heights[0] - heights[1]) / seconds))
    climbs, latitudes = [pair[1] for pair in pairs], [pair[0] for pair in pairs]
    assert found["climb", "latitude"] == pytest.approx(statistics.correlation(climbs, latitudes))


def test_traffic_counts_each_aircraft_once_a_step(
    over_paris: Served, minutes: list[dict[str, Any]]
) -> None:
    found = get(over_paris, f"traffic?{HOURS}&every_min=60")
    expected = defaultdict(set)
    for row in minutes:
        expected[row["positioned_at"][:13]].add(row["icao24"])
    assert {row["from_at"][:13]: row["aircraft_count"] for row in found} == {
        hour: len(aircraft) for hour, aircraft in expected.items()
    }


def test_the_sky_follows_the_filters(over_paris: Served, minutes: list[dict[str, Any]]) -> None:
    def counted(filters: str) -> int:
        return sum(row["minute_count"] for row in get(over_paris, f"phases?{HOURS}&{filters}"))

    assert counted("airline=afr") == sum(row["airline"] == "AFR" for row in minutes) > 0
    # The types are not loaded here: none is an A320.
    assert counted("typecode=A320") == sum(row["typecode"] == "A320" for row in minutes) == 0
    assert counted("airport=LFPO") == sum("LFPO" in row["airports"] for row in minutes) > 0
    assert counted("airport=EGLL&airline=ZZZ") == 0
    for path in SKY:
        assert get(over_paris, f"{path}?from=1999-01-01&hours=24") == []
    assert over_paris.client.get(f"/v1/analysis/phases?{HOURS}5").status_code == 422


def test_movements_are_counted_by_runway_and_follow_the_filters(
    over_paris: Served, query: Query
) -> None:
    stored = query(
        over_paris.warehouse,
        "select airport, coalesce(runway, 'unknown'), movement, airline, typecode"
        " from metrics.fct_movements",
    )
    found = get(over_paris, "runways?by=month")
    assert {(row["airport"], row["runway"]): (row["landing_count"], row["takeoff_count"])
            for row in found} == {
        (airport, runway): (
            sum(one[:2] == (airport, runway) and one[2] in ("landing", "touch_and_go")
                for one in stored),
            sum(one[:3] == (airport, runway, "takeoff") for one in stored),
        )
        for airport, runway, movement, _, _ in stored if movement != "go_around"
    }  # fmt: skip
    assert len(found) > 3
    hourly = get(over_paris, "runways")
    total = sum(row["landing_count"] + row["takeoff_count"] for row in found)
    assert sum(row["landing_count"] + row["takeoff_count"] for row in hourly) == total
    runway = next(row["runway"] for row in found if row["runway"] != "unknown")
    for name, place, value in (
        ("runway", 1, runway),
        ("airline", 3, "AFR"),
        ("airport", 0, "LFPO"),
    ):
        of = get(over_paris, f"runways?by=day&{name}={value}")
        counted = sum(row["landing_count"] + row["takeoff_count"] for row in of)
        assert counted == sum(one[place] == value and one[2] != "go_around" for one in stored) > 0
    assert get(over_paris, "runways?to=2021-10-07T12:00:00Z") == []
    broken_off = sum(row["go_around_count"] for row in get(over_paris, "go-arounds"))
    assert broken_off == sum(one[2] == "go_around" for one in stored)


def test_asma_is_that_of_the_monthly_table(over_paris: Served, query: Query) -> None:
    stored = [row for (row,) in query(
        over_paris.warehouse, "select to_jsonb(t) from metrics.asma_monthly as t"
    )]  # fmt: skip
    by_key = {(row["ring_nm"], row["source"], row["airport"], row["month"]): row for row in stored}
    found = [
        row
        for ring in {key[0] for key in by_key}
        for row in get(over_paris, f"asma?ring_nm={ring}")
    ]
    assert len(found) == len(by_key) > 0
    for row in found:
        expected = by_key[row["ring_nm"], row["source"], row["airport"], row["month"]]
        assert row == {name: expected[name] for name in row}


def test_holdings_are_counted_by_hour(over_paris: Served, query: Query) -> None:
    stored = query(
        over_paris.warehouse,
        "select airport, count(*), sum(turn_count) from metrics.fct_holdings group by airport",
    )
    found = defaultdict(lambda: [0, 0])
    for row in get(over_paris, "holdings"):
        found[row["airport"]][0] += row["holding_count"]
        found[row["airport"]][1] += row["turn_count"]
    assert {airport: (count, turns) for airport, count, turns in stored} == {
        airport: tuple(sums) for airport, sums in found.items()
    }


def test_errors_of_predictor_and_baseline_are_of_one_sample(
    over_paris: Served, query: Query
) -> None:
    """Of predictions that the test writes, since nothing was learned from so little."""
    warehouse = over_paris.warehouse
    rows = [("a", 12.0, 0.7, 13.0), ("b", 14.0, -1.2, 13.0), ("c", 40.0, 22.0, 13.0)]
    try:
        for flight, predicted, error, baseline in rows:
            key = (flight, "LFPO", 7, "arrival-transit-7nm", "3")
            query(
                warehouse,
                "insert into ml.predictions (flight_id, airport, ring_nm, model_name,"
                " model_version, crossed_at, is_inbound, is_in_sample, predicted_transit_min,"
                " baseline, baseline_transit_min) values (%s, %s, %s, %s, %s,"
                " '2021-10-07 14:00+00', true, false, %s, 'baseline:mean', %s)",
                *key, predicted, baseline,
            )  # fmt: skip
            query(
                warehouse,
                "insert into ml.prediction_outcomes (flight_id, airport, ring_nm, model_name,"
                " model_version, outcome, error_min) values (%s, %s, %s, %s, %s, 'landed', %s)",
                *key, error,
            )  # fmt: skip
        found = get(over_paris, "model/errors?ring_nm=7")
        assert {(row["predictor"], row["from_error_min"]) for row in found} == {
            ("3", 0.5), ("3", -1.5), ("3", 10.0),
            # 13 - (12 - 0.7), 13 - (14 + 1.2), 13 - (40 - 22)
            ("baseline:mean", 1.5), ("baseline:mean", -2.5), ("baseline:mean", -5.0),
        }  # fmt: skip
        assert all(row["share"] == pytest.approx(1 / 3) for row in found)
        of = get(over_paris, "model/residuals?ring_nm=7&airport=LFPO")
        assert [(row["from_predicted_min"], row["median_error_min"]) for row in of] == [
            (12.0, 0.7), (14.0, -1.2), (40.0, 22.0),
        ]  # fmt: skip
        assert get(over_paris, "model/errors?ring_nm=7&from=2021-10-08") == []
        assert get(over_paris, "model/residuals?ring_nm=7&airport=LFPG") == []
    finally:
        for table in ("prediction_outcomes", "predictions"):
            query(warehouse, f"delete from ml.{table} where ring_nm = 7")


@pytest.mark.parametrize("path", [*(f"{one}?{HOURS}" for one in SKY), *OTHERS])
def test_rows_come_as_csv_too(over_paris: Served, path: str) -> None:
    rows = get(over_paris, path)
    answer = over_paris.client.get(f"/v1/analysis/{path}{'&' if '?' in path else '?'}format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(read) == len(rows)
    assert all(list(one) == list(row) for one, row in zip(read, rows, strict=True))
