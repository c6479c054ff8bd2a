"""Every asset check shown green and red, run by Dagster on a real warehouse.

One group, so that Great Expectations (seconds to import) is imported by one worker only.
"""

from __future__ import annotations

import json
import random
import re
import statistics
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from skyops_assets.quality.expectations import SUITES, merged, validate, validate_parts
from skyops_assets.quality.reconciliation import last_load, loaded_states
from skyops_assets.quality.volumes import HourVolume, hour_volumes, volume_problem, whole_hours
from skyops_assets.settings import PROJECT_ROOT, Settings
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recordings import DEMO_START
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.states import recording, seconds, state, traffic_row, write_recording

pytestmark = pytest.mark.xdist_group("checks")

EXPECTATIONS = json.loads((SUITES / "raw_opensky_states.json").read_text())["expectations"]


def inner(checks: list[Any]) -> Any:
    """Of the checks of each ring the inner one's."""
    from skyops_assets.arrivals.features import RING_NM, RINGS_NM

    return checks[RINGS_NM.index(RING_NM)]


def run_check(check: Any, instance: Any = None, **tags: str) -> Any:
    """Evaluate one check as a run of its own, without its asset."""
    import dagster as dg

    from skyops_assets.defs.resources import WarehouseResource

    with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as used:
        result = dg.materialize(
            [check],
            instance=used,
            resources={"warehouse": WarehouseResource()},
            selection=dg.AssetSelection.checks(check),
            tags=tags,
            raise_on_error=False,
        )
        (found,) = result.get_asset_check_evaluations()
        # A blocking check that fails is what ends the run.
        assert result.success == (found.passed or not found.blocking)
    return found


# raw/opensky_states: nothing_is_lost


def transformed(warehouse: Warehouse) -> None:
    """All that was loaded so far is in the models: only what comes is new."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("update raw.ingest_batches set transformed_at = now()")


def loaded(warehouse: Warehouse) -> None:
    load_states(warehouse, recording(*seconds(20), state(latitude_deg=None)))


@pytest.mark.parametrize(
    "damage",
    [
        "delete from raw.opensky_states where time_position = (select min(time_position) from "
        "raw.opensky_states)",
        "insert into raw.opensky_states select (jsonb_populate_record(s, "
        '\'{"icao24": "000001"}\')).* from raw.opensky_states as s limit 1',
        "delete from raw.rejected_states",
        "delete from raw.rejected_states; delete from raw.ingest_batches",
        "update raw.ingest_batches set read_rows = read_rows - 1, loaded_rows = loaded_rows - 1",
    ],
    ids=["row gone", "row added", "rejected row gone", "batch gone", "accounts changed"],
)
def test_nothing_is_lost_goes_red_when_tables_and_accounts_differ(
    pointed: Warehouse, query: Query, damage: str
) -> None:
    from skyops_assets.defs.raw.checks import nothing_is_lost

    loaded(pointed)
    assert run_check(nothing_is_lost).passed
    query(pointed, damage)
    found = run_check(nothing_is_lost)
    assert not found.passed
    assert found.blocking
    assert "load the affected hours again" in found.description


def test_nothing_is_lost_is_green_on_an_empty_warehouse(pointed: Warehouse) -> None:
    from skyops_assets.defs.raw.checks import nothing_is_lost

    assert run_check(nothing_is_lost).passed


# raw/opensky_states: no_position_is_stored_twice


def test_a_position_that_is_stored_twice_is_found_in_what_was_loaded_last(
    pointed: Warehouse, query: Query
) -> None:
    from skyops_assets.defs.raw.checks import no_position_is_stored_twice

    assert run_check(no_position_is_stored_twice).passed
    loaded(pointed)
    assert run_check(no_position_is_stored_twice).passed
    query(pointed, "insert into raw.opensky_states select * from raw.opensky_states limit 3")
    red = run_check(no_position_is_stored_twice)
    assert not red.passed
    assert red.blocking
    assert red.metadata["stored_twice"].value == 3
    assert "3 positions are stored twice" in red.description
    transformed(pointed)
    load_states(pointed, recording(*seconds(5, DEMO_START + timedelta(days=1))), run_id="later")
    assert run_check(no_position_is_stored_twice).passed


# raw/opensky_states: state_vectors_are_plausible


def test_state_vectors_go_red_when_a_value_cannot_be_true(pointed: Warehouse, query: Query) -> None:
    from skyops_assets.defs.raw.checks import state_vectors_are_plausible

    loaded(pointed)
    green = run_check(state_vectors_are_plausible)
    assert green.passed
    assert green.metadata["rows"].value == 20
    query(pointed, "update raw.opensky_states set baro_altitude_m = 37856 where time_position = "
                     "(select max(time_position) from raw.opensky_states)")  # fmt: skip
    red = run_check(state_vectors_are_plausible)
    assert not red.passed
    assert red.blocking
    assert "values_to_be_between baro_altitude_m" in red.description
    assert "Metres, not feet?" in red.description
    assert "37856" in red.metadata["expectations"].value


def test_state_vectors_go_red_when_nothing_was_loaded(pointed: Warehouse) -> None:
    from skyops_assets.defs.raw.checks import state_vectors_are_plausible

    found = run_check(state_vectors_are_plausible)
    assert not found.passed
    assert "No positions were loaded" in found.description


def test_a_load_without_positions_of_its_own_holds_nothing_back(
    pointed: Warehouse, query: Query
) -> None:
    """It brought only what was there, and its run died before the transform."""
    from skyops_assets.defs.raw.checks import state_vectors_are_plausible

    load_states(pointed, recording(*seconds(20)), run_id="first")
    transformed(pointed)
    load_states(pointed, recording(*seconds(20)), run_id="died")
    load_states(pointed, recording(*seconds(5)))
    assert query(pointed, "select count(*) from raw.ingest_batches where transformed_at is null "
                          "and loaded_rows = 0") == [(2,)]  # fmt: skip
    found = run_check(state_vectors_are_plausible)
    assert found.passed
    assert found.description.startswith("The loads that no model holds yet brought only")
    # A bad row of a later load is found all the same.
    load_states(pointed, recording(*seconds(2, icao24="000001")))
    query(pointed, "update raw.opensky_states set velocity_mps = 9999 where icao24 = '000001'")
    red = run_check(state_vectors_are_plausible)
    assert not red.passed
    assert red.metadata["rows"].value == 2


def test_rows_that_a_load_replaced_are_its_own(pointed: Warehouse, query: Query) -> None:
    """A nearer last contact: the table holds no row more, and yet there is something new."""
    from skyops_assets.defs.raw.checks import state_vectors_are_plausible

    far, near = (DEMO_START + timedelta(seconds=after_s) for after_s in (60, 30))
    load_states(pointed, recording(*seconds(5, last_contact=far)))
    transformed(pointed)
    load_states(pointed, recording(*seconds(5, last_contact=near)))
    assert query(pointed, "select sum(loaded_rows) from raw.ingest_batches") == [(5,)]
    assert run_check(state_vectors_are_plausible).metadata["rows"].value == 5
    query(pointed, "update raw.opensky_states set velocity_mps = 9999")
    assert not run_check(state_vectors_are_plausible).passed


def test_a_load_whose_rows_were_all_rejected_holds_nothing_back(pointed: Warehouse) -> None:
    from skyops_assets.defs.raw.checks import state_vectors_are_plausible

    load_states(pointed, recording(*(state(latitude_deg=None, squawk=str(n)) for n in range(3))))
    first = run_check(state_vectors_are_plausible)
    assert first.passed
    assert "all 3 rows read were rejected" in first.description
    load_states(pointed, recording(*seconds(4)))
    transformed(pointed)
    load_states(pointed, recording(state(longitude_deg=None)), run_id="died")
    assert run_check(state_vectors_are_plausible).passed


@pytest.mark.parametrize("column", ["velocity_mps", "baro_altitude_m"])
def test_positions_without_altitude_or_speed_are_told_and_hold_nothing_back(
    pointed: Warehouse, column: str
) -> None:
    """Parked aircraft, balloons, receivers that hear no velocity: it is what the sky sends."""
    from skyops_assets.defs.raw.checks import state_vectors_are_plausible

    load_states(pointed, recording(*seconds(10, **{column: None})))
    found = run_check(state_vectors_are_plausible)
    assert found.passed
    assert "More than half of the rows have no" in found.description
    assert "**no**, and does not block" in found.metadata["expectations"].value


def test_only_the_positions_loaded_last_are_looked_at(pointed: Warehouse, query: Query) -> None:
    from skyops_assets.defs.raw.checks import state_vectors_are_plausible

    load_states(pointed, recording(*seconds(5)), run_id="old")
    query(pointed, "update raw.opensky_states set velocity_mps = 9999")
    load_states(pointed, recording(*seconds(7, DEMO_START + timedelta(hours=1))), run_id="new")
    # What no model holds yet stays red, whatever comes after it.
    assert not run_check(state_vectors_are_plausible).passed
    query(pointed, "update raw.ingest_batches set transformed_at = now() where run_id = 'old'")
    found = run_check(state_vectors_are_plausible)
    assert found.passed
    assert found.metadata["rows"].value == 7


def test_the_whole_run_fails_at_the_check_and_the_transform_does_not_start(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a blocking check is for: the asset behind it does not materialise."""
    import dagster as dg

    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.raw.checks import nothing_is_lost
    from skyops_assets.defs.resources import WarehouseResource
    from skyops_assets.quality import reconciliation

    monkeypatch.setattr(reconciliation.Accounts, "is_balanced", False)
    monkeypatch.setenv("SKYOPS_RECORDING", "demo")

    @dg.asset(deps=[opensky_states])
    def after() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [opensky_states, nothing_is_lost, after],
            instance=instance,
            partition_key="2021-10-07-12:00",
            resources={"warehouse": WarehouseResource()},
            raise_on_error=False,
        )
        assert not result.success
        made = {event.asset_key for event in result.get_asset_materialization_events()}
    assert made == {opensky_states.key}


