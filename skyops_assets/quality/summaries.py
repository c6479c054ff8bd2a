"""What the latest summary of a day, week or month leaves a person to do."""

from __future__ import annotations

from skyops_assets.errors import first_few
from skyops_assets.warehouse.connection import Warehouse


def to_do_of(warehouse: Warehouse, kind: str) -> str | None:
    """What is to be done by the latest summary of a kind; None where nothing is.

    Args:
        kind: `daily`, `weekly` or `monthly`.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select details -> 'to_do' from audit.monitoring_log where kind = %s "
            "order by log_id desc limit 1",
            (kind,),
        )
        row = cursor.fetchone()
    return first_few(row[0]) if row and row[0] else None
