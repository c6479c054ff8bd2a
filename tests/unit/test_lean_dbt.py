"""What SkyOps takes away from dagster-dbt's resource: a renaming upgrade is noticed here."""

from __future__ import annotations

from dagster_dbt import DbtCliResource
from dbt.version import __version__

from skyops_assets.defs.resources import resources
from skyops_assets.instance.dbt_cli import LeanDbtCliResource


def test_what_is_overridden_is_there() -> None:
    for name in ("_initialize_dbt_core_adapter", "_cli_version"):
        assert name in vars(DbtCliResource)
        assert name in vars(LeanDbtCliResource)


def test_dbt_has_the_version_that_is_told_without_asking_it() -> None:
    assert str(resources()["dbt"]._cli_version) == __version__
