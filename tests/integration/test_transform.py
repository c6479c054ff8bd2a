"""Models that follow the data: after any cuts of it they equal what a full refresh makes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from skyops_assets.simulate.flights import Plan
from skyops_assets.simulate.reception import Quality
from skyops_assets.simulate.write import Layout, simulate, write
from skyops_assets.sources import reference
from skyops_assets.sources.aircraft import load_aircraft
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording, by_source
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_START,
    iter_recording,
)
from skyops_assets.sources.weather import load as weather
from skyops_assets.transform.dbt import TURN, build_arguments, transform_fingerprint
from skyops_assets.transform.follow import PASS
from skyops_assets.transform.tables import column_sources, columns_of
from skyops_assets.warehouse.connection import Warehouse, only_one
from skyops_assets.warehouse.migrate import MIGRATIONS
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt, dbt_environment, run_dbt
from tests.support.models import MODELS, contents
from tests.support.paris import circuits, paris
from tests.support.reports import reports
from tests.support.states import recording, seconds, turns, with_address

pytestmark = [pytest.mark.xdist_group("transform"), pytest.mark.usefixtures("manifest")]

# At the first and the third field the ground is heard: there stands part flights.
SIMULATED = Plan(6, datetime(2024, 1, 31, tzinfo=UTC), 2, ("EHAM", "LEMD", "LSZH"))
LIVE_MODELS = (
    "staging.stg_opensky__states",
    "intermediate.int_flights__segmented",
    "intermediate.int_flights__summarized_10min",
    "intermediate.int_positions__phased",
    "intermediate.int_positions__sampled_10s",
    "intermediate.int_movements__candidates",
    "intermediate.int_movements__located",
    "intermediate.int_movements__approaches",
    "intermediate.int_movements__discontinued_landings",
    "intermediate.int_flights__ring_entries",
    "intermediate.int_arrivals__paired",
    "metrics.fct_flights",
    "metrics.fct_movements",
    "metrics.fct_ring_crossings",
    "metrics.fct_anomalies",
    "features.crossing_features",
)
"""Without int_holdings__turns, whose turns count from where a pass cuts the flight."""
RARE = {
    "intermediate.int_movements__discontinued_landings",
    "intermediate.int_holdings__turns",
    "metrics.fct_holdings",
    "metrics.runway_configuration_changes",
}
"""Models of which three hours have few rows."""


@pytest.fixture
def twins(databases: Databases) -> Iterator[tuple[Warehouse, Warehouse]]:
    """Two warehouses that know the airports: one to be fed in cuts, one at once."""
    found = databases.new(), databases.new()
    rows = reference.airports()
    near = rows.filter(
        pc.or_(
            pc.and_(
                pc.less(pc.abs(pc.subtract(rows["latitude_deg"], 49.0)), 3.6),
                pc.less(pc.abs(pc.subtract(rows["longitude_deg"], 2.5)), 4.0),
            ),
            pc.is_in(rows["icao"], pa.array(SIMULATED.airports)),
        )
    )
    for warehouse in found:
        reference.replace_reference(warehouse, "raw.airports", "airportsdata", near)
    yield found
    for warehouse in found:
        databases.drop(warehouse)


def simulated(folder: Path) -> pa.Table:
    """Two days over a month's end, every fourth second: turnarounds with ground reception."""
    made = simulate(SIMULATED, flights=40, layout=Layout.traffic, quality=Quality())
    write(folder / "simulated", made, SIMULATED)
    [found] = by_source(
        iter_recording(
            folder / "simulated" / "recording", SIMULATED.start, SIMULATED.start + timedelta(days=4)
        )
    )
    seconds = found.states["time_position"].cast(pa.timestamp("s", "UTC")).cast(pa.int64())
    return found.states.filter(pc.equal(pc.bit_wise_and(seconds, 3), 0))


