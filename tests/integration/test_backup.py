"""Backups on a real Postgres: what is refused, and what is never lost on the way.

A whole installation is backed up and restored in test_demo.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import backup
from skyops_assets.settings import Settings
from skyops_assets.store import open_store
from skyops_assets.warehouse import dumps, embedded
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support.databases import Databases, Query, short_dir, stop_server
from tests.support.servers import bucket_in_environment, postgres


def elsewhere(databases: Databases, home: Path) -> Settings:
    """Settings whose databases are new ones on the worker's server."""
    names = [str(databases.new(template="template1").url.database) for _ in range(3)]
    address = databases.server.url.set(database=names[0]).render_as_string(hide_password=False)
    return Settings(
        home=home, database_url=SecretStr(address),
        dagster_database=names[1], mlflow_database=names[2],
    )  # fmt: skip


@pytest.fixture
def home(databases: Databases, tmp_path: Path) -> Settings:
    return elsewhere(databases, tmp_path / "home")


@pytest.fixture
def other(databases: Databases, tmp_path: Path) -> Settings:
    """Where a backup is restored to."""
    return elsewhere(databases, tmp_path / "other")


@pytest.fixture
def filled(home: Settings) -> Warehouse:
    """A warehouse with a few rows and files."""
    warehouse = open_warehouse(home)
    migrate(warehouse)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute('create table raw.odd_names ("a b" text, n int)')
        cursor.execute("insert into raw.odd_names select '❌ x', n from generate_series(1, 500) n")
    for path, content in (
        ("mlflow/1/model.onnx", b"\x00onnx"),
        ("training/abc.parquet", b"PAR1"),
        ("service/unsent/1.jsonl", b"{}\n"),
        ("collected/1.5-2.answer", b"{}"),
        ("collected/1.5-3.part", b"{"),
    ):
        (home.home / path).parent.mkdir(parents=True, exist_ok=True)
        (home.home / path).write_bytes(content)
    return warehouse


def test_what_was_there_is_there_again(
    home: Settings, other: Settings, filled: Warehouse, tmp_path: Path, query: Query
) -> None:
    where, made = backup.back_up(home, filled, str(tmp_path / "kept"))
    assert made.rows["skyops"]["raw.odd_names"] == 500
    warehouse = open_warehouse(other)
    assert backup.restore(other, warehouse, str(tmp_path / "kept"))[0] == where
    rows = "select * from raw.odd_names order by n"
    assert query(warehouse, rows) == query(filled, rows)
    assert migrate(warehouse) == []
    found = {
        path.relative_to(other.home).as_posix(): path.read_bytes()
        for path in other.home.rglob("*")
        if path.is_file()
    }
    assert found == {
        "mlflow/1/model.onnx": b"\x00onnx",
        "training/abc.parquet": b"PAR1",
        "service/unsent/1.jsonl": b"{}\n",
        "collected/1.5-2.answer": b"{}",
    }
    with pytest.raises(SkyOpsError, match="tables already; a backup is restored only into empty"):
        backup.restore(other, warehouse, where)


