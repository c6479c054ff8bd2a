"""The asset graph as it stands, in a file that a person reads, and one unbroken lineage in it.

A change of the graph on purpose: UPDATE_SNAPSHOT=1 pytest tests/graph, and commit the file.
"""

from __future__ import annotations

import difflib
import itertools
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

GROUPS = [
    "raw", "operator", "staging", "int_flights", "int_movements",
    "int_crossings", "int_asma", "facts", "ground", "metrics", "features", "model",
    "predictions", "live", "fleet", "reliability", "anomalies", "reports",
    "monitoring",
]  # fmt: skip
SCHEMAS = ("raw", "staging", "intermediate", "metrics", "features", "ml", "live", "audit")
WRITTEN = {"staging/stg_reference__address_blocks", "staging/stg_reference__airlines"}
"""Models that come from no table: a standard's own, as rows of the project."""
SNAPSHOT = Path(__file__).with_name("asset_graph.txt")


def name(key: dg.AssetKey) -> str:
    return key.to_user_string()


def describe(defs: dg.Definitions, asset_graph: Any) -> str:
    """The graph as text: stages in flow order, then what runs by itself."""
    from skyops_assets.defs.fleet.assets import fleet_models
    from skyops_assets.defs.live.assets import live_views
    from skyops_assets.defs.transform.assets import dbt_models

    # They are many, and named by dbt; the yml files of the project list them.
    steps = (dbt_models, fleet_models, live_views)
    dbt_tests = {key for step in steps for key in step.check_keys}
    lines = ["assets", *assets(asset_graph, dbt_tests)]
    lines += automation(defs.get_repository_def(), asset_graph, dbt_tests)
    return "\n".join(lines) + "\n"


def assets(asset_graph: Any, dbt_tests: set[dg.AssetCheckKey]) -> list[str]:
    lines = []
    nodes = [asset_graph.get(key) for key in asset_graph.get_all_asset_keys()]
    assert {node.group_name for node in nodes} <= set(GROUPS)
    for node in sorted(nodes, key=lambda n: (GROUPS.index(n.group_name), name(n.key))):
        lines += ["", f"{name(node.key)}  [{node.group_name}]"]
        if node.partitions_def:
            lines.append(f"  partitioned: {type(node.partitions_def).__name__}")
        if node.automation_condition:
            condition = node.automation_condition
            lines.append(f"  condition: {condition.get_label() or condition}")
        lines += [f"  from {name(parent)}" for parent in sorted(node.parent_keys)]
        tests = 0
        for check_key in sorted(node.check_keys, key=lambda key: key.name):
            if check_key in dbt_tests:
                assert asset_graph.get(check_key).blocking
                tests += 1
            else:
                blocking = " (blocking)" if asset_graph.get(check_key).blocking else ""
                lines.append(f"  check {check_key.name}{blocking}")
        if tests:
            lines.append(f"  dbt tests (blocking): {tests}")
    return lines


def automation(
    repository: dg.RepositoryDefinition, asset_graph: Any, dbt_tests: set[dg.AssetCheckKey]
) -> list[str]:
    lines = ["", "", "jobs", ""]
    for job in sorted(repository.get_all_jobs(), key=lambda one: one.name):
        if not job.name.startswith("__"):
            chosen = job.asset_layer.selected_asset_keys
            stages = sorted({asset_graph.get(k).group_name for k in chosen}, key=GROUPS.index)
            checks = len(job.asset_layer.asset_graph.asset_check_keys - dbt_tests)
            of = f" of {', '.join(stages)}" if stages else ""
            lines.append(f"{job.name}: {len(chosen)} assets{of}; {checks} checks beside dbt's")
    lines += ["", "", "schedules", ""]
    for schedule in sorted(repository.schedule_defs, key=lambda one: one.name):
        lines.append(
            f"{schedule.name}: job {schedule.job_name}, {schedule.cron_schedule} "
            f"{schedule.execution_timezone}, {schedule.default_status.value}"
        )
    lines += ["", "", "sensors", ""]
    for sensor in sorted(repository.sensor_defs, key=lambda one: one.name):
        lines.append(
            f"{sensor.name}: {sensor.sensor_type.value}, every "
            f"{sensor.minimum_interval_seconds} s, {sensor.default_status.value}"
        )
    return lines


def test_the_graph_is_the_one_in_the_snapshot(graph: Any, asset_graph: Any) -> None:
    found = describe(graph.defs, asset_graph)
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(found)
    kept = SNAPSHOT.read_text()
    difference = difflib.unified_diff(
        kept.splitlines(), found.splitlines(), "asset_graph.txt", "the graph", lineterm=""
    )
    assert found == kept, "run with UPDATE_SNAPSHOT=1 if this is meant:\n" + "\n".join(difference)


def downstream(asset_graph: Any, start: dg.AssetKey) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        for child in asset_graph.get(waiting.pop()).child_keys:
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    return {name(key) for key in reached}


