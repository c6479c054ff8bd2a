"""`skyops up` with its real services: killed with -9, started again, its terminal closed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from skyops_assets.operations.sentinel import lives
from tests.support.servers import free_port


def test_nothing_outlives_the_keeper_and_the_next_start_works(
    request: pytest.FixtureRequest, home: Path
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("two starts of all services: `make torture` makes them")
    ui = free_port()
    variables = {
        **os.environ, "SKYOPS_HOME": str(home), "SKYOPS_UI_PORT": str(ui),
        "SKYOPS_DOCS_PORT": str(free_port()), "SKYOPS_SERVICE_PORT": str(free_port()),
        "http_proxy": "http://127.0.0.1:9",
    }  # fmt: skip

    def skyops(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "skyops_assets.cli", *arguments],
            env=variables, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    try:
        for number in (signal.SIGKILL, signal.SIGHUP):
            done = skyops("up", "--detach")
            assert done.returncode == 0, done.stdout + done.stderr
            page = httpx.get(f"http://127.0.0.1:{ui}/server_info", trust_env=False)
            assert page.is_success
            keeper = json.loads((home / "up.pid").read_text())
            assert set(keeper["groups"]) >= {"code-server", "daemon", "ui", "docs"}
            os.kill(keeper["pid"], number)
            deadline = time.monotonic() + 40
            while [group for group in keeper["groups"].values() if lives(group)] or (
                home / "postgres" / "postmaster.pid"
            ).exists():
                assert time.monotonic() < deadline, f"services or server live after {number}"
                time.sleep(0.1)
        # A page that is not there is built once.
        assert "being built" not in done.stdout
        assert (home / "logs" / "up.log").read_text().endswith("Stopping\nStopped\n")
    finally:
        skyops("down")
