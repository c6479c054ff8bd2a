"""Copies of all that SkyOps keeps: the databases, the models' files, and what waits to be stored.

A backup is a folder of its own below the place that is named: `backup.json`, a dump of each
database, and the files. It is made while SkyOps works, and read again before it counts as made.

Belongs here: what a backup has, making one and putting one back. Does not: asking and printing
(`cli.keeping`), single models (`arrivals.models.export`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyops_assets import __version__
from skyops_assets.arrivals.models import registry
from skyops_assets.errors import SkyOpsError, first_few
from skyops_assets.settings import Settings
from skyops_assets.store import (
    MLFLOW,
    REPORTS,
    S3,
    TRAINING,
    Store,
    copy_file,
    open_place,
    open_store,
)
from skyops_assets.warehouse import dumps, sessions
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor
    from pyarrow import fs

FORMAT = 1
NAME = re.compile(r"skyops-\d{8}T\d{6}Z")
MANIFEST = "backup.json"
SPOOLS = ("collected", "service/unsent")
"""What waits in the home to be stored; copied before the databases, so that nothing is in neither.
What is in both is stored once."""
FILES = (TRAINING, REPORTS, MLFLOW)
"""What the databases name, in the store; copied after them, so that none is missing."""
_TABLES = """
    select format('%I.%I', nspname, relname)
    from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace
    where relkind = 'r' and nspname <> 'information_schema' and nspname not like 'pg\\_%'
    order by 1
