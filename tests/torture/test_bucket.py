"""A whole demo whose files are in a bucket, and what stands on them afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from skyops_assets.store import open_place
from tests.support.children import skyops as run
from tests.support.databases import short_dir, stop_server
from tests.support.servers import bucket_in_environment, free_port

PLACE = "s3://files/skyops"
TOKEN = "a-token-of-the-test-that-is-long-enough"


@pytest.mark.xdist_group("torture")
@pytest.mark.timeout(3600)
def test_a_demo_with_its_files_in_a_bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("a whole demo; make torture runs it")
    home, other = short_dir(), short_dir()
    try:
        with bucket_in_environment("files"):
            port = free_port()
            variables = {
                **os.environ, "SKYOPS_HOME": str(home), "SKYOPS_STORE": PLACE,
                "SKYOPS_SERVICE_PORT": str(port), "SKYOPS_SERVICE_TOKEN": TOKEN,
            }  # fmt: skip
            run(variables, "demo")
            run(variables, "docs")
            files = {file.name for file in open_place(PLACE).files()}
            tops = {name.split("/")[0] for name in files}
            assert {"training", "docs", "mlflow", "compute_logs"} <= tops
            assert "docs/index.html" in files and any("docs/data_docs/" in name for name in files)
            for folder in ("training", "reports", "mlflow", "docs/data_docs"):
                assert not (home / folder).exists(), folder
            assert "Every version has its files" in run(variables, "store", "check")
            served(variables, port, files)
            run(variables, "exec", "--", sys.executable, "-m", "dagster", "job", "execute",
                "-m", "skyops_assets.definitions", "-j", "clean_up")  # fmt: skip
            kept = {file.name for file in open_place(PLACE).files("training")}
            assert kept == {name for name in files if name.startswith("training/")}
            # From the bucket into a home, where MLflow finds its files.
            run(variables, "backup", "s3://files/backups")
            again = {**variables, "SKYOPS_HOME": str(other), "SKYOPS_STORE": ""}
            run(again, "restore", "s3://files/backups")
            assert {file.name for file in open_place(str(other)).files("training")} == kept
            assert "Every version has its files" in run(again, "store", "check")
            if json.loads(run(again, "model", "list", "--json")):
                found = json.loads(run(again, "model", "reproduce", "1", "--json"))
                assert found["is_same"] and found["differences"] == []
    finally:
        for one in (home, other):
            stop_server(one / "postgres")
            shutil.rmtree(one, ignore_errors=True)


def served(variables: dict[str, str], port: int, files: set[str]) -> None:
    """The service shows the Data Docs that are in the bucket."""
    service = subprocess.Popen(
        [sys.executable, "-m", "skyops_assets.cli", "serve"],
        env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        browser = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=60
        )
        patience = time.monotonic() + 300
        while True:
            try:
                browser.get("/", params={"token": TOKEN}).raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < patience and service.poll() is None
                time.sleep(0.5)
        listed = browser.get("/reports").raise_for_status().text
        suites = {Path(name).stem for name in files if name.startswith("docs/data_docs/")}
        assert suites
        for suite in suites:
            assert f"/reports/data/{suite}" in listed
            assert "<h1>" in browser.get(f"/reports/data/{suite}").raise_for_status().text
    finally:
        service.terminate()
        service.wait(60)
