"""dbt's own tests: the unit tests of the models, and that the house's rules hold for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from skyops_assets.settings import PROJECT_ROOT
from skyops_assets.warehouse.connection import Warehouse

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def built(dbt: Run) -> Run:
    """dbt, with its models built on an empty warehouse; contracts are enforced while building."""
    code, said = dbt("run")
    assert code == 0, said
    return dbt


@pytest.mark.xdist_group("dbt")
def test_the_models_build_on_an_empty_warehouse_and_their_unit_tests_pass(built: Run) -> None:
    """Unit tests need the tables' columns to be there."""
    code, said = built("test", "--select", "test_type:unit")
    assert code == 0, said


RED = {
    "unique": "unique_arrival_features_crossing_id",
    "not_null": "not_null_arrival_features_landed_at",
    "accepted_range": "accepted_range_arrival_features_transit_min__0",
    "expression_is_true": "expression_is_true_arrival_features_crossed_at_landed_at",
    "relationships": "relationships_arrival_features_crossing_id__crossing_id__ref_crossing_"
    "features_",
    "accepted_values": "accepted_values_arrival_features_label_quality__observed__extrapolated__"
    "estimated",
    "unique_combination_of_columns": "unique_combination_of_columns_phase_counts_1m_"
    "minute_at__phase",
    "takes_turns": "takes_turns_fct_movements_",
    "every_watched_airport_is_known": "every_watched_airport_is_known",
}
"""One test of each kind that the project has."""


@pytest.mark.xdist_group("dbt")
def test_a_test_of_each_kind_goes_red(
    built: Run,
    shared_warehouse: Warehouse,
    nodes: dict[str, Any],
    query: Callable[..., list[tuple[Any, ...]]],
) -> None:
    """Two rows alike, with what none may have; and no airport at all."""
    of_kind = {
        (node.get("test_metadata") or {}).get("name") or node["name"]
        for node in nodes["nodes"].values()
        if node["resource_type"] == "test"
    }
    assert of_kind == set(RED)
    for _ in range(2):
        query(
            shared_warehouse,
            "insert into features.arrival_features (crossing_id, source, crossed_at, transit_min, "
            "label_quality) values ('x', 'positions', now(), -1, 'guessed')",
        )
        query(
            shared_warehouse,
            "insert into metrics.phase_counts_1m (minute_at, phase, aircraft_count) "
            "values ('2021-10-07 12:00+00', 'cruise', 1)",
        )
        query(
            shared_warehouse,
            "insert into metrics.fct_movements (movement_id, flight_id, icao24, airport, movement, "
            "method, label_quality, moved_at, last_fix_at, known_at) values "
            "('x', 'x', 'x', 'x', 'takeoff', 'signal_gained', 'observed', now(), now(), now())",
        )
    query(
        shared_warehouse,
        "update features.arrival_features set landed_at = crossed_at - interval '1 minute' "
        "where ctid = (select min(ctid) from features.arrival_features)",
    )
    code, said = built("test", "--select", *RED.values())
    assert code == 1
    assert [kind for kind, name in RED.items() if f"Failure in test {name}" not in said] == []


