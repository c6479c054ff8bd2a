"""Reads shapes and tracks of flights, and writes `metrics.flight_anomaly_scores`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from skyops_assets.anomalous.shapes import NAMES
from skyops_assets.warehouse.bulk import read_arrow
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import insert_many, records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

KEY = ("icao24", "flight_id")


def read_shapes(warehouse: Warehouse, most: int) -> pd.DataFrame:
    """Read the newest finished flights.

    Returns:
        In the order of `KEY`: times, callsign, the reason for having no score, and the shapes.
    """
    query = f"""
        select
            shapes.icao24, shapes.flight_id, shapes.first_seen_at, shapes.last_seen_at,
            flights.callsign, shapes.unjudged_reason, {", ".join(f"shapes.{n}" for n in NAMES)}
        from features.flight_shapes as shapes
        left join metrics.fct_flights as flights
            on shapes.icao24 = flights.icao24 and shapes.flight_id = flights.flight_id
        order by shapes.last_seen_at desc, shapes.icao24, shapes.flight_id
        limit {most:d}
    """  # noqa: S608 (names of columns, and a number)
    frame: pd.DataFrame = read_arrow(warehouse, query).to_pandas()
    return frame.sort_values(list(KEY)).reset_index(drop=True)


def read_way(warehouse: Warehouse, icao24: str, flight_id: str) -> pd.DataFrame:
    """Read a flight's track in the air: `latitude_deg`, `longitude_deg`, in order of time."""
    found: pd.DataFrame = read_arrow(
        warehouse,
        "select latitude_deg, longitude_deg from intermediate.int_positions__sampled_10s"
        " where icao24 = $1 and flight_id = $2 order by positioned_at",
        (icao24, flight_id),
    ).to_pandas()
    return found


def save(
    warehouse: Warehouse, rows: pd.DataFrame, why: Mapping[Any, Sequence[Mapping[str, Any]]]
) -> int:
    """Write scores, and remove the scores of flights that no longer exist.

    Args:
        why: reasons by the index of `rows`.

    Returns:
        The number of new or changed rows; 0 if the same scores are written again.
    """
    written = [
        {**row, "reasons": json.dumps(why[index]) if index in why else None}
        for index, row in zip(rows.index, records(rows), strict=True)
    ]
    values = [name for name in (*rows.columns, "reasons") if name not in KEY]
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "delete from metrics.flight_anomaly_scores as scores where not exists ("
            " select 1 from features.flight_shapes as shapes"
            " where scores.icao24 = shapes.icao24 and scores.flight_id = shapes.flight_id)"
        )
        return insert_many(
            cursor,
            "metrics.flight_anomaly_scores",
            written,
            f" on conflict ({', '.join(KEY)}) do update set "
            + ", ".join(f"{name} = excluded.{name}" for name in values)
            + ", judged_at = clock_timestamp() where ({}) is distinct from ({}) returning 1".format(
                ", ".join(f"flight_anomaly_scores.{name}" for name in values),
                ", ".join(f"excluded.{name}" for name in values),
            ),
        )
