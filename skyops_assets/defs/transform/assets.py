"""dbt: everything from the raw rows to the metrics and features, as assets and checks."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNERS
from skyops_assets.warehouse.dbt import MANIFEST, build_arguments, run_target


class SkyOpsTranslator(DagsterDbtTranslator):
    """Groups are the stages of the graph; keys are where the data lies (schema, table)."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """``features`` for the feature tables, ``transform`` for all before them."""
        return "features" if dbt_resource_props.get("schema") == "features" else "transform"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Every model has an owner."""
        return OWNERS


@dbt_assets(manifest=MANIFEST, dagster_dbt_translator=SkyOpsTranslator())
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: WarehouseResource
) -> Iterator[Any]:
    """Build and test the models of `dbt_project/`."""
    invocation = dbt.cli(
        build_arguments(),
        context=context,
        target_path=run_target(warehouse.settings.home, context.run.run_id),
    )
    yield from (
        invocation.stream().fetch_row_counts().fetch_column_metadata(with_column_lineage=True)
    )
