"""Fleet, reliability and punctuality: dbt models made whole by the day, week or month."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.transform.assets import TRANSLATOR, build
from skyops_assets.instance.dbt_cli import chosen_nodes
from skyops_assets.transform.dbt import FLEET_MODELS, prepare_manifest


@chosen_nodes()(dbt_assets)(
    manifest=prepare_manifest(), dagster_dbt_translator=TRANSLATOR, select=FLEET_MODELS
)
def fleet_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: WarehouseResource
) -> Iterator[Any]:
    """Build and test what operators ask of a day, week or month, from flights and their records."""
    yield from build(context, dbt, warehouse)
