"""The arrivals that were loaded and that no model holds yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyops_assets.sources.history.load import TARGET
from skyops_assets.sources.history.schema import ARRIVAL
from skyops_assets.warehouse.bulk import read_arrow
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import pandas as pd


def loaded_arrivals(warehouse: Warehouse, run_id: str) -> pd.DataFrame:
    """Arrivals that a run loaded, and all that are not transformed: they stay in sight until then.

    Times are UTC; a column without any value keeps its type.
    """
    frame: pd.DataFrame = read_arrow(
        warehouse,
        f"select {', '.join(ARRIVAL.names)} from {TARGET} where batch_id in ("  # noqa: S608
        "select batch_id from raw.ingest_batches where target = $1 "
        "and (transformed_at is null or run_id = $2))",
        (TARGET, run_id),
    ).to_pandas()
    return frame
