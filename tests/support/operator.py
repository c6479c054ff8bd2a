"""Rows of each kind of operators' files: one that is good, and changes that contradict."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]

GOOD: dict[str, Row] = {
    "schedules": {
        "callsign": "AFR123", "scheduled_departure_at": "2025-03-31T08:00:00Z",
        "scheduled_arrival_at": "2025-03-31T09:30:00Z", "flight_number": "AF123",
        "departure_airport": "LFPG", "arrival_airport": "EGLL", "airframe": "F-GKXA",
        "is_cancelled": "no", "departure_delay_min": -3.5, "is_technical": "no",
    },
    "maintenance_events": {
        "event_id": "E1", "occurred_on": "2025-03-31", "airframe": "F-GKXA", "jasc_code": "3240",
        "part_number": "c206-1", "serial_number": "S1", "is_removal": "yes", "is_scheduled": "no",
        "airframe_hours": 1234.5, "airframe_cycles": 700, "narrative": "Brake worn",
    },
    "maintenance_programmes": {
        "task": "32-01", "applies_to": "A320", "description": "Inspect brakes", "jasc_code": "3240",
        "interval_hours": 500, "interval_cycles": 300, "interval_days": 90,
    },
    "configurations": {
        "airframe": "F-GKXA", "part_number": "C206-1", "part_position": "NR 3", "quantity": 4,
        "fitted_from_on": "2024-01-01", "fitted_until_on": "2025-01-01",
    },
    "exposure": {"airframe": "F-GKXA", "month_on": "2025-03", "flight_hours": 240.5, "cycles": 130},
    "sensor_readings": {
        "fleet": "CFM56", "unit": "7", "cycle": 12, "airframe": "F-GKXA",
        "observed_on": "2025-03-31", "setting_1": 0.5, "sensor_1": 641.8, "sensor_2": 1589.7,
        "is_failed": "no",
    },
    "parts": {"part_number": "C206-1", "part_name": "Brake", "jasc_code": "3240",
              "life_limit_hours": 20000, "life_limit_cycles": 9000},
    "bulletins": {"reference": "AD 2025-01", "applies_to": "A320", "title": "Inspect brakes",
                  "due_on": "2026-06-01", "due_hours": 500, "due_cycles": 300},
}  # fmt: skip
"""A row of each kind that is loaded, as CSV and JSON may have it; numbers as numbers."""

CHANGED: dict[str, Row] = {
    "schedules": {"arrival_airport": "EGKK"},
    "maintenance_events": {"narrative": "Brake not worn"},
    "maintenance_programmes": {"interval_hours": 600},
    "configurations": {"quantity": 2},
    "exposure": {"cycles": 131},
    "sensor_readings": {"sensor_2": 1600.0},
    "parts": {"part_name": "Wheel"},
    "bulletins": {"due_hours": 600},
}
"""Of each kind other values with the same key."""

BAD: dict[str, list[tuple[Row, str]]] = {
    "schedules": [
        ({"scheduled_arrival_at": "2025-03-31T07:00Z"}, "before it departs"),
        ({"scheduled_arrival_at": "2025-04-02T07:00Z"}, "longer than 24 hours"),
        ({"scheduled_departure_at": "2028-03-31T08:00Z", "scheduled_arrival_at":
          "2028-03-31T09:00Z"}, "more than 400 days ahead"),
        ({"scheduled_departure_at": "0001-01-01T00:00+14:00"}, "beyond what a calendar has"),
        ({"callsign": "AF123"}, "AF123 has no ICAO designator: define in columns.toml which one"),
        ({"callsign": "?"}, "neither a callsign nor a flight number"),
        ({"callsign": "", "flight_number": ""}, "callsign is missing"),
        ({"departure_airport": "QQQ"}, "QQQ is not an IATA code of an airport"),
        ({"departure_airport": "Paris"}, "neither an ICAO nor an IATA code"),
        ({"is_cancelled": "perhaps"}, "'perhaps' is neither true nor false"),
        ({"scheduled_departure_at": "31/03/2025"}, "not a date or time of the form"),
    ],
    "maintenance_events": [
        ({"occurred_on": "2026-02-01"}, "lies in the future"),
        ({"occurred_on": "1899-12-30"}, "before 1950"),
        ({"airframe_hours": -1}, "airframe_hours is -1; it cannot be less than 0"),
        ({"airframe_cycles": 12.5}, "'12.5' is not a whole number"),
        ({"jasc_code": "landing gear"}, "is not a JASC code"),
        ({"airframe": "F_GKXA"}, "is not a registration"),
        ({"event_id": "n/a"}, "event_id is missing"),
        ({"narrative": "br\udce9ak"}, "is not UTF-8"),
    ],
    "maintenance_programmes": [
        ({"interval_hours": 0}, "interval_hours is 0; it must be above 0"),
        ({"interval_hours": "", "interval_cycles": "", "interval_days": ""}, "has no interval"),
        ({"interval_days": "monthly"}, "'monthly' is not a number"),
    ],
    "configurations": [
        ({"quantity": 0}, "quantity is 0; it must be above 0"),
        ({"quantity": -2}, "quantity is -2"),
        ({"fitted_until_on": "2023-12-31"}, "which is not after 2024-01-01"),
        ({"fitted_from_on": "2026-03-01", "fitted_until_on": ""}, "lies in the future"),
        ({"airframe": ""}, "airframe is missing"),
    ],
    "exposure": [
        ({"flight_hours": -0.5}, "cannot be less than 0"),
        ({"cycles": -1}, "cycles is -1"),
        ({"flight_hours": 745}, "2025-03 has 744 hours"),
        ({"month_on": "2026-03"}, "lies in the future"),
        ({"flight_hours": "nan"}, "flight_hours is missing"),
        ({"flight_hours": "inf"}, "'inf' is not a number"),
    ],
    "sensor_readings": [
        ({"cycle": 0}, "it cannot be less than 1"),
        ({"sensor_1": "hot"}, "'hot' is not a number"),
        ({"observed_on": "2027-01-01"}, "lies in the future"),
        ({"unit": ""}, "unit is missing"),
    ],
    "parts": [
        ({"part_name": ""}, "part_name is missing"),
        ({"life_limit_cycles": 0}, "must be above 0"),
    ],
    "bulletins": [
        ({"reference": ""}, "reference is missing"),
        ({"due_hours": -5}, "must be above 0"),
        ({"due_on": "soon"}, "not a date or time"),
    ],
}  # fmt: skip
"""Of each kind changes that make a row impossible, and what the reason says."""


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows with a header; half characters are the bytes that they stand for."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def as_json(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as an array."""
    return json.dumps(rows).encode()


def as_json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows, one a line."""
    return b"\n".join(json.dumps(row).encode() for row in rows)


def as_excel(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as the only sheet of a workbook; dates and times become cells of dates."""
    from openpyxl import Workbook

    book = Workbook()
    assert book.active is not None
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append([None if value == "" else value for value in row.values()])
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()
