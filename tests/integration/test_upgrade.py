"""A home of the version before the redesign is taken over: nothing is lost, nothing is stale.

`tests/upgrade/make_home.py` made the home with that version's own code.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from skyops_assets import client
from skyops_assets.arrivals.store import versions
from skyops_assets.operations import health, status
from skyops_assets.runtime import prepare
from skyops_assets.settings import PROJECT_ROOT, load_settings
from skyops_assets.sources.opensky.loading.files import load_file
from skyops_assets.sources.opensky.loading.partitions import drop_old_partitions
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support import writers
from tests.support.corpus import from_afar
from tests.support.databases import Query
from tests.support.dbt import Dbt
from tests.support.tracks import every
from tests.upgrade.make_home import DATABASES, HOME_MARK, START

pytestmark = pytest.mark.xdist_group("upgrade")

LEFT = PROJECT_ROOT / "tests" / "upgrade"
BUILT = ("staging", "intermediate", "metrics", "features")
NOW_BUILT = {
    "intermediate.int_movements__moments": "intermediate.int_movements__candidates",
    "intermediate.int_movements__renewed": "intermediate.int_movements__discontinued_landings",
    "intermediate.int_arrivals__screened": "intermediate.int_arrivals__asma_eligibility",
    "features.history_crossing_features": "features.crossing_features",
}
"""What the earlier version built, by the names that it has now."""
NOW_CALLED = {
    "raw_min_volume_share": 0.4,
    "min_outcome_share": 0.9,
    "min_disk_days": 3.0,
    "min_disk_gb": 0.5,
}
"""As settings.env has them, under their former names."""
NOTES = ("audit.transform_", "audit.live_")
"""Tables of what is to be rebuilt, which every transform writes anew."""

NEWCOMER = "d1ffff"

Row = tuple[tuple[str, str], ...]
Rows = dict[str, Counter[Row]]


@pytest.fixture
def left(home: Path, query: Query, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """The home and its three databases as the earlier version left them."""
    for line in (LEFT / "settings.env").read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    monkeypatch.setenv("SKYOPS_HOME", str(home))
    # No port that answers: health asks OpenSky.
    monkeypatch.setenv("SKYOPS_OPENSKY_URL", "http://127.0.0.1:9/api")
    with tarfile.open(LEFT / "home.tar.xz") as archive:
        archive.extractall(home, filter="data")
    with pytest.warns(
        PendingDeprecationWarning, match="SKYOPS_LEAST_DISK_GB is now called SKYOPS_MIN_DISK_GB"
    ):
        settings = load_settings()
    warehouse = open_warehouse(settings)
    [(binaries,)] = query(warehouse, "select setting from pg_config where name = 'BINDIR'")
    for name in DATABASES:
        dump = home / f"{name}.sql"
        dump.write_text(dump.read_text().replace(HOME_MARK, str(home)))
        subprocess.run(
            [f"{binaries}/psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1",
             f"--file={dump}", warehouse.libpq(name)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    yield warehouse


def stored(query: Query, warehouse: Warehouse, *schemas: str) -> Rows:
    """The rows of all tables of these schemas."""
    names = query(
        warehouse,
        "select namespaces.nspname || '.' || relations.relname from pg_class as relations "
        "inner join pg_namespace as namespaces on relations.relnamespace = namespaces.oid "
        "where namespaces.nspname = any(%s) and relations.relkind in ('r', 'p', 'v') "
        "and not relations.relispartition",
        list(schemas),
    )
    return {
        name: Counter(
            tuple(sorted((key, str(value)) for key, value in row.items()))
            for (row,) in query(warehouse, f"select to_jsonb(t) from {name} as t")
        )
        for (name,) in names
        if not name.startswith(NOTES)
    }


def lost(before: Rows, after: Rows) -> dict[str, int]:
    """How many rows of each table are there no more, by the columns that they had."""
    found: Counter[str] = Counter()
    for name, rows in before.items():
        for columns in {tuple(key for key, _ in row) for row in rows}:
            had = Counter(
                {row: n for row, n in rows.items() if tuple(k for k, _ in row) == columns}
            )
            now: Counter[Row] = Counter()
            for row, number in after.get(name, Counter()).items():
                now[tuple(cell for cell in row if cell[0] in columns)] += number
            found[name] += (had - now).total()
    return {name: number for name, number in found.items() if number}


def renamed(rows: Rows) -> Rows:
    """Tables of the earlier version under their present names."""
    found: Rows = {}
    for name, counted in rows.items():
        found.setdefault(NOW_BUILT.get(name, name), Counter()).update(counted)
    return found


def differences(one: Rows, other: Rows) -> dict[str, tuple[int, int]]:
    """Per table: rows that only one has, and rows that only the other has."""
    assert one.keys() == other.keys()
    found = {
        name: (sum((one[name] - other[name]).values()), sum((other[name] - one[name]).values()))
        for name in one
    }
    return {name: counts for name, counts in found.items() if any(counts)}


def shapes(query: Query, warehouse: Warehouse) -> set[tuple[Any, ...]]:
    """The columns of all that is built, which of them may be null, and what is indexed."""
    columns = query(
        warehouse,
        "select attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull "
        "from pg_attribute inner join pg_class as relations on attrelid = relations.oid "
        "where relnamespace::regnamespace::text = any(%s) and relkind in ('r', 'v') "
        "and attnum > 0 and not attisdropped",
        list(BUILT),
    )
    indexes = query(
        warehouse,
        "select schemaname || '.' || tablename, regexp_replace(indexdef, ' INDEX \\S+', ' INDEX') "
        "from pg_indexes where schemaname = any(%s)",
        list(BUILT),
    )
    return {*columns, *indexes}


def test_a_refresh_takes_over_what_the_earlier_version_left(
    graph: Any,
    left: Warehouse,
    query: Query,
    dbt_of: Callable[[Warehouse], Dbt],
    tmp_path: Path,
) -> None:
    kept = stored(query, left, "raw", "ml", "audit")
    dagster = replace(left, url=left.url.set(database="dagster"))
    runs = query(dagster, "select run_id, status from runs order by 1")
    materialized = query(
        dagster,
        "select asset_key, max(id), array_agg(distinct partition) filter (where partition <> '') "
        "from event_logs "
        "where dagster_event_type = 'ASSET_MATERIALIZATION' group by 1",
    )
    assert len(runs) == 3
    assert len(materialized) > 40

    settings = load_settings()
    warehouse = prepare(settings)

    assert {name: getattr(settings, name) for name in NOW_CALLED} == NOW_CALLED
    assert lost(kept, stored(query, warehouse, "raw", "ml", "audit")) == {}
    champion = versions.champion(warehouse, versions.model_name(40))
    assert champion is not None
    with dg.DagsterInstance.get() as instance:
        assert sorted((run.run_id, run.status.value) for run in instance.get_runs()) == runs
        for key, event_id, partitions in materialized:
            asset = dg.AssetKey(json.loads(key))
            (latest,) = instance.fetch_materializations(asset, limit=1).records
            assert latest.storage_id == event_id
            assert instance.get_materialized_partitions(asset) == set(partitions or ())

        request = load_the_next_day(graph, warehouse, instance, tmp_path)
        result = graph.defs.resolve_job_def("refresh").execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            tags=request.tags,
        )
    assert result.success
    errors = [
        check.check_name
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    ]
    assert errors == []

    after = stored(query, warehouse, "raw", "ml", "audit")
    assert lost(kept, after) == {}
    assert versions.champion(warehouse, versions.model_name(40)) == champion
    assert query(
        warehouse,
        "select distinct p.ring_nm, p.model_version from ml.predictions as p "
        "inner join metrics.fct_flights as f using (flight_id) where f.icao24 = %s "
        "and p.icao24 = f.icao24 and p.callsign is not distinct from f.callsign",
        NEWCOMER,
    ) == [(40, champion.version), (100, "untrained")]
    refreshed = stored(query, warehouse, *BUILT)
    assert not refreshed.keys() & NOW_BUILT.keys()
    # The fleet's tables are of the day, week and month.
    dbt_of(warehouse)("run", "--full-refresh", "--exclude", "tag:fleet")
    assert differences(refreshed, stored(query, warehouse, *BUILT)) == {}

    shown = status.gather(settings, warehouse, client.last_runs)
    assert shown["champions"][40]["version"] == champion.version
    assert shown["champions"][100] is None
    assert {run["run_id"] for run in shown["last_runs"]} >= {run_id for run_id, _ in runs}
    findings = {
        one.part: one.state for one in health.examine(settings, warehouse, client.heartbeats_now)
    }
    assert findings["warehouse"] == findings["model"] == health.State.OK


def load_the_next_day(
    graph: Any, warehouse: Warehouse, instance: dg.DagsterInstance, folder: Path
) -> dg.RunRequest:
    """Load an arrival as `skyops load` does; what the schedule asks for then."""
    at = START + timedelta(days=1)
    rows, _ = from_afar(NEWCOMER, at)
    writers.traffic_csv(folder / "next_day.csv", every(rows, 10, meeting=at))
    loaded = load_file(warehouse, folder / "next_day.csv")
    assert client.report_loaded({hour: {} for hour in loaded.hours}, "test") == []
    repository = graph.defs.get_repository_def()
    context = dg.build_schedule_context(instance=instance, repository_def=repository)
    tick = repository.get_schedule_def("hourly_refresh").evaluate_tick(context)
    (request,) = tick.run_requests
    return request


def test_where_retention_has_dropped_the_positions_their_tables_move_along(
    left: Warehouse, query: Query, dbt_of: Callable[[Warehouse], Dbt]
) -> None:
    query(
        left,
        "insert into raw.aircraft (icao24, typecode, source, batch_id) "
        "select 'd00000', 'A320', 'test', max(batch_id) from raw.ingest_batches",
    )
    before = renamed(stored(query, left, *BUILT))
    assert drop_old_partitions(left, 1, datetime.now(UTC))
    migrate(left)
    dbt_of(left)("run")
    after = stored(query, left, *BUILT)
    assert not after.keys() & NOW_BUILT.keys()
    assert lost(before, after) == {}
    # The aircraft that came after what the earlier version built is in its view.
    assert {name: after[name].total() - rows.total() for name, rows in before.items()} == {
        name: int(name == "staging.stg_reference__aircraft") for name in before
    }
    for table in ("fct_flights", "fct_movements"):
        named = query(
            left,
            "select distinct told.airline, told.typecode, told.icao24 = 'd00000', "
            f"flights.callsign ~ '^[A-Z]{{3}}[0-9]' from metrics.{table} as told "
            "inner join metrics.fct_flights as flights using (flight_id)",
        )
        assert named, table
        assert all((airline is not None) == bool(is_one) for airline, _, _, is_one in named), table
        assert {typecode for _, typecode, is_known, _ in named if is_known} == {"A320"}, table
        assert {typecode for _, typecode, is_known, _ in named if not is_known} == {None}, table
    shape = shapes(query, left)
    dbt_of(left)("run", "--full-refresh")
    assert shape == shapes(query, left)
