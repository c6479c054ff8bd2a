"""dbt: everything from the raw rows to the metrics and features, as assets and checks."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from skyops_assets.defs.freshness import FOLLOWS_LOADS
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, OWNERS
from skyops_assets.quality.dbt_tests import describe
from skyops_assets.warehouse.dbt import build_arguments, prepare_manifest, run_target


class SkyOpsTranslator(DagsterDbtTranslator):
    """Groups are the stages of the graph; keys are where the data lies (schema, table)."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """``features`` for the feature tables, ``transform`` for all before them."""
        return "features" if dbt_resource_props.get("schema") == "features" else "transform"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Every model has an owner."""
        return OWNERS

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """A model is due some hours after what it follows; a source has its own policy."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        return dg.apply_freshness_policy(spec, FOLLOWS_LOADS)

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        """A test has an owner, and says what its failure means and what to do."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        said = describe(manifest["nodes"][unique_id], ".".join(asset_spec.key.path))
        return spec._replace(description=said, metadata={**spec.metadata, **OWNED})


@dbt_assets(manifest=prepare_manifest(), dagster_dbt_translator=SkyOpsTranslator())
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: WarehouseResource
) -> Iterator[Any]:
    """Build and test the models of `dbt_project/`."""
    invocation = dbt.cli(
        build_arguments(),
        context=context,
        target_path=run_target(warehouse.settings.home, context.run.run_id),
    )
    stream = invocation.stream().fetch_row_counts().fetch_column_metadata(with_column_lineage=True)
    for event in stream:
        yield _explained(event, context)


def _explained(event: Any, context: dg.AssetExecutionContext) -> Any:
    """A failed test with its description, which dbt does not give."""
    if not isinstance(event, dg.AssetCheckResult) or event.passed:
        return event
    for spec in context.assets_def.check_specs:
        if (spec.asset_key, spec.name) == (event.asset_key, event.check_name):
            return event._replace(description=spec.description)
    return event
