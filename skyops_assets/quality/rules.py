"""Rules that every row of a table obeys, as SQL predicates, and how many rows break them.

Belongs here: invariants of tables that dbt does not write. Those of its models are tests in their
yml files.
"""

from __future__ import annotations

from skyops_assets.warehouse.connection import Warehouse

PREDICTIONS = {
    "the predicted landing is the crossing plus the predicted transit": (
        "predicted_transit_min is null or abs(extract(epoch from predicted_landing_at "
        "- crossed_at) / 60 - predicted_transit_min) < 0.001"
    ),
    "the predicted transit is not negative": (
        "predicted_transit_min is null or predicted_transit_min >= 0"
    ),
    "the interval holds the predicted transit": (
        "(predicted_low_min is null and predicted_high_min is null) "
        "or (predicted_low_min > 0 and predicted_low_min <= predicted_transit_min "
        "and predicted_transit_min <= predicted_high_min)"
    ),
    "the model is named": "model_name <> '' and model_version <> ''",
}
"""Rules for ``ml.predictions``."""


def broken(warehouse: Warehouse, table: str, rules: dict[str, str]) -> dict[str, int]:
    """Rows of ``table`` that break each rule; a rule that evaluates to null is broken too."""
    counts = ", ".join(f"count(*) filter (where ({rule}) is not true)" for rule in rules.values())
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"select {counts} from {table}")  # noqa: S608
        row = cursor.fetchone() or ()
    return dict(zip(rules, row, strict=True))


def crossings_without_prediction(warehouse: Warehouse, ring_nm: int) -> int:
    """Crossings of a ring for which no model has made a prediction."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from features.crossing_features as f "
            "where f.source = 'positions' and f.ring_nm = %s and not exists ("
            "select 1 from ml.predictions as p where p.flight_id = f.flight_id "
            "and p.airport = f.airport and p.ring_nm = f.ring_nm)",
            (ring_nm,),
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0
