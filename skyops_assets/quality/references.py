"""Whether what was computed leads back to what it was computed from.

Belongs here: references across stages, from the predictions to the positions, on all rows. dbt's
own tests look at the rows that a run has made again.
"""

from __future__ import annotations

from skyops_assets.arrivals.learning.baselines import PREFIX
from skyops_assets.warehouse.connection import Warehouse

Broken = dict[str, int]
"""Rows against each rule."""


def crossings(warehouse: Warehouse) -> Broken:
    """Crossings without their flight, and flights of the last day without a position.

    Only flights of the day before the newest are looked up in the positions: that costs what a day
    costs, however many are kept. A day that retention has dropped has none, and is left out.
    """
    return _count(
        warehouse,
        {
            "every crossing's flight is in metrics.fct_flights": """
                select from features.crossing_features as crossing
                where
                    crossing.source = 'positions'
                    and not exists (
                        select from metrics.fct_flights as flight
                        where flight.flight_id = crossing.flight_id
                    )
            """,
            "every flight of the last day has positions in staging": """
                select from metrics.fct_flights as flight
                where
                    flight.first_seen_at >= (
                        select max(first_seen_at) - interval '1 day' from metrics.fct_flights
                    )
                    and not exists (
                        select from staging.stg_opensky__states as state
                        where
                            state.icao24 = flight.icao24
                            and state.positioned_at
                                between flight.first_seen_at and flight.last_seen_at
                    )
                    and not exists (
                        select from raw.dropped_partitions as dropped
                        where
                            dropped.target = 'raw.opensky_states'
                            and dropped.day = (flight.first_seen_at at time zone 'UTC')::date
                    )
            """,
        },
    )


def predictions(warehouse: Warehouse) -> Broken:
    """Predictions whose crossing or model is gone without a reason.

    A crossing is gone with a reason where retention dropped its day, where its airport is no longer
    watched, and where positions of its day or the day beside were computed after the prediction:
    late ones can move the beginning of a flight, which is in its name.
    """
    return _count(
        warehouse,
        {
            "every prediction's crossing is in features.crossing_features": """
                select from ml.predictions as prediction
                where
                    not exists (
                        select from features.crossing_features as crossing
                        where
                            crossing.flight_id = prediction.flight_id
                            and crossing.airport = prediction.airport
                            and crossing.ring_nm = prediction.ring_nm
                    )
                    and prediction.airport in (
                        select airport from intermediate.int_airports__watched
                    )
                    and not exists (
                        select from raw.dropped_partitions as dropped
                        where
                            dropped.target = 'raw.opensky_states'
                            and dropped.day = (prediction.crossed_at at time zone 'UTC')::date
                    )
                    and not exists (
                        select from raw.ingest_batches as later
                        where
                            later.target = 'raw.opensky_states'
                            and later.transformed_at > prediction.predicted_at
                            and prediction.crossed_at between
                                later.window_start_at - interval '1 day'
                                and later.window_end_at + interval '1 day'
                    )
            """,
            "every prediction's model is in ml.model_versions or a baseline": f"""
                select from ml.predictions as prediction
                where
                    not starts_with(prediction.model_name, '{PREFIX}')
                    and not exists (
                        select from ml.model_versions as version
                        where
                            version.model_name = prediction.model_name
                            and version.version = prediction.model_version
                    )
            """,  # noqa: S608
        },
    )


def _count(warehouse: Warehouse, queries: dict[str, str]) -> Broken:
    counts = ", ".join(f"(select count(*) from ({query}) as broken)" for query in queries.values())  # noqa: S608
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"select {counts}")
        row = cursor.fetchone() or ()
    return dict(zip(queries, row, strict=True))