def test_after_retention_the_run_is_green_and_the_checks_say_that_they_saw_nothing(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw import checks
    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.resources import WarehouseResource

    path = write_recording(tmp_path / "some.json", traffic_row())
    monkeypatch.setenv("SKYOPS_RECORDING", str(path))
    monkeypatch.setenv("SKYOPS_RAW_RETENTION_DAYS", "30")
    looking = [checks.state_vectors_are_plausible, checks.no_position_is_stored_twice,
               checks.volume_is_as_usual]  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [opensky_states, *looking, checks.nothing_is_lost],
            instance=instance,
            partition_key="2021-10-07-12:00",
            resources={"warehouse": WarehouseResource()},
        )
        logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert (
        "2021-10-07 is older than SKYOPS_RAW_RETENTION_DAYS keeps: it is loaded and then dropped."
        in logged
    )
    assert query(pointed, "select sum(loaded_rows) from raw.ingest_batches") == [(1,)]
    assert query(pointed, "select count(*) from raw.opensky_states") == [(0,)]
    found = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert len(found) == 4
    assert all(one.passed for one in found.values())
    for check in looking:
        said = found[check.check_key.name].description
        assert said.startswith("2021-10-07 could not be checked: its positions are older")
    assert found["state_vectors_are_plausible"].metadata["rows"].value == 0

    # The day once more, without the limit: what was dropped before is no excuse for it.
    loaded(pointed)
    green = run_check(checks.state_vectors_are_plausible)
    assert (green.passed, green.description) == (True, None)
    query(pointed, "delete from raw.opensky_states")
    assert not run_check(checks.state_vectors_are_plausible).passed


# raw/opensky_states: volume_is_as_usual

HOUR = timedelta(hours=1)
USUAL_ROWS = 20


def load_days(warehouse: Warehouse, days: int, rows: int = USUAL_ROWS) -> None:
    """The same hour of so many days before the demo's, each with so many positions."""
    for day in range(1, days + 1):
        load_states(warehouse, recording(*seconds(rows, DEMO_START - timedelta(days=day))))
    transformed(warehouse)


@pytest.mark.parametrize(
    ("rows", "is_usual"), [(9, False), (10, True), (20, True), (40, True), (41, False)]
)
def test_the_volume_goes_red_below_half_of_the_usual_and_above_twice(
    pointed: Warehouse, rows: int, is_usual: bool
) -> None:

    import dagster as dg

    from skyops_assets.defs.raw.checks import volume_is_as_usual

    load_days(pointed, 4)
    # Two sources together, and another hour that is not looked at.
    load_states(pointed, recording(*seconds(5), source="other"), run_id="last")
    load_states(pointed, recording(*seconds(rows - 5)), run_id="last")
    found = run_check(volume_is_as_usual)
    assert found.passed == is_usual
    assert not found.blocking
    assert found.metadata["compared_hours"].value == 1
    if not is_usual:
        assert found.severity is dg.AssetCheckSeverity.WARN
        said = f"2021-10-07 12:00 UTC: {rows} positions, usual 20. Too few: was the collector"
        assert found.description.startswith(said)


def test_an_hour_that_was_asked_for_and_has_no_position_is_red(pointed: Warehouse) -> None:
    from skyops_assets.defs.raw.checks import volume_is_as_usual

    load_days(pointed, 3)
    tags = {"dagster/asset_partition_range_start": "2021-10-07-11:00",
            "dagster/asset_partition_range_end": "2021-10-07-12:00"}  # fmt: skip
    found = run_check(volume_is_as_usual, **tags)
    assert not found.passed
    assert "2021-10-07 12:00 UTC: 0 positions, usual 20." in found.description
    # Nothing is usual in the hour before.
    assert found.metadata["hours_with_too_few_earlier_days"].value == 1
    assert found.metadata["compared_hours"].value == 1
    assert not run_check(volume_is_as_usual, **{"dagster/partition": "2021-10-07-12:00"}).passed