GOOD = {
    "features.arrival_features": {
        "crossed_at": "2021-10-07 12:00+00", "landed_at": "2021-10-07 12:15+00", "transit_min": 15,
    },
    "intermediate.int_crossings__unioned": {"bearing_sin": 0.6, "bearing_cos": 0.8},
    "intermediate.int_crossings__entries": {
        "entries_5min_count": 1, "entries_15min_count": 1, "entries_30min_count": 2,
        "entries_60min_count": 2, "sector_entries_15min_count": 0, "unlanded_count": 1,
        "sector_unlanded_count": 0, "predecessor_age_min": 0,
    },
    "intermediate.int_crossings__landings": {
        "landings_15min_count": 0, "landings_30min_count": 1, "landings_60min_count": 4,
    },
    "intermediate.int_crossings__recent_transits": {"last_transit_age_min": None},
    "intermediate.int_crossings__surroundings": {
        "source": "positions", "inbound_inside_count": 0, "holdings_30min_count": 0,
        "go_arounds_30min_count": 0,
    },
}  # fmt: skip
"""A row of each table of features that obeys every rule."""
BAD = [
    ("arrival_features", {"crossed_at": "2021-10-07 12:15+00", "transit_min": 0}),
    ("arrival_features", {"landed_at": None}),
    ("arrival_features", {"transit_min": 15.01}),
    ("arrival_features", {"transit_min": None}),
    ("int_crossings__unioned", {"bearing_cos": -0.81}),
    ("int_crossings__unioned", {"bearing_sin": None}),
    ("int_crossings__entries", {"entries_15min_count": 3}),
    ("int_crossings__entries", {"entries_30min_count": 0}),
    ("int_crossings__entries", {"entries_60min_count": None}),
    ("int_crossings__entries", {"sector_entries_15min_count": 2}),
    ("int_crossings__entries", {"sector_unlanded_count": 2}),
    ("int_crossings__entries", {"unlanded_count": -1}),
    ("int_crossings__entries", {"predecessor_age_min": -0.1}),
    ("int_crossings__landings", {"landings_60min_count": 0}),
    ("int_crossings__landings", {"landings_15min_count": -1}),
    ("int_crossings__recent_transits", {"last_transit_age_min": -0.1}),
    ("int_crossings__recent_transits", {"sector_last_transit_age_min": -0.1}),
    ("int_crossings__surroundings", {"go_arounds_30min_count": None}),
    ("int_crossings__surroundings", {"source": "history"}),
]
"""Rows that break one, or two, as a landing that is not known."""


def test_each_rule_of_the_features_can_be_broken(
    built: Run,
    shared_warehouse: Warehouse,
    nodes: dict[str, Any],
    query: Callable[..., list[tuple[Any, ...]]],
) -> None:
    """And none is by a row that is right. Conditions as dbt has them, on the built tables."""
    rules = {
        (node["attached_node"].split(".")[-1], node["test_metadata"]["kwargs"]["expression"])
        for node in nodes["nodes"].values()
        if (node.get("test_metadata") or {}).get("name") == "expression_is_true"
        and node["attached_node"].split(".")[-1] in {table.split(".")[1] for table in GOOD}
    }
    broken = set()
    for table, good in GOOD.items():
        name = table.split(".")[1]
        for bad in ({}, *(row for model, row in BAD if model == name)):
            row = good | bad
            marks = ", ".join(["%s"] * len(row))
            query(shared_warehouse, f"truncate {table}")
            insert = f"insert into {table} ({', '.join(row)}) values ({marks})"
            query(shared_warehouse, insert, *row.values())
            found = {
                rule
                for model, rule in rules
                if model == name
                and query(shared_warehouse, f"select 1 from {table} where ({rule}) is not true")
            }
            assert bool(found) == bool(bad), (table, bad)
            broken |= {(name, rule) for rule in found}
        query(shared_warehouse, f"truncate {table}")
    assert broken == rules


