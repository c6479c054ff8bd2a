"""What SkyOps takes away from dagster-dbt's resource: a renaming upgrade is noticed here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dagster_dbt import DbtCliResource
from dbt.version import __version__

from skyops_assets.defs.resources import resources
from skyops_assets.instance.dbt_cli import LeanDbtCliResource, chosen_nodes

LIVE = "fqn:skyops.live"


def test_what_is_overridden_is_there() -> None:
    for name in ("_initialize_dbt_core_adapter", "_cli_version"):
        assert name in vars(DbtCliResource)
        assert name in vars(LeanDbtCliResource)


def test_dbt_has_the_version_that_is_told_without_asking_it() -> None:
    assert str(resources()["dbt"]._cli_version) == __version__


@pytest.mark.parametrize(
    "chosen",
    [{}, {"exclude": LIVE}, {"select": LIVE}],
    ids=["everything", "all but a folder", "a folder"],
)
def test_the_nodes_are_those_that_dbt_itself_would_select(
    manifest: Path, chosen: dict[str, str]
) -> None:
    from dagster_dbt import asset_utils

    nodes = json.loads(manifest.read_text())
    asked = {"select": "fqn:*", "exclude": "", "selector": "", "project": None, **chosen}
    by_dbt = asset_utils.select_unique_ids(**asked, manifest_json=nodes)
    with chosen_nodes():
        found = asset_utils.select_unique_ids(**asked, manifest_json=nodes)
    kinds = ("model.", "test.")
    assert {one for one in found if one.startswith(kinds)} == {
        one for one in by_dbt if one.startswith(kinds)
    }
    assert asset_utils.select_unique_ids(**asked, manifest_json=nodes) == by_dbt