def sharing(states: pa.Table, prefix: str, turns_s: tuple[int, ...]) -> pa.Table:
    """Pairs of aircraft with one address, that send in turns: near each other and far apart."""
    addresses = sorted(pc.unique(states["icao24"]).to_pylist())
    random.Random(5).shuffle(addresses)
    found = []
    for number, pair in enumerate(zip(addresses[0::2], addresses[1::2], strict=False)):
        for parity, address in enumerate(pair):
            own = states.filter(pc.equal(states["icao24"], address))
            own = own.filter(turns(own, turns_s[number % len(turns_s)], parity))
            found.append(with_address(own, f"{prefix}{number:04x}"))
    return pa.concat_tables(found)


def spoilt(states: pa.Table, prefix: str, luck: random.Random) -> pa.Table:
    """Aircraft of which one to sixty altitudes or callsigns, or a position, are wrong at times."""
    found = []
    for number, address in enumerate(sorted(pc.unique(states["icao24"]).to_pylist())):
        own = states.filter(pc.equal(states["icao24"], address)).sort_by("time_position")
        rows = own.to_pylist()
        sent = [(row["latitude_deg"], row["longitude_deg"]) for row in rows]
        at = 0
        while (at := at + luck.randint(5, 400)) < len(rows):
            kind, count = luck.choice(("altitude", "callsign", "late")), luck.choice((1, 2, 5, 60))
            off = luck.choice((300, 1500, 9000, -3000))
            callsign = luck.choice(("00000000", "KLM 12S", "AFR1_", "SYN99"))
            for place in range(at, min(at + count, len(rows))):
                row = rows[place]
                if kind == "altitude" and row["baro_altitude_m"] is not None:
                    row["baro_altitude_m"] += off
                elif kind == "callsign":
                    row["callsign"] = callsign
                elif kind == "late" and place == at:
                    row["latitude_deg"], row["longitude_deg"] = sent[max(0, place - 40)]
        table = pa.Table.from_pylist(rows, schema=states.schema)
        found.append(with_address(table, f"{prefix}{number:04x}"))
    return pa.concat_tables(found)


