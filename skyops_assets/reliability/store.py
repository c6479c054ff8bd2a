"""Reads what an operator gave, and writes lives, scores, outlook and decisions.

Belongs here: SQL. Does not: what any of it means.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skyops_assets.reliability.gate import Decision
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all, insert_many

if TYPE_CHECKING:
    import pyarrow as pa

EVENTS = """
    select
        event_id, occurred_on, airframe, jasc_code, part_number, part_position, is_scheduled,
        is_removal, is_confirmed, airframe_hours, airframe_cycles, part_hours, part_cycles,
        part_hours_since
    from staging.stg_operator__maintenance_events
"""
CONFIGURATIONS = """
    select airframe, part_number, part_position, quantity, fitted_from_on, fitted_until_on
    from staging.stg_operator__configurations
"""
EXPOSURE = "select airframe, month_on, flight_hours, cycles from staging.stg_operator__exposure"
PARTS = "select part_number, jasc_code from staging.stg_operator__parts"
PROGRAMMES = """
    select
        part_number,
        min(interval_hours) as hours,
        min(interval_cycles)::double precision as cycles
    from staging.stg_operator__maintenance_programmes
    where part_number is not null
    group by part_number
"""
READINGS = """
    select fleet, unit, cycle, airframe, icao24, observed_on, settings, sensors, is_failed
    from staging.stg_operator__sensor_readings
"""


def rows(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    """All rows of one of the queries above."""
    return fetch_all(warehouse, query, {})


def sensor_readings(warehouse: Warehouse) -> pa.Table:
    """All sensor readings."""
    return bulk.read_arrow(warehouse, READINGS)


def fingerprint(*parts: object) -> str:
    """A hash of what a decision was made on."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()[:32]


def decision_row(
    decision: Decision,
    *,
    question: str,
    scope: str,
    component: str,
    measure: str,
    model: str,
    fingerprint: str,
    value: float | None,
    run_id: str | None,
) -> dict[str, Any]:
    """A decision as `audit.reliability_decisions` keeps it."""
    return {
        "question": question,
        "scope": scope,
        "component": component,
        "measure": measure,
        "model": model,
        "fingerprint": fingerprint,
        "is_recommended": decision.is_recommended,
        "value": value if decision.is_recommended else None,
        "summary": decision.sentence,
        "reasons": json.dumps(decision.as_json()),
        "dagster_run_id": run_id,
    }


def replace_all(
    warehouse: Warehouse,
    tables: Mapping[str, Sequence[dict[str, Any]]],
    decisions: Sequence[dict[str, Any]],
) -> int:
    """Put the rows in place of those of the tables, and keep decisions that are new.

    Returns:
        How many decisions were new.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        for table, new in tables.items():
            cursor.execute(f"lock table {table} in exclusive mode")
            cursor.execute(f"delete from {table}")  # noqa: S608
            insert_many(cursor, table, new)
        return insert_many(
            cursor,
            "audit.reliability_decisions",
            decisions,
            " on conflict (question, scope, component, measure, model, fingerprint) do nothing"
            " returning decision_id",
        )
