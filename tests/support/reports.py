"""Weather reports for tests: rows as the archive gives them, each with another wind."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta


def reports(airport: str, day: date, every_min: int = 30) -> list[tuple[datetime, dict[str, str]]]:
    """Time and row of the reports of an airport and day."""
    start = datetime.combine(day, time(), UTC)
    times = [start + timedelta(minutes=minute) for minute in range(0, 1440, every_min)]
    return [
        (
            at,
            {
                "station": airport,
                "valid": f"{at:%Y-%m-%d %H:%M}",
                "metar": f"{airport} {at:%d%H%M}Z {number:03d}10KT 9999 BKN030 12/08 Q1013",
            },
        )
        for number, at in enumerate(times)
    ]
