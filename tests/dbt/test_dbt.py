"""dbt's own tests: the unit tests of the models, and that the house's rules hold for each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.xdist_group("dbt")
def test_the_models_build_on_an_empty_warehouse_and_their_unit_tests_pass(
    dbt: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Contracts are enforced while building; unit tests need the tables' columns to be there."""
    built = dbt("run")
    assert built.returncode == 0, built.stdout + built.stderr
    tested = dbt("test", "--select", "test_type:unit")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.fixture(scope="module")
def nodes(manifest: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manifest.read_text())
    return found


def models(manifest: dict[str, Any], *schemas: str) -> list[dict[str, Any]]:
    return [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and (not schemas or node["schema"] in schemas)
    ]


def test_every_description_begins_with_the_grain(nodes: dict[str, Any]) -> None:
    without = [m["name"] for m in models(nodes) if not m["description"].startswith("One row per ")]
    assert without == []


def test_every_metric_and_feature_has_contract_key_test_and_unit_test(
    nodes: dict[str, Any],
) -> None:
    unit_tested = {test["model"] for test in nodes["unit_tests"].values()}
    keyed = {
        test["attached_node"]
        for test in nodes["nodes"].values()
        if test["resource_type"] == "test"
        and test.get("test_metadata", {}).get("name") in ("unique", "unique_combination")
    }
    chosen = models(nodes, "metrics", "features")
    assert len(chosen) >= 7
    for model in chosen:
        assert model["config"]["contract"]["enforced"], model["name"]
        assert model["unique_id"] in keyed, f"{model['name']} has no primary-key test"
        assert model["name"] in unit_tested, f"{model['name']} has no unit test"


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