def test_neither_secrets_nor_their_values_are_in_it(
    home: Settings, filled: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYOPS_ALERT_WEBHOOK_URL", "https://hooks.example.org/s3cr3t-word")
    monkeypatch.setenv("SKYOPS_WATCH_AIRPORTS", "LFPG")
    where, made = backup.back_up(home, filled, str(tmp_path))
    assert made.secrets == ["SKYOPS_ALERT_WEBHOOK_URL"]
    assert made.settings["SKYOPS_WATCH_AIRPORTS"] == "LFPG"
    assert all(b"s3cr3t-word" not in path.read_bytes() for path in Path(where).glob("*.json"))
    monkeypatch.setenv("SKYOPS_WATCH_AIRPORTS", "EHAM")
    monkeypatch.delenv("SKYOPS_ALERT_WEBHOOK_URL")
    assert backup.differences(made) == [
        "SKYOPS_WATCH_AIRPORTS was 'LFPG' in the backup and is 'EHAM' here.",
        "SKYOPS_ALERT_WEBHOOK_URL was set in the backup and is not set here; a backup contains no "
        "secrets.",
    ]


@pytest.fixture
def where(home: Settings, filled: Warehouse, tmp_path: Path) -> str:
    """A backup."""
    return backup.back_up(home, filled, str(tmp_path / "kept"))[0]


@pytest.mark.parametrize("spoilt", ["missing", "torn", "other", "no manifest"])
def test_a_damaged_backup_is_refused_before_anything_is_written(
    where: str, other: Settings, spoilt: str, query: Query
) -> None:
    dump = Path(where) / "skyops.dump"
    if spoilt == "missing":
        dump.unlink()
    elif spoilt == "torn":
        dump.write_bytes(dump.read_bytes()[:-100])
    elif spoilt == "other":
        shutil.copy(Path(where) / "mlflow.dump", dump)
    else:
        (Path(where) / "backup.json").write_text("{")
    said = (
        "is not a complete backup"
        if spoilt == "no manifest"
        else "damaged: skyops.dump missing or changed"
    )
    warehouse = open_warehouse(other)
    with pytest.raises(SkyOpsError, match=said):
        backup.restore(other, warehouse, where)
    assert query(
        warehouse, "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
    ) == [(0,)]


def test_a_dump_that_ends_early_leaves_the_database_empty(
    where: str, other: Settings, query: Query
) -> None:
    """Its hash is right, as of one that was torn while it was made."""
    dump = Path(where) / "skyops.dump"
    dump.write_bytes(dump.read_bytes()[:-20_000])
    said = json.loads((Path(where) / "backup.json").read_text())
    digest = hashlib.sha256(dump.read_bytes()).hexdigest()
    said["files"]["skyops.dump"] = [dump.stat().st_size, digest]
    (Path(where) / "backup.json").write_text(json.dumps(said))
    warehouse = open_warehouse(other)
    with pytest.raises(SkyOpsError, match="was not restored"):
        backup.restore(other, warehouse, where)
    tables = "select count(*) from pg_tables where schemaname in ('raw', 'public')"
    assert query(warehouse, tables) == [(0,)]


def test_one_of_a_newer_skyops_is_refused(where: str, other: Settings) -> None:
    path = Path(where) / "backup.json"
    said = json.loads(path.read_text())
    said["migrations"].append("9999_from_the_future.sql")
    path.write_text(json.dumps(said))
    with pytest.raises(SkyOpsError, match="was made by a newer SkyOps"):
        backup.restore(other, open_warehouse(other), where)


def test_a_place_that_has_none_or_takes_none_is_named(
    home: Settings, filled: Warehouse, tmp_path: Path
) -> None:
    with pytest.raises(SkyOpsError, match="There is no backup in '/nowhere'"):
        backup.restore(home, filled, "/nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(SkyOpsError, match="No backup can be written to"):
        backup.back_up(home, filled, str(tmp_path / "file"))
    with pytest.raises(SkyOpsError, match="neither a folder nor an address such as s3"):
        backup.back_up(home, filled, "gs://bucket")


def test_a_backup_that_fails_leaves_nothing(
    home: Settings, filled: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dumps, "_tool", lambda *_: "/bin/false")
    with pytest.raises(SkyOpsError, match="false of database"):
        backup.back_up(home, filled, str(tmp_path / "kept"))
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.usefixtures("manifest")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_restores_it_to_another_path_and_an_embedded_server(
    where: str, filled: Warehouse, query: Query
) -> None:
    """As on a new machine: root backs up, and somebody else goes on."""
    programs = (embedded.program("postgres"), Path(sys.executable).resolve())
    if closed := next(filter(None, map(embedded._closed_folder, programs)), None):
        pytest.skip(f"an ordinary user may not pass {closed} here")
    folder, user = short_dir(), pwd.getpwnam("nobody")
    home, kept = folder / "new" / "home", folder / "kept"
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SKYOPS_HOME": str(home)}

    def do(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "skyops_assets", *arguments], env=variables, text=True,
            user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, check=False,
            cwd=folder,
        )  # fmt: skip

    try:
        shutil.copytree(where, kept)
        os.chown(folder, user.pw_uid, user.pw_gid)
        kept.chmod(0o700)
        refused = do("restore", str(kept))
        assert refused.returncode == 1
        assert f"{str(kept)!r} cannot be read" in refused.stderr
        for path in (kept, *kept.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)
        restored = do("restore", str(kept))
        assert restored.returncode == 0, restored.stderr
        assert "every table has all its rows" in " ".join(restored.stdout.split())
        rows = do("sql", "select n from raw.odd_names order by n", "--format", "csv")
        assert rows.returncode == 0, rows.stderr
        assert rows.stdout.split()[1:] == [
            str(n) for (n,) in query(filled, "select n from raw.odd_names order by n")
        ]
        assert (home / "mlflow/1/model.onnx").read_bytes() == b"\x00onnx"
        assert {path.lstat().st_uid for path in home.rglob("*")} == {user.pw_uid}
    finally:
        stop_server(home / "postgres")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bucket() -> Iterator[str]:
    """The name of a bucket on a server that speaks S3, which AWS' variables name."""
    with bucket_in_environment("kept"):
        yield "kept"


def test_an_object_store_keeps_backups_and_the_newest_is_restored(
    home: Settings, other: Settings, filled: Warehouse, bucket: str, query: Query
) -> None:
    place = f"s3://{bucket}/of/mine"
    with pytest.raises(SkyOpsError, match=f"There is no backup in '{place}'"):
        backup.restore(other, open_warehouse(other), place)
    where, _ = backup.back_up(home, filled, f"{place}/")
    assert where.startswith(f"{place}/skyops-")
    warehouse = open_warehouse(other)
    assert backup.restore(other, warehouse, place)[0] == where
    rows = "select * from raw.odd_names order by n"
    assert query(warehouse, rows) == query(filled, rows)
    assert (other.home / "mlflow/1/model.onnx").read_bytes() == b"\x00onnx"


def test_a_backup_has_the_files_of_a_bucket_and_goes_into_a_bucket_or_a_folder(  # noqa: PLR0917
    databases: Databases, home: Settings, other: Settings, filled: Warehouse, bucket: str,
    tmp_path: Path, query: Query,
) -> None:  # fmt: skip
    """MLflow's tables of addresses are made by hand here; `test_stored` has MLflow itself."""
    in_bucket = other.model_copy(update={"store": f"s3://{bucket}/skyops"})
    third = elsewhere(databases, tmp_path / "third")

    def addresses(settings: Settings, statement: str) -> list[tuple[str, ...]]:
        warehouse = open_warehouse(settings)
        there = warehouse.url.set(database=settings.mlflow_database)
        return query(replace(warehouse, url=there), statement)

    root = (home.home / "mlflow").as_uri()
    addresses(home, "create table experiments (name text, artifact_location text)")
    addresses(home, f"insert into experiments values ('skyops-arrivals', '{root}'),"
                    f" ('x', '{root}/1'), ('y', '{root}-of-another/1')")  # fmt: skip
    before = home
    for settings, now in (
        (in_bucket, f"s3://{bucket}/skyops/mlflow"), (third, (third.home / "mlflow").as_uri()),
    ):  # fmt: skip
        where, _ = backup.back_up(
            before, open_warehouse(before), str(tmp_path / settings.home.name)
        )
        backup.restore(settings, open_warehouse(settings), where)
        assert addresses(settings, "select artifact_location from experiments order by name") == [
            (now,), (f"{now}/1",), (f"{root}-of-another/1",),
        ]  # fmt: skip
        store = open_store(settings)
        assert store.read("mlflow/1/model.onnx") == b"\x00onnx"
        assert store.read("training/abc.parquet") == b"PAR1"
        assert (settings.home / "collected/1.5-2.answer").read_bytes() == b"{}"
        before = settings
    assert not (in_bucket.home / "training").exists()
    # Nothing is written over what a bucket has.
    new = elsewhere(databases, tmp_path / "new").model_copy(update={"store": in_bucket.store})
    with pytest.raises(SkyOpsError, match="s3://kept/skyops/training has files already"):
        backup.restore(new, open_warehouse(new), where)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Settings]:
    """Settings of Debian's Postgres, as its superuser."""
    with postgres() as server:
        yield Settings(
            home=tmp_path / "system", database_url=SecretStr(server.address(database="kept"))
        )


def test_servers_of_two_versions_give_and_take_backups(
    filled: Warehouse, where: str, system: Settings, other: Settings, query: Query
) -> None:
    settings = system
    older = open_warehouse(settings)
    backup.restore(settings, older, where)
    again, _ = backup.back_up(settings, older, str(settings.home / "kept"))
    newer = open_warehouse(other)
    backup.restore(other, newer, again)
    rows = "select * from raw.odd_names order by n"
    assert query(newer, rows) == query(older, rows) == query(filled, rows)
