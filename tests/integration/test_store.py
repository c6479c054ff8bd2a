"""The store of files: the same in a folder and in a bucket; what is served from it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.monitoring import report
from skyops_assets.operations.documentation import application
from skyops_assets.quality import data_docs
from skyops_assets.settings import Settings
from skyops_assets.store import DOCS, DOCS_PAGE, Store, copy_file, open_place, open_store
from tests.support.servers import bucket_in_environment


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The name of a bucket on a server that speaks S3, which AWS' variables name."""
    with bucket_in_environment("files"):
        yield "files"


@pytest.fixture(params=["folder", "bucket"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "folder":
        return Settings(home=tmp_path)
    name = request.getfixturevalue("bucket")
    return Settings(home=tmp_path, store=f"s3://{name}/{tmp_path.name}/")


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings)


def test_a_file_is_there_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    assert store.read("a/x") is None and store.find("a/x") is None and store.files("a") == []
    store.write("a/x", b"before")
    with pytest.raises(KeyboardInterrupt), store.writing("a/x") as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert store.read("a/x") == b"before"
    store.write("a/x", b"after it")
    store.write("a/b/y", b"")
    store.write("ab", b"of no folder")
    assert [(file.name, file.size) for file in store.files("a")] == [("a/b/y", 0), ("a/x", 8)]
    assert [file.name for file in store.files()] == ["a/b/y", "a/x", "ab"]
    assert store.sha256("a/x") == hashlib.sha256(b"after it").hexdigest()
    found = store.find("a/x")
    assert found and abs(found.modified_at - datetime.now(UTC)) < timedelta(minutes=2)
    assert store.find("a") is None, "a folder is no file"
    assert store.below("a").read("x") == b"after it"
    store.delete("a/x")
    store.delete("a/x")
    assert store.read("a/x") is None
    if store.is_local:
        assert not list(tmp_path.rglob("*.part"))


def test_a_copy_is_the_same_and_a_folder_keeps_its_time(store: Store, tmp_path: Path) -> None:
    content = b"0123456789" * 300_000
    store.write("big", content)
    original = store.find("big")
    assert original
    goal = open_place(str(tmp_path / "copies"))
    copy_file(store, goal, original)
    copied = goal.find("big")
    assert copied and copied.size == len(content) and goal.sha256("big") == store.sha256("big")
    assert abs((copied.modified_at - original.modified_at).total_seconds()) < 0.01
    with pytest.raises(FileNotFoundError):
        copy_file(store, goal, type(original)("gone", 1, original.modified_at))


def test_files_lie_in_the_home_unless_a_store_is_set(tmp_path: Path) -> None:
    usual = Settings(home=tmp_path)
    assert open_store(usual).place == str(tmp_path)
    assert usual.artifact_root == str(tmp_path / "mlflow")
    there = usual.model_copy(update={"store": "s3://files/x"})
    assert there.artifact_root == "s3://files/x/mlflow"
    own = there.model_copy(update={"mlflow_artifacts": "/elsewhere"})
    assert own.artifact_root == "/elsewhere"
    with pytest.raises(SkyOpsError, match="neither a folder nor s3"):
        open_place("ftp://host/x")


def test_reports_grow_old_in_either(store: Store, settings: Settings) -> None:
    store.write(report.name(7), b"<html>7</html>")
    store.write("reports/notes.txt", b"a person's own")
    assert report.sweep(settings, keep_days=1) == 0
    # A day from now everything is older.
    assert report.sweep(settings, keep_days=-1) == 1
    assert [file.name for file in store.files("reports")] == ["reports/notes.txt"]


def test_the_documentation_is_served_from_either(store: Store, tmp_path: Path) -> None:
    store.write(DOCS_PAGE, b"dbt's")
    store.write(data_docs.name("raw_states"), "<p>Zürich</p>".encode())
    store.write("training/secret.parquet", b"PAR1")
    assert data_docs.suites(store) == ["raw_states"]
    site = tmp_path / "site"

    def get(path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=application(site, store.below(DOCS)))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://docs", follow_redirects=True
            ) as client:
                return await client.get(path)

        return asyncio.run(ask())

    for path in ("/", "/dbt", "/dbt/", "/index.html"):
        assert get(path).text == "dbt's", path
    page = get("/data_docs/raw_states.html")
    assert page.text == "<p>Zürich</p>" and page.headers["content-type"].startswith("text/html")
    for path in ("/data_docs/none.html", "/nowhere", "/dbt//x", "/..%2ftraining/secret.parquet"):
        assert get(path).status_code == 404, path
    site.mkdir()
    (site / "index.html").write_text("the site's")
    assert get("/").text == "the site's" and get("/dbt/").text == "dbt's"
    assert get("/data_docs/raw_states.html").text == "<p>Zürich</p>"


def test_a_bucket_without_its_library_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from skyops_assets import runtime

    settings = Settings(home=tmp_path, store="s3://files/x")
    runtime.check_store(settings)
    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    with pytest.raises(SkyOpsError, match="SKYOPS_STORE names s3://files/x, and what reaches"):
        runtime.check_store(settings)
    runtime.check_store(Settings(home=tmp_path))


def test_the_output_of_runs_is_where_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bucket: str
) -> None:
    """Dagster's managers themselves, made as dagster.yaml has them made."""
    import sys

    import yaml
    from dagster._core.execution.compute_logs import should_disable_io_stream_redirect
    from dagster._serdes import ConfigurableClassData

    from skyops_assets.instance.private import ComputeLogManager
    from skyops_assets.settings import PROJECT_ROOT

    assert not should_disable_io_stream_redirect()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    named = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())["compute_logs"]
    data = ConfigurableClassData(named["module"], named["class"], yaml.dump(named["config"]))
    key = ["run", "compute_logs", "step"]
    for place, found in (
        ("", str(tmp_path / "dagster")),
        (str(tmp_path / "store"), str(tmp_path / "store/compute_logs")),
        (f"s3://{bucket}/of/runs", f"s3://{bucket}/of/runs/compute_logs"),
    ):
        monkeypatch.setenv("SKYOPS_STORE", place)
        manager = data.rehydrate(as_type=ComputeLogManager)  # type: ignore[type-abstract]
        with manager.capture_logs(key):
            print("said by a step", file=sys.stdout, flush=True)
        assert b"said by a step" in (manager.get_log_data(key).stdout or b"")
        kept = open_place(found)
        assert [f.name for f in kept.files() if f.name.endswith("step.out")], place
        manager.delete_logs(prefix=["run"])
        assert not [f for f in kept.files() if f.name.endswith("step.out")], place
