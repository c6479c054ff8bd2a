"""A linter of the dbt project: every model documented, tested, under contract, where it belongs.

What is stricter for metrics and features (keys, unit tests, units) is in `test_dbt`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.settings import PROJECT_ROOT

MODELS = PROJECT_ROOT / "dbt_project" / "models"
SCHEMA_OF = {"fleet": "metrics", "reliability": "metrics"}
"""Folders whose models are in a schema of another name."""
ELSEWHERE = {"live_skill"}
"""In `ml`, beside the predictions that it judges."""
CONTRACTED = ("metrics", "features", "live")
PREFIXES = {
    "staging": r"stg_[a-z]+__[a-z_]+",
    "intermediate": r"int_[a-z]+__[a-z0-9_]+",
    "metrics": r"(?!stg_)\w+",
    "features": r"(?!stg_|int_|fct_)\w+",
    "live": r"(?!stg_|int_|fct_)\w+",
}
READ = re.compile(r"\b(?:staging|intermediate|metrics|features|live)\.([a-z]\w+)")
UNSEEN = {
    "fixes": "a step of the board",
    "live_skill": "a person's query: what is said of a champion at this moment",
}
"""Ends of the graph that no exposure names, and what they are for."""


def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def problems(model: dict[str, Any], tested: set[str]) -> list[str]:
    """What the house's rules find wrong with a model.

    Args:
        model: as the manifest has it.
        tested: names of models with a test or a unit test.
    """
    name, folder = model["name"], model["path"].split("/")[0]
    is_step = folder in SCHEMA_OF and name.startswith("int_")
    schema = "intermediate" if is_step else SCHEMA_OF.get(folder, folder)
    found = []
    if not model["description"].strip():
        found.append("has no description")
    found += [
        f"{n} has no description" for n, c in model["columns"].items() if not c["description"]
    ]
    if not model["columns"]:
        found.append("describes no column")
    if schema in CONTRACTED and not model["config"]["contract"]["enforced"]:
        found.append("has no contract")
    is_held = any(c["constraints"] for c in model["columns"].values()) or any(
        index.get("unique") for index in model["config"].get("indexes", [])
    )
    if name not in tested and not is_held:
        found.append("has neither a test nor a constraint")
    if model["schema"] != schema and name not in ELSEWHERE:
        found.append(f"is in the schema {model['schema']}, but in the folder {folder}/")
    if not re.fullmatch(PREFIXES[schema], name):
        found.append(f"has a name that is none of {schema}")
    if not (model.get("patch_path") or "").endswith(f"/{Path(model['path']).stem}.yml"):
        found.append("has no yml of its name beside it")
    return found


def test_every_model_keeps_the_rules(nodes: dict[str, Any]) -> None:
    tested = {each["model"] for each in nodes["unit_tests"].values()}
    tested |= {
        node["attached_node"].split(".")[-1]
        for node in nodes["nodes"].values()
        if node["resource_type"] == "test" and node.get("attached_node")
    }
    found = {model["name"]: problems(model, tested) for model in models(nodes)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


GOOD: dict[str, Any] = {
    "name": "fct_calls",
    "path": "metrics/fct_calls.sql",
    "patch_path": "skyops://models/metrics/fct_calls.yml",
    "schema": "metrics",
    "description": "One row per call.",
    "columns": {"call_id": {"description": "The call.", "constraints": []}},
    "config": {"contract": {"enforced": True}},
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, None),
        ({"description": " "}, "has no description"),
        ({"columns": {}}, "describes no column"),
        ({"columns": {"a": {"description": "", "constraints": []}}}, "a has no description"),
        ({"config": {"contract": {"enforced": False}}}, "has no contract"),
        ({"schema": "staging"}, "is in the schema staging, but in the folder metrics/"),
        ({"name": "stg_x__calls"}, "has a name that is none of metrics"),
        ({"patch_path": "skyops://models/metrics/all.yml"}, "has no yml of its name beside it"),
    ],
)
def test_the_linter_finds_each_fault(change: dict[str, Any], says: str | None) -> None:
    model = GOOD | change
    assert problems(model, {model["name"]}) == ([says] if says else [])


def test_the_linter_finds_what_nothing_tests() -> None:
    assert problems(GOOD, set()) == ["has neither a test nor a constraint"]


def test_every_source_and_its_columns_are_described(nodes: dict[str, Any]) -> None:
    for source in nodes["sources"].values():
        assert source["description"].startswith("One row per "), source["name"]
        assert source["columns"], source["name"]
        assert all(column["description"] for column in source["columns"].values())


def test_the_exposure_of_the_service_names_all_that_it_reads(nodes: dict[str, Any]) -> None:
    names = {model["name"] for model in models(nodes)}
    code = "".join(
        path.read_text() for path in sorted((PROJECT_ROOT / "skyops_assets/serving").glob("*.py"))
    )
    reads = set(READ.findall(code)) & names
    told = {
        node.split(".")[-1]
        for node in nodes["exposures"]["exposure.skyops.service"]["depends_on"]["nodes"]
    }
    assert reads - told == set(), "add them to `service` in dbt_project/models/exposures.yml"
    assert told - reads == set(), "the service does not read these"


def test_nothing_is_made_for_nobody(nodes: dict[str, Any]) -> None:
    """What no model reads is a metric that people query, or an exposure names it."""
    read = {
        parent
        for node in [*nodes["nodes"].values(), *nodes["exposures"].values()]
        if node["resource_type"] in ("model", "exposure")
        for parent in node["depends_on"]["nodes"]
    }
    ends = {
        model["name"]
        for model in models(nodes)
        if model["unique_id"] not in read and model["schema"] != "metrics"
    }
    assert ends == set(UNSEEN)


def test_dbt_docs_open_on_our_own_overview(nodes: dict[str, Any]) -> None:
    page = nodes["docs"]["doc.skyops.__overview__"]["block_contents"]
    assert page.startswith("# SkyOps")
    linked = set(re.findall(r"#!/model/(model\.skyops\.\w+)", page))
    assert len(linked) >= 8
    assert linked <= set(nodes["nodes"])


@pytest.mark.xdist_group("dbt")
def test_dbt_says_which_source_is_late(dbt: Any, shared_warehouse: Any, query: Any) -> None:
    code, said = dbt("source", "freshness")
    assert code == 0, said
    query(
        shared_warehouse,
        "insert into raw.ingest_batches (target, source, started_at, finished_at, read_rows, "
        "loaded_rows, duplicate_rows, rejected_rows) select 'raw.opensky_states', 'late', "
        "now() - make_interval(hours => 26), now() - make_interval(hours => 26), 0, 0, 0, 0",
    )
    code, said = dbt("source", "freshness")
    query(shared_warehouse, "delete from raw.ingest_batches where source = 'late'")
    assert code == 1, said
    assert "ERROR STALE freshness of raw.opensky_states" in said
