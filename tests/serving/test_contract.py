"""Whatever the OpenAPI document allows, and much that it does not: no 500, no broken promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")
UNASKED = "^/v1/(events|train|monitor|runs.*)$"
"""One has no end; the others need the Dagster UI, and are asked in test_demo."""


def test_every_answer_is_one_that_the_document_promises(
    over_paris: Served, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    examples = 200 if request.config.getoption("--long") else 10
    address = f"http://127.0.0.1:{over_paris.port}/v1/openapi.json"
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"), "run", address, "--checks", "all",
            "--exclude-path-regex", UNASKED, "--max-examples", str(examples), "--seed", "7",
            "--header", f"Authorization: {over_paris.client.headers['Authorization']}",
            "--request-timeout", "20", "--no-color", "--generation-database", "none",
        ],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


def test_every_answer_has_an_example_and_every_reference_leads_somewhere(
    over_paris: Served,
) -> None:
    text = over_paris.client.get("/v1/openapi.json").text
    document = json.loads(text)
    schemas = document["components"]["schemas"]
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert named <= schemas.keys()
    without = [
        (method, path, status)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for status, answer in operation["responses"].items()
        if (forms := answer.get("content")) and not any("example" in one for one in forms.values())
    ]
    assert without == []
