"""What the models hold, to be compared between two warehouses."""

from __future__ import annotations

from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

MODELS = (
    "staging.stg_opensky__states",
    "intermediate.int_flights__segmented",
    "intermediate.int_flights__summarized_10min",
    "intermediate.int_positions__masked",
    "intermediate.int_positions__phased",
    "intermediate.int_positions__sampled_1m",
    "intermediate.int_flights__split_by_day",
    "intermediate.int_feed__heard_hourly",
    "intermediate.int_movements__candidates",
    "intermediate.int_movements__located",
    "intermediate.int_movements__approaches",
    "intermediate.int_movements__discontinued_landings",
    "intermediate.int_positions__sampled_10s",
    "intermediate.int_holdings__turns",
    "intermediate.int_flights__ring_entries",
    "intermediate.int_arrivals__paired",
    "metrics.fct_flights",
    "metrics.fct_movements",
    "metrics.fct_ring_crossings",
    "metrics.fct_arrivals",
    "metrics.fct_holdings",
    "metrics.fct_terminal_paths",
    "intermediate.int_ground__taxied",
    "metrics.fct_taxi_times",
    "metrics.runway_configuration_changes",
    "metrics.masked_values_hourly",
    "metrics.phase_counts_1m",
    "metrics.fct_anomalies",
    "metrics.anomaly_alerts_5m",
    "metrics.country_hourly",
    "metrics.speed_by_country",
    "features.flight_shapes",
    "features.crossing_features",
    "features.arrival_features",
)
"""All that follow the data."""


def contents(
    query: Query, warehouse: Warehouse, models: tuple[str, ...] = MODELS
) -> dict[str, list[str]]:
    """The rows of models as text; the batch a row came with is no part of it."""
    return {
        model: [
            row[0]
            for row in query(
                warehouse, f"select (to_jsonb(t) - 'batch_id')::text from {model} as t order by 1"
            )
        ]
        for model in models
    }