"""


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself, in `backup.json`."""

    format: int
    skyops: str
    made_at: str
    migrations: list[str]
    mlflow_root: str
    """Address of MLflow's files where it was made."""
    rows: dict[str, dict[str, int]]
    """Of each database (skyops, dagster, mlflow) the rows of each table."""
    files: dict[str, tuple[int, str]]
    """Bytes and SHA-256 of each file."""
    settings: dict[str, str]
    secrets: list[str]
    """Names of the secrets that were set; their values are nowhere in a backup."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(size for size, _ in self.files.values())


def back_up(settings: Settings, warehouse: Warehouse, place: str) -> tuple[str, Manifest]:
    """Make a backup below a folder, or an address such as `s3://bucket/prefix`.

    Returns:
        Where it is, and what it says.

    Raises:
        SkyOpsError: the place cannot be written, or a database cannot be dumped.
    """
    made_at = datetime.now(UTC)
    root = registry.root_in_use(warehouse, settings)
    name = f"skyops-{made_at:%Y%m%dT%H%M%SZ}"
    with _written(place, name) as (folder, goal):
        for one in SPOOLS:
            _copy(_home(settings, one), _home(folder, one))
        rows = {
            kind: _dump(warehouse, database, folder / f"{kind}.dump")
            for kind, database in _databases(settings, warehouse).items()
        }
        for one in FILES:
            _copy(kept(settings, one, root), _home(folder, one))
        manifest = Manifest(
            FORMAT, __version__, made_at.isoformat(), _migrations(warehouse),
            root, rows, _hashes(folder), *_settings(),
        )  # fmt: skip
        (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
    return goal, manifest


def restore(settings: Settings, warehouse: Warehouse, place: str) -> tuple[str, Manifest]:
    """Put a backup back: into this home and these databases, which must be empty.

    Args:
        place: a backup, or where backups are, of which the newest is taken.

    Returns:
        Which backup it was, and what it says.

    Raises:
        SkyOpsError: it is damaged, of a newer SkyOps, or there is something here already.
    """
    with _read(place) as (folder, source):
        manifest = _checked(folder, source)
        databases = _databases(settings, warehouse)
        _refuse_what_is_there(settings, warehouse, databases)
        for kind, database in databases.items():
            dumps.load(warehouse, database, folder / f"{kind}.dump")
        wrong = [
            f"{kind}: {table}"
            for kind, database in databases.items()
            for table, count in _counted(warehouse, database)
            if manifest.rows[kind].get(table) != count
        ]
        if wrong:
            raise SkyOpsError(
                f"The restored tables and {source} differ in their numbers of rows: "
                f"{first_few(wrong)}. Drop the databases, and restore another backup."
            )
        for one in SPOOLS:
            _copy(_home(folder, one), _home(settings, one))
        for one in FILES:
            _copy(_home(folder, one), kept(settings, one))
        if any(name.startswith(f"home/{MLFLOW}/") for name in manifest.files):
            registry.relocate(
                warehouse, settings, manifest.mlflow_root, registry.location(settings)
            )
    return source, manifest


def differences(manifest: Manifest) -> list[str]:
    """What is set otherwise here than where the backup was made, a sentence each."""
    here, secrets = _settings()
    said = [
        f"{name} was {was!r} in the backup and is {here[name]!r} here."
        if name in here
        else f"{name} was {was!r} in the backup and is not set here."
        for name, was in sorted(manifest.settings.items())
        if here.get(name) != was
    ]
    return said + [
        f"{name} was set in the backup and is not set here; a backup contains no secrets."
        for name in sorted(set(manifest.secrets) - set(secrets))
    ]


def _databases(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    return {
        "skyops": str(warehouse.url.database),
        "dagster": settings.dagster_database,
        "mlflow": settings.mlflow_database,
    }


def kept(settings: Settings, name: str, mlflow_root: str | None = None) -> Store | None:
    """Where the files of a name are in this installation.

    None for MLflow's at an address that only MLflow understands; they are in no backup.

    Args:
        mlflow_root: where MLflow's are, if not where the settings say.
    """
    if name != MLFLOW:
        return open_store(settings).below(name)
    return registry.open_root(mlflow_root or registry.location(settings))


def _home(of: Settings | Path, name: str) -> Store:
    """A folder of a home, or of that in a backup."""
    return open_place(str((of / "home" if isinstance(of, Path) else of.home) / name))


def _settings() -> tuple[dict[str, str], list[str]]:
    """What the environment sets: values, and the names of secrets."""
    values, secrets = {}, []
    for name, field in Settings.model_fields.items():
        key = f"SKYOPS_{name.upper()}"
        if field.exclude or not os.environ.get(key) or name == "home":
            continue
        # An address may hold a password, and a route a webhook.
        if any(word in str(field.annotation) for word in ("Secret", "Route")):
            secrets.append(key)
        else:
            values[key] = os.environ[key]
    return values, secrets


def _migrations(warehouse: Warehouse) -> list[str]:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select name from public.skyops_migrations order by 1")
        return [name for (name,) in cursor.fetchall()]


def _dump(warehouse: Warehouse, database: str, path: Path) -> dict[str, int]:
    """Write one database's dump, and count the rows that are in it."""
    with (
        warehouse.connect(database, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(sessions.BEGIN_LONG)
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute("select pg_export_snapshot()")
        (snapshot,) = cursor.fetchone() or ("",)
        counts = dict(_counts(cursor))
        dumps.dump(warehouse, database, path, snapshot=snapshot, server=connection.server_version)
        cursor.execute("rollback")
    return counts


def _counts(cursor: Cursor) -> Iterator[tuple[str, int]]:
    cursor.execute(_TABLES)
    for (table,) in cursor.fetchall():
        cursor.execute(f"select count(*) from {table}")  # noqa: S608 (quoted by format)
        (count,) = cursor.fetchone() or (0,)
        yield table, count


def _counted(warehouse: Warehouse, database: str) -> list[tuple[str, int]]:
    with warehouse.connect(database) as connection, connection.cursor() as cursor:
        return list(_counts(cursor))


def _refuse_what_is_there(
    settings: Settings, warehouse: Warehouse, databases: Mapping[str, str]
) -> None:
    for database in databases.values():
        with warehouse.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(_TABLES)
            if cursor.rowcount:
                raise SkyOpsError(
                    f"Database {database!r} on {warehouse.safe_url} has {cursor.rowcount} tables "
                    "already; a backup is restored only into empty databases. Set SKYOPS_HOME to a "
                    "new folder or SKYOPS_DATABASE_URL to a new database, or remove what is there "
                    "(skyops purge, drop database)."
                )
    for one in FILES:
        place = kept(settings, one)
        if place and place.files():
            raise SkyOpsError(
                f"{place.place} has files already: restore into a new home, and into an empty "
                "place if SKYOPS_STORE is set."
            )


def _copy(source: Store | None, goal: Store | None) -> None:
    """Copy a folder's files, where there are any; one that goes meanwhile is not needed."""
    if source is None or goal is None:
        return
    for file in source.files():
        if not file.name.endswith(".part"):
            with suppress(FileNotFoundError):
                copy_file(source, goal, file)


def _hashes(folder: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = (path.stat().st_size, digest)
    return found


def _checked(folder: Path, source: str) -> Manifest:
    """What a backup says of itself, once all of it is as it says.

    Raises:
        SkyOpsError: it is damaged, or this SkyOps is too old for it.
    """
    from skyops_assets.warehouse.migrate import MIGRATIONS

    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise SkyOpsError(f"{source} is not a complete backup: {error}") from None
    known = {path.name for path in MIGRATIONS.glob("[0-9]*.sql")}
    if manifest.format > FORMAT or not known.issuperset(manifest.migrations):
        raise SkyOpsError(
            f"{source} was made by a newer SkyOps ({manifest.skyops}; this is {__version__}): "
            "install that one first."
        )
    found = _hashes(folder)
    found.pop(MANIFEST)
    given = {name: tuple(facts) for name, facts in manifest.files.items()}
    if damaged := sorted(name for name in given if found.get(name) != given[name]):
        raise SkyOpsError(
            f"{source} is damaged: {first_few(damaged)} missing or changed. Restore another."
        )
    return manifest


@contextmanager
def _written(place: str, name: str) -> Iterator[tuple[Path, str]]:
    """A folder to fill, which is at its place under its name only when it is whole."""
    goal = f"{place.rstrip('/')}/{name}"
    if "://" in place:
        system, root = _store(place)
        with tempfile.TemporaryDirectory(prefix="skyops-backup-") as folder:
            yield Path(folder), goal
            _transfer(None, folder, system, f"{root}/{name}", place)
        return
    above = Path(place).expanduser().absolute()
    try:
        above.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=f".{name}-", dir=above)
    except OSError as error:
        raise SkyOpsError(f"No backup can be written to {place!r}: {error.strerror}.") from None
    try:
        yield Path(folder), str(above / name)
        Path(folder).rename(above / name)
    except OSError as error:
        raise SkyOpsError(f"The backup in {place!r} was not finished: {error}.") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _read(place: str) -> Iterator[tuple[Path, str]]:
    """A backup as a folder: the one that is named, or the newest in the place that is."""
    if "://" not in place:
        path = Path(place).expanduser().absolute()
        names = [one.name for one in path.iterdir()] if path.is_dir() else []
        found = path if MANIFEST in names else path / _newest(names, place)
        yield found, str(found)
        return
    from pyarrow import fs

    system, root = _store(place)
    try:
        names = [
            one.base_name
            for one in system.get_file_info(fs.FileSelector(root, allow_not_found=True))
        ]
    except OSError as error:
        raise SkyOpsError(f"{place} cannot be read: {error}") from None
    below = "" if MANIFEST in names else f"/{_newest(names, place)}"
    with tempfile.TemporaryDirectory(prefix="skyops-restore-") as folder:
        _transfer(system, f"{root}{below}", None, folder, place)
        yield Path(folder), f"{place.rstrip('/')}{below}"


def _newest(names: list[str], place: str) -> str:
    found = sorted(name for name in names if NAME.fullmatch(name))
    if not found:
        raise SkyOpsError(
            f"There is no backup in {place!r}: neither a file {MANIFEST} nor a folder like "
            "skyops-20261130T021500Z."
        )
    return found[-1]


def _store(place: str) -> tuple[fs.FileSystem, str]:
    if not place.startswith(S3):
        raise SkyOpsError(f"{place!r} is neither a folder nor an address such as s3://bucket/name.")
    found = open_place(place)
    return found.system, found.place.removeprefix(S3)


def _transfer(
    source: fs.FileSystem | None, start: str, goal: fs.FileSystem | None, end: str, place: str
) -> None:
    """Copy a tree of files from one file system to another; None is this machine's."""
    from pyarrow import fs

    local = fs.LocalFileSystem()
    try:
        fs.copy_files(
            start, end, source_filesystem=source or local, destination_filesystem=goal or local
        )
    except OSError as error:
        raise SkyOpsError(f"The backup in {place} could not be written or read: {error}") from None


def facts(manifest: Manifest) -> dict[str, Any]:
    """What a command prints of a backup, for people and programs."""
    return {
        "made_at": manifest.made_at,
        "skyops": manifest.skyops,
        "bytes": manifest.size,
        "files": len(manifest.files),
        "rows": {kind: sum(counts.values()) for kind, counts in manifest.rows.items()},
    }
