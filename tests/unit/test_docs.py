"""What the documentation points to exists: links, their headings, and the files that it names."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer

from skyops_assets.settings import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"
PAGES = sorted([*PROJECT_ROOT.glob("*.md"), *DOCS.rglob("*.md")])
CODE = [
    path
    for folder in ("skyops_assets", "dbt_project", "tests", "benchmarks", "validation")
    for path in sorted((PROJECT_ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".sql", ".yml") and "target" not in path.parts
]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
FILE = re.compile(
    r"`((?:skyops_assets|dbt_project|tests|benchmarks|validation|docker|docs)/[\w./-]*)`"
)
MADE_LATER = {
    "docker/.env",
    "docker/secrets/",
    "docker/secrets/postgres_password",
    "dbt_project/target",
}
"""By the reader, or by dbt; a clone does not have them."""
TABLE = re.compile(r"`(raw|staging|intermediate|metrics|features|ml|audit)\.([a-z]\w+)")
MODEL = re.compile(r"\b(?:int|stg|fct)_[a-z]+(?:_[a-z0-9]+)*(?:__[a-z0-9_]+)?\b")
PAGE_IN_CODE = re.compile(r"\bdocs/[a-z_]{2,}(?:/[a-z_]+)?\.md(?:#[\w-]+)?")


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings; a repeated one gets a number."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = LINK.sub("]", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def broken_links(text: str, page: Path) -> list[str]:
    """The links to other files and headings that lead nowhere. The web is not asked."""
    broken = []
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else None
        if target and not target.exists():
            broken.append(link)
            continue
        if anchor and anchor not in anchors(target.read_text() if target else text):
            broken.append(link)
    return broken


def name(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT))


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](asma.md)", []),
        ("[a](asma.md#the-method)", []),
        ("[a](../README.md) and ![b](skyops.png)", []),
        ("# Gain, 2 % better\n[a](#gain-2--better)", []),
        ("# Twice\n# Twice\n[a](#twice-1)", []),
        ("[a](https://example.org/nowhere)", []),
        ("[a](nowhere.md)", ["nowhere.md"]),
        ("[a](asma.md#nowhere)", ["asma.md#nowhere"]),
        ("[a](#nowhere)", ["#nowhere"]),
        ("```\n# Fenced\n```\n[a](#fenced)", ["#fenced"]),
    ],
)
def test_the_search_for_broken_links_finds_them(text: str, broken: list[str]) -> None:
    assert broken_links(text, DOCS / "index.md") == broken


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert not broken_links(page.read_text(), page)


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = FILE.findall(FENCE.sub("", page.read_text()))
    missing = [file for file in named if not (PROJECT_ROOT / file).exists()]
    assert not set(missing) - MADE_LATER


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=name)
def test_every_table_that_a_page_names_exists(page: Path) -> None:
    """Of dbt the models, of everything else what a migration makes."""
    models = {path.stem for path in (PROJECT_ROOT / "dbt_project" / "models").rglob("*.sql")}
    migrations = "".join(
        path.read_text()
        for path in (PROJECT_ROOT / "skyops_assets" / "warehouse" / "migrations").glob("*.sql")
    )
    text = page.read_text()
    missing = {each for each in MODEL.findall(text) if each not in models}
    for schema, table in TABLE.findall(text):
        if table not in models and f"{schema}.{table}" not in migrations:
            missing.add(f"{schema}.{table}")
    assert not missing


def test_every_page_that_code_names_exists() -> None:
    missing = []
    for path in CODE:
        for link in PAGE_IN_CODE.findall(path.read_text(errors="ignore")):
            if broken_links(f"[]({link})", PROJECT_ROOT / "README.md"):
                missing.append(f"{name(path)}: {link}")
    assert not missing


def test_every_page_is_in_the_index() -> None:
    """A reader finds a page from docs/README.md, or from the index of the decisions."""
    for folder in (DOCS, DOCS / "decisions"):
        index = folder / "README.md"
        linked = {link.partition("#")[0] for link in LINK.findall(index.read_text())}
        pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
        assert pages <= linked


def test_the_table_of_packages_has_the_layers_that_lint_holds() -> None:
    page = (DOCS / "architecture.md").read_text()
    table = page.partition("\n## Packages\n")[2].partition("\n## ")[0]
    told = {
        package: int(layer)
        for layer, packages in re.findall(r"^\| (\d+) \| (.+?) \|", table, re.MULTILINE)
        for package in re.findall(r"`(\w+)/?`", packages)
    }
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    contract = next(
        each
        for each in project["tool"]["importlinter"]["contracts"]
        if each["containers"] == ["skyops_assets"]
    )
    held = {
        package: number
        for number, layer in enumerate(reversed(contract["layers"]), 1)
        for package in layer.split(" | ")
    }
    assert told == held


def commands(app: typer.Typer) -> set[str]:
    """The names of all commands, groups, and commands of groups (``model list``)."""
    found = {
        each.name or str(each.callback and each.callback.__name__).replace("_", "-")
        for each in app.registered_commands
    }
    for group in app.registered_groups:
        assert group.typer_instance
        found |= {f"{group.name} {each}" for each in commands(group.typer_instance)}
        found.add(str(group.name))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    from skyops_assets.cli import app

    text = page.read_text()
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    missing = {f"make {each}" for each in re.findall(r"`make ([a-z]+)", text)}
    missing -= {f"make {target}" for target in targets}
    known = commands(app)
    for words in re.findall(r"[`/]skyops ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", text):
        if not {words, words.split()[0]} & known:
            missing.add(f"skyops {words}")
    assert not missing
