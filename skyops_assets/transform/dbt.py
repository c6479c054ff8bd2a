"""How SkyOps runs dbt: where the project is, its arguments, its manifest, its lock.

``main`` is the command ``skyops-dbt``: dbt, holding a lock on the warehouse while it
writes. The lock lives in the writing process itself, so a dbt whose parent was killed
still keeps the next run waiting until it has ended.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.files import replacing
from skyops_assets.garbage import collect_rarely
from skyops_assets.settings import PROJECT_ROOT, Settings, load_settings
from skyops_assets.store import DOCS_PAGE, open_store
from skyops_assets.warehouse import citus

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

DBT_PROJECT = PROJECT_ROOT / "dbt_project"
TARGET = DBT_PROJECT / "target"
KEPT_MANIFESTS = 20
KEPT_RUNS = 20
PARSED = "partial_parse.msgpack"
ANY_DATABASE = "skyops_any_database"
"""The project is parsed for a database of this name, which then becomes each warehouse's own."""
LOCK = "skyops.dbt"
"""The warehouse's lock that a dbt run holds while it writes; live passes do without it."""
TURN = "skyops.turn"
"""The lock that a live pass holds, a dbt run that is to be alone, and for each of its models, tests
and hooks a build beside which passes go on."""
_WRITING = {"build", "run", "seed", "snapshot", "test"}
LIVE_VIEWS = "fqn:skyops.live"
"""What is shown of the sky now: views, which a step of their own makes and tests."""
FLEET = ("fleet", "reliability", "staging.operator")
"""Folders of models that are made by the day, week or month, whole, in a step of their own."""
FLEET_MODELS = " ".join(f"fqn:skyops.{folder}" for folder in FLEET)
APART = f"{LIVE_VIEWS} {FLEET_MODELS}"
EVERYTHING = ("--select fqn:*", f"--exclude {APART}")
"""How dagster-dbt says that all tables that follow positions are to be built."""
_OF_FLEET = re.compile(
    rf"--select(?: (?:fqn:)?skyops\.(?:{'|'.join(map(re.escape, FLEET))})(?:\.\S+)?)+(?= --|$)"
)
"""How it says that the fleet's models are, or some of them."""
SESSION = "-c jit=off -c work_mem=64MB -c random_page_cost=1.1"
"""Postgres options of dbt's sessions: compiling expressions costs more than it saves, and sorts of
some hundred thousand rows stay in memory. The user's own PGOPTIONS come after them and win."""


def build_arguments() -> list[str]:
    """What a production run gives dbt: unit tests belong to CI, and colours into no log."""
    return ["build", "--exclude-resource-type", "unit_test", "--no-use-colors"]


