"""The corpus (`tests/support/corpus.py`) through load, the whole build, and the checks.

What the sky or a file sends never stops the platform, and what is true of each small input is said
of it. Its inputs share five databases, kept apart by address and time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.runtime import environment
from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.files import FileLoad, load_file
from skyops_assets.sources.opensky.reading.recordings import find_recordings
from skyops_assets.transform.dbt import build_arguments
from skyops_assets.warehouse.connection import Warehouse
from tests.support import tracks
from tests.support.corpus import FAMILIES, Case, Family, Moved, Truth, later
from tests.support.databases import Databases, Query
from tests.support.dbt import dbt_environment, run_dbt
from tests.support.writers import traffic_csv

pytestmark = pytest.mark.usefixtures("manifest")


@dataclass(frozen=True)
class Built:
    """A family's database after everything.

    Attributes:
        loads: what became of each case's files.
        said: what dbt printed.
        red: the blocking checks that failed, with what they said.
    """

    warehouse: Warehouse
    addresses: dict[str, str]
    truths: dict[str, Truth]
    loads: dict[str, list[FileLoad]]
    code: int
    said: str
    red: dict[str, str]


def blocking_checks() -> list[tuple[str, Any]]:
    """Ours with their stage, to the training set; dbt's own tests run with the build."""
    import dagster as dg

    from skyops_assets.defs.features import checks as features
    from skyops_assets.defs.model import checks as model
    from skyops_assets.defs.raw import checks as raw

    return [
        (stage.__name__.split(".")[-2], check)
        for stage in (raw, features, model)
        for found in vars(stage).values()
        # Those of the model are lists, by ring.
        for check in (found if isinstance(found, list) else [found])
        if isinstance(check, dg.AssetChecksDefinition)
        and all(spec.blocking for spec in check.check_specs)
        # A model is of a training, not of what came in.
        and check not in model.challenger_is_sound
    ]


def run_checks(stage: str, home: Path, warehouse: Warehouse) -> dict[str, str]:
    """The stage's blocking checks that fail, by asset and name, with what they say."""
    import dagster as dg

    from skyops_assets.defs.resources import WarehouseResource

    checks = [check for of_stage, check in blocking_checks() if of_stage == stage]
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment(Settings(home=home), warehouse).items():
            if name.startswith("SKYOPS_"):
                patched.setenv(name, value)
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                checks,
                instance=instance,
                resources={"warehouse": WarehouseResource()},
                selection=dg.AssetSelection.checks(*checks),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
    evaluated = result.get_asset_check_evaluations()
    assert len(evaluated) == len(checks)
    return {one.check_name: str(one.description) for one in evaluated if not one.passed}


def build(family: Family, databases: Databases, folder: Path) -> Built:
    """Write a family's files, load them, and build and check everything."""
    from skyops_assets.arrivals.features import RINGS_NM
    from skyops_assets.arrivals.steps.train import build_training_set

    warehouse = databases.new()
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", reference.airports())
    if family.has_runways:
        reference.replace_reference(warehouse, "raw.runways", "ourairports", tracks.raw_runways())
    addresses, truths, loads = {}, {}, {}
    for case, address, (rows, truth) in family.drawn():
        path = folder / f"{case.name}{case.ending}"
        case.write(path, rows)
        addresses[case.name], truths[case.name] = address, truth
        loads[case.name] = [load_file(warehouse, file) for file in find_recordings([path])]
    if family.has_later:
        traffic_csv(folder / "later.csv", later(family))
        assert load_file(warehouse, folder / "later.csv").error is None
    red = run_checks("raw", folder, warehouse)
    variables = dbt_environment(folder, folder, warehouse)
    variables |= {"SKYOPS_WATCH_AIRPORTS": family.watched, "SKYOPS_DBT_THREADS": "4"}
    code, said = run_dbt(folder / "output", variables, *build_arguments(), ours=True)
    if code == 0:
        red |= run_checks("features", folder, warehouse)
        for ring_nm in RINGS_NM:
            build_training_set(warehouse, Settings(home=folder), ring_nm=ring_nm)
        red |= run_checks("model", folder, warehouse)
    return Built(warehouse, addresses, truths, loads, code, said, red)


@pytest.fixture(scope="module")
def built(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Family], Built]]:
    """A family's database, built when it is first asked for."""
    done: dict[str, Built] = {}

    def of(family: Family) -> Built:
        if family.name not in done:
            done[family.name] = build(family, databases, tmp_path_factory.mktemp(family.name))
        return done[family.name]

    yield of
    for each in done.values():
        databases.drop(each.warehouse)


def of_family(family: Family) -> Any:
    """One worker builds a family."""
    return pytest.mark.xdist_group(f"corpus_{family.name}")


of_families = pytest.mark.parametrize(
    "family",
    [pytest.param(family, id=family.name, marks=of_family(family)) for family in FAMILIES],
)
"""A test of each family."""


