"""The commands that README and docs/*.md show in their blocks of shell lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from skyops_assets.settings import PROJECT_ROOT

PAGES = [
    PROJECT_ROOT / "README.md",
    PROJECT_ROOT / "CONTRIBUTING.md",
    *sorted((PROJECT_ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
QUERY = re.compile(r"skyops sql \"((?:.|\n)*)\"( --(?:json|format \w+))?")


def commands(block: str) -> Iterator[str]:
    """The commands of a block, one by one; one may go over several lines."""
    waiting = ""
    for line in block.splitlines():
        waiting += f"{line}\n"
        try:
            words = shlex.split(waiting, comments=True)
        except ValueError:
            continue  # A quote is open.
        if line.endswith("\\"):
            continue
        if words:
            yield _without_comment(waiting.strip())
        waiting = ""


def _without_comment(command: str) -> str:
    lines = [line for line in command.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace(".venv/bin/skyops", "skyops").replace("$bin", "skyops")
    return re.sub(r"\s+#[^\"'\n]*$", "", joined)


def documented() -> dict[str, list[str]]:
    """Each page by its name, and its commands."""
    return {
        str(page.relative_to(PROJECT_ROOT)): [
            command for block in BLOCK.findall(page.read_text()) for command in commands(block)
        ]
        for page in PAGES
    }


def queries() -> list[str]:
    """The SQL of all `skyops sql`."""
    found = []
    for shown in documented().values():
        found += [match[1] for each in shown if (match := QUERY.fullmatch(each))]
    return found
