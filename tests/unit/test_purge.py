"""Removing SKYOPS_HOME: only a home of SkyOps, only an unused one, only after a yes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skyops_assets.cli import app
from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import purge
from skyops_assets.settings import PROJECT_ROOT, Settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a little in it."""
    home = tmp_path / "home"
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_text("x" * 5000)
    return home


def test_what_is_no_home_of_skyops_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SkyOpsError, match="holds nothing that SkyOps made"):
        purge.removable(Settings(home=tmp_path))
    for above in (PROJECT_ROOT, PROJECT_ROOT.parent, Path.home(), Path("/")):
        with pytest.raises(SkyOpsError, match="holds more than SkyOps' state"):
            purge.removable(Settings(home=above))


@pytest.mark.parametrize("name", ["home", "link", "above/home"])
def test_a_home_in_use_is_not_removed_by_any_name(home: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(home)
    (tmp_path / "above").symlink_to(tmp_path)
    settings = Settings(home=tmp_path / name)
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env={**os.environ, "DAGSTER_HOME": str(home / "dagster")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(SkyOpsError, match=f"process {process.pid} .* still uses"):
            purge.removable(settings)
        process.communicate(b"\n")
    assert purge.removable(settings) >= 5000


def test_purge_asks_and_without_a_terminal_needs_to_be_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYOPS_HOME", str(home))
    done = CliRunner().invoke(app, ["purge"])
    assert isinstance(done.exception, SkyOpsError)
    assert "no terminal to confirm on" in str(done.exception)
    assert home.exists()
    assert CliRunner().invoke(app, ["purge", "--yes"]).exit_code == 0
    assert not home.exists()
    assert CliRunner().invoke(app, ["purge", "--yes"]).exit_code == 0, "there is nothing left"


def test_make_clean_leaves_the_warehouse() -> None:
    shown = subprocess.run(
        ["make", "--dry-run", "clean"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert ".venv" in shown.stdout
    assert ".skyops" not in shown.stdout
