"""The code version changes with what makes a model, and with nothing else."""

from __future__ import annotations

from pathlib import Path

from skyops_assets import __version__
from skyops_assets.runtime import code_version


def test_the_code_version_names_the_release_and_the_code(tmp_path: Path) -> None:
    package, project = tmp_path / "package", tmp_path / "project"
    for path in (package / "arrivals", project / "models" / "features", project / "macros"):
        path.mkdir(parents=True)
    (package / "arrivals" / "train.py").write_text("one")
    model = project / "models" / "features" / "arrival_features.sql"
    model.write_text("one")
    seen = [code_version(package, project)]
    (package / "cli.py").write_text("not the model's")
    (project / "models" / "features.yml").write_text("words")
    assert code_version(package, project) == seen[0]
    model.write_text("two")
    seen.append(code_version(package, project))
    (package / "arrivals" / "train.py").write_text("two")
    seen.append(code_version(package, project))
    model.rename(model.with_name("other.sql"))
    seen.append(code_version(package, project))
    assert len(set(seen)) == 4
    assert all(version.startswith(f"{__version__}+") for version in seen)


def test_this_checkout_has_one(tmp_path: Path) -> None:
    assert code_version() != code_version(tmp_path, tmp_path)