def test_nothing_is_usual_before_three_days_have_the_hour(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.defs.raw.checks import volume_is_as_usual

    assert run_check(volume_is_as_usual).passed
    load_days(pointed, 2)
    load_states(pointed, recording(*seconds(1)), run_id="last")
    green = run_check(volume_is_as_usual)
    assert green.passed
    assert green.metadata["hours_with_too_few_earlier_days"].value == 1
    assert green.metadata["newest_hours"].value == (
        "2021-10-07 12:00 UTC: 1 positions, no usual count yet"
    )
    load_days(pointed, 3)
    load_states(pointed, recording(*seconds(2, icao24="000001")), run_id="last")
    assert not run_check(volume_is_as_usual).passed
    monkeypatch.setenv("SKYOPS_RAW_MIN_VOLUME_SHARE", "0.15")
    assert run_check(volume_is_as_usual).passed


def test_an_hour_that_is_not_over_is_not_judged(pointed: Warehouse) -> None:
    from skyops_assets.defs.raw.checks import volume_is_as_usual

    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for day in range(1, 4):
        load_states(pointed, recording(*seconds(20, hour - timedelta(days=day))))
    transformed(pointed)
    load_states(pointed, recording(*seconds(1, hour)), run_id="last")
    found = run_check(volume_is_as_usual)
    assert found.passed
    assert found.metadata["newest_hours"].value == "none is over"
    transformed(pointed)
    load_states(pointed, recording(*seconds(1, hour - timedelta(days=2), icao24="000001")),
                run_id="late")  # fmt: skip
    # That one is over; its days before have none.
    assert run_check(volume_is_as_usual).metadata["hours_with_too_few_earlier_days"].value == 1


def test_whole_hours_are_those_that_are_over() -> None:
    at = DEMO_START + timedelta(minutes=20)
    assert whole_hours(at, at, at + 2 * HOUR) == [DEMO_START]
    assert whole_hours(DEMO_START, DEMO_START, DEMO_START + HOUR) == [DEMO_START]
    assert whole_hours(at, at + HOUR, DEMO_START + 2 * HOUR) == [DEMO_START, DEMO_START + HOUR]
    assert whole_hours(at, at + HOUR, at + HOUR) == [DEMO_START]
    assert whole_hours(at, at, DEMO_START + timedelta(minutes=59)) == []
    paris = timezone(timedelta(hours=5, minutes=30))
    assert whole_hours(at.astimezone(paris), at, at + 2 * HOUR) == [DEMO_START]


def test_volumes_are_those_that_counting_in_python_gives(warehouse: Warehouse) -> None:
    """Over midnight, with days that lack the hour, and a row at each edge of the hours."""
    chosen = random.Random(7)
    midnight = datetime(2021, 10, 8, tzinfo=UTC)
    times = {midnight - timedelta(days=day, microseconds=edge)
             for day in (0, 1, 3, 28, 29) for edge in (0, 1)}  # fmt: skip
    while len(times) < 3000:
        after = timedelta(days=-chosen.choice([0, 1, 2, 5, 9, 27, 28, 29]))
        times.add(midnight + after + timedelta(microseconds=chosen.randint(-(10**10), 10**10)))
    load_states(warehouse, recording(*[state(time_position=at) for at in times]))
    counts = Counter(at.replace(minute=0, second=0, microsecond=0) for at in times)
    asked = [midnight + hour * HOUR for hour in (-3, -2, -1, 0, 1, 5)]
    found = hour_volumes(warehouse, asked)
    assert [volume.hour for volume in found] == asked
    for volume in found:
        past = [counts[volume.hour - timedelta(days=back)] for back in range(1, 29)]
        past = [rows for rows in past if rows]
        usual = statistics.median(past) if len(past) >= 3 else None
        assert (volume.rows, volume.days) == (counts[volume.hour], len(past))
        assert volume.usual_rows == usual
    assert {volume.usual_rows is None for volume in found} == {True, False}
    assert hour_volumes(warehouse, []) == []


def test_five_hours_are_named_and_the_others_counted() -> None:
    volumes = [HourVolume(DEMO_START + n * HOUR, 0, 20.0, 3) for n in range(7)]
    said = volume_problem(volumes, 0.5)
    assert said is not None
    assert said.count("usual 20") == 5
    assert "; and 2 more." in said
    assert volume_problem([HourVolume(DEMO_START, 15, 20.0, 3)], 0.5) is None


# raw/opensky_states: few_rows_are_rejected


def bad(number: int, **changes: Any) -> list[dict[str, Any]]:
    """So many rows that cannot be true, each another."""
    return seconds(number, **{"latitude_deg": None, **changes})


def test_rejections_go_red_over_the_limit_with_the_most_common_reasons(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.checks import few_rows_are_rejected

    green = run_check(few_rows_are_rejected)
    assert (green.passed, green.metadata["new_rows"].value) == (True, 0)
    load_states(pointed, recording(*seconds(95), *bad(5)))
    assert run_check(few_rows_are_rejected).passed
    load_states(pointed, recording(*bad(2, velocity_mps=2_441.0, latitude_deg=49.0)))
    red = run_check(few_rows_are_rejected)
    assert not red.passed
    assert not red.blocking
    assert red.severity is dg.AssetCheckSeverity.WARN
    assert red.description == (
        "7 of 102 new rows (6.9%, limit 5.0%) are rejected: no position: 5; velocity_mps outside "
        "0 to 700: 2. Correct the source or the reader, then run `skyops replay-rejected`."
    )
    assert red.metadata["reasons"].value == {"no position": 5, "velocity_mps outside 0 to 700": 2}
    monkeypatch.setenv("SKYOPS_RAW_MAX_REJECTED_SHARE", "0.07")
    assert run_check(few_rows_are_rejected).passed


def test_loading_the_same_rows_again_does_not_make_rejections_green(pointed: Warehouse) -> None:
    from skyops_assets.defs.raw.checks import few_rows_are_rejected

    for _ in range(3):
        load_states(pointed, recording(*seconds(90), *bad(10)))
        red = run_check(few_rows_are_rejected)
        assert not red.passed
        assert red.metadata["rejected_share"].value == 0.1


def test_rejections_of_a_day_ago_count_no_more(pointed: Warehouse, query: Query) -> None:
    from skyops_assets.defs.raw.checks import few_rows_are_rejected

    load_states(pointed, recording(*bad(10)))
    load_states(pointed, recording(*seconds(10)))
    assert not run_check(few_rows_are_rejected).passed
    older = (
        "update raw.ingest_batches set finished_at = finished_at - interval '{}' where batch_id = 1"
    )
    query(pointed, older.format("23 hours 50 min"))
    assert not run_check(few_rows_are_rejected).passed
    query(pointed, older.format("1 hour"))
    assert run_check(few_rows_are_rejected).passed


def test_a_replay_takes_its_rows_off_and_hides_no_others(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its batch has negative rejected rows: of an older load, they must not pay for the newest."""
    from skyops_assets.defs.raw.checks import few_rows_are_rejected
    from skyops_assets.sources.opensky import schema
    from skyops_assets.sources.opensky.loading import replay
    from skyops_assets.sources.opensky.reading.recordings import DEMO_END, read_recording

    high = [traffic_row(altitude=124_200, timestamp=traffic_row()["timestamp"] + n)
            for n in range(50)]  # fmt: skip
    path = write_recording(tmp_path / "some.json", *high)
    load_states(pointed, read_recording(path, DEMO_START, DEMO_END))
    query(pointed, "update raw.ingest_batches set finished_at = finished_at - interval '2 days'")
    load_states(pointed, recording(*seconds(90), *bad(10)))
    monkeypatch.setitem(schema.LIMITS, "baro_altitude_m", (-1_500, 40_000))
    assert replay.replay_rejected(pointed).loaded_rows == 50
    red = run_check(few_rows_are_rejected)
    assert not red.passed
    assert (red.metadata["new_rows"].value, red.metadata["rejected_rows"].value) == (100, 10)
    query(pointed, "update raw.ingest_batches set finished_at = now() where batch_id = 1")
    # Now among the loads of the last day, without a rejected row left.
    assert run_check(few_rows_are_rejected).metadata["reasons"].value == {"no position": 10}


@pytest.fixture(scope="module")
def frame(shared_warehouse: Warehouse) -> Any:
    """Twenty good rows, as the check reads them."""
    loaded(shared_warehouse)
    load = last_load(shared_warehouse, None)
    assert load is not None
    [rows] = loaded_states(shared_warehouse, load)
    return rows


def test_the_outcomes_of_parts_are_met_where_each_part_meets_them(frame: Any) -> None:
    suite = "raw_opensky_states"
    spoilt = [frame.assign(latitude_deg=degrees) for degrees in (91.0, -91.0)]
    found = merged([validate(part, suite) for part in (frame, *spoilt)])
    [broken] = [item for item in found if not item.is_met]
    assert broken.expectation.startswith("column_values_to_be_between latitude_deg")
    assert broken.unexpected_rows == 2 * len(frame)
    assert broken.samples == [91.0] * 3
    assert len(found) == len(EXPECTATIONS)


def spoil(frame: Any, expectation: dict[str, Any]) -> Any:
    """A copy of the frame that breaks this expectation."""
    kind, kwargs = expectation["type"], expectation["kwargs"]
    spoilt = frame.copy()
    if kind == "expect_table_row_count_to_be_between":
        return spoilt.iloc[:0]
    if kind == "expect_compound_columns_to_be_unique":
        spoilt.iloc[1] = spoilt.iloc[0]
    elif kind == "expect_column_values_to_match_regex":
        spoilt.loc[3, kwargs["column"]] = "3C6444"
    elif kind == "expect_column_values_to_be_between":
        spoilt.loc[3, kwargs["column"]] = kwargs["max_value"] + 1
    else:
        assert kind == "expect_column_values_to_not_be_null"
        spoilt.loc[: int(len(frame) * (1 - kwargs.get("mostly", 1))), kwargs["column"]] = None
    return spoilt


@pytest.mark.parametrize(
    "expectation", EXPECTATIONS, ids=lambda e: f"{e['type']}-{e['kwargs'].get('column', '')}"
)
def test_every_expectation_of_the_suite_can_fail(frame: Any, expectation: dict[str, Any]) -> None:
    advice = expectation["meta"]["advice"]
    broken = [item for item in validate(spoil(frame, expectation), "raw_opensky_states")
              if not item.is_met]  # fmt: skip
    assert advice in [item.advice for item in broken]
    # Nothing else is red with it, but for rows that are not there at all.
    assert len({item.expectation for item in broken}) == 1 or not len(spoil(frame, expectation))


def test_a_good_frame_meets_every_expectation(frame: Any) -> None:
    found = validate(frame, "raw_opensky_states")
    assert len(found) == len(EXPECTATIONS)
    assert all(item.is_met for item in found)


def test_a_frame_without_a_column_is_an_error_and_not_a_pass(frame: Any) -> None:
    from skyops_assets.errors import SkyOpsError

    with pytest.raises(SkyOpsError, match="icao24"):
        validate(frame.drop(columns="icao24"), "raw_opensky_states")


def test_a_suite_that_does_not_exist_is_an_error(frame: Any) -> None:
    from skyops_assets.errors import SkyOpsError

    with pytest.raises(SkyOpsError, match="no suite 'other'"):
        validate(frame, "other")


# features/arrival_features: what flies as it likes


def create_from_contract(warehouse: Warehouse, query: Query, model: str) -> list[str]:
    """The table of a dbt model's contract, empty; returns its columns."""
    path = PROJECT_ROOT / "dbt_project/models/features" / f"{model}.yml"
    (declared,) = [m for m in yaml.safe_load(path.read_text())["models"] if m["name"] == model]
    columns = [f"{column['name']} {column['data_type']}" for column in declared["columns"]]
    query(warehouse, "create schema if not exists features")
    query(warehouse, f"create table features.{model} ({', '.join(columns)})")
    return [column["name"] for column in declared["columns"]]


CROSSED = DEMO_START


def insert(query: Query, warehouse: Warehouse, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join(["%s"] * len(row))
    query(warehouse, f"insert into {table} ({', '.join(row)}) values ({marks})", *row.values())


@pytest.mark.parametrize(
    "minutes", [2.0, 121.0, 190.0, 1_500.0], ids=["fighter", "survey", "survey of hours", "balloon"]
)
def test_training_leaves_out_what_flies_as_it_likes(minutes: float) -> None:
    """ASMA excludes these too: in the table they are true."""
    from skyops_assets.arrivals import features

    rows = learnable(3)
    rows.loc[1, ["transit_min", "landed_at"]] = [
        minutes, rows.loc[1, "crossed_at"] + timedelta(minutes=minutes)
    ]  # fmt: skip
    kept, excluded = features.usable_arrivals(rows)
    assert len(kept) == 2
    assert excluded["transit outside 3 to 90 min"] == 1


# ml/predictions: predictions_hold_together

PREDICTION: dict[str, Any] = {
    "flight_id": "3c6444_1", "airport": "LFPG", "ring_nm": 40, "crossed_at": CROSSED,
    "is_inbound": True, "model_name": "baseline_sector", "model_version": "1",
    "predicted_transit_min": 15.0, "predicted_landing_at": CROSSED + timedelta(minutes=15),
    "is_in_sample": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"predicted_landing_at": CROSSED + timedelta(minutes=16)}, "the predicted landing is"),
        ({"predicted_landing_at": None}, "the predicted landing is"),
        ({"predicted_transit_min": -1.0, "predicted_landing_at": CROSSED - timedelta(minutes=1)},
         "the predicted transit is not negative"),
        ({"predicted_low_min": 16.0, "predicted_high_min": 18.0}, "the interval holds"),
        ({"predicted_low_min": 12.0, "predicted_high_min": 14.0}, "the interval holds"),
        ({"predicted_low_min": 0.0, "predicted_high_min": 18.0}, "the interval holds"),
        ({"predicted_low_min": 12.0}, "the interval holds"),
        ({"model_version": ""}, "the model is named"),
    ],
)  # fmt: skip
def test_predictions_go_red_for_each_rule(
    pointed: Warehouse, query: Query, changes: dict[str, Any], rule: str
) -> None:
    from skyops_assets.defs.predictions.checks import predictions_hold_together

    create_from_contract(pointed, query, "crossing_features")
    insert(query, pointed, "ml.predictions", PREDICTION)
    assert run_check(predictions_hold_together).passed
    insert(query, pointed, "ml.predictions", PREDICTION | {"flight_id": "2"} | changes)
    found = run_check(predictions_hold_together)
    assert not found.passed
    assert f"violated in 1 rows: {rule}" in found.description


def test_a_baseline_that_says_what_the_survey_before_took_is_no_fault(
    pointed: Warehouse, query: Query
) -> None:
    from skyops_assets.defs.predictions.checks import predictions_hold_together

    create_from_contract(pointed, query, "crossing_features")
    long = {
        "predicted_transit_min": 190.0,
        "predicted_landing_at": CROSSED + timedelta(minutes=190),
    }
    insert(query, pointed, "ml.predictions", PREDICTION | long)
    assert run_check(predictions_hold_together).passed


def test_predictions_go_red_when_a_crossing_has_none(pointed: Warehouse, query: Query) -> None:
    from skyops_assets.defs.predictions.checks import predictions_hold_together

    create_from_contract(pointed, query, "crossing_features")
    keys = {name: PREDICTION[name] for name in ("flight_id", "airport", "ring_nm")}
    insert(query, pointed, "features.crossing_features", keys | {"source": "positions"})
    red = run_check(predictions_hold_together)
    assert (
        "violated in 1 rows: every crossing of the 40 NM ring has a prediction" in red.description
    )
    insert(query, pointed, "ml.predictions", PREDICTION)
    assert run_check(predictions_hold_together).passed


# ml/training_runs: challenger_is_sound (what it finds is tested with the model)


@pytest.mark.parametrize(
    ("version", "problem", "said"),
    [
        ("3", None, None),
        (None, None, "No model was trained: too few arrivals."),
        ("3", "2 of 60 predictions are not within 0 to 120 min", "2 of 60 predictions"),
    ],
)
def test_the_challenger_goes_red_when_it_has_a_problem(
    pointed: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    version: str | None,
    problem: str | None,
    said: str | None,
) -> None:
    from skyops_assets.arrivals.steps import verify
    from skyops_assets.defs.model.checks import challenger_is_sound

    verdict = verify.Verdict(version, 60, problem)
    monkeypatch.setattr(verify, "verify_challenger", lambda *_: verdict)
    found = run_check(inner(challenger_is_sound))
    assert found.passed == (problem is None)
    assert found.blocking
    assert (said or "") in (found.description or "")


# raw/opensky_states: nulls_are_as_usual


def load_hours(warehouse: Warehouse, days: int, rows: int = 100, **changes: Any) -> None:
    for day in range(1, days + 1):
        at = DEMO_START - timedelta(days=day)
        load_states(warehouse, recording(*seconds(rows, at, **changes)))
    transformed(warehouse)


def test_a_column_that_is_null_more_often_than_usual_is_named(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.checks import nulls_are_as_usual

    assert run_check(nulls_are_as_usual).passed
    load_hours(pointed, 3)
    # A tenth more is as usual.
    load_states(
        pointed, recording(*seconds(79), *seconds(21, icao24="000001", velocity_mps=None)),
        run_id="last",
    )  # fmt: skip
    red = run_check(nulls_are_as_usual)
    assert not red.passed
    assert not red.blocking
    assert red.severity is dg.AssetCheckSeverity.WARN
    assert red.description.startswith(
        "2021-10-07 12:00 UTC: velocity_mps null in 21%, usual 0%. Did the source rename"
    )
    assert red.description.count(" null in ") == 1
    assert red.metadata["compared"].value == 7
    monkeypatch.setenv("SKYOPS_RAW_MAX_NULL_RISE", "0.22")
    assert run_check(nulls_are_as_usual).passed


def test_nulls_of_few_rows_or_few_days_are_not_judged(pointed: Warehouse) -> None:
    from skyops_assets.defs.raw.checks import nulls_are_as_usual

    load_hours(pointed, 2)
    load_states(pointed, recording(*seconds(100, callsign=None)), run_id="last")
    found = run_check(nulls_are_as_usual)
    assert found.passed
    assert found.metadata["without_usual_share"].value == 7
    load_hours(pointed, 4, icao24="000001")
    load_states(pointed, recording(*seconds(99, DEMO_START + HOUR, callsign=None)), run_id="new")
    assert run_check(nulls_are_as_usual).metadata["compared"].value == 0


def test_shares_of_nulls_are_those_that_counting_gives(warehouse: Warehouse) -> None:
    from skyops_assets.quality.nulls import NullShare, null_problem, null_shares

    for day, nulls in enumerate((40, 10, 30, 20)):
        at = DEMO_START - timedelta(days=day)
        load_states(warehouse, recording(*seconds(nulls, at, velocity_mps=None),
                                         *seconds(100 - nulls, at, icao24="000001")))  # fmt: skip
    [found] = null_shares(warehouse, [DEMO_START], ["velocity_mps"])
    assert found == NullShare(DEMO_START, "velocity_mps", 0.4, 0.2)
    assert null_problem([found], 0.2) is None
    assert null_problem([found] * 7, 0.19) is not None
    assert "; and 2 more." in str(null_problem([found] * 7, 0.19))


# raw/*, features/*: columns_are_as_declared


@pytest.mark.parametrize(
    ("name", "alter", "said"),
    [
        ("opensky_states", "alter column velocity_mps type real",
         "raw.opensky_states: velocity_mps is real, not double precision. The table was altered"),
        ("opensky_states", "drop column squawk", "raw.opensky_states: squawk is gone. The table"),
        ("arrivals_history", "drop column ring_40nm_altitude_m", "ring_40nm_altitude_m is gone"),
        ("airports", "alter column elevation_m type integer", "elevation_m is integer, not double"),
        ("runways", "drop column le_ident", "le_ident is gone"),
        ("metars", "drop column ceiling_m", "raw.metars: ceiling_m is gone"),
        ("aircraft", "rename typecode to type", "raw.aircraft: typecode is gone"),
    ],
)  # fmt: skip
def test_a_raw_column_that_was_dropped_or_retyped_by_hand_is_named(
    pointed: Warehouse, query: Query, name: str, alter: str, said: str
) -> None:
    from skyops_assets.defs.raw import checks

    check = getattr(checks, f"{name}_columns")
    assert run_check(check).passed
    query(pointed, f"alter table raw.{name} add column note text")
    green = run_check(check)
    assert green.passed
    assert green.metadata["undeclared_columns"].value == "note"
    query(pointed, f"alter table raw.{name} {alter}")
    red = run_check(check)
    assert not red.passed
    assert red.blocking
    assert said in red.description


@pytest.mark.parametrize("model", ["arrival_features", "crossing_features"])
def test_a_feature_that_was_dropped_or_retyped_by_hand_is_named(
    pointed: Warehouse, query: Query, manifest: Path, model: str
) -> None:
    from skyops_assets.defs.features import checks

    check = getattr(checks, f"{model}_columns")
    gone = run_check(check)
    assert not gone.passed
    create_from_contract(pointed, query, model)
    assert run_check(check).passed
    query(pointed, f"alter table features.{model} drop column altitude_m, "
                   "alter column entries_60min_count type text")  # fmt: skip
    red = run_check(check)
    assert not red.passed
    assert red.blocking
    assert f"features.{model}: altitude_m is gone; entries_60min_count is text, not" in (
        red.description
    )
    assert f"--full-refresh --select {model}`" in red.description


def test_a_table_without_a_contract_is_an_error(manifest: Path) -> None:
    from skyops_assets.errors import SkyOpsError
    from skyops_assets.quality.contracts import contract_columns

    with pytest.raises(SkyOpsError, match=r"no model features\.other"):
        contract_columns("features.other")


# raw/arrivals_history: arrivals_are_plausible, no_arrival_is_lost

DAY = date(2019, 3, 1)


@pytest.fixture
def arrivals(pointed: Warehouse, mirror: Path) -> Warehouse:
    """A day of the open history, loaded."""
    from skyops_assets.sources.history.load import load_file
    from skyops_assets.sources.history.source import history_file

    load_file(pointed, history_file("LSZH", DAY), Settings(data_mirror=mirror), run_id="first")
    return pointed


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("damage", "advice"),
    [
        ("icao24 = 'ABCDEF'", "An address is six lower-case hexadecimal digits."),
        ("airport = 'lszh'", "An ICAO code, from the file's name."),
        ("is_arrival = false", "Departures are rejected"),
        ("ring_40nm_crossed_at = landed_at + interval '1 hour'", "The landing comes after"),
        ("ring_50nm_bearing_deg = 361", "Degrees, not radians?"),
        ("ring_100nm_altitude_m = 37000", "Metres, not feet? 51,000 ft is the limit."),
        ("ring_40nm_offset_m = 2000", "The position is more than 1 NM from its ring"),
    ],
)
def test_arrivals_go_red_when_a_value_cannot_be_true_until_they_are_corrected(
    arrivals: Warehouse, query: Query, damage: str, advice: str
) -> None:
    from skyops_assets.defs.raw.checks import arrivals_are_plausible

    query(arrivals, f"update raw.arrivals_history set {damage}")
    for _ in range(2):
        red = run_check(arrivals_are_plausible)
        assert not red.passed
        assert red.blocking
        assert advice in red.description
        # Loading it again loads nothing, and hides nothing.
        query(arrivals, "insert into raw.ingest_batches (target, source, started_at, finished_at, "
                        "read_rows, loaded_rows, duplicate_rows, rejected_rows) values "
                        "('raw.arrivals_history', 'again', now(), now(), 9, 0, 9, 0)")  # fmt: skip
    transformed(arrivals)
    green = run_check(arrivals_are_plausible)
    assert green.passed
    assert green.description.startswith("No new arrivals were loaded")


@pytest.mark.mirror
@pytest.mark.parametrize("column", ["ring_40nm_crossed_at", "runway"])
def test_what_the_source_of_arrivals_does_not_tell_is_told_and_blocks_nothing(
    arrivals: Warehouse, query: Query, column: str
) -> None:
    from skyops_assets.defs.raw.checks import arrivals_are_plausible

    query(arrivals, f"update raw.arrivals_history set {column} = null")
    found = run_check(arrivals_are_plausible)
    assert found.passed
    assert "More than half of the arrivals have no" in found.description
    assert "**no**, and does not block" in found.metadata["expectations"].value


@pytest.mark.mirror
def test_arrivals_that_were_there_already_hold_nothing_back(
    arrivals: Warehouse, mirror: Path
) -> None:
    from skyops_assets.defs.raw.checks import arrivals_are_plausible
    from skyops_assets.sources.history.load import load_file
    from skyops_assets.sources.history.source import history_file

    transformed(arrivals)
    load_file(arrivals, history_file("LSZH", DAY), Settings(data_mirror=mirror), run_id="died")
    found = run_check(arrivals_are_plausible)
    assert found.passed
    assert found.description.startswith("No new arrivals were loaded")


@pytest.mark.mirror
def test_a_real_day_of_arrivals_is_green_and_its_accounts_balance(
    arrivals: Warehouse, query: Query
) -> None:
    from skyops_assets.defs.raw.checks import arrivals_are_plausible, no_arrival_is_lost

    green = run_check(arrivals_are_plausible)
    assert green.passed
    assert green.description is None
    assert green.metadata["rows"].value > 200
    assert run_check(no_arrival_is_lost).passed
    query(arrivals, "delete from raw.arrivals_history where uid = "
                    "(select min(uid) from raw.arrivals_history)")  # fmt: skip
    red = run_check(no_arrival_is_lost)
    assert not red.passed
    assert red.blocking
    assert "load the affected days again" in red.description


# ml/training_sets: training_set_is_valid

TRAINING = json.loads((SUITES / "training_set.json").read_text())["expectations"]


def learnable(rows: int) -> Any:
    """Arrivals as a training set has them, all possible."""
    import numpy as np
    import pandas as pd

    from skyops_assets.arrivals.features import FEATURES, canonical_arrivals

    n = np.arange(rows)
    frame = pd.DataFrame({name: np.zeros(rows) for name in FEATURES})
    frame["flight_id"] = [f"3c{i:04x}_1" for i in n]
    frame["airport"], frame["sector"], frame["label_quality"] = "LSZH", "NE", "observed"
    frame["wake"], frame["ring_nm"], frame["is_inbound"], frame["local_weekday"] = "M", 40, True, 3
    frame["crossed_at"] = pd.Timestamp("2019-03-01", tz="UTC") + pd.to_timedelta(n, "min")
    frame["local_hour"] = n % 1440 / 60
    frame["transit_min"] = 12.0 + n % 7
    frame["landed_at"] = frame["crossed_at"] + pd.to_timedelta(frame["transit_min"], "min")
    return canonical_arrivals(frame)


def freeze(warehouse: Warehouse, home: Path, frame: Any) -> None:
    """Keep a frame as the training set built last."""
    from skyops_assets.arrivals.features import fingerprint
    from skyops_assets.arrivals.store.training import TrainingSet, save_training_set, write_snapshot

    mark = fingerprint(frame, 40)
    write_snapshot(Settings(home=home), mark, frame)
    save_training_set(warehouse, TrainingSet(mark, 40, len(frame), {}, (), None, None), None)


def spoil_training(frame: Any, expectation: dict[str, Any]) -> Any:
    kind, kwargs = expectation["type"], expectation["kwargs"]
    spoilt, column = frame.copy(), kwargs.get("column")
    if kind == "expect_column_values_to_not_be_null":
        spoilt.loc[: int(len(frame) * (1 - kwargs["mostly"])), column] = None
    elif kind == "expect_column_values_to_not_be_in_set":
        spoilt.loc[3, column] = kwargs["value_set"][0]
    elif kind == "expect_column_values_to_be_between":
        spoilt.loc[3, column] = kwargs["max_value"] + 1
    elif kind == "expect_column_median_to_be_between":
        spoilt[column] = 3.0 + spoilt.index % 3
    else:
        assert kind == "expect_column_stdev_to_be_between"
        spoilt[column] = 12.0
    return spoilt


@pytest.mark.parametrize(
    "expectation", TRAINING, ids=lambda e: f"{e['type']}-{e['kwargs'].get('column', '')}"
)
def test_every_expectation_of_the_training_suite_can_fail(expectation: dict[str, Any]) -> None:
    found = validate(spoil_training(learnable(200), expectation), "training_set")
    [broken] = [item for item in found if not item.is_met]
    assert broken.advice == expectation["meta"]["advice"]
    assert len(found) == len(TRAINING)


def test_a_training_set_that_cannot_be_true_is_red(pointed: Warehouse, home: Path) -> None:
    from skyops_assets.defs.model.checks import training_set_is_valid

    freeze(pointed, home, learnable(200))
    green = run_check(inner(training_set_is_valid))
    assert (green.passed, green.description) == (True, None)
    assert "too few rows" not in green.metadata["expectations"].value
    freeze(pointed, home, learnable(200).assign(altitude_m=37_000.0))
    red = run_check(inner(training_set_is_valid))
    assert not red.passed
    assert red.blocking
    assert "Metres, not feet?" in red.description
    assert "37000.0" in red.metadata["expectations"].value


def test_a_training_set_of_slow_aircraft_without_altitude_is_told_and_learned_from(
    pointed: Warehouse, home: Path
) -> None:
    from skyops_assets.defs.model.checks import training_set_is_valid

    slow = learnable(200).assign(altitude_m=float("nan"))
    slow["transit_min"] += 50
    slow["landed_at"] += timedelta(minutes=50)
    freeze(pointed, home, slow)
    found = run_check(inner(training_set_is_valid))
    assert found.passed
    assert "no altitude at the ring" in found.description
    assert "A field of gliders and light aircraft may be slower." in found.description


def test_a_small_or_empty_training_set_is_no_fault_but_an_impossible_row_is(
    pointed: Warehouse, home: Path
) -> None:
    from skyops_assets.defs.model.checks import training_set_is_valid

    freeze(pointed, home, learnable(0))
    empty = run_check(inner(training_set_is_valid))
    assert empty.passed
    assert empty.description == "The training set has no rows, so there is nothing to check."
    # All transits alike: of few rows that says nothing. Networks without altitudes there are.
    small = learnable(199).assign(altitude_m=float("nan"), transit_min=12.0)
    freeze(pointed, home, small.assign(landed_at=small["crossed_at"] + timedelta(minutes=12)))
    few = run_check(inner(training_set_is_valid))
    assert few.passed
    assert few.metadata["expectations"].value.count("too few rows") == 5
    freeze(pointed, home, learnable(5).assign(vertical_rate_mps=-1000.0))
    assert not run_check(inner(training_set_is_valid)).passed


# Data Docs


def test_the_data_docs_show_the_last_validation_and_load_nothing_from_elsewhere(
    pointed: Warehouse, home: Path, query: Query
) -> None:
    from skyops_assets.defs.raw.checks import state_vectors_are_plausible

    loaded(pointed)
    run_check(state_vectors_are_plausible)
    page = home / "docs" / "data_docs" / "raw_opensky_states.html"
    green = page.read_text()
    assert "<h1>State vectors after loading: data tests</h1>" in green
    assert 'class="good">All are met<' in green and "Nothing needs to be done" in green
    assert "What to do" not in green and "nan" not in green
    query(pointed, "update raw.opensky_states set baro_altitude_m = 37856")
    red = run_check(state_vectors_are_plausible)
    assert red.metadata["data_docs"].value == (
        "http://localhost:8000/reports/data/raw_opensky_states"
    )
    assert str(home) not in str(red.metadata), "no path of the machine where it ran"
    text = page.read_text()
    assert 'class="bad">Not met: 1 of 12 expectations<' in text
    wanted = "baro_altitude_m is from -1500 to 30480"
    assert f"<li>{wanted}: Metres, not feet? 100,000 ft is the limit.</li>" in text
    row = f"<td>NOT MET</td><td>{wanted}</td><td>20</td><td>37856.0, 37856.0, 37856.0</td>"
    assert row in text
    assert "true_track_deg" in text
    assert "://" not in text
    assert not re.search(r'(?:href|src)="[^#]', text)
    assert [path.name for path in page.parent.iterdir()] == [page.name]


def test_the_page_is_of_all_parts(frame: Any, tmp_path: Path) -> None:
    parts = [frame, frame.assign(latitude_deg=91.0), frame.assign(longitude_deg=181.0)]
    found = validate_parts(parts, "raw_opensky_states", Settings(home=tmp_path))
    assert found.rows == 3 * len(frame)
    assert found.problem is not None
    assert found.problem.count("values_to_be_between") == 2
    page = Path(found.page).read_text()
    assert f"compared {found.rows} rows" in page
    assert "91.0" in page and "181.0" in page


# features/crossing_features, ml/predictions: what leads back to what


def create(warehouse: Warehouse, query: Query, *statements: str) -> None:
    for statement in statements:
        query(warehouse, statement)


FLIGHT = "3c6444_20211007T120000Z"


@pytest.fixture
def referenced(pointed: Warehouse, query: Query) -> Warehouse:
    """A flight with a position, a crossing of it, and a prediction of that."""
    create_from_contract(pointed, query, "crossing_features")
    create(
        pointed,
        query,
        "create schema staging; create schema if not exists metrics; create schema intermediate",
        "create table staging.stg_opensky__states (icao24 text, positioned_at timestamptz)",
        "create table metrics.fct_flights (flight_id text, icao24 text, "
        "first_seen_at timestamptz, last_seen_at timestamptz)",
        "create table intermediate.int_airports__watched as select 'LFPG'::text as airport",
        f"insert into metrics.fct_flights values ('{FLIGHT}', '3c6444', '2021-10-07 12:00+00', "
        "'2021-10-07 12:30+00')",
        "insert into staging.stg_opensky__states values ('3c6444', '2021-10-07 12:00+00')",
    )
    keys = {"flight_id": FLIGHT, "airport": "LFPG", "ring_nm": 40}
    insert(query, pointed, "features.crossing_features", keys | {"source": "positions"})
    insert(query, pointed, "ml.predictions",
           PREDICTION | keys | {"model_name": "baseline:sector"})  # fmt: skip
    return pointed


DROPPED = "insert into raw.dropped_partitions values ('raw.opensky_states', '2021-10-07', 9)"


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("delete from metrics.fct_flights", "every crossing's flight is in metrics.fct_flights"),
        ("delete from staging.stg_opensky__states", "every flight of the last day has positions"),
    ],
)
def test_a_crossing_that_leads_back_to_nothing_is_red(
    referenced: Warehouse, query: Query, damage: str, rule: str
) -> None:
    from skyops_assets.defs.features.checks import crossings_lead_back_to_positions

    assert run_check(crossings_lead_back_to_positions).passed
    query(referenced, damage)
    red = run_check(crossings_lead_back_to_positions)
    assert not red.passed
    assert not red.blocking
    assert f"violated in 1 rows: {rule}" in red.description
    assert "--full-refresh" in red.description
    if "staging" in damage:
        query(referenced, DROPPED)
        assert run_check(crossings_lead_back_to_positions).passed


