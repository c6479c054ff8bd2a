"""What is shown of the sky now: views of dbt over positions, flights and predictions."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.transform.assets import MANIFEST, TRANSLATOR, build
from skyops_assets.instance.dbt_cli import chosen_nodes
from skyops_assets.transform.dbt import LIVE_VIEWS


@chosen_nodes()(dbt_assets)(manifest=MANIFEST, dagster_dbt_translator=TRANSLATOR, select=LIVE_VIEWS)
def live_views(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: WarehouseResource
) -> Iterator[Any]:
    """Create the live views that are missing or outdated, and test what they show."""
    yield from build(context, dbt, warehouse)
