"""Reference rows: airports from a wheel, runways from the mirror or the web, Paris' from here.

Belongs here: fetching with pinned hashes, units, replacing a reference table whole.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.sources.csv_tables import csv_table
from skyops_assets.sources.opensky.reading.columns import Reader
from skyops_assets.units import FOOT_M
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse

RUNWAYS_URL = (
    "https://raw.githubusercontent.com/davidmegginson/ourairports-data/1fb3eea0/runways.csv"
)
RUNWAYS_SHA256 = "4b01f389059e9d30aa09161b79c1db6d8c27c95ff85eb966634e4f0818e19dd8"
PARIS_RUNWAYS = Path(__file__).with_name("paris_runways.csv")
"""The 56 runways of that file at the 32 fields in the area of the demo's recording (47.7 to 50 N,
0.7 to 4.1 E), so that the demo finds the same with and without a network."""
AIRPORTS_SOURCE = "airportsdata"
RUNWAYS_SOURCE = "ourairports"
PARIS_SOURCE = "ourairports, Paris only"
WEB_TIMEOUT_S = 10


class Unavailable(SkyOpsError):
    """An open file can be had neither from the mirror nor from the web."""


def airports() -> pa.Table:
    """The world's airports with an ICAO code (airportsdata, MIT), one row an airport."""
    import airportsdata

    rows = [
        {
            "icao": a["icao"],
            "iata": a["iata"] or None,
            "name": a["name"],
            "city": a["city"] or None,
            "country": a["country"] or None,
            "latitude_deg": float(a["lat"]),
            "longitude_deg": float(a["lon"]),
            "elevation_m": float(a["elevation"]) * FOOT_M,
            "timezone": a["tz"],
        }
        for a in airportsdata.load("ICAO").values()
    ]
    return pa.Table.from_pylist(rows)


def fetch(name: str, url: str, sha256: str, settings: Settings) -> Path:
    """A file of open data: from ``SKYOPS_DATA_MIRROR``, else from the web, hash checked.

    Args:
        name: path inside the mirror, such as ``reference/runways.csv``.

    Raises:
        Unavailable: neither has it.
        SkyOpsError: the file is there but is not the pinned one.
    """
    import pooch

    if settings.data_mirror is not None:
        path = settings.data_mirror / name
        if not path.is_file():
            raise Unavailable(f"SKYOPS_DATA_MIRROR has no file {path}.")
        if pooch.file_hash(str(path)) != sha256:
            raise SkyOpsError(
                f"{path} is not the pinned version (SHA-256 {sha256[:12]}...). Fetch it again."
            )
        return path
    pooch.get_logger().setLevel("ERROR")
    try:
        return Path(
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                path=settings.home / "downloads",
                fname=Path(name).name,
                downloader=pooch.HTTPDownloader(timeout=WEB_TIMEOUT_S),
            )
        )
    except ValueError as error:
        raise SkyOpsError(f"{url} is not the pinned version: {error}") from None
    except Exception as error:
        raise Unavailable(f"{url} cannot be fetched: {type(error).__name__}") from None


def runways(settings: Settings) -> pa.Table:
    """OurAirports' runways (public domain), one row a runway with both its ends.

    Raises:
        Unavailable: the file can be had neither from the mirror nor from the web.
    """
    return _read_runways(fetch("reference/runways.csv", RUNWAYS_URL, RUNWAYS_SHA256, settings))


def paris_runways() -> pa.Table:
    """The runways of `PARIS_RUNWAYS`, as `runways` has them."""
    return _read_runways(PARIS_RUNWAYS)


