"""Scores of finished flights, and the highest of them."""

from typing import Any

import dagster as dg

from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import as_metadata
from skyops_assets.reporting.markdown import image


@dg.asset(
    **placed("metrics", "flight_anomaly_scores"),
    deps=[
        dg.AssetKey(["features", "flight_shapes"]),
        dg.AssetKey(["metrics", "fct_flights"]),
        dg.AssetKey(["intermediate", "int_positions__sampled_10s"]),
    ],
    kinds={"scikitlearn", "postgres"},
)
def flight_anomaly_scores(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """One row per finished flight: its distance from the others by two models, and the reasons.

    The models are an Isolation Forest and DBSCAN on the flight's shape. With fewer than 100
    flights, nothing is scored.
    """
    from skyops_assets.anomalous.look import score_flights

    found = score_flights(warehouse.open())
    context.log.info(found.sentence)
    unjudged = ", ".join(f"{name} {count:,}" for name, count in found.unjudged.items())
    shown: dict[str, Any] = {
        "result": found.sentence,
        "flights": found.flights,
        "judged": found.judged,
        "unjudged": unjudged or "none",
        "anomalous": found.anomalous,
        "anomalous_per_1000": found.anomalous_per_1000,
        "clusters": found.clusters,
        "changed": found.changed,
    }
    if found.highest:
        shown["highest_scores"] = dg.MetadataValue.md(found.highest)
    if found.picture:
        shown["tracks"] = dg.MetadataValue.md(
            image("Tracks of the flights with the highest scores, in km", found.picture)
        )
    return dg.MaterializeResult(metadata=as_metadata(shown))
