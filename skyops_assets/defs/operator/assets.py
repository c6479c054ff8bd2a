"""What an operator knows besides positions: an asset for each kind of input, all optional."""

from typing import Any

import dagster as dg

from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import as_metadata, batches_metadata
from skyops_assets.errors import first_few
from skyops_assets.sources.operator.kinds import KINDS, Kind
from skyops_assets.transform.declared import described

_PLACE = ("source", "string"), ("source_row", "int64"), ("batch_id", "int64")


def _operator_input(kind: Kind) -> dg.AssetsDefinition:
    columns = [*((field.name, str(field.type)) for field in kind.schema), *_PLACE]
    said = described(f"raw.{kind.name}")

    @dg.asset(
        **placed("raw", kind.name),
        kinds={"postgres", "python"},
        metadata={
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, type_, said.get(name)) for name, type_ in columns]
            )
        },
        description=f"One row per {', '.join(kind.key)}: the operator's {kind.noun}, from the "
        "folder or bucket that SKYOPS_OPERATOR_DATA names. Without such a file the table stays as "
        "it is. Bad rows go to `raw.rejected_states` with a reason. Loading again changes "
        "nothing.",
    )
    def load(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> dg.MaterializeResult:
        from skyops_assets.sources.operator.load import load_kind

        settings = warehouse.settings
        found = load_kind(warehouse.open(), settings, kind, run_id=context.run.run_id)
        for problem in found.problems.values():
            context.log.warning(problem)
        shown: dict[str, Any] = {
            "unavailable": found.absent,
            "files_that_cannot_be_read": first_few(found.problems.values()) or None,
            "files_left": first_few(found.left) or None,
            "notes": first_few(found.notes) or None,
        }
        if found.batches:
            reasons = (f"{reason}: {rows:,}" for reason, rows in found.reasons.most_common())
            shown = {
                **batches_metadata(found.batches),
                "removed_rows": found.removed_rows,
                "reasons": first_few(reasons) or None,
                **shown,
            }
        return dg.MaterializeResult(metadata=as_metadata(shown))

    return load


OPERATOR_INPUTS = [_operator_input(kind) for kind in KINDS]