def run_target(home: Path, run_id: str) -> Path:
    """Folder for one run's dbt artifacts; the oldest beyond `KEPT_RUNS` are dropped."""
    import shutil

    runs = home / "dbt"
    target = runs / run_id
    target.mkdir(parents=True, exist_ok=True)
    lay_parsed(target)
    by_age = sorted(runs.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in by_age[KEPT_RUNS:]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def lay_parsed(target: Path, database: str | None = None) -> None:
    """Give a dbt run what is parsed already, which saves it two thirds of its start.

    dbt checks whether it is of the same files and settings, and parses what is not.

    Args:
        target: the run's folder for artifacts.
        database: the warehouse's name, if it is not this process's.

    Raises:
        SkyOpsError: dbt cannot parse the project; the message holds dbt's own words.
    """
    import msgpack

    parsed = msgpack.unpackb(_parsed().with_suffix(".msgpack").read_bytes(), strict_map_key=False)
    name = database or _database()

    def named(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(ANY_DATABASE, name)
        if isinstance(value, dict):
            return {named(key): named(each) for key, each in value.items()}
        return [named(each) for each in value] if isinstance(value, list) else value

    with replacing(target / PARSED) as fresh:
        fresh.write_bytes(msgpack.packb(named(parsed)))


def manifest_path(database: str | None = None) -> Path:
    """Where the manifest of this project, watch list and database is, once it is prepared.

    Each has a file of its own: processes with different ones share the folder. A manifest names
    the database, and by that name Dagster asks for a model's columns. It lies in the project, or
    in SKYOPS_HOME where the project is another user's.
    """
    made_from = f"{manifest_fingerprint()} {database or _database()}"
    name = f"manifest-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}.json"
    shared = TARGET / name
    if shared.exists() or os.access(TARGET if TARGET.exists() else TARGET.parent, os.W_OK):
        return shared
    return load_settings().home / "manifests" / name


def prepare_manifest() -> Path:
    """Parse the dbt project unless its manifest is there; several processes may ask.

    It is parsed once, whatever the databases are called.

    Raises:
        SkyOpsError: dbt cannot parse the project; the message holds dbt's own words.
    """
    manifest = manifest_path()
    if manifest.exists():
        _keep(manifest)
        return manifest
    of_any = _parsed().read_text()
    with replacing(manifest) as fresh:
        fresh.write_text(of_any.replace(ANY_DATABASE, json.dumps(_database())[1:-1]))
    earlier = sorted(manifest.parent.glob("manifest-*.json"), key=lambda path: path.stat().st_mtime)
    for old in earlier[:-KEPT_MANIFESTS]:
        old.unlink(missing_ok=True)
        old.with_suffix(".msgpack").unlink(missing_ok=True)
    return manifest


def _database() -> str:
    return os.environ.get("SKYOPS_PG_DBNAME", "skyops")


def _parsed() -> Path:
    """The manifest of `ANY_DATABASE`, with what dbt goes on from beside it (``.msgpack``)."""
    manifest = manifest_path(ANY_DATABASE)
    parsed = manifest.with_suffix(".msgpack")
    if manifest.exists() and parsed.exists():
        _keep(manifest)
        return manifest
    folder = manifest.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise SkyOpsError(
            f"The folder {str(folder)!r} cannot be written ({error.strerror}): dbt stores there "
            "the parsed project."
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (manifest.exists() and parsed.exists()):
            # Beside it, and then in its place: other processes read at any time.
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                _dbt(["parse"], Path(fresh), ANY_DATABASE)
                (Path(fresh) / PARSED).replace(parsed)
                (Path(fresh) / "manifest.json").replace(manifest)
    return manifest


def _keep(manifest: Path) -> None:
    """Those used last are kept; another user's file keeps its time."""
    with suppress(OSError):
        os.utime(manifest)


def build_docs(settings: Settings) -> str:
    """Write the dbt docs as one static page.

    Returns:
        Where it is: a path, or an address in a bucket.

    Raises:
        SkyOpsError: dbt cannot build them; the message holds dbt's own words.
    """
    target = settings.home / "docs" / "target"
    target.mkdir(parents=True, exist_ok=True)
    lay_parsed(target)
    _dbt(["docs", "generate", "--static"], target, _database())
    page = (target / "static_index.html").read_text("utf-8")
    # Two addresses that dbt left as templates: the script fills in the first, but a browser asks
    # for it before that, and nothing fills in the second.
    page = page.replace('xlink:href="{{', 'ng-attr-xlink:href="{{')
    page = page.replace("${require('./assets/favicons/favicon.ico')}", "data:,")
    store = open_store(settings)
    with store.writing(DOCS_PAGE) as part:
        part.write_text(page, "utf-8")
    return store.address(DOCS_PAGE)


def _dbt(arguments: list[str], target: Path, database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "skyops_assets.transform.dbt", "--quiet", *arguments],
        cwd=DBT_PROJECT,
        env={
            **os.environ,
            "SKYOPS_PG_DBNAME": database,
            "DBT_PROFILES_DIR": str(DBT_PROJECT),
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = f"{done.stdout}{done.stderr}".strip()
        raise SkyOpsError(f"dbt {' '.join(arguments)} failed: {said}")


def manifest_fingerprint() -> str:
    """A hash (SHA-256, hex) of everything that the manifest's models are made from."""
    from importlib.metadata import version

    digest = hashlib.sha256(version("dbt-core").encode())
    for name in ("SKYOPS_WATCH_AIRPORTS", "SKYOPS_ASMA_REFERENCE_YEAR"):
        digest.update(f"{os.environ.get(name, '')} ".encode())
    for path in sorted(DBT_PROJECT.rglob("*")):
        if path.suffix in (".sql", ".yml", ".md", ".csv") and TARGET not in path.parents:
            digest.update(str(path.relative_to(DBT_PROJECT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def transform_fingerprint(warehouse: Warehouse, arguments: Sequence[str]) -> str:
    """A hash of what tables follow from besides positions: models, reference data, vars."""
    digest = hashlib.sha256(manifest_fingerprint().encode())
    if "--vars" in arguments:
        digest.update(arguments[arguments.index("--vars") + 1].encode())
    with warehouse.connect() as connection, connection.cursor() as cursor:
        for table, key in (("raw.airports", "icao"), ("raw.runways", "runway_id")):
            cursor.execute(
                f"select md5(string_agg((to_jsonb(t) - 'batch_id')::text, '' order by {key})) "  # noqa: S608
                f"from {table} as t"
            )
            digest.update(str(cursor.fetchone()).encode())
        # Half a million rows: a sum needs no order.
        cursor.execute(
            "select sum(hashtextextended(concat_ws(' ', icao24, typecode), 0)) from raw.aircraft"
        )
        digest.update(str(cursor.fetchone()).encode())
        if citus.is_citus(cursor):
            digest.update(b"citus")
    return digest.hexdigest()


def needs_full_refresh(warehouse: Warehouse, fingerprint: str) -> bool:
    """Whether the tables were made in another way than they are to be made now.

    Where retention has dropped positions a new start would lose what came from them: then only
    what is new is made in the new way.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select (select fingerprint from audit.transform_state), "
            "exists (select from raw.dropped_partitions where target = 'raw.opensky_states')"
        )
        row = cursor.fetchone()
    assert row is not None
    known, has_dropped = row
    if known == fingerprint:
        return False
    if known is not None and has_dropped:
        print(
            "The models, the airports or the settings have changed. Retention has dropped "
            "positions, so tables are not rebuilt, and only new positions are computed the new "
            "way. To rebuild from the positions still kept, and lose the rest: skyops exec -- "
            "skyops-dbt build --full-refresh",
            file=sys.stderr,
        )
        return False
    return True


def prepare_session(warehouse: Warehouse) -> None:
    """Give dbt's sessions in this process their options.

    A pooler takes none; they make dbt faster and change no result.
    """
    from skyops_assets.warehouse.sessions import is_pooled

    with warehouse.connect() as connection, connection.cursor() as cursor:
        if not is_pooled(cursor):
            os.environ["PGOPTIONS"] = f"{SESSION} {os.environ.get('PGOPTIONS', '')}".strip()


def _say_waiting() -> None:
    print("Another dbt run writes to the warehouse; waiting.", file=sys.stderr)


def arguments(given: Sequence[str], *, is_full_refresh: bool) -> list[str]:
    """What dbt is given: the command line, and a full refresh where one is due."""
    more = is_full_refresh and "--full-refresh" not in given
    return [*given, *(["--full-refresh"] if more else [])]


def takes_turns(given: Sequence[str]) -> bool:
    """Whether live passes may work between two models of a dbt command.

    Not where tables are built whole, nor beside some models alone, as these go by the notes of a
    live pass; but for those of the fleet, which have no notes.
    """
    chosen = _OF_FLEET.sub("", " ".join(given))
    for every in EVERYTHING:
        chosen = chosen.replace(every, "")
    alone = {"--full-refresh", "-f", "--select", "-s", "--models", "-m", "--exclude", "--selector"}
    return bool({"build", "run"}.intersection(given)) and not alone.intersection(
        one.partition("=")[0] for one in chosen.split()
    )


def parse_for_any_server() -> None:
    """Let dbt in this process take what was parsed for another server or database.

    It would parse all anew, as SQL may name what the profile holds. Ours does not, but for the
    schema and for the database, which `lay_parsed` renames.
    """
    from unittest.mock import patch

    from dbt.adapters.postgres.connections import PostgresCredentials
    from dbt.parser.manifest import ManifestLoader

    check = ManifestLoader.build_manifest_state_check

    def without_server(loader: ManifestLoader) -> Any:
        with patch.object(PostgresCredentials, "_connection_keys", lambda _: ("schema",)):
            return check(loader)

    patch.object(ManifestLoader, "build_manifest_state_check", without_server).start()


def main() -> None:
    """Run dbt with the arguments of the command line, one writer at a time."""
    collect_rarely()
    from dbt.cli.main import cli

    from skyops_assets.warehouse.connection import only_one, open_warehouse

    given = sys.argv[1:]
    parse_for_any_server()
    if _WRITING.intersection(given):
        warehouse = open_warehouse(load_settings())
        prepare_session(warehouse)
        with only_one(warehouse, LOCK, _say_waiting):
            is_due = False
            if {"build", "run"}.intersection(given):
                fingerprint = transform_fingerprint(warehouse, given)
                os.environ["SKYOPS_TRANSFORM_FINGERPRINT"] = fingerprint
                is_due = needs_full_refresh(warehouse, fingerprint)
            asked = arguments(given, is_full_refresh=is_due)
            if takes_turns(asked):
                os.environ["SKYOPS_TRANSFORM_TURNS"] = "1"
                cli(asked)
            else:
                with only_one(warehouse, TURN, _say_waiting):
                    cli(asked)
    else:
        cli(given)


if __name__ == "__main__":
    main()
