"""A process's surroundings: the code version, other projects' variables, proxies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skyops_assets import __version__
from skyops_assets.runtime import _forget_others, code_version, no_proxy


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


def test_what_another_project_has_set_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"PGOPTIONS": "-c a=b", "AWS_PROFILE": "me", "SKYOPS_RECIPE": "ridge",
            "MLFLOW_S3_ENDPOINT_URL": "https://minio"}  # fmt: skip
    for name in ("DBT_TARGET", "DBT_DEFER", "MLFLOW_RUN_ID", "DAGSTER_HOME", *kept):
        monkeypatch.setenv(name, kept.get(name, "theirs"))
    _forget_others()
    assert kept.items() <= os.environ.items()
    assert not [name for name, value in os.environ.items() if value == "theirs"]


LOOPBACK = "localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    ("given", "low", "high", "grpc"),
    [
        ({"NO_PROXY": "a"}, None, None, None),
        ({"http_proxy": ""}, None, None, None),
        ({"HTTPS_PROXY": "http://p"}, LOOPBACK, LOOPBACK, LOOPBACK),
        ({"http_proxy": "p", "NO_PROXY": "a, b"}, *[f"a,b,{LOOPBACK}"] * 3),
        ({"all_proxy": "p", "no_proxy": "localhost", "NO_PROXY": "b"},
         LOOPBACK, f"b,{LOOPBACK}", LOOPBACK),
        ({"http_proxy": "p", "no_proxy": "*"}, "*", "*", f"*,{LOOPBACK}"),
        ({"http_proxy": "p", "no_grpc_proxy": "g"}, LOOPBACK, LOOPBACK, f"g,{LOOPBACK}"),
    ],
)  # fmt: skip
def test_no_proxy_stands_before_this_machine_and_what_was_exempt_stays(
    given: dict[str, str], low: str | None, high: str | None, grpc: str | None
) -> None:
    found = no_proxy(given)
    names = ("no_proxy", "NO_PROXY", "no_grpc_proxy")
    assert tuple(found.get(name) for name in names) == (low, high, grpc)
    # Once more, as each process does.
    assert no_proxy({**given, **found}) == found
