"""docs/checks.md is the graph's checks, and what each blocks is what it blocks in a real run.

The runs are of the real jobs: dependencies, selections, blocking flags and the executor are the
graph's own. Only what an asset or a check computes is replaced, by nothing and by a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import dagster as dg
import pytest

from skyops_assets.defs.policies import TRANSFORM
from skyops_assets.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "checks.md"
HEAD = "| asset | check | blocks | owner | why | what to do |"
STAGES = {
    "transform": TRANSFORM,
    "features": ("features",),
    "model": ("model",),
    "predictions": ("predictions",),
    "live": ("live",),
    "fleet": ("fleet", "reliability", "operator"),
    "anomalies": ("anomalies",),
    "reports": ("reports",),
    "monitoring": ("monitoring",),
}
"""Groups by the words of the page."""
OF_DBT = ("transform", "features", "live", "fleet")


def stage_of(node: Any) -> str:
    """The word of the page for an asset; none for what is loaded, and comes before all stages."""
    if node.key.path[0] == "raw":
        return ""
    [found] = [name for name, groups in STAGES.items() if node.group_name in groups]
    return found


DBT = "dbt's tests"
FOLLOWING = "what dbt builds from it"
HOUR = "2021-10-07-12:00"


class Row(NamedTuple):
    """A line of the page's tables."""

    asset: str
    check: str
    blocks: str
    owner: str
    why: str
    todo: str

    @property
    def blocked(self) -> list[str]:
        """The names in the column "blocks"; none where it blocks nothing."""
        if self.blocks.startswith("nothing"):
            return []
        return [name.strip().strip("`") for name in self.blocks.split(",")]


def rows() -> list[Row]:
    found, is_table = [], False
    for line in PAGE.read_text().splitlines():
        if line == HEAD:
            is_table = True
        elif not line.startswith("|"):
            is_table = False
        elif is_table and not line.startswith("|---"):
            found.append(Row(*(cell.strip() for cell in line.strip("|").split("|"))))
    return found


OURS = [row for row in rows() if row.check != DBT]
BLOCKING = [row for row in OURS if row.blocked]
GROUPS = {row.asset.removesuffix("/*"): row for row in rows() if row.check == DBT}


@pytest.fixture(scope="module")
def dbt_checks(graph: Any) -> set[dg.AssetCheckKey]:
    from skyops_assets.defs.fleet.assets import fleet_models
    from skyops_assets.defs.live.assets import live_views
    from skyops_assets.defs.transform.assets import dbt_models

    return {*dbt_models.check_keys, *fleet_models.check_keys, *live_views.check_keys}


def group_of(key: dg.AssetCheckKey) -> str:
    """The group of the page that one of dbt's tests is of: its schema, or the fleet."""
    from skyops_assets.defs.fleet.assets import fleet_models

    return "fleet" if key in fleet_models.check_keys else key.asset_key.path[0]


def key_of(row: Row) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(row.asset.split("/")), row.check)


# The page and the graph


def test_every_check_of_ours_is_on_the_page_as_it_is(
    graph: Any, asset_graph: Any, dbt_checks: set[dg.AssetCheckKey]
) -> None:
    shown = {key_of(row): row for row in OURS}
    assert len(shown) == len(OURS), "a check is on the page twice"
    specs = {spec.key: spec for spec in all_specs(graph)}
    wrong = []
    for key in sorted(asset_graph.asset_check_keys - dbt_checks):
        spec, row = specs[key], shown.pop(key, None)
        owner = (spec.metadata or {}).get("owner")
        asset = key.asset_key.to_user_string()
        if owner is None:
            wrong.append(
                f"{asset}:{key.name}: give its @dg.asset_check metadata=OWNED (defs/shared)"
            )
        if not spec.description:
            wrong.append(f"{asset}:{key.name}: give it a docstring")
        if row is None:
            blocks = (
                "transform, features, model, predictions" if spec.blocking else "nothing (warns)"
            )
            wrong.append(
                f"docs/checks.md, first table, lacks the line\n| {asset} | {key.name} | {blocks} | "
                f"{owner} | why it is there | what to do |\n(with what it really blocks)"
            )
        elif spec.blocking != bool(row.blocked):
            is_so = (
                "is blocking: say what" if spec.blocking else "is not blocking: say nothing (warns)"
            )
            wrong.append(f"docs/checks.md: {asset} {key.name} {is_so}")
        elif row.owner != owner:
            wrong.append(f"docs/checks.md: {asset} {key.name} has the owner {owner}")
    wrong += [f"docs/checks.md: {row.asset} {row.check} is no check" for row in shown.values()]
    assert not wrong, "\n".join(wrong)