def _read_runways(path: Path) -> pa.Table:
    table, torn = csv_table(path)
    read = Reader(len(table))
    get = dict(zip(table.column_names, table.columns, strict=True)).get
    out = {
        "runway_id": read.number("id", get("id")).cast(pa.int64()),
        "airport": read.text("airport_ident", get("airport_ident")),
        "length_m": read.number("length_ft", get("length_ft"), FOOT_M),
        "width_m": read.number("width_ft", get("width_ft"), FOOT_M),
        "surface": read.text("surface", get("surface")),
        "is_lighted": read.flag("lighted", get("lighted")),
        "is_closed": read.flag("closed", get("closed")),
    }
    for end in ("le", "he"):
        out[f"{end}_ident"] = read.text(f"{end}_ident", get(f"{end}_ident"))
        for name, factor, kept in (
            ("latitude_deg", None, "latitude_deg"),
            ("longitude_deg", None, "longitude_deg"),
            ("elevation_ft", FOOT_M, "elevation_m"),
            ("heading_degT", None, "heading_deg"),
        ):
            column = f"{end}_{name}"
            out[f"{end}_{kept}"] = read.number(column, get(column), factor)
    if torn or read.problems is not None:
        # It is the pinned file, and all of it was read when it was pinned.
        raise SkyOpsError(f"{path} has rows that are not runways. Fetch it again.")
    return pa.table(out)


def load_airports(warehouse: Warehouse, *, run_id: str | None = None) -> bulk.Batch:
    """Put the airports in place of all rows of `raw.airports`."""
    return replace_reference(warehouse, "raw.airports", AIRPORTS_SOURCE, airports(), run_id=run_id)


def load_runways(
    warehouse: Warehouse, settings: Settings, *, run_id: str | None = None
) -> tuple[bulk.Batch | None, str | None]:
    """Put OurAirports' runways in place of all rows of `raw.runways`.

    Where the file cannot be had the table stays as it is; an empty one gets those around Paris.

    Returns:
        The load, if there was one; and why it is not of the whole file.
    """
    try:
        rows, source, problem = runways(settings), RUNWAYS_SOURCE, None
    except Unavailable as error:
        if not _is_empty(warehouse, "raw.runways"):
            return None, f"{error} The runways stay as they are."
        rows, source = paris_runways(), PARIS_SOURCE
        problem = f"{error} Only the runways around Paris are known."
    return replace_reference(warehouse, "raw.runways", source, rows, run_id=run_id), problem


def missing(warehouse: Warehouse) -> list[str]:
    """Which of the two tables a load should bring: empty ones, and a day later Paris' runways."""
    found = [name for name in ("raw.airports", "raw.runways") if _is_empty(warehouse, name)]
    is_old = not found and _of_paris(warehouse, older_than=timedelta(days=1))
    return ["raw.runways"] if is_old else found


def runways_note(warehouse: Warehouse) -> str | None:
    """What is to be known of the runways where they are not the world's."""
    if not _of_paris(warehouse):
        return None
    return (
        "Only the runways around Paris are known, because OurAirports' file cannot be fetched: "
        "elsewhere a landing has a direction but no letter (L, C, R). A load tries again after a "
        "day; SKYOPS_DATA_MIRROR can name a local folder with the file."
    )


def _of_paris(warehouse: Warehouse, older_than: timedelta = timedelta()) -> bool:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select from raw.ingest_batches where source = %s and finished_at <= now() - %s "
            "and batch_id = (select max(batch_id) from raw.runways)",
            (PARIS_SOURCE, older_than),
        )
        return cursor.rowcount > 0


def _is_empty(warehouse: Warehouse, table: str) -> bool:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"select from {table} limit 1")
        return cursor.rowcount == 0


def replace_reference(
    warehouse: Warehouse, target: str, source: str, rows: pa.Table, *, run_id: str | None = None
) -> bulk.Batch:
    """Put ``rows`` in place of all rows of a reference table, in one transaction.

    Args:
        target: ``schema.table``; its columns are those of ``rows`` and ``batch_id``.
    """
    started_at = datetime.now(UTC)
    schema, table = target.split(".")
    with bulk.transaction(warehouse) as cursor:
        batch_id = bulk.next_batch(cursor)
        batch = bulk.Batch(batch_id, target, source, None, None, len(rows), len(rows), 0, 0)
        bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
        cursor.execute(f"delete from {schema}.{table}")  # noqa: S608
        column = pa.array([batch_id] * len(rows), pa.int64())
        cursor.adbc_ingest(
            table, rows.append_column("batch_id", column), mode="append", db_schema_name=schema
        )
    return batch