@pytest.mark.parametrize(
    "reason",
    [
        DROPPED,
        "update intermediate.int_airports__watched set airport = 'LSZH'",
        "insert into raw.ingest_batches (target, source, started_at, finished_at, window_start_at, "
        "window_end_at, read_rows, loaded_rows, duplicate_rows, rejected_rows, transformed_at) "
        "values ('raw.opensky_states', 'late', now(), now(), '2021-10-07 11:00+00', "
        "'2021-10-07 11:30+00', 1, 1, 0, 0, now() + interval '1 hour')",
    ],
    ids=["retention", "watch list", "later positions"],
)
def test_a_prediction_without_its_crossing_is_red_unless_there_is_a_reason(
    referenced: Warehouse, query: Query, reason: str
) -> None:
    from skyops_assets.defs.predictions.checks import (
        predictions_lead_back_to_their_crossing_and_model as check,
    )

    assert run_check(check).passed
    query(referenced, "delete from features.crossing_features")
    red = run_check(check)
    assert not red.passed
    assert not red.blocking
    assert "violated in 1 rows: every prediction's crossing is in features" in red.description
    query(referenced, reason)
    assert run_check(check).passed


def test_a_prediction_of_an_unknown_model_is_red(referenced: Warehouse, query: Query) -> None:
    from skyops_assets.defs.predictions.checks import (
        predictions_lead_back_to_their_crossing_and_model as check,
    )

    query(referenced, "update ml.predictions set model_name = 'arrival-transit-40nm'")
    red = run_check(check)
    assert not red.passed
    assert "every prediction's model is in ml.model_versions or a baseline" in red.description
    champion(referenced, query)
    assert run_check(check).passed