def all_specs(graph: Any) -> Iterator[dg.AssetCheckSpec]:
    for definition in graph.defs.get_repository_def().assets_defs_by_key.values():
        yield from definition.check_specs
    for definition in graph.defs.get_repository_def().asset_checks_defs_by_key.values():
        yield from definition.check_specs


def test_every_line_says_why_and_what_to_do() -> None:
    for row in rows():
        assert all(row), row


def test_every_dbt_test_is_of_a_group_of_the_page_and_blocks(
    dbt_checks: set[dg.AssetCheckKey], graph: Any
) -> None:
    assert {group_of(key) for key in dbt_checks} == set(GROUPS)
    specs = {spec.key: spec for spec in all_specs(graph)}
    for key in dbt_checks:
        spec = specs[key]
        assert spec.blocking, key
        assert spec.metadata["owner"] == GROUPS[group_of(key)].owner
        assert re.search(r"rebuild|Find the rows", spec.description or ""), key
        assert "{" not in (spec.description or "").replace("{{", ""), spec.description


def test_every_kind_of_dbt_test_is_on_the_page(manifest: Any) -> None:
    import json

    nodes = json.loads(manifest.read_text())["nodes"].values()
    kinds = {
        (node.get("test_metadata") or {}).get("name") or node["name"]
        for node in nodes
        if node["resource_type"] == "test"
    }
    listed = re.search(r"\| kind \|.*?\n\n", PAGE.read_text(), re.DOTALL)
    assert listed
    shown = {line.split("|")[1].strip() for line in listed[0].strip().splitlines()[2:]}
    assert kinds == shown


# What is held back


