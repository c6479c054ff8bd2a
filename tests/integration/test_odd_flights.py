"""Planted odd flights stand out among simulated airliners, and in the asset that tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from skyops_assets.anomalous.look import LEAST_FITTED, score_flights
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt
from tests.support.paris import recorded
from validation import odd_flights
from validation.odd_flights import Planted

pytestmark = [pytest.mark.xdist_group("odd_flights"), pytest.mark.usefixtures("manifest")]

Sky = tuple[Warehouse, list[Planted]]


def build(warehouse: Warehouse, dbt: Dbt, recording: Recording) -> None:
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
    load_states(warehouse, recording)
    dbt("--quiet", "run", "--select", "+flight_shapes")


def simulated(flights: int, each: int) -> tuple[list[Planted], Recording]:
    made, columns = odd_flights.plant(4, each)
    ordinary = odd_flights.ordinary(flights - len(made), 4)
    return made, odd_flights.recording([*ordinary, *columns])


@pytest.fixture(scope="module")
def sky(databases: Databases, dbt_of: Callable[[Warehouse], Dbt]) -> Iterator[Sky]:
    """150 flights, of which eight are odd."""
    warehouse = databases.new()
    made, recording = simulated(150, 2)
    build(warehouse, dbt_of(warehouse), recording)
    yield warehouse, made
    databases.drop(warehouse)


@pytest.fixture
def only_if_long(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("takes a minute or two; --long runs it")


def test_planted_odd_flights_are_the_strangest(sky: Sky, query: Query) -> None:
    warehouse, made = sky
    found = score_flights(warehouse)
    assert 140 <= found.judged <= 155
    places = {one.kind: one.place for one in odd_flights.placed(warehouse, made) if one.kind}
    assert set(places) == set(odd_flights.KINDS)
    assert max(places.values()) <= 12, places
    # A go-around is nothing usual either; most flights are.
    assert found.anomalous <= 20, found.highest
    assert query(
        warehouse,
        "select count(*) from metrics.flight_anomaly_scores"
        " where is_anomalous <> (anomaly_score >= 1) or is_anomalous and reasons is null",
    ) == [(0,)]


def test_each_flight_that_is_over_has_a_score_or_a_reason(sky: Sky, query: Query) -> None:
    warehouse, _ = sky
    score_flights(warehouse)
    compared = """
        select count(*) filter (where scores.flight_id is null),
            count(*) filter (where shapes.unjudged_reason is distinct from scores.unjudged_reason)
        from features.flight_shapes as shapes
        left join metrics.flight_anomaly_scores as scores
            on shapes.icao24 = scores.icao24 and shapes.flight_id = scores.flight_id
    """
    assert query(warehouse, compared) == [(0, 0)]


def test_looking_again_changes_nothing_and_a_flight_that_is_no_more_goes(
    sky: Sky, query: Query
) -> None:
    warehouse, _ = sky
    score_flights(warehouse)
    rows = "select * from metrics.flight_anomaly_scores order by icao24, flight_id"
    before = query(warehouse, rows)
    query(
        warehouse,
        "insert into metrics.flight_anomaly_scores"
        " (icao24, flight_id, first_seen_at, last_seen_at, unjudged_reason)"
        " values ('abcdef', 'abcdef_renamed', now(), now(), 'too_short')",
    )
    assert score_flights(warehouse).changed == 0
    assert query(warehouse, rows) == before


def test_the_asset_shows_the_strangest_and_stays_small(
    sky: Sky, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from skyops_assets.defs.anomalous.assets import flight_anomaly_scores
    from skyops_assets.defs.resources import WarehouseResource

    monkeypatch.setenv("SKYOPS_HOME", str(tmp_path))
    at = WarehouseResource(url=sky[0].url.render_as_string(hide_password=False))
    done = dg.materialize([flight_anomaly_scores], resources={"warehouse": at})
    [event] = done.asset_materializations_for_node("metrics__flight_anomaly_scores")
    shown = event.metadata
    assert "low loops" not in str(shown["result"])
    assert "flights are anomalous" in str(shown["result"].value)
    assert str(shown["highest_scores"].value).count("ODD") >= 7
    assert "data:image/png;base64," in str(shown["tracks"].value)
    assert len(dg.serialize_value(event)) < 50_000


def test_with_too_few_flights_it_says_so(databases: Databases, sky: Sky, query: Query) -> None:
    score_flights(sky[0])
    warehouse = databases.new(template=str(sky[0].url.database))
    for left in (LEAST_FITTED - 1, 0):
        query(
            warehouse,
            "delete from features.flight_shapes where unjudged_reason is not null or flight_id not"
            " in (select flight_id from features.flight_shapes where unjudged_reason is null"
            f" order by flight_id limit {left})",
        )
        found = score_flights(warehouse)
        assert found.judged == found.anomalous == 0 and found.picture is None
        assert found.sentence == (
            f"Nothing was scored: {left} finished flights have enough reception, and at least "
            f"{LEAST_FITTED} are needed."
        )
        # What was scored when there were enough.
        assert query(warehouse, "select count(*) from metrics.flight_anomaly_scores") == [(left,)]
    databases.drop(warehouse)


@pytest.mark.usefixtures("only_if_long")
def test_twenty_odd_flights_are_among_the_thirty_strangest_of_a_thousand(
    warehouse: Warehouse, dbt_of: Callable[[Warehouse], Dbt]
) -> None:
    made, recording = simulated(1000, odd_flights.EACH)
    build(warehouse, dbt_of(warehouse), recording)
    assert score_flights(warehouse).judged >= 990
    first = odd_flights.placed(warehouse, made)[:30]
    assert sorted(one.icao24 for one in first if one.kind) == sorted(one.icao24 for one in made)


@pytest.mark.usefixtures("only_if_long")
def test_of_an_ordinary_afternoon_over_paris_one_flight_is_anomalous(
    warehouse: Warehouse, dbt_of: Callable[[Warehouse], Dbt]
) -> None:
    """A helicopter that trains."""
    build(warehouse, dbt_of(warehouse), Recording("paris", recorded(), recorded()))
    found = score_flights(warehouse)
    assert found.judged > 200
    [*strange] = [one.icao24 for one in odd_flights.placed(warehouse) if one.score >= 1]
    assert strange == ["39b002"]
