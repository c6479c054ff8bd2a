"""What runs the model loop small: dbt's tables, a lenient gate, a probe in this process."""

from __future__ import annotations

import dataclasses
import time

import pandas as pd

from skyops_assets.arrivals.gate import evidence
from skyops_assets.arrivals.gate.policy import GatePolicy
from skyops_assets.arrivals.models import probe
from skyops_assets.arrivals.store import versions
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse

EASY = GatePolicy(
    min_train_rows=50, min_test_rows=30, min_test_days=1,
    # Tests measure in their own process, which holds much else.
    max_peak_memory_mb=1e6,
)  # fmt: skip


class Here:
    """What a fresh process does, done in this one: seconds less for each evaluation."""

    def __init__(
        self, warehouse: Warehouse, settings: Settings, version: versions.ModelVersion
    ) -> None:
        self.given = (warehouse, settings, version.model_name, version.version)

    def result(self) -> evidence.Probe:
        found = probe.measure(*self.given, began=time.time())
        # This process holds much else.
        return dataclasses.replace(found, peak_memory_mb=found.peak_memory_mb and 100.0)

    def stop(self) -> None:
        pass


def fill(warehouse: Warehouse, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> None:
    """Make the tables that dbt makes, from arrivals of our own and of the open history."""
    import sqlalchemy as sa

    history = frame.iloc[:0] if history is None else history
    engine = sa.create_engine(warehouse.sqlalchemy())
    with engine.begin() as connection:
        connection.execute(sa.text("create schema if not exists features"))
        connection.execute(sa.text("create schema if not exists metrics"))
        options = {"if_exists": "replace", "index": False}
        both = pd.concat([frame, history.astype(frame.dtypes)], ignore_index=True)
        sources = ["positions"] * len(frame) + ["history"] * len(history)
        both = both.assign(source=pd.Series(sources, dtype="str"), is_simulated=False)
        both.to_sql("arrival_features", connection, schema="features", **options)
        both.to_sql("fct_arrivals", connection, schema="metrics", **options)
        crossings = both.drop(columns=["landed_at", "transit_min", "label_quality", "is_simulated"])
        crossings = crossings.assign(known_at=crossings["crossed_at"])
        crossings.to_sql("crossing_features", connection, schema="features", **options)
        connection.execute(
            sa.text(
                "create table if not exists features.landing_probabilities (flight_id text, "
                "airport text, ring_nm integer, landing_probability double precision)"
            )
        )
        landings = pd.DataFrame(
            {
                "flight_id": frame["flight_id"],
                "airport": frame["airport"],
                "movement": "landing",
                "moved_at": frame["landed_at"],
                "known_at": frame["landed_at"],
                "label_quality": "observed",
            }
        )
        landings.to_sql("fct_movements", connection, schema="metrics", **options)
        flights = pd.DataFrame(
            {
                "flight_id": frame["flight_id"],
                "icao24": frame["flight_id"].astype(str).str[:6],
                "callsign": "AFR" + frame["flight_id"].astype(str).str[-3:],
                "first_seen_at": frame["crossed_at"],
                "last_seen_at": frame["landed_at"],
            }
        )
        flights.to_sql("fct_flights", connection, schema="metrics", **options)
        changes = "airport text, changed_at timestamptz, from_direction text, to_direction text"
        name = "metrics.runway_configuration_changes"
        connection.execute(
            sa.text(f"create table if not exists {name} ({changes}, known_at timestamptz)")
        )
    engine.dispose()
