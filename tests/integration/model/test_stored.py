"""Models whose files are in a bucket, moved there and back, and trained again to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.steps import train
from skyops_assets.arrivals.steps.reproduce import reproduce
from skyops_assets.arrivals.store import training, versions
from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import health, moving
from skyops_assets.settings import Settings
from skyops_assets.store import open_place, open_store
from skyops_assets.warehouse.connection import Warehouse
from tests.support.arrival_frames import raw_synthetic
from tests.support.model_loop import fill
from tests.support.servers import bucket_in_environment

pytestmark = pytest.mark.xdist_group("models")
NAME = "arrival-transit-40nm"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A place in a bucket on a server that speaks S3, which AWS' variables name."""
    with bucket_in_environment("models"):
        yield "s3://models/skyops"


@pytest.fixture(scope="module")
def warehouse(server: Warehouse, settings: Settings) -> Warehouse:
    """A warehouse with one version, whose files are in the home."""
    fill(server, raw_synthetic(600, hours=48))
    train.build_training_set(server, settings)
    train.train_challenger(server, settings, code_version="abc")
    open_store(settings).write("reports/monitoring-000001.html", b"<html></html>")
    open_store(settings).write("docs/index.html", b"<html></html>")
    return server


def in_store(settings: Settings, place: str) -> Settings:
    return settings.model_copy(update={"store": place})


def works(warehouse: Warehouse, settings: Settings) -> None:
    """Every file of the version is found by those who need it, in the place of the settings."""
    version = versions.version(warehouse, NAME, "1")
    assert version
    assert moving.lost_here(warehouse, settings) == []
    assert moving.kept_apart(warehouse, settings) is None
    run = training.training_run(warehouse, version.training_run_id)
    assert run and len(training.read_snapshot(settings, run.fingerprint)) == 600
    client = registry.configure(warehouse, settings)
    registry.load(client, NAME, "1", version.mlflow_run_id)
    graph = registry.read_onnx(client, version.mlflow_run_id)
    assert registry.onnx_of(warehouse, settings, version) == graph
    assert open_store(settings).read("reports/monitoring-000001.html") == b"<html></html>"


def names(place: str) -> set[str]:
    return {
        file.name
        for folder in ("training", "reports", "docs", "mlflow")
        for file in open_place(place).files(folder)
    }


def test_an_installation_moves_to_a_bucket_to_a_folder_and_home(
    warehouse: Warehouse, settings: Settings, bucket: str, tmp_path: Path
) -> None:
    home, folder = str(settings.home), str(tmp_path / "a folder")
    assert len(names(home)) > 10
    for source, goal in ((home, bucket), (bucket, folder), (folder, home)):
        # MLflow leaves a file beside a model that it loads from a folder.
        files = names(source)
        before, after = in_store(settings, source), in_store(settings, goal)
        # As it is after the setting was changed and nothing moved: MLflow writes where it did.
        said = moving.kept_apart(warehouse, after)
        assert said and f"skyops store move {goal}" in said
        state, says = health._probe_artifacts(after, warehouse)
        assert (state, says) == (health.State.WARNING, said)
        moved = moving.move(warehouse, before, goal)
        assert (moved.files, moved.copied, moved.lost) == (len(files), len(files), [])
        assert names(source) == set() and names(goal) == files
        works(warehouse, after)
        assert health._probe_artifacts(after, warehouse)[0] is health.State.OK
    assert not (tmp_path / "a folder" / "mlflow").exists()
    with pytest.raises(SkyOpsError, match="All files are in"):
        moving.move(warehouse, settings, home)