@of_families
def test_nothing_stops_the_build(family: Family, built: Callable[[Family], Built]) -> None:
    """No model fails, no test of dbt's is red, nothing is skipped."""
    found = built(family)
    summary = re.search(r"PASS=(\d+) WARN=(\d+) ERROR=(\d+) SKIP=(\d+)", found.said)
    assert summary, found.said
    failed = re.findall(r"(?:Failure|Error) in .*", found.said)
    assert (failed, summary[2], summary[3], summary[4]) == ([], "0", "0", "0")
    assert int(summary[1]) > 250
    assert found.code == 0


@of_families
def test_no_blocking_check_is_red(family: Family, built: Callable[[Family], Built]) -> None:
    assert built(family).red == {}


@of_families
def test_nothing_impossible_is_said(
    family: Family, built: Callable[[Family], Built], query: Query
) -> None:
    """No two take-offs without a landing between, none of two landings; no ground at cruise."""
    warehouse = built(family).warehouse
    twice = query(
        warehouse,
        "select flight_id, movement, moved_at from (select *, lag(movement) over "
        "(partition by flight_id order by moved_at) as before from metrics.fct_movements "
        "where movement in ('landing', 'takeoff')) as moved where movement = before",
    )
    assert twice == []
    high = query(
        warehouse,
        "select flight_id, positioned_at, height_m from intermediate.int_positions__phased "
        "where phase = 'GROUND' and height_m > 1000 and ground_speed_mps > 100",
    )
    assert high == []


CASES = [
    pytest.param(family, case, id=f"{family.name}-{case.name}", marks=of_family(family))
    for family in FAMILIES
    for case in family.cases
]


@pytest.mark.parametrize(("family", "case"), CASES)
def test_what_is_true_is_said(
    family: Family, case: Case, built: Callable[[Family], Built], query: Query
) -> None:
    found = built(family)
    truth, address = found.truths[case.name], found.addresses[case.name]
    loads = found.loads[case.name]
    assert [load.error for load in loads if load.error] == []
    assert sum(load.rejected_rows for load in loads) == case.rejected
    assert all(
        one.read_rows == one.loaded_rows + one.duplicate_rows + one.rejected_rows for one in loads
    )

    def rows(select: str) -> list[tuple[Any, ...]]:
        return query(found.warehouse, select, f"{address}%")

    moved = rows(
        "select movement, airport, runway, runway_direction, moved_at from metrics.fct_movements "
        "where icao24 like %s order by moved_at"
    )
    told = [Moved(row[0], row[1], row[2] or row[3], row[4]) for row in moved]
    flights = rows(
        "select departure_airport_reason, arrival_airport_reason, status, callsign, max_height_m "
        "from metrics.fct_flights where icao24 like %s order by first_seen_at"
    )
    assert_moved(told, truth, family.has_runways)
    assert len(flights) == truth.flights
    if flights:
        departure, arrival, status, callsign, max_height_m = flights[-1]
        assert not truth.departure or departure in truth.departure
        assert not truth.arrival or arrival in truth.arrival
        assert not truth.status or status in truth.status
        assert truth.callsign is None or callsign == truth.callsign
        if truth.max_height_m is not None:
            assert max_height_m == pytest.approx(truth.max_height_m, abs=60)
    holdings = rows("select holding_id from metrics.fct_holdings where icao24 like %s")
    assert len(holdings) == truth.holdings
    phases = rows(
        "select phase, count(*) from intermediate.int_positions__phased "
        "where icao24 like %s group by 1"
    )
    assert {phase: count for phase, count in phases if phase in truth.unlike} == {}
    if truth.crossings is not None:
        [(crossings,)] = rows(
            "select count(*) from features.crossing_features as f inner join metrics.fct_flights "
            "using (flight_id) where icao24 like %s"
        )
        assert crossings == truth.crossings


def assert_moved(told: list[Moved], truth: Truth, has_runways: bool) -> None:
    """All that moved is told and nothing else, at its time and on its runway."""
    if truth.may:
        for one in told:
            assert any(fits(one, maybe, has_runways, may_lack=True) for maybe in truth.may), one
        return
    assert len(told) == len(truth.moved), told
    for one, true in zip(told, truth.moved, strict=True):
        assert fits(one, true, has_runways), (one, true)


def fits(told: Moved, true: Moved, has_runways: bool, *, may_lack: bool = False) -> bool:
    """Whether what is told is what was true.

    A direction that was told by the track may be off by one, or, with `may_lack`, not be told.
    """
    if (told.movement, told.airport) != (true.movement, true.airport):
        return False
    if abs((told.at - true.at).total_seconds()) > true.within_s:
        return False
    if true.runway is None:
        return True
    if has_runways and true.is_exact:
        return told.runway == true.runway
    if told.runway is None:
        return may_lack
    return abs(int(told.runway[:2]) - int(true.runway[:2])) in (0, 1, 35)
