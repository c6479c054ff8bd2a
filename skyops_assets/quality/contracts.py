"""The columns and types that tables are declared with, and what differs from them.

Belongs here: comparing. Does not: the declarations that exist already (the schemas of the loaders,
the contracts of the dbt models); only the reference tables, which have neither, are written here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

Columns = Mapping[str, str]
"""Postgres types by column, as ``information_schema`` names them."""

_TYPES = {
    "string": "text",
    "timestamp[us, tz=UTC]": "timestamp with time zone",
    "double": "double precision",
    "bool": "boolean",
    "int16": "smallint",
    "date32[day]": "date",
}
_LOADED_WITH = {"source": "text", "batch_id": "bigint"}
_END = {
    "ident": "text",
    "latitude_deg": "double precision",
    "longitude_deg": "double precision",
    "elevation_m": "double precision",
    "heading_deg": "double precision",
}
_REFERENCE: dict[str, Columns] = {
    "raw.airports": {
        **dict.fromkeys(("icao", "iata", "name", "city", "country"), "text"),
        **dict.fromkeys(("latitude_deg", "longitude_deg", "elevation_m"), "double precision"),
        "timezone": "text",
        "batch_id": "bigint",
    },
    "raw.runways": {
        "runway_id": "bigint",
        "airport": "text",
        **dict.fromkeys(("length_m", "width_m"), "double precision"),
        "surface": "text",
        **dict.fromkeys(("is_lighted", "is_closed"), "boolean"),
        **{f"{end}_{name}": kind for end in ("le", "he") for name, kind in _END.items()},
        "batch_id": "bigint",
    },
}


@dataclass(frozen=True)
class Difference:
    """How a table differs from its declaration.

    Attributes:
        gone: declared columns that it lacks.
        retyped: column, declared type, type found.
        undeclared: columns that nobody declared; they do no harm.
    """

    gone: tuple[str, ...]
    retyped: tuple[tuple[str, str, str], ...]
    undeclared: tuple[str, ...]

    @property
    def problem(self) -> str | None:
        """Which columns are not as declared, or None."""
        said = [f"{name} is gone" for name in self.gone]
        said += [f"{name} is {found}, not {wanted}" for name, wanted, found in self.retyped]
        return "; ".join(said) or None


def difference(declared: Columns, found: Columns) -> Difference:
    """Compare a table's columns with their declaration; their order does not matter."""
    return Difference(
        tuple(name for name in declared if name not in found),
        tuple(
            (name, kind, found[name])
            for name, kind in declared.items()
            if found.get(name, kind) != kind
        ),
        tuple(name for name in found if name not in declared),
    )


def raw_columns(table: str) -> Columns:
    """The declared columns of a table of the schema raw, such as ``raw.opensky_states``."""
    from skyops_assets.sources.aircraft import AIRCRAFT
    from skyops_assets.sources.history.schema import ARRIVAL
    from skyops_assets.sources.opensky.schema import STATE_VECTOR
    from skyops_assets.sources.weather.schema import METAR

    schemas: dict[str, pa.Schema] = {
        "raw.opensky_states": STATE_VECTOR,
        "raw.arrivals_history": ARRIVAL,
        "raw.aircraft": AIRCRAFT,
        "raw.metars": METAR,
    }
    if table in _REFERENCE:
        return _REFERENCE[table]
    return {field.name: _TYPES[str(field.type)] for field in schemas[table]} | _LOADED_WITH


def contract_columns(table: str) -> Columns:
    """The columns of a dbt model's contract.

    Args:
        table: ``schema.model``.

    Raises:
        SkyOpsError: dbt's manifest has no such model.
    """
    from skyops_assets.transform.dbt import prepare_manifest

    schema, name = table.split(".")
    for node in json.loads(prepare_manifest().read_text())["nodes"].values():
        if (node["resource_type"], node["schema"], node["name"]) == ("model", schema, name):
            return {column: each["data_type"] for column, each in node["columns"].items()}
    raise SkyOpsError(f"dbt's project has no model {table}: correct the check or add the model.")


def stored_columns(warehouse: Warehouse, table: str) -> Columns:
    """The columns that a table has; none where there is no such table."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select column_name, data_type from information_schema.columns "
            "where table_schema || '.' || table_name = %s order by ordinal_position",
            (table,),
        )
        return dict(cursor.fetchall())
