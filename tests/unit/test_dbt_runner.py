"""How dbt is called, where a run's artifacts go, and when the manifest is parsed anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.transform import dbt
from skyops_assets.warehouse import embedded
from tests.support.children import as_user


def test_a_production_run_builds_and_tests_but_runs_no_unit_test() -> None:
    assert dbt.build_arguments()[:3] == ["build", "--exclude-resource-type", "unit_test"]


def parsed_of(database: str) -> dict[str, Any]:
    """What dbt might go on from: nested, with names among other values."""
    node = {"sql": f'select * from "{database}"."staging"."a"', "at": msgpack.Timestamp(5)}
    return {"nodes": [node, None, 1]}


@pytest.fixture
def parses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Of an empty dbt project in `tmp_path`: where each parse wrote."""
    made: list[Path] = []
    monkeypatch.setattr(dbt, "DBT_PROJECT", tmp_path)
    monkeypatch.setattr(dbt, "TARGET", tmp_path / "target")

    def parse(arguments: list[str], folder: Path, database: str) -> None:
        (folder / "manifest.json").write_text(json.dumps({"database": database}))
        (folder / dbt.PARSED).write_bytes(msgpack.packb(parsed_of(database)))
        made.append(folder)

    monkeypatch.setattr(dbt, "_dbt", parse)
    (tmp_path / "dbt_project.yml").write_text("name: x")
    return made


def test_only_the_newest_runs_keep_their_artifacts(parses: list[Path], tmp_path: Path) -> None:
    for number in range(dbt.KEPT_RUNS + 3):
        folder = dbt.run_target(tmp_path, f"run{number}")
        (folder / "run_results.json").write_text("{}")
        os.utime(folder, (number, number))
    left = {path.name for path in (tmp_path / "dbt").iterdir()}
    assert left == {f"run{number}" for number in range(3, dbt.KEPT_RUNS + 3)}


def test_the_same_run_keeps_its_folder(parses: list[Path], tmp_path: Path) -> None:
    (dbt.run_target(tmp_path, "one") / "kept").touch()
    assert (dbt.run_target(tmp_path, "one") / "kept").exists()


def test_a_run_begins_with_what_is_parsed_under_its_databases_name(
    parses: list[Path], tmp_path: Path
) -> None:
    for run, database in (("one", None), ("two", "Flug betrieb"), ("one", "long" * 20)):
        target = dbt.run_target(tmp_path, run)
        dbt.lay_parsed(target, database)
        laid = msgpack.unpackb((target / dbt.PARSED).read_bytes())
        assert laid == parsed_of(database or "skyops")
    assert len(parses) == 1


def test_the_manifest_is_parsed_once(parses: list[Path]) -> None:
    assert dbt.prepare_manifest() == dbt.prepare_manifest() == dbt.manifest_path()
    assert len(parses) == 1


@pytest.mark.parametrize("name", ["models/a.sql", "models/a.yml", "docs/a.md", "seeds/a.csv"])
def test_a_changed_file_of_the_project_is_parsed_anew(
    parses: list[Path], tmp_path: Path, name: str
) -> None:
    before = dbt.prepare_manifest()
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("select 1")
    assert dbt.prepare_manifest() == dbt.prepare_manifest() != before
    assert len(parses) == 2


@pytest.mark.parametrize(
    ("variable", "times"), [("SKYOPS_WATCH_AIRPORTS", 2), ("SKYOPS_PG_DBNAME", 1)]
)
def test_other_airports_and_another_database_have_a_manifest_of_their_own(
    parses: list[Path], monkeypatch: pytest.MonkeyPatch, variable: str, times: int
) -> None:
    usual = dbt.prepare_manifest()
    monkeypatch.setenv(variable, 'the "sky"')
    other = dbt.prepare_manifest()
    monkeypatch.delenv(variable)
    assert dbt.prepare_manifest() == usual != other
    names = {"SKYOPS_WATCH_AIRPORTS": "skyops", "SKYOPS_PG_DBNAME": 'the "sky"'}
    assert json.loads(usual.read_text()) == {"database": "skyops"}
    assert json.loads(other.read_text()) == {"database": names[variable]}
    assert len(parses) == times


def test_a_lost_manifest_is_made_again_and_the_targets_own_files_do_not_count(
    parses: list[Path], tmp_path: Path
) -> None:
    manifest = dbt.prepare_manifest()
    (tmp_path / "target" / "compiled.sql").write_text("select 1")
    assert dbt.prepare_manifest() == manifest
    for lost in (tmp_path / "target").glob("manifest-*"):
        lost.unlink()
    assert dbt.prepare_manifest() == manifest
    assert len(parses) == 2