@pytest.fixture
def held_back(
    graph: Any, asset_graph: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, dg.AssetCheckKey], set[str]]:
    """Run a job with one check red; returns what was selected and not materialised."""

    def run(name: str, red: dg.AssetCheckKey) -> set[str]:
        job = graph.defs.resolve_job_def(name)

        def compute(context: Any, _: Any) -> Iterator[Any]:
            # As `dbt build` does: what follows from a model with a failed test is not built.
            context = getattr(context, "op_execution_context", context)
            selected, checks = context.selected_asset_keys, context.selected_asset_check_keys
            skipped: set[dg.AssetKey] = set()
            for key in (k for k in asset_graph.toposorted_asset_keys if k in selected):
                if asset_graph.get(key).parent_keys & skipped:
                    skipped.add(key)
                    continue
                yield dg.Output(None, context.assets_def.get_output_name_for_asset_key(key))
                if red.asset_key == key and red in checks:
                    skipped.add(key)
            # The green ones of dbt are many; leaving them out changes nothing but the time.
            for check in checks:
                if check == red or len(checks) == 1:
                    yield dg.AssetCheckResult(
                        passed=check != red, asset_key=check.asset_key, check_name=check.name
                    )

        for node in job.all_node_defs:
            if isinstance(node, dg.OpDefinition):
                monkeypatch.setattr(node, "_compute_fn", compute)
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(
                instance=instance,
                raise_on_error=False,
                partition_key=HOUR if job.partitions_def else None,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        assert not result.success
        [found] = [one for one in result.get_asset_check_evaluations() if not one.passed]
        assert found.asset_check_key == red
        assert found.blocking
        made = {event.asset_key for event in result.get_asset_materialization_events()}
        return {key.to_user_string() for key in job.asset_layer.selected_asset_keys - made}

    return run


def named(asset_graph: Any, row: Row, asset: dg.AssetKey, job_keys: set[dg.AssetKey]) -> set[str]:
    """The assets that a line of the page names, of those that a job has."""
    found: set[dg.AssetKey] = set()
    for name in row.blocked:
        if name in STAGES:
            found |= {key for key in job_keys if stage_of(asset_graph.get(key)) == name}
        elif name == FOLLOWING:
            waiting = [asset]
            while waiting:
                for child in asset_graph.get(waiting.pop()).child_keys - found:
                    if stage_of(asset_graph.get(child)) in OF_DBT:
                        found.add(child)
                        waiting.append(child)
        else:
            found.add(dg.AssetKey(name.split("/")))
    return {key.to_user_string() for key in found & job_keys}


@pytest.mark.parametrize("row", BLOCKING, ids=lambda row: f"{row.asset}:{row.check}")
def test_a_red_check_holds_back_what_the_page_says(
    graph: Any,
    asset_graph: Any,
    held_back: Callable[[str, dg.AssetCheckKey], set[str]],
    row: Row,
) -> None:
    """In the job that runs the check and most of what follows."""
    key = key_of(row)
    is_of_main = key.asset_key in selected(graph, "main")
    job = "main" if is_of_main else "refresh"
    assert held_back(job, key) == named(asset_graph, row, key.asset_key, selected(graph, job))


@pytest.mark.parametrize(
    "group", ["staging", "intermediate", "metrics", "features", "live", "ml", "fleet"]
)
def test_a_red_dbt_test_holds_back_what_the_page_says(
    graph: Any,
    dbt_checks: set[dg.AssetCheckKey],
    held_back: Callable[[str, dg.AssetCheckKey], set[str]],
    group: str,
    request: pytest.FixtureRequest,
) -> None:
    """One of the model from which most follows; with ``--long`` every one, four minutes more."""
    row, asset_graph = GROUPS[group], graph.defs.resolve_asset_graph()
    keys = selected(graph, "main")
    of_group = sorted(key for key in dbt_checks if group_of(key) == group)
    expected = {key: named(asset_graph, row, key.asset_key, keys) for key in of_group}
    if not request.config.getoption("--long"):
        of_group = [max(of_group, key=lambda key: len(expected[key]))]
    for key in of_group:
        assert held_back("main", key) == expected[key], key


@pytest.mark.parametrize(
    ("job", "check"),
    [
        ("refresh", "raw/opensky_states:state_vectors_are_plausible"),
        ("retrain", "features/arrival_features:columns_are_as_declared"),
        ("retrain", "features/crossing_features:columns_are_as_declared"),
    ],
)
def test_a_check_that_is_red_without_its_asset_holds_back_the_next_run(
    graph: Any,
    asset_graph: Any,
    held_back: Callable[[str, dg.AssetCheckKey], set[str]],
    job: str,
    check: str,
) -> None:
    [row] = [row for row in OURS if f"{row.asset}:{row.check}" == check]
    key = key_of(row)
    expected = named(asset_graph, row, key.asset_key, selected(graph, job))
    assert expected
    assert held_back(job, key) == expected


def test_the_hourly_predictions_go_on_where_only_what_is_learned_from_is_red(
    held_back: Callable[[str, dg.AssetCheckKey], set[str]],
) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(["features", "arrival_features"]), "columns_are_as_declared")
    assert held_back("refresh", key) == set()


def selected(graph: Any, job: str) -> set[dg.AssetKey]:
    keys: set[dg.AssetKey] = graph.defs.resolve_job_def(job).asset_layer.selected_asset_keys
    return keys
