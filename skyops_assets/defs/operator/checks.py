"""Checks of what an operator's files brought: nothing is lost, and every file can be read."""

import dagster as dg

from skyops_assets.defs.operator.assets import OPERATOR_INPUTS
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, warning


def _no_row_is_lost(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    table = ".".join(asset.key.path)

    @dg.asset_check(
        asset=asset,
        name="no_row_is_lost",
        blocking=True,
        metadata=OWNED,
        description="For each file, rows read = rows in the table + duplicate rows + rejected "
        "rows, and the tables hold those rows.",
    )
    def check(warehouse: WarehouseResource) -> dg.AssetCheckResult:
        from skyops_assets.quality.operator_files import accounts_problem, file_accounts

        found = file_accounts(warehouse.open(), table)
        problem = accounts_problem(table, found)
        return dg.AssetCheckResult(
            passed=problem is None,
            description=problem,
            metadata={"files": len(found), "read_rows": sum(one.read_rows for one in found)},
        )

    return check


def _every_file_can_be_read(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    table = ".".join(asset.key.path)

    @dg.asset_check(
        asset=asset,
        name="every_file_can_be_read",
        metadata=OWNED,
        description="Warns about files that could not be read, whose earlier rows stay, and about "
        "files with a larger share of rejected rows than SKYOPS_RAW_MAX_REJECTED_SHARE.",
    )
    def check(warehouse: WarehouseResource) -> dg.AssetCheckResult:
        from skyops_assets.quality.operator_files import file_accounts, reading_problem

        found = file_accounts(warehouse.open(), table)
        limit = warehouse.settings.raw_max_rejected_share
        return warning(
            reading_problem(table, found, limit),
            files=len(found),
            rejected_rows=sum(one.rejected_rows for one in found),
        )

    return check


nothing_lost = [_no_row_is_lost(asset) for asset in OPERATOR_INPUTS]
all_read = [_every_file_can_be_read(asset) for asset in OPERATOR_INPUTS]
