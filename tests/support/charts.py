"""Helm's own library on a chart, in a process of its own: Go is not for one that forks."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PROJECT_ROOT = Path(__file__).parents[2]
INFO = 1


@dataclass(frozen=True)
class Rendered:
    """What came of a chart: manifests, or why there are none, and what lint finds (not info)."""

    manifests: list[dict[str, Any]]
    error: str
    findings: list[str]

    def of(self, kind: str, name: str | None = None) -> list[dict[str, Any]]:
        """Those of one kind, and of one name if it is given."""
        return [
            one for one in self.manifests
            if one["kind"] == kind and name in {None, one["metadata"]["name"]}
        ]  # fmt: skip


def render(chart: Path, values: dict[str, Any], release: str = "skyops") -> Rendered:
    """Lint and render a chart, as `helm lint --strict` and `helm template` do."""
    return _render(str(chart), json.dumps(values, sort_keys=True), release)


@cache
def _render(chart: str, values: str, release: str) -> Rendered:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.charts", chart, release],
        input=values, capture_output=True, text=True, check=False, timeout=120, cwd=PROJECT_ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Rendered(**json.loads(done.stdout))


def _main(chart: str, release: str) -> None:
    import helm_python as helm

    values = json.load(sys.stdin)
    found = helm.lint(chart, values, strict=True)
    findings = [f"{m['path']}: {m['error']}" for m in found["messages"] if m["severity"] > INFO]
    manifests, error = [], ""
    with helm.Chart.load(chart) as loaded:
        try:
            texts = loaded.render(values, name=release, namespace="sky")
        except helm.HelmError as raised:
            texts, error = {}, str(raised)
    for name, text in sorted(texts.items()):
        if not name.endswith(".txt"):
            manifests += [one for one in yaml.safe_load_all(text) if one]
    print(json.dumps({
        "manifests": manifests, "error": error, "findings": [*findings, *found["errors"]],
    }))  # fmt: skip


if __name__ == "__main__":
    _main(*sys.argv[1:])
