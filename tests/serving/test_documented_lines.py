"""The lines of the documentation that ask the service do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from skyops_assets.settings import PROJECT_ROOT
from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")
BLOCKS = [
    (kind, block)
    for page in sorted((PROJECT_ROOT / "docs").glob("*.md"))
    for kind, block in re.findall(r"```(sh|python)\n(.*?)```", page.read_text(), re.DOTALL)
    if "127.0.0.1:8000" in block
]


def test_there_are_lines_for_curl_and_for_python() -> None:
    assert [kind for kind, _ in BLOCKS].count("sh") >= 3
    assert [kind for kind, _ in BLOCKS].count("python") >= 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_lines_work(over_paris: Served, query: Query, tmp_path: Path, number: int) -> None:
    kind, block = BLOCKS[number]
    [(crossed,)] = query(
        over_paris.warehouse,
        "select icao24 from metrics.fct_ring_crossings where airport = 'LFPO' and ring_nm = 40"
        " order by crossed_at limit 1",
    )
    # The aircraft of the page is not among those that are loaded here.
    block = block.replace("127.0.0.1:8000", f"127.0.0.1:{over_paris.port}")
    block = block.replace("39ceb1", crossed)
    command = ["bash", "-ec", block] if kind == "sh" else [sys.executable, "-c", block]
    key = over_paris.client.headers["Authorization"].removeprefix("Bearer ")
    done = subprocess.run(
        command, env={**os.environ, "SKYOPS_KEY": key}, cwd=tmp_path, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout or (tmp_path / "landings.csv").read_text().count("\n") > 5
    assert '"status":4' not in done.stdout and '"status":5' not in done.stdout, done.stdout
