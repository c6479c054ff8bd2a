"""How dbt is called, where a run's artifacts go, and when the manifest is parsed anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.transform import dbt
from skyops_assets.warehouse import embedded
from tests.support.children import as_user


def test_a_production_run_builds_and_tests_but_runs_no_unit_test() -> None:
    assert dbt.build_arguments()[:3] == ["build", "--exclude-resource-type", "unit_test"]


def test_only_the_newest_runs_keep_their_artifacts(tmp_path: Path) -> None:
    for number in range(dbt.KEPT_RUNS + 3):
        folder = dbt.run_target(tmp_path, f"run{number}")
        (folder / "run_results.json").write_text("{}")
        os.utime(folder, (number, number))
    left = {path.name for path in (tmp_path / "dbt").iterdir()}
    assert left == {f"run{number}" for number in range(3, dbt.KEPT_RUNS + 3)}


def test_the_same_run_keeps_its_folder(tmp_path: Path) -> None:
    (dbt.run_target(tmp_path, "one") / "kept").touch()
    assert (dbt.run_target(tmp_path, "one") / "kept").exists()


def test_a_run_begins_with_what_the_newest_run_has_parsed(tmp_path: Path) -> None:
    for number in range(2):
        folder = dbt.run_target(tmp_path, f"run{number}")
        (folder / dbt.PARSED).write_text(f"parsed by run{number}")
        os.utime(folder, (number, number))
    (dbt.run_target(tmp_path, "failed before dbt started") / dbt.PARSED).unlink()
    assert (dbt.run_target(tmp_path, "next") / dbt.PARSED).read_text() == "parsed by run1"
    # Tried again, it keeps its own.
    assert (dbt.run_target(tmp_path, "run0") / dbt.PARSED).read_text() == "parsed by run0"


@pytest.fixture
def parses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Of an empty dbt project in `tmp_path`: where each parse wrote."""
    made: list[Path] = []
    monkeypatch.setattr(dbt, "DBT_PROJECT", tmp_path)
    monkeypatch.setattr(dbt, "TARGET", tmp_path / "target")

    def parse(arguments: list[str], folder: Path) -> None:
        for name in ("manifest.json", dbt.PARSED):
            (folder / name).write_text("{}")
        made.append(folder)

    monkeypatch.setattr(dbt, "_dbt", parse)
    (tmp_path / "dbt_project.yml").write_text("name: x")
    return made


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


@pytest.mark.parametrize("variable", ["SKYOPS_WATCH_AIRPORTS", "SKYOPS_PG_DBNAME"])
def test_other_airports_and_another_database_have_a_manifest_of_their_own(
    parses: list[Path], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    usual = dbt.prepare_manifest()
    monkeypatch.setenv(variable, "lszh")
    other = dbt.prepare_manifest()
    monkeypatch.delenv(variable)
    assert dbt.prepare_manifest() == usual != other
    assert usual.exists() and other.exists()
    assert len(parses) == 2


def test_a_lost_manifest_is_made_again_and_the_targets_own_files_do_not_count(
    parses: list[Path], tmp_path: Path
) -> None:
    manifest = dbt.prepare_manifest()
    (tmp_path / "target" / "compiled.sql").write_text("select 1")
    assert dbt.prepare_manifest() == manifest
    manifest.unlink()
    assert dbt.prepare_manifest() == manifest
    assert len(parses) == 2


def test_the_manifests_used_last_are_kept(parses: list[Path], tmp_path: Path) -> None:
    made = []
    for number in range(dbt.KEPT_MANIFESTS):
        (tmp_path / "dbt_project.yml").write_text(f"name: x{number}")
        made.append(dbt.prepare_manifest())
        os.utime(made[-1], (number, number))
    (tmp_path / "dbt_project.yml").write_text("name: x0")
    assert dbt.prepare_manifest() == made[0]
    (tmp_path / "dbt_project.yml").write_text("name: another")
    newest = dbt.prepare_manifest()
    left = set((tmp_path / "target").glob("manifest-*"))
    assert left == {made[0], *made[2:], newest}


def test_a_parse_that_failed_is_tried_again(
    parses: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str], folder: Path) -> None:
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