@pytest.mark.parametrize(
    "goal",
    [
        "staging/stg_opensky__states",
        "metrics/fct_flights",
        "metrics/fct_movements",
        "metrics/fct_arrivals",
        "metrics/asma_monthly",
        "metrics/airport_hourly",
        "features/arrival_features",
        "ml/training_sets",
        "ml/training_runs",
        "ml/evaluations",
        "ml/promotion_decisions",
        "ml/predictions",
        "ml/prediction_outcomes",
        "live/arrivals",
        "live/demand",
        "ml/live_skill",
    ],
)
def test_the_lineage_leads_from_the_positions_to_everything(asset_graph: Any, goal: str) -> None:
    assert goal in downstream(asset_graph, dg.AssetKey(["raw", "opensky_states"]))


def test_the_history_leads_to_the_additional_time_and_the_features_and_not_to_our_flights(
    asset_graph: Any,
) -> None:
    reached = downstream(asset_graph, dg.AssetKey(["raw", "arrivals_history"]))
    assert {"metrics/fct_arrivals", "metrics/asma_daily", "metrics/asma_monthly"} <= reached
    assert "features/crossing_features" in reached
    ours = {"metrics/fct_flights", "metrics/fct_movements", "metrics/fct_ring_crossings"}
    assert reached.isdisjoint(ours)


def test_the_predictions_come_from_the_promotion_and_the_promotion_from_the_training(
    asset_graph: Any,
) -> None:
    line = ["features/arrival_features", "ml/training_sets", "ml/training_runs", "ml/evaluations",
            "ml/promotion_decisions", "ml/predictions", "ml/prediction_outcomes"]  # fmt: skip
    for parent, child in itertools.pairwise(line):
        node = asset_graph.get(dg.AssetKey(child.split("/")))
        assert parent in {name(key) for key in node.parent_keys}


def test_no_asset_stands_alone_or_outside_the_project(asset_graph: Any) -> None:
    """An external asset is a key that something depends on and nothing makes: a broken line."""
    for key in asset_graph.get_all_asset_keys():
        node = asset_graph.get(key)
        assert node.is_materializable, f"{name(key)} is named but never made"
        assert node.parent_keys or node.child_keys, f"{name(key)}: connected to nothing?"
        begins = name(key).startswith("raw/") or name(key) in WRITTEN
        assert bool(node.parent_keys) != begins, f"{name(key)} begins the line in mid-graph"


def test_every_asset_lies_where_its_key_says_and_has_an_owner_and_a_description(
    asset_graph: Any,
) -> None:
    for key in asset_graph.get_all_asset_keys():
        node = asset_graph.get(key)
        assert len(key.path) == 2
        assert key.path[0] in SCHEMAS
        assert node.owners, name(key)
        assert node.description, name(key)


def test_only_raw_assets_are_partitioned(asset_graph: Any) -> None:
    partitioned = {name(k) for k in asset_graph.get_all_asset_keys()
                   if asset_graph.get(k).is_partitioned}  # fmt: skip
    assert partitioned
    assert all(one.startswith("raw/") for one in partitioned)


def test_each_stage_that_feeds_a_decision_has_a_blocking_check(asset_graph: Any) -> None:
    blocking = {name(key.asset_key) for key in asset_graph.asset_check_keys
                if asset_graph.get(key).blocking}  # fmt: skip
    assert {"raw/opensky_states", "features/arrival_features", "ml/training_runs"} <= blocking
    checked = {name(key.asset_key) for key in asset_graph.asset_check_keys}
    assert "ml/predictions" in checked


def test_the_main_job_is_the_whole_graph_but_for_what_goes_by_the_day(
    graph: Any, asset_graph: Any
) -> None:
    """A job has one kind of partition; the history and the weather have jobs of their own."""

    def assets(job: str) -> set[dg.AssetKey]:
        found: set[dg.AssetKey] = graph.defs.resolve_job_def(job).asset_layer.selected_asset_keys
        return found

    history, metars = (dg.AssetKey(["raw", name]) for name in ("arrivals_history", "metars"))
    assert assets("main") == asset_graph.get_all_asset_keys() - {history, metars}
    assert assets("load_history") == {history}
    assert assets("load_metars") == {metars}


def test_every_job_that_makes_assets_waits_its_turn_to_write(graph: Any) -> None:
    """dagster.yaml lets one run at a time carry this tag."""
    for job in graph.defs.get_repository_def().get_all_jobs():
        if not job.name.startswith("__"):
            makes_assets = bool(job.asset_layer.selected_asset_keys)
            assert (job.tags.get("skyops/writes") == "warehouse") is makes_assets, job.name


def test_another_resource_takes_the_place_of_the_usual_one(graph: Any) -> None:
    from skyops_assets.defs.resources import WarehouseResource

    class Other(WarehouseResource):
        pass

    other = Other()
    defs = graph.build_defs({"warehouse": other})
    assert defs.resources["warehouse"] is other
    usual = graph.build_defs()
    # Each names its own graph.
    assert defs.resources["graph"]() is defs.resolve_asset_graph()
    assert type(usual.resources["warehouse"]) is WarehouseResource
    assert set(defs.resources) == set(usual.resources) == {"warehouse", "dbt", "graph"}
    assert defs.resolve_asset_graph().get_all_asset_keys() == (
        usual.resolve_asset_graph().get_all_asset_keys()
    )


def test_the_definitions_can_be_loaded_by_dagster(graph: Any) -> None:
    dg.Definitions.validate_loadable(graph.defs)
