"""Checks on the features that training and predictions read."""

import dagster as dg

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, columns_result, rules_result

ARRIVALS = dg.AssetKey(["features", "arrival_features"])
CROSSINGS = dg.AssetKey(["features", "crossing_features"])


@dg.asset_check(asset=CROSSINGS, metadata=OWNED)
def crossings_lead_back_to_positions(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """Every crossing has its flight, and every flight in the last day has positions.

    Days that retention has dropped are not checked. Blocks nothing: the rows that exist are right.
    """
    from skyops_assets.quality.references import crossings

    return rules_result(
        crossings(warehouse.open()),
        "Rows were removed outside the transform. Rebuild them with `skyops exec -- skyops-dbt "
        "build --full-refresh`; this loses rows computed from positions that retention has since "
        "dropped.",
    )


def _columns_are_as_declared(key: dg.AssetKey, blocked: str) -> dg.AssetChecksDefinition:
    table = ".".join(key.path)

    @dg.asset_check(
        asset=key,
        name="columns_are_as_declared",
        blocking=True,
        metadata=OWNED,
        description=f"{table} has the columns and types of its contract. Blocks {blocked}.",
    )
    def check(warehouse: WarehouseResource) -> dg.AssetCheckResult:
        from skyops_assets.quality.contracts import contract_columns, difference, stored_columns

        found = difference(contract_columns(table), stored_columns(warehouse.open(), table))
        return columns_result(
            table,
            found,
            "The table was altered by hand, or an older version built it: rebuild it with `skyops "
            f"exec -- skyops-dbt build --full-refresh --select {key.path[-1]}`.",
        )

    return check


arrival_features_columns = _columns_are_as_declared(ARRIVALS, "training")
crossing_features_columns = _columns_are_as_declared(CROSSINGS, "predictions")
