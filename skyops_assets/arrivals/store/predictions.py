"""Stores predictions and their outcomes: `ml.predictions`, `ml.prediction_outcomes`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.warehouse.bulk import read_arrow
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import insert_many, moment_condition, records

if TYPE_CHECKING:
    import pandas as pd


SERVICE_DAYS = 90
"""So long what the service predicted is kept."""
_PREDICTION_KEY = ("flight_id", "airport", "ring_nm", "model_name", "model_version")


def save_predictions(warehouse: Warehouse, rows: pd.DataFrame) -> int:
    """Add predictions and return how many were new; one that was given is never rewritten."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        return insert_many(
            cursor, "ml.predictions", records(rows), " on conflict do nothing returning 1"
        )


def read_predictions(warehouse: Warehouse, ring_nm: int) -> pd.DataFrame:
    """Key, source, crossed_at, predicted_transit_min and is_in_sample of all of a ring."""
    columns = (*_PREDICTION_KEY, "source", "crossed_at", "predicted_transit_min", "is_in_sample")
    query = f"select {', '.join(columns)} from ml.predictions where ring_nm = {ring_nm:d}"  # noqa: S608
    frame: pd.DataFrame = read_arrow(warehouse, query).to_pandas()
    return frame.sort_values(list(_PREDICTION_KEY)).reset_index(drop=True)


def read_fair_predictions(
    warehouse: Warehouse, ring_nm: int, version: ModelVersion, since: datetime
) -> pd.DataFrame:
    """The key and the minutes of what a version predicted of crossings it has not learned from."""
    query = (
        "select flight_id, airport, ring_nm, predicted_transit_min from ml.predictions"  # noqa: S608
        f" where ring_nm = {ring_nm:d} and model_name = $1 and model_version = $2"
        " and not is_in_sample"
        " and predicted_transit_min is not null" + moment_condition("crossed_at", since, ">=")
    )
    names = (version.model_name, version.version)
    frame: pd.DataFrame = read_arrow(warehouse, query, names).to_pandas()
    return frame.astype({"ring_nm": "int64"})


def save_outcomes(warehouse: Warehouse, rows: pd.DataFrame) -> int:
    """Write outcomes and return how many are new or changed."""
    values = ("outcome", "landed_at", "error_min")
    with warehouse.connect() as connection, connection.cursor() as cursor:
        return insert_many(
            cursor,
            "ml.prediction_outcomes",
            records(rows),
            f" on conflict ({', '.join(_PREDICTION_KEY)}) do update set "
            + ", ".join(f"{name} = excluded.{name}" for name in (*values, "resolved_at"))
            + " where ({}) is distinct from ({}) returning 1".format(
                ", ".join(f"prediction_outcomes.{name}" for name in values),
                ", ".join(f"excluded.{name}" for name in values),
            ),
        )


def sweep_service_predictions(warehouse: Warehouse, keep_days: int = SERVICE_DAYS) -> int:
    """Remove what the service predicted before so many days, and return how much that was."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "delete from ml.service_predictions"
            " where asked_at < clock_timestamp() - make_interval(days => %s)",
            (keep_days,),
        )
        return int(cursor.rowcount)