@pytest.mark.xdist_group("dbt")
def test_every_table_has_statistics_as_soon_as_it_is_built(
    built: Run, shared_warehouse: Warehouse, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    """Models that read it follow at once; of a table never analyzed Postgres has -1 rows."""
    found = query(
        shared_warehouse,
        "select count(*) > 30, min(reltuples) from pg_class where relkind = 'r' "
        "and relnamespace::regnamespace::text "
        "in ('staging', 'intermediate', 'metrics', 'features') "
        # A migration's own, whose rows come later.
        "and relname <> 'flight_anomaly_scores'",
    )
    assert found == [(True, 0)]


@pytest.mark.xdist_group("dbt")
def test_functions_are_those_of_the_project_whichever_model_is_run(
    built: Run, shared_warehouse: Warehouse, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    """One of another version, with other results and columns, is replaced."""
    sources = "select proname, prosrc from pg_proc where pronamespace = 'staging'::regnamespace"
    expected = query(shared_warehouse, f"{sources} order by 1")
    assert [name for name, _ in expected] == [
        "gamma_quantile",
        "judge_altitude_runs",
        "track_airframes",
    ]
    query(
        shared_warehouse,
        "drop function staging.track_airframes; "
        "create function staging.track_airframes() returns int language sql as 'select 1'",
    )
    code, said = built("run", "--select", "stg_reference__runway_ends")
    assert code == 0, said
    assert query(shared_warehouse, f"{sources} order by 1") == expected


def models(manifest: dict[str, Any], *schemas: str) -> list[dict[str, Any]]:
    return [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and (not schemas or node["schema"] in schemas)
    ]


def test_every_description_begins_with_the_grain(nodes: dict[str, Any]) -> None:
    without = [m["name"] for m in models(nodes) if not m["description"].startswith("One row per ")]
    assert without == []


def held(model: dict[str, Any]) -> set[str]:
    """The columns of a model that Postgres keeps from being null: by its contract's constraints."""
    return {
        column["name"]
        for column in model["columns"].values()
        if any(constraint["type"] == "not_null" for constraint in column["constraints"])
    }


def has_key(model: dict[str, Any]) -> bool:
    """Whether Postgres itself holds a primary key of a model: unique, and none of it null."""
    return any(
        index["unique"] and set(index["columns"]) <= held(model)
        for index in model["config"].get("indexes", [])
    )


@pytest.mark.parametrize(
    ("columns", "is_unique", "constraint", "is_key"),
    [
        (["flight_id"], True, "not_null", True),
        (["flight_id"], False, "not_null", False),
        (["flight_id"], True, "check", False),
        (["icao24", "flight_id"], True, "not_null", False),
    ],
)
def test_a_key_is_unique_and_never_null(
    columns: list[str], is_unique: bool, constraint: str, is_key: bool
) -> None:
    names = ("icao24", "flight_id")
    model = {
        "columns": {
            name: {
                "name": name,
                "constraints": [{"type": constraint}] if name == "flight_id" else [],
            }
            for name in names
        },
        "config": {"indexes": [{"columns": columns, "unique": is_unique}]},
    }
    assert has_key(model) == is_key


def test_every_metric_and_feature_has_contract_key_and_unit_test(
    nodes: dict[str, Any],
) -> None:
    unit_tested = {test["model"] for test in nodes["unit_tests"].values()}
    keyed = {
        test["attached_node"]
        for test in nodes["nodes"].values()
        if test["resource_type"] == "test"
        and test.get("test_metadata", {}).get("name") in ("unique", "unique_combination_of_columns")
    }
    chosen = models(nodes, "metrics", "features")
    assert len(chosen) >= 7
    for model in chosen:
        assert model["config"]["contract"]["enforced"], model["name"]
        assert model["unique_id"] in keyed or has_key(model), f"{model['name']} has no primary key"
        assert model["name"] in unit_tested, f"{model['name']} has no unit test"


@pytest.mark.xdist_group("dbt")
def test_postgres_holds_what_the_contracts_promise(
    built: Run,
    shared_warehouse: Warehouse,
    nodes: dict[str, Any],
    query: Callable[..., list[tuple[Any, ...]]],
) -> None:
    """Where a table lacks it too, as an older one does that cannot be built anew."""
    nullable = (
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 "
        "and not attnotnull"
    )
    chosen = [model for model in models(nodes) if held(model)]
    assert len(chosen) >= 10
    query(shared_warehouse, "alter table metrics.fct_flights alter column icao24 drop not null")
    code, said = built("run", "--select", "fct_flights")
    assert code == 0, said
    for model in chosen:
        table = f"{model['schema']}.{model['name']}"
        without = {name for (name,) in query(shared_warehouse, nullable, table)}
        assert not without & held(model), table


def test_every_column_of_metrics_and_features_is_described_with_its_unit(
    nodes: dict[str, Any],
) -> None:
    for model in models(nodes, "metrics", "features"):
        for column in model["columns"].values():
            assert column["description"], f"{model['name']}.{column['name']}"
            if column["data_type"].startswith("timestamp"):
                assert column["name"].endswith("_at"), f"{model['name']}.{column['name']}"
                assert column["data_type"] == "timestamp with time zone"
            if column["data_type"] == "boolean":
                assert column["name"].startswith(("is_", "has_")), column["name"]


NO_SQL = {
    "generate_schema_name": "a name",
    "create_functions": "runs the files of functions/, which are linted",
    "begin_transform": "runs insert_changes and insert_feature_changes, and statements of one line",
    "end_transform": "statements of one line",
    "extend_carried_flights": "a post-hook: extend_flights_to_latest",
    "extend_to_new_flights": "a post-hook: extend_ranges_to_new_flights",
    "add_constraints": "a block of plpgsql, whose rows are the contracts' columns",
    "split_airframes": "a post-hook: contested_stretches, contested_fixes and cleaned_states",
    "judge_altitudes": "a post-hook: stepping_addresses and two updates",
    "get_where_subquery": "dbt calls it for tests",
    "postgres__create_indexes": "dbt calls it for tables",
    "postgres__get_create_table_as_sql": "dbt calls it for tables",
    "distribution": "a word",
    "distribute": "two statements of one line",
    "reach_all_servers": "settings of Citus",
    "copy_suspected": "copies that a post-hook makes on Citus",
    "is_built_whole": "a flag",
    "is_unchanged": "a flag, asked of two audit tables",
    "is_same_project": "a flag, asked of an audit table",
    "_is_same_project": "a condition of one line",
    "is_by_hours": "a flag",
    "notes": "the name of a table",
    "is_transform": "a flag",
    "take_turn": "a statement of one line",
    "turn_of_hook": "the same",
    "postgres__get_test_sql": "dbt calls it for tests",
    "hours_width": "an interval",
    "changes_of": "the name of a table",
    "is_changed": "a condition of three lines, for the materialization and for tests",
    "_columns_with_new_ones_added": "names of columns",
    "materialization_rebuilt_postgres": "a materialization",
    "materialization_reference_postgres": "a materialization",
    "materialization_standing_view_postgres": "a materialization",
}
"""Macros that sqlfluff does not see, with the reason; generic tests have a tag of dbt's own."""


def test_sqlfluff_sees_every_macro_that_holds_sql(nodes: dict[str, Any]) -> None:
    """In a model or a function that calls it, or in `macros_of_hooks.sql`."""
    ours = {
        name: macro
        for name, macro in nodes["macros"].items()
        if macro["package_name"] == "skyops"
        and macro["name"] not in NO_SQL
        and not macro["name"].startswith("test_")
    }
    called = {
        name
        for node in nodes["nodes"].values()
        if node["resource_type"] in ("model", "analysis")
        for name in node["depends_on"]["macros"]
    }
    hooks = (Path(__file__).parent / "macros_of_hooks.sql").read_text()
    called |= {name for name, macro in ours.items() if f"{{{{ {macro['name']}(" in hooks}
    seen: set[str] = set()
    while called - seen:
        seen |= called
        called = {m for name in called & set(ours) for m in ours[name]["depends_on"]["macros"]}
    assert set(ours) - seen == set()
    assert set(NO_SQL) <= {macro["name"] for macro in nodes["macros"].values()}


def test_no_long_description_of_a_column_stands_twice() -> None:
    """Neither in two ymls nor in a yml and a doc block, which is where such a text has its home."""
    texts: list[str] = []
    for path in (PROJECT_ROOT / "dbt_project" / "models").rglob("*.md"):
        texts += re.findall(r"{% docs \w+ %}(.*?){% enddocs %}", path.read_text(), re.DOTALL)
    for path in (PROJECT_ROOT / "dbt_project" / "models").rglob("*.yml"):
        declared = yaml.safe_load(path.read_text())
        sources = [table for one in declared.get("sources", []) for table in one["tables"]]
        for model in (*declared.get("models", []), *sources):
            texts += [
                column["description"]
                for column in model.get("columns", [])
                if "doc(" not in column.get("description", "doc(")
            ]
    counts = Counter(" ".join(text.split()) for text in texts)
    assert len(counts) > 200
    assert [text for text, count in counts.items() if count > 1 and len(text) > 60] == []