def in_steps(states: pa.Table, luck: random.Random) -> list[int]:
    """For each row the step it comes in: three steps of time; of each some rows, and stretches of
    aircraft, come a step or two late.
    """
    times = [at.timestamp() for at in states["time_position"].to_pylist()]
    addresses = states["icao24"].to_pylist()
    start, end = min(times), max(times)
    late: dict[tuple[str, int], int] = {}
    steps = []
    for at, address in zip(times, addresses, strict=True):
        stretch = (address, int((at - start) // 420))
        if stretch not in late:
            late[stretch] = luck.choice((1, 2)) if luck.random() < 0.03 else 0
        step = int((at - start) * 3 / (end - start + 1))
        steps.append(step + late[stretch] + (luck.random() < 0.001))
    return steps


def test_random_cuts_with_late_rows_equal_a_full_refresh(
    twins: tuple[Warehouse, Warehouse],
    dbt_of: Callable[[Warehouse], Dbt],
    query: Query,
    tmp_path: Path,
) -> None:
    fed, whole = twins
    luck = random.Random(11)
    made = simulated(tmp_path)
    sources = {
        "paris": pa.concat_tables(
            [
                paris(60),
                circuits(),
                sharing(paris(40), "f0", (1, 10, 60)),
                spoilt(paris(20), "f2", luck),
            ]
        ),
        "synthetic:seed-6": pa.concat_tables(
            [made, sharing(made, "f1", (60, 12, 4)), spoilt(made, "f3", luck)]
        ),
    }
    steps = {name: in_steps(states, luck) for name, states in sources.items()}
    every_step = sorted(set(chain(*steps.values())))
    metars = [row for _, row in reports("LFPG", DEMO_START.date())]
    metar_steps = luck.choices(every_step, k=len(metars))
    run = dbt_of(fed)
    for step in every_step:
        for name, states in sources.items():
            part = states.filter(pa.array([one == step for one in steps[name]]))
            load_states(fed, Recording(name, part, part))
        told = [row for row, one in zip(metars, metar_steps, strict=True) if one == step]
        weather.load_rows(fed, told, "LFPG", DEMO_START.date(), source="test")
        # The live models alone in two of three runs, as `skyops follow` makes them; and not each
        # time with the tests, which take longer than the models.
        run(*(build_arguments() if step == 3 else PASS if step % 3 else ["run"]))
    run("run")
    for name, states in sources.items():
        load_states(whole, Recording(name, states, states))
    weather.load_rows(whole, metars, "LFPG", DEMO_START.date(), source="test")
    dbt_of(whole)("run")
    found, expected = contents(query, fed), contents(query, whole)
    assert {m: len(rows) for m, rows in found.items()} == {
        m: len(rows) for m, rows in expected.items()
    }
    for model in MODELS:
        assert found[model] == expected[model], model
    assert all(len(rows) > (0 if model in RARE else 10) for model, rows in expected.items())
    [(stands,)] = query(
        fed,
        "select count(*) from intermediate.int_flights__segmented as flights where exists ("
        "select from intermediate.int_flights__segmented as before "
        "where before.icao24 = flights.icao24 and before.flight_ended_at between "
        "flights.flight_started_at - interval '1 minute' and flights.flight_started_at)",
    )
    assert stands > 10
    for keys in ("f0%-2", "f1%-2"):
        second = "select count(*) from metrics.fct_flights where icao24 like %s"
        assert query(fed, second, keys)[0][0] >= 2, keys
    for keys in ("f2%", "f3%"):
        for sign, least in (
            ("masked_reasons like '%%altitude_spike%%'", 100),
            ("altitudes_wrong_from_at is not null", 1),
            ("position_status = 'jump'", 5),
        ):
            told = "select count(*) from staging.stg_opensky__states where icao24 like %s and "
            assert query(fed, told + sign, keys)[0][0] >= least, (keys, sign)
    winds = "select count(distinct wind_east_mps) from features.crossing_features"
    assert query(fed, winds)[0][0] >= 5
    waiting = query(fed, "select count(*) from raw.ingest_batches where transformed_at is null "
                    "and target in ('raw.opensky_states', 'raw.metars')")  # fmt: skip
    assert waiting == [(0,)]


def test_live_passes_alone_equal_a_full_refresh(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    """Though they cut the flights: in the order of time, with what comes a pass late."""
    fed, whole = twins
    luck = random.Random(7)
    states = pa.concat_tables(
        [
            paris(60),
            circuits(),
            sharing(paris(40), "f0", (1, 10, 60)),
            spoilt(paris(20), "f2", luck),
        ]
    )
    times = [at.timestamp() for at in states["time_position"].to_pylist()]
    start = min(times)
    # A build of the first two hours, and passes of two minutes.
    steps = [max(0, int((at - start - 7200) // 120 + 1)) + (luck.random() < 0.01) for at in times]
    run = dbt_of(fed)
    for step in range(6):
        part = states.filter(pa.array([one == step for one in steps]))
        load_states(fed, Recording("paris", part, part))
        run(*(PASS if step else ["run"]))
    part = states.filter(pa.array([one < 6 for one in steps]))
    load_states(whole, Recording("paris", part, part))
    dbt_of(whole)("run")
    [(left,)] = query(fed, "select count(*) from audit.pending_ranges")
    assert left > 0
    found, expected = contents(query, fed, LIVE_MODELS), contents(query, whole, LIVE_MODELS)
    for model in LIVE_MODELS:
        assert found[model] == expected[model], model
        assert len(expected[model]) > (0 if model in RARE else 10), model


def test_live_passes_go_on_beside_a_build(
    twins: tuple[Warehouse, Warehouse],
    dbt_of: Callable[[Warehouse], Dbt],
    dbt_folder: Path,
    query: Query,
    request: pytest.FixtureRequest,
) -> None:
    """They wait for one of its models at most, and what they make waits for the next build."""
    if not request.config.getoption("--long"):
        pytest.skip("a build beside passes: `make torture` runs it")
    fed, whole = twins
    states = paris(60)
    times = [at.timestamp() for at in states["time_position"].to_pylist()]
    start = min(times)
    steps = [max(0, int((at - start - 7200) // 60 + 1)) for at in times]

    def load(warehouse: Warehouse, *some: int) -> None:
        part = states.filter(pa.array([one in some for one in steps]))
        load_states(warehouse, Recording("paris", part, part))

    run = dbt_of(fed)
    load(fed, 0)
    run(*build_arguments())
    load(fed, 1)
    lane = dbt_folder / "lane"
    lane.mkdir()
    variables = dbt_environment(dbt_folder, lane, fed) | {
        "SKYOPS_TRANSFORM_FINGERPRINT": transform_fingerprint(fed, build_arguments())
    }
    build = threading.Thread(target=run, args=build_arguments())
    with only_one(fed, TURN, lambda: None):
        build.start()
        begun = "select count(*) from pg_stat_activity where wait_event = 'advisory'"
        patience = time.monotonic() + 120
        while query(fed, begun) == [(0,)]:
            assert time.monotonic() < patience
            time.sleep(0.05)
    passes = 1
    while build.is_alive():
        passes += 1
        load(fed, passes)
        with only_one(fed, TURN, lambda: None):
            code, output = run_dbt(lane / "output", variables, *PASS, ours=False)
        assert code == 0, output
        time.sleep(2)  # As `skyops follow` lets a build have its share.
    build.join()
    assert passes > 2
    assert query(fed, "select count(*) > 0, bool_or(is_taken) from audit.pending_ranges") == [
        (True, False)
    ]
    run(*build_arguments())
    assert query(fed, "select count(*) from audit.pending_ranges") == [(0,)]
    load(whole, *range(passes + 1))
    dbt_of(whole)("run")
    found, expected = contents(query, fed), contents(query, whole)
    for model in MODELS:
        assert found[model] == expected[model], model


def test_only_what_was_touched_is_made_anew(
    twins: tuple[Warehouse, Warehouse],
    dbt_of: Callable[[Warehouse], Dbt],
    dbt_folder: Path,
    query: Query,
) -> None:
    warehouse, _ = twins
    run = dbt_of(warehouse)
    hours = [DEMO_START + timedelta(hours=n) for n in range(3)]
    rows = [row for hour in hours for row in seconds(30, hour)]
    others = [{**row, "icao24": "4b1817"} for row in rows]
    load_states(warehouse, recording(*rows, *others))
    run("run")
    marks = "select flight_id, xmin::text from metrics.fct_flights order by 1"
    before = dict(query(warehouse, marks))
    assert len(before) == 6
    # Nothing new: nothing is written.
    run("run")
    assert dict(query(warehouse, marks)) == before
    # A late row within the first aircraft's second flight: that one is made anew, and those that
    # still are near the latest position.
    late = DEMO_START + timedelta(hours=1, seconds=35)
    load_states(warehouse, recording(*seconds(1, late, longitude_deg=2.56)))
    run("run")
    after = dict(query(warehouse, marks))
    changed = {flight for flight in after if after[flight] != before.get(flight)}
    assert changed == {
        "3c6444_20211007T130000Z", "3c6444_20211007T140000Z", "4b1817_20211007T140000Z",
    }  # fmt: skip
    assert query(
        warehouse, "select last_seen_at from metrics.fct_flights where flight_id = %s",
        "3c6444_20211007T130000Z",
    ) == [(late,)]  # fmt: skip
    assert unresolved(query, warehouse, dbt_folder) == {}


def unresolved(query: Query, warehouse: Warehouse, dbt_folder: Path) -> dict[str, str]:
    """Why columns of the models that dbt ran last cannot be traced, by model.

    With the columns of the tables that dbt's graph knows, as a run asks for their lineage.
    """
    from sqlglot.errors import SqlglotError

    known = columns_of(
        warehouse,
        query(
            warehouse,
            "select table_schema, table_name from information_schema.tables "
            "where table_schema = any(%s)",
            ["raw", "staging", "intermediate", "metrics", "features", "ml", "live"],
        ),
    )
    database = str(warehouse.url.database)
    found = {}
    files = sorted((dbt_folder / database / "compiled" / "skyops" / "models").rglob("*.sql"))
    assert len(files) > len(MODELS)
    assert sum("audit.transform_ranges" in file.read_text() for file in files) > 10
    for file in files:
        try:
            column_sources(file.read_text(), known)
        except SqlglotError as error:
            found[file.stem] = str(error)
    return found


def test_a_run_that_failed_chose_some_models_or_had_a_red_test_is_made_up_for(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    warehouse, _ = twins
    run = dbt_of(warehouse)
    load_states(warehouse, recording(*seconds(30)))
    run("run")
    load_states(warehouse, recording(*seconds(30, DEMO_START + timedelta(hours=1))))
    run("run", "--select", "stg_opensky__states")
    count = "select count(*) from metrics.fct_flights"
    assert query(warehouse, count) == [(1,)]
    # Tests look only at rows made anew: were the load marked as done, the next run would be green.
    query(
        warehouse,
        "create function spoil() returns trigger language plpgsql as "
        "'begin new.row_count := 0; return new; end'; create trigger spoil before insert "
        "on metrics.masked_values_hourly for each row execute function spoil()",
    )
    with pytest.raises(AssertionError, match="accepted_range_masked_values_hourly_row_count"):
        run("build", "--exclude-resource-type", "unit_test")
    assert query(warehouse, count) == [(2,)]
    waiting = (
        "select count(*) from raw.ingest_batches "
        "where target = 'raw.opensky_states' and transformed_at is null"
    )
    assert query(warehouse, waiting) == [(1,)]
    query(warehouse, "drop function spoil cascade")
    run("run")
    assert query(warehouse, waiting) == [(0,)]
    spoilt = "select count(*) from metrics.masked_values_hourly where row_count = 0"
    assert query(warehouse, spoilt) == [(0,)]


def test_what_live_runs_made_is_tested_by_the_next_build(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    """However many of them there were, and with nothing new for the build itself."""
    warehouse, _ = twins
    run = dbt_of(warehouse)
    load_states(warehouse, recording(*seconds(30)))
    run(*build_arguments())
    pending = "select count(*) from audit.pending_ranges"
    assert query(warehouse, pending) == [(0,)]
    for hour in (1, 2):
        load_states(warehouse, recording(*seconds(30, DEMO_START + timedelta(hours=hour))))
        run(*PASS)
    query(
        warehouse,
        "create function spoil() returns trigger language plpgsql as "
        "'begin new.status := ''gone''; return new; end'; create trigger spoil before insert "
        "on metrics.fct_flights for each row execute function spoil()",
    )
    assert query(warehouse, "select count(*) from metrics.fct_flights") == [(3,)]
    minutes = "select count(distinct date_trunc('hour', minute_at)) from metrics.phase_counts_1m"
    assert query(warehouse, minutes) == [(1,)]
    waiting = (
        "select count(*) from raw.ingest_batches "
        "where target = 'raw.opensky_states' and transformed_at is null"
    )
    assert query(warehouse, waiting) == [(0,)]
    assert query(warehouse, pending) == [(2,)]
    for _ in range(2):
        with pytest.raises(AssertionError, match="accepted_values_fct_flights_status"):
            run(*build_arguments())
        assert query(warehouse, pending) == [(2,)]
    assert query(warehouse, minutes) == [(3,)]
    query(warehouse, "drop function spoil cascade")
    run(*build_arguments())
    assert query(warehouse, pending) == [(0,)]


def test_other_airports_make_everything_anew(
    twins: tuple[Warehouse, Warehouse],
    dbt_of: Callable[[Warehouse], Dbt],
    query: Query,
) -> None:
    warehouse, _ = twins
    run = dbt_of(warehouse)
    load_states(warehouse, recording(*seconds(30)))
    run("run")
    state = "select fingerprint from audit.transform_state"
    first = query(warehouse, state)
    rows = reference.airports()
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", rows)
    run("run")
    assert query(warehouse, state) != first
    assert query(warehouse, "select is_whole from audit.transform_horizon") == [(True,)]
    # Positions alone leave the tables of reference data as they are.
    made = (
        "select max(xmin::text), (select max(xmin::text) from staging.stg_reference__runway_ends) "
        "from staging.stg_reference__airports"
    )
    before = query(warehouse, made)
    run("run")
    assert query(warehouse, "select is_whole from audit.transform_horizon") == [(False,)]
    assert query(warehouse, made) == before
    # With positions dropped by retention the tables stay, for they could not be made again.
    query(
        warehouse,
        "insert into raw.dropped_partitions (target, day, row_count) "
        "values ('raw.opensky_states', '2021-10-01', 5)",
    )
    query(warehouse, "delete from raw.airports where icao = 'LFPG'")
    run("run")
    assert query(warehouse, "select is_whole from audit.transform_horizon") == [(False,)]
    kept = "select count(*) from staging.stg_reference__airports where airport = 'LFPG'"
    assert query(warehouse, kept) == [(0,)]
    # What a run that chose some models has made is no basis for the next one.
    moved = "update raw.airports set elevation_m = elevation_m + %s where icao = 'LFPO'"
    height = "select elevation_m from staging.stg_reference__airports where airport = 'LFPO'"
    before = query(warehouse, height)
    query(warehouse, moved, 5)
    run("run", "--select", "stg_reference__airports")
    assert query(warehouse, height) != before
    query(warehouse, moved, -5)
    run("run")
    assert query(warehouse, height) == before
    query(warehouse, moved, 5)
    run("run", "--exclude", "stg_reference__airports")
    run("run")
    assert query(warehouse, height) != before


def test_another_type_of_an_aircraft_makes_everything_anew(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    marks = [transform_fingerprint(warehouse, [])]
    for typecode in ("A320", "A321"):
        (tmp_path / "aircraft.csv").write_text(f"icao24,typecode\n4b1801,{typecode}\n")
        for _ in range(2):
            load_aircraft(warehouse, tmp_path / "aircraft.csv")
            marks.append(transform_fingerprint(warehouse, []))
    assert marks[1] == marks[2]
    assert len(set(marks)) == 3


def test_tables_of_the_former_shape_are_brought_to_the_present_one(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    warehouse, _ = twins
    states = paris(20)
    load_states(warehouse, Recording("paris", states, states))
    dbt_of(warehouse)("run")
    models = ("staging.stg_opensky__states", "intermediate.int_flights__segmented")
    expected = {model: contents(query, warehouse)[model] for model in models}
    for statement in (
        "alter table intermediate.int_flights__segmented rename to flights",
        "create table intermediate.int_flights__segmented as "
        "select flight_id, icao24, flight_started_at, positioned_at from intermediate.flights "
        "inner join staging.stg_opensky__states using (icao24) "
        "where positioned_at between flight_started_at and flight_ended_at",
        "drop table intermediate.flights",
        "alter table staging.stg_opensky__states drop column is_after_silence",
        (MIGRATIONS / "0006_flights.sql").read_text(),
    ):
        query(warehouse, statement)
    found = contents(query, warehouse)
    assert {model: found[model] for model in models} == expected


def test_tables_from_before_sparse_feeds_take_new_positions(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    """Where retention forbids a rebuild, 0017 adds columns, 0018 renames; the next load goes in."""
    warehouse, _ = twins
    states = paris(20)
    first = pc.less(states["time_position"], pa.scalar(DEMO_START + timedelta(hours=1)))
    load_states(warehouse, Recording("paris", states.filter(first), states.filter(first)))
    dbt_of(warehouse)("run")
    for table, columns in (
        ("staging.stg_opensky__states", "has_ground_flag altitude_step altitudes_wrong_from_at"),
        (
            "intermediate.int_movements__candidates",
            "anchor_at ground_at ground_latitude_deg ground_longitude_deg is_course_seen lifted_at",
        ),
        ("intermediate.int_movements__located", "runway_reason"),
        ("intermediate.int_movements__discontinued_landings", "runway_reason"),
        ("metrics.fct_movements", "runway_reason"),
    ):
        for column in columns.split():
            query(warehouse, f"alter table {table} drop column {column}")
    for old, new in (
        ("int_movements__moments", "int_movements__candidates"),
        ("int_movements__renewed", "int_movements__discontinued_landings"),
        ("int_arrivals__screened", "int_arrivals__asma_eligibility"),
    ):
        query(warehouse, f"alter table intermediate.{new} rename to {old}")
    for migration in ("0017_sparse_movements.sql", "0018_model_names.sql"):
        query(warehouse, (MIGRATIONS / migration).read_text())
    rest = states.filter(pc.invert(first))
    load_states(warehouse, Recording("paris", rest, rest))
    dbt_of(warehouse)("build", "--exclude-resource-type", "unit_test")
    assert query(
        warehouse,
        "select count(*) > 0 from metrics.fct_movements "
        "where runway is null and runway_reason is not null",
    ) == [(True,)]


def test_a_column_that_a_table_lacks_is_added_and_filled_from_then_on(
    twins: tuple[Warehouse, Warehouse], dbt_of: Callable[[Warehouse], Dbt], query: Query
) -> None:
    """As where retention forbids a rebuild; a column that is no longer made stays as it is."""
    fed, whole = twins
    states = paris(20)
    first = pc.less(states["time_position"], pa.scalar(DEMO_START + timedelta(hours=2)))
    lacking = {
        "staging.stg_opensky__states": "has_ground_flag",
        "intermediate.int_movements__located": "runway_reason",
        "metrics.fct_movements": "runway_reason",
    }
    load_states(whole, Recording("paris", states, states))
    dbt_of(whole)("run")
    load_states(fed, Recording("paris", states.filter(first), states.filter(first)))
    dbt_of(fed)("run")
    for table, column in lacking.items():
        query(fed, f"alter table {table} drop column {column}, add column former text")
        query(fed, f"update {table} set former = 'x'")
        query(fed, f"alter table {table} alter column former set not null")
    load_states(fed, Recording("paris", *[states.filter(pc.invert(first))] * 2))
    dbt_of(fed)("build", "--exclude-resource-type", "unit_test")
    for table, column in lacking.items():
        place, name = table.split(".")
        has, should_have = (columns_of(at, [(place, name)])[place, name] for at in (fed, whole))
        assert dict(has) == dict(should_have) | {"former": "text"}
        rows = f"select (to_jsonb(t) - '{{batch_id,former}}'::text[])::text from {table} as t"
        made = {row for (row,) in query(fed, f"{rows} where {column} is not null")}
        expected = {row for (row,) in query(whole, rows)}
        assert made < expected
        assert query(fed, f"select former, count(*) > 0 from {table} group by 1 order by 1") == [
            ("x", True),
            (None, True),
        ]
        assert query(fed, f"select count(*) from {table}") == [(len(expected),)]
    query(fed, "update audit.transform_state set fingerprint = 'of another project'")
    dbt_of(fed)("run")
    assert contents(query, fed) == contents(query, whole)