@pytest.mark.parametrize("stage", ["copy", "relocate", "remove"])
def test_a_move_that_was_killed_loses_nothing_and_goes_on(
    warehouse: Warehouse, settings: Settings, bucket: str, monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:  # fmt: skip
    home = str(settings.home)
    files, there = names(home), f"{bucket}/{stage}"

    def killed_after(times: int, done: Any) -> Any:
        left = iter([done] * times)

        def act(*given: Any) -> Any:
            if (one := next(left, None)) is None:
                raise KeyboardInterrupt
            return one(*given)

        return act

    with monkeypatch.context() as patch:
        if stage == "copy":
            patch.setattr(moving, "copy_file", killed_after(3, moving.copy_file))
        elif stage == "relocate":
            patch.setattr(moving.registry, "relocate", killed_after(0, None))
        else:
            patch.setattr(moving, "_remove", killed_after(0, None))
        with pytest.raises(KeyboardInterrupt):
            moving.move(warehouse, settings, there)
    assert names(home) == files
    if stage == "copy":
        # SkyOps went on where it was, and a page changed there.
        open_store(settings).write("reports/monitoring-000001.html", b"<html>new</html>")
    moved = moving.move(warehouse, settings, there)
    assert (moved.files, moved.copied > 0) == (len(files), stage == "copy")
    assert names(home) == set() and names(there) == files
    after = in_store(settings, there)
    open_store(after).write("reports/monitoring-000001.html", b"<html></html>")
    works(warehouse, after)
    moving.move(warehouse, after, home)
    works(warehouse, settings)
    assert open_place(there).find(moving.MARK) is None


def test_files_of_another_installation_are_never_written_over(
    warehouse: Warehouse, settings: Settings, tmp_path: Path
) -> None:
    other = open_place(str(tmp_path))
    other.write("reports/monitoring-000001.html", b"another's")
    with pytest.raises(SkyOpsError, match="has other files of the same names"):
        moving.move(warehouse, settings, str(tmp_path))
    assert other.read("reports/monitoring-000001.html") == b"another's"
    works(warehouse, settings)


def test_a_version_whose_files_are_gone_is_named(warehouse: Warehouse, settings: Settings) -> None:
    version = versions.version(warehouse, NAME, "1")
    assert version
    store = open_store(settings)
    lost = {
        training.snapshot_name(version.fingerprint): "training set",
        f"mlflow/{version.mlflow_run_id}/artifacts/model.onnx": "graph",
    }
    contents = {name: store.read(name) for name in lost}
    for name in lost:
        store.delete(name)
    try:
        assert moving.lost_here(warehouse, settings) == [
            f"{NAME}:1 lacks its {what}, {store.address(name)}." for name, what in lost.items()
        ]
        with pytest.raises(training.SnapshotLost, match=f"of {NAME}:1, cannot be read from /"):
            reproduce(warehouse, settings, version, "abc")
    finally:
        for name, content in contents.items():
            store.write(name, content or b"")


def test_a_version_trained_again_is_the_same_to_the_bit_and_what_differs_is_said(
    warehouse: Warehouse, settings: Settings
) -> None:
    version = versions.version(warehouse, NAME, "1")
    assert version
    found = reproduce(warehouse, settings, version, "abc")
    assert found.is_same and found.differences == [] and found.rows == 600
    assert found.graph_sha256 == found.graph_sha256_now and found.max_difference_min == 0
    other_code = reproduce(warehouse, settings, version, "abd")
    assert other_code.is_same
    assert other_code.differences == ["The code version was abc and is abd."]
    # Rows that somebody changed.
    name = training.snapshot_name(version.fingerprint)
    content = open_store(settings).read(name)
    rows = training.read_snapshot(settings, version.fingerprint)
    rows["transit_min"] += 1
    rows["landed_at"] += timedelta(minutes=1)
    try:
        training.write_snapshot(settings, version.fingerprint, rows)
        changed = reproduce(warehouse, settings, version, "abc")
    finally:
        open_store(settings).write(name, content or b"")
    assert not changed.is_same and changed.max_difference_min > 0.5
    [said] = changed.differences
    assert said.startswith(f"The data hash was {version.fingerprint} and is ")
    libraries = registry.libraries(NAME, "1")
    assert {"Python", "scikit-learn", "pandas"} <= set(libraries)
    assert all(was == here for was, here in libraries.values())
