"""How much MLflow's artifacts take."""

from __future__ import annotations

from pathlib import Path

import pytest

from skyops_assets.serving import artifacts, metrics
from skyops_assets.serving.artifacts import Artifacts, size_bytes


def told() -> float:
    return next(iter(metrics.ARTIFACTS.collect())).samples[0].value


def test_files_of_all_folders_count(tmp_path: Path) -> None:
    (tmp_path / "1" / "model").mkdir(parents=True)
    (tmp_path / "1" / "model" / "a").write_bytes(b"x" * 700)
    (tmp_path / "b").write_bytes(b"x" * 20)
    assert size_bytes(tmp_path) == 720
    assert size_bytes(tmp_path / "none") == 0


def test_a_folder_is_measured_seldom_and_an_address_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x" * 20)
    one = Artifacts(tmp_path.as_uri())
    one.measure()
    assert told() == 20
    (tmp_path / "b").write_bytes(b"x")
    one.measure()
    Artifacts("s3://bucket/mlflow").measure()
    assert told() == 20
    monkeypatch.setattr(artifacts.time, "monotonic", lambda: one._due)
    one.measure()
    assert told() == 21