def champion(warehouse: Warehouse, query: Query) -> None:
    """Version 1 of the model, in force, trained through 2021-09-01."""
    create(
        warehouse,
        query,
        "insert into ml.training_sets values ('f', 40, 1, '{}', '{}')",
        "insert into ml.training_runs (training_run_id, model_name, ring_nm, recipe, fingerprint, "
        "features, params, train_share, train_rows, test_rows, embargoed_rows, shared_flight_rows, "
        "trained_through_at) values ('r', 'arrival-transit-40nm', 40, 'hgb', 'f', '{}', '{}', 0.7, "
        "1, 1, 0, 0, '2021-09-01 00:00+00')",
        "insert into ml.model_versions (model_name, version, training_run_id, fingerprint, "
        "mlflow_run_id, is_champion) values ('arrival-transit-40nm', '1', 'r', 'f', 'm', true)",
    )


# Periodic checks


def test_a_partition_that_was_left_failed_is_named_until_it_is_loaded(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By a real run that fails, and one that does not."""
    import dagster as dg

    from skyops_assets.defs.platform.checks import no_hour_is_left_failed
    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.resources import WarehouseResource

    def load() -> None:
        dg.materialize(
            [opensky_states], instance=instance, partition_key="2021-10-07-12:00",
            resources={"warehouse": WarehouseResource()}, raise_on_error=False,
        )  # fmt: skip

    with dg.DagsterInstance.ephemeral() as instance:
        assert run_check(no_hour_is_left_failed, instance).passed
        monkeypatch.setenv("SKYOPS_RECORDING", "/nowhere/some.json")
        load()
        red = run_check(no_hour_is_left_failed, instance)
        assert not red.passed
        assert red.severity is dg.AssetCheckSeverity.WARN
        assert red.description.startswith(
            "raw/opensky_states: 1 partitions failed and were not loaded since (2021-10-07-12:00)."
        )
        path = write_recording(tmp_path / "some.json", traffic_row())
        monkeypatch.setenv("SKYOPS_RECORDING", str(path))
        load()
        assert run_check(no_hour_is_left_failed, instance).passed


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("arrivals_history", "no_day_is_left_failed"),
        ("metars", "no_day_of_reports_is_left_failed"),
    ],
)
def test_a_day_that_was_left_failed_is_named(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, check: str
) -> None:
    import dagster as dg

    from skyops_assets.defs.platform import checks
    from skyops_assets.defs.raw import assets
    from skyops_assets.defs.resources import WarehouseResource

    asset, looking = getattr(assets, name), getattr(checks, check)
    monkeypatch.setenv("SKYOPS_DATA_MIRROR", str(tmp_path))
    monkeypatch.setenv("SKYOPS_METAR_URL", "http://127.0.0.1:1/{airport}/{day}")
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_check(looking, instance).passed
        dg.materialize(
            [asset], instance=instance, partition_key="2019-03-02",
            resources={"warehouse": WarehouseResource()}, raise_on_error=False,
        )  # fmt: skip
        red = run_check(looking, instance)
    assert not red.passed
    assert f"raw/{name}: 1 partitions failed" in red.description
    assert "(2019-03-02)" in red.description


def test_a_run_that_never_ends_is_an_orphan(pointed: Warehouse) -> None:
    """One whose process is gone stays STARTED: nothing else is known of it."""
    import dagster as dg
    from dagster._core.test_utils import create_run_for_test, freeze_time

    from skyops_assets.defs.platform.checks import no_run_is_orphaned

    with dg.DagsterInstance.ephemeral() as instance:
        for hours in (1.9, 2.2):
            with freeze_time(datetime.now(UTC) - timedelta(hours=hours)):
                run = create_run_for_test(instance, job_name="main")
                instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "main"), run.run_id)
        red = run_check(no_run_is_orphaned, instance)
        assert not red.passed
        assert red.severity is dg.AssetCheckSeverity.WARN
        assert red.metadata["unfinished_runs"].value == 2
        assert f"Started and never ended: {run.run_id[:8]} (main) since" in red.description
        assert "; " not in red.description.split(". A run")[0]
        instance.report_run_failed(instance.get_run_by_id(run.run_id))
        assert run_check(no_run_is_orphaned, instance).passed


@pytest.mark.parametrize(
    ("setting", "said"),
    [("SKYOPS_MIN_DISK_GB", " GB are free, limit 1,000,000 GB"),
     ("SKYOPS_MIN_DISK_DAYS", " days, limit 1,000,000")],
)  # fmt: skip
def test_a_disk_without_room_is_told(
    pointed: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    said: str,
) -> None:
    from skyops_assets.defs.platform.checks import disk_has_room
    from skyops_assets.quality import periodic

    monkeypatch.setenv("SKYOPS_MIN_DISK_GB", "0")
    load_days(pointed, 5, 200)
    green = run_check(disk_has_room)
    assert green.passed
    assert green.metadata["whole_days"].value == 4
    assert green.metadata["database_bytes"].value > green.metadata["usual_day_bytes"].value > 0
    # As if a day took a gigabyte.
    found = periodic.storage

    def huge(*of: Any) -> Any:
        return replace(found(*of), day_bytes=(10**9,) * 4)

    monkeypatch.setattr(periodic, "storage", huge)
    monkeypatch.setenv(setting, "1000000")
    red = run_check(disk_has_room)
    assert not red.passed
    assert said in red.description
    assert "Set or lower SKYOPS_RAW_RETENTION_DAYS" in red.description
    # Five days are there: with that setting no more than three come before each drops one.
    monkeypatch.setenv("SKYOPS_RAW_RETENTION_DAYS", "7")
    assert run_check(disk_has_room).passed == (setting == "SKYOPS_MIN_DISK_DAYS")


def test_a_disk_is_not_full_soon_where_retention_ends_the_growth_before() -> None:
    from skyops_assets.quality.periodic import Storage, storage_problem

    steady = Storage(10**10, (10**9,) * 28, 10 * 10**9, 0)
    assert steady.days_left is None
    assert storage_problem(steady, 14, 5) is None
    assert storage_problem(replace(steady, days_to_come=10), 14, 5) is None
    growing = storage_problem(replace(steady, days_to_come=11), 14, 5)
    assert growing is not None
    assert growing.startswith("at 1.00 GB a day the disk is full in 10 days, limit 14.")


def test_a_day_of_positions_far_larger_than_usual_is_told() -> None:
    from skyops_assets.quality.periodic import Storage, storage_problem

    usual = Storage(10**10, (10**9,) * 5 + (3 * 10**9,), None)
    assert usual.days_left is None
    assert storage_problem(usual, 14, 5) is None
    grown = replace(usual, day_bytes=(10**9,) * 5 + (3 * 10**9 + 1,))
    assert storage_problem(grown, 14, 5) == (
        "the last full day of positions takes 3.00 GB, usual 1.00 GB. Set "
        "or lower SKYOPS_RAW_RETENTION_DAYS, which drops whole days of positions, or enlarge the "
        "disk; if a day is too large, check whether two sources report the same positions."
    )
    few = Storage(10**10, (10**9, 10**9, 9 * 10**9), 10**12)
    assert few.usual_day_bytes is None
    assert storage_problem(few, 14, 5) is None


def test_a_load_that_waits_for_the_transform_is_told_after_the_deadline(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.defs.platform.checks import loads_are_transformed

    assert run_check(loads_are_transformed).passed
    loaded(pointed)
    assert run_check(loads_are_transformed).passed
    query(pointed, "update raw.ingest_batches set finished_at = now() - interval '190 minutes'")
    red = run_check(loads_are_transformed)
    assert not red.passed
    assert red.description.startswith("1 loads are in no model, the oldest for 3.2 hours (limit 3)")
    monkeypatch.setenv("SKYOPS_TRANSFORM_DEADLINE_H", "4")
    assert run_check(loads_are_transformed).passed
    monkeypatch.delenv("SKYOPS_TRANSFORM_DEADLINE_H")
    transformed(pointed)
    assert run_check(loads_are_transformed).passed


def test_a_champion_that_has_not_seen_the_newest_arrivals_is_told(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.defs.platform.checks import champion_has_seen_recent_arrivals

    check = inner(champion_has_seen_recent_arrivals)
    assert run_check(check).metadata["champion"].value == "none"
    champion(pointed, query)
    create_from_contract(pointed, query, "arrival_features")
    assert run_check(check).passed
    arrival = {"airport": "LFPG", "ring_nm": 40, "crossed_at": CROSSED,
               "landed_at": CROSSED + timedelta(minutes=15)}  # fmt: skip
    insert(query, pointed, "features.arrival_features", arrival)
    red = run_check(check)
    assert not red.passed
    assert red.description.startswith(
        "The champion, version 1, has learned from arrivals up to 2021-09-01, 37 days before the "
        "newest arrival (limit 35). Did the weekly training run?"
    )
    monkeypatch.setenv("SKYOPS_CHAMPION_MAX_AGE_DAYS", "37")
    assert run_check(check).passed


def test_predictions_that_get_no_outcome_are_told_two_hours_later(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.defs.platform.checks import predictions_get_outcomes

    horizon = "insert into audit.transform_state (horizon_at, finished_at) values ({}, now()) " \
              "on conflict (is_only) do update set horizon_at = excluded.horizon_at"  # fmt: skip
    insert(query, pointed, "ml.predictions", PREDICTION)
    assert run_check(predictions_get_outcomes).passed
    query(pointed, horizon.format("'2021-10-07 14:00+00'"))
    assert run_check(predictions_get_outcomes).metadata["due"].value == 0
    query(pointed, horizon.format("'2021-10-07 14:01+00'"))
    red = run_check(predictions_get_outcomes)
    assert not red.passed
    assert red.description.startswith(
        "1 of 1 predictions whose outcome is due have none (0% have one, limit 95%). Materialise"
    )
    monkeypatch.setenv("SKYOPS_MIN_OUTCOME_SHARE", "0")
    assert run_check(predictions_get_outcomes).passed
    monkeypatch.delenv("SKYOPS_MIN_OUTCOME_SHARE")
    # However many older ones have theirs, they do not hide it; and they are not asked about.
    query(pointed, "insert into ml.predictions (flight_id, airport, ring_nm, crossed_at, "
                   "is_inbound, model_name, model_version, is_in_sample) select 'f' || n, "
                   "airport, ring_nm, crossed_at - interval '30 days', is_inbound, model_name, "
                   "model_version, is_in_sample from ml.predictions, "
                   "generate_series(1, 99) as n")  # fmt: skip
    assert run_check(predictions_get_outcomes).metadata["due"].value == 1
    query(pointed, "insert into ml.prediction_outcomes select flight_id, airport, ring_nm, "
                   "model_name, model_version, 'not_landed', null, null, now() "
                   "from ml.predictions")  # fmt: skip
    assert run_check(predictions_get_outcomes).passed


# dbt's tests


def test_a_red_dbt_test_keeps_what_follows_from_being_built_and_says_what_to_do(
    pointed: Warehouse, query: Query, graph: Any
) -> None:
    """By dbt itself: the matrix in tests/graph takes it for granted."""
    import dagster as dg

    from skyops_assets.defs.resources import resources
    from skyops_assets.defs.transform.assets import dbt_models

    query(pointed, "insert into raw.ingest_batches values (1, 'raw.airports', 'x', now(), now(), "
                   "null, null, 1, 1, 0, 0)")  # fmt: skip
    query(pointed, "insert into raw.airports values ('LFPG', 'CDG', 'Paris', null, 'FR', 49, 2.5, "
                   "119, 'Europe/Paris', 1), ('LFPO', 'ORY', 'Orly', null, 'FR', 48.7, 2.4, "
                   "90, 'Europe/Paris', 1)")  # fmt: skip
    # The airports are named twice by what stands in their place.
    query(pointed, "alter table raw.airports rename to airports_once; "
                   "create view raw.airports as select * from raw.airports_once "
                   "union all select * from raw.airports_once where icao = 'LFPO'")  # fmt: skip
    keys = [dg.AssetKey(["staging", "stg_reference__airports"]),
            dg.AssetKey(["intermediate", "int_airports__watched"])]  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [dbt_models], instance=instance, selection=dg.AssetSelection.assets(*keys),
            resources=resources(), raise_on_error=False,
        )  # fmt: skip
    assert not result.success
    assert {event.asset_key for event in result.get_asset_materialization_events()} == {keys[0]}
    [red] = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert red.check_name == "unique_stg_reference__airports_airport"
    assert red.blocking
    assert red.description.startswith(
        "staging.stg_reference__airports: two rows have the same airport. A broken key"
    )


# ml/evaluations: the gatekeeper's lights (its rules are tested with the model)


def test_without_a_challenger_no_light_is_red(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.arrivals.gate.evidence import Evidence
    from skyops_assets.arrivals.gate.policy import LIGHTS, decide
    from skyops_assets.defs.model.checks import gatekeeper_lights
    from skyops_assets.defs.resources import WarehouseResource

    nothing = dict.fromkeys(Evidence.__dataclass_fields__)
    decision = decide(Evidence(**nothing | {"untrained_reason": "0 arrivals to learn from"}))
    assert not decision.is_promoted
    monkeypatch.setattr(
        "skyops_assets.arrivals.steps.promote.judge_challenger", lambda *_, **__: decision
    )
    found = list(inner(gatekeeper_lights)(warehouse=WarehouseResource()))
    assert [one.passed for one in found] == [True] * len(LIGHTS)
    assert {one.description for one in found} == {"no challenger: 0 arrivals to learn from"}


@pytest.mark.parametrize("red", ["technical", "operational", "logical", "statistical", None])
def test_a_red_light_is_a_warning_with_its_reasons(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch, red: str | None
) -> None:
    import dagster as dg

    from skyops_assets.arrivals.gate.policy import LIGHTS, Decision, Reason
    from skyops_assets.defs.model.checks import gatekeeper_lights
    from skyops_assets.defs.resources import WarehouseResource

    decision = Decision(
        red is None,
        tuple(
            Reason(f"rule_{light}", light != red, f"said of {light}", 0.5, None, light)
            for light in LIGHTS
        ),
    )
    monkeypatch.setattr(
        "skyops_assets.arrivals.steps.promote.judge_challenger", lambda *_, **__: decision
    )
    found = {
        result.check_name: result
        for result in inner(gatekeeper_lights)(warehouse=WarehouseResource())
    }
    assert set(found) == {f"challenger_{light}" for light in LIGHTS}
    for light in LIGHTS:
        result = found[f"challenger_{light}"]
        assert result.passed == (light != red)
        assert result.severity == dg.AssetCheckSeverity.WARN
        assert result.description == (f"said of {light}" if light == red else None)
        mark = "no" if light == red else "yes"
        assert result.metadata[f"rule_{light}"].value == f"{mark}: said of {light}"


# audit/monitoring_log: champion_skill, drift, asked_as_learned


def verdict(**changes: Any) -> dict[str, Any]:
    """A row of the log as the monitor writes it."""
    details = {
        "reasons": [{"rule": "skill", "holds": False, "text": "skill 0.10, 0.12 in the window"}],
        "beyond": [{"column": "altitude_m"}, {"column": "altitude_m"}, {"column": "sector"}],
        "no_drift_score_because": None,
    }
    return {
        "model_name": "arrival-transit-40nm", "model_version": "3", "verdict": "ok",
        "skill": 0.4, "drift_score": 0.0, "triggered": False, "details": details, **changes,
    }  # fmt: skip


def test_a_skill_alarm_is_an_error_that_blocks_nothing(pointed: Warehouse) -> None:
    from skyops_assets.audit.log import record_verdict
    from skyops_assets.defs.monitoring.checks import champion_skill

    assert run_check(inner(champion_skill)).passed
    record_verdict(pointed, verdict(verdict="skill alarm", skill=0.1))
    found = run_check(inner(champion_skill))
    assert not found.passed
    assert found.severity.value == "ERROR"
    assert not found.blocking
    assert found.description.startswith("skill alarm: skill 0.10, 0.12 in the window. Read the")
    assert "`skyops model rollback --ring 40`" in found.description
    # Too few rows to tell are no recovery. A new champion has nothing to recover from.
    few = {"verdict": "too few rows", "skill": None}
    record_verdict(pointed, verdict(**few))
    assert not run_check(inner(champion_skill)).passed
    record_verdict(pointed, verdict(**few, model_version="4"))
    assert run_check(inner(champion_skill)).passed
    record_verdict(pointed, verdict())
    assert run_check(inner(champion_skill)).passed
    # Each ring has an alarm of its own.
    other = {"model_name": "arrival-transit-100nm", "verdict": "skill alarm"}
    record_verdict(pointed, verdict(**other))
    assert run_check(inner(champion_skill)).passed
    [outer] = [one for one in champion_skill if not run_check(one).passed]
    assert "`skyops model rollback --ring 100`" in run_check(outer).description


def test_drift_warns_and_names_the_columns(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.audit.log import record_verdict
    from skyops_assets.defs.monitoring.checks import drift

    record_verdict(pointed, verdict(drift_score=1 / 6))
    found = run_check(inner(drift))
    assert not found.passed
    assert found.severity.value == "WARN"
    assert found.description.startswith("These have drifted: altitude_m, sector. The drift report")
    with monkeypatch.context() as lenient:
        lenient.setenv("SKYOPS_RETRAIN_POLICY", '{"max_drift_score": 0.2}')
        assert run_check(inner(drift)).passed
    record_verdict(pointed, verdict(drift_score=None))
    assert run_check(inner(drift)).passed


def test_strange_records_asked_of_the_service_warn(pointed: Warehouse) -> None:
    from skyops_assets.audit.log import record_verdict
    from skyops_assets.defs.monitoring.checks import asked_as_learned

    def told(**changes: Any) -> Any:
        asked = {"rows": 1200, "drift_score": 0.0, "outside_share": 0.03, "outside": {},
                 "drifted": [], "mae_min": 2.0, "too_few": None, **changes}  # fmt: skip
        record_verdict(pointed, verdict(details={**verdict()["details"], "asked": asked}))
        return run_check(inner(asked_as_learned))

    assert run_check(inner(asked_as_learned)).passed
    assert told().passed
    feet = told(outside_share=0.6, outside={"altitude_m": 0.6})
    assert (feet.passed, feet.severity.value) == (False, "WARN")
    assert feet.description.startswith(
        "60% of 1,200 records have a value outside the range of the training set, in altitude_m. "
    )
    drifted = told(drift_score=0.5, drifted=["sector"])
    assert drifted.description.startswith("The records differ from the training set in sector. ")
    few = told(drift_score=None, outside_share=None, too_few="too few records: 3")
    assert (few.passed, few.description) == (True, "too few records: 3")