def test_the_manifests_used_last_are_kept(parses: list[Path], tmp_path: Path) -> None:
    """Each project has two: its database's, and the one that this is made from."""
    made = []
    for number in range(dbt.KEPT_MANIFESTS // 2):
        (tmp_path / "dbt_project.yml").write_text(f"name: x{number}")
        made.append((dbt.prepare_manifest(), dbt.manifest_path(dbt.ANY_DATABASE)))
        for path in made[-1]:
            os.utime(path, (number, number))
    (tmp_path / "dbt_project.yml").write_text("name: x0")
    dbt.lay_parsed(tmp_path)
    assert dbt.prepare_manifest() == made[0][0]
    (tmp_path / "dbt_project.yml").write_text("name: another")
    newest = (dbt.prepare_manifest(), dbt.manifest_path(dbt.ANY_DATABASE))
    left = set((tmp_path / "target").glob("manifest-*.json"))
    assert left == {path for each in (made[0], *made[2:], newest) for path in each}
    parsed = {path.stem for path in (tmp_path / "target").glob("*.msgpack")}
    assert parsed == {each[1].stem for each in (made[0], *made[2:], newest)}


def test_a_parse_that_failed_is_tried_again(
    parses: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str], folder: Path, database: str) -> None:
        raise SkyOpsError("dbt parse failed: syntax error")

    with monkeypatch.context() as broken:
        broken.setattr(dbt, "_dbt", fail)
        with pytest.raises(SkyOpsError, match="syntax error"):
            dbt.prepare_manifest()
    assert dbt.prepare_manifest().exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_a_checkout_of_another_users_has_its_manifest_in_ones_own_home(
    parses: list[Path], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the checkout's, where the owner has made that one."""
    home.chmod(0o755)
    project, own = home / "project", home / "own"
    monkeypatch.setattr(dbt, "DBT_PROJECT", project)
    monkeypatch.setattr(dbt, "TARGET", project / "target")
    monkeypatch.setenv("SKYOPS_HOME", str(own))
    nobody = embedded._nobody()
    for folder in (project, own):
        folder.mkdir()
    os.chown(own, nobody, nobody)
    for content in ("name: x", "name: y"):
        (project / "dbt_project.yml").write_text(content)
        theirs = own / "manifests" / dbt.manifest_path().name
        assert as_user(nobody, dbt.prepare_manifest) == str(theirs)
        assert theirs.stat().st_uid == nobody
        shared = dbt.prepare_manifest()
        assert shared.parent == project / "target"
        assert as_user(nobody, dbt.prepare_manifest) == str(shared)


@pytest.mark.parametrize(
    ("given", "is_due", "passed"),
    [
        (["build"], False, ["build"]),
        (["build"], True, ["build", "--full-refresh"]),
        (["build", "--full-refresh"], True, ["build", "--full-refresh"]),
        (["run", "--select", "a b"], True, ["run", "--select", "a b", "--full-refresh"]),
    ],
)
def test_a_full_refresh_is_asked_for_where_it_is_due_and_once(
    given: list[str], is_due: bool, passed: list[str]
) -> None:
    before = list(given)
    assert dbt.arguments(given, is_full_refresh=is_due) == passed
    assert given == before


@pytest.mark.parametrize(
    ("given", "goes_on"),
    [
        ("build --exclude-resource-type unit_test --no-use-colors", True),
        (f"build --no-use-colors --select fqn:* --exclude {dbt.APART}", True),
        (f"build --no-use-colors --select {dbt.FLEET_MODELS}", True),
        (
            "build --select skyops.fleet.fleet_daily skyops.staging.operator.stg_operator__parts",
            True,
        ),
        ("build --select skyops.fleet.fleet_daily skyops.metrics.fct_flights", False),
        ("build --select skyops.fleet.fleet_daily --exclude tag:hourly", False),
        ("run", True),
        ("build --full-refresh", False),
        ("run --select=fct_flights", False),
        ("run --exclude tag:hourly", False),
        ("build --select fqn:skyops.live", False),
        ("test", False),
    ],
)
def test_live_passes_go_on_beside_what_has_no_notes_of_theirs(given: str, goes_on: bool) -> None:
    assert dbt.takes_turns(given.split()) is goes_on


def test_dbt_takes_what_is_laid_for_any_server_and_makes_the_manifest_that_it_would_parse(
    tmp_path: Path,
) -> None:
    """The project's own, whole: where dbt compares something else, it parses anew each time."""
    database = {"SKYOPS_PG_HOST": "/nowhere", "SKYOPS_PG_DBNAME": "flights"}

    def parsed(folder: str, *command: str) -> tuple[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", *command, "--no-use-colors", "parse"],
            cwd=dbt.DBT_PROJECT,
            env={**os.environ, **database, "DBT_PROFILES_DIR": ".",
                 "DBT_TARGET_PATH": str(tmp_path / folder), "DBT_LOG_PATH": str(tmp_path)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        manifest = json.loads((tmp_path / folder / "manifest.json").read_text())
        assert manifest.pop("metadata")["project_name"] == "skyops"
        for kind in manifest.values():
            for node in kind.values() if isinstance(kind, dict) else ():
                if isinstance(node, dict):
                    node.pop("created_at", None)
        return done.stdout, manifest

    dbt.lay_parsed(tmp_path / "laid", "flights")
    said, laid = parsed("laid", "skyops_assets.transform.dbt")
    assert "partial pars" not in said
    said, anew = parsed("anew", "dbt.cli.main")
    assert "Unable to do partial parsing" in said
    assert laid == anew
    assert {node["database"] for node in anew["nodes"].values()} == {"flights"}
