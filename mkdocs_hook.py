"""What the documentation site has besides docs/*.md: navigation, the project's pages, tables.

A hook of MkDocs (mkdocs.yml). Belongs here: where a page stands, and pages that are made while the
site is built. Does not: any text that a person writes, which is in the pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import yaml
from mkdocs.structure.files import File

ROOT = Path(__file__).parent
PROJECT = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.md",
}
"""The project's own pages, and their names in the site, which has an index of its own."""
INDEX, TABLES = "docs/README.md", "tables.md"
SECTION = re.compile(r"^### (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| \[([^\]]+)\]\(([^)#]+)\)", re.MULTILINE)
LINK = re.compile(r"(\]\()([^()\s:#]+)((?:#[^()\s]*)?\))")
DOC = re.compile(r"\{\{ *doc\(['\"](\w+)['\"]\) *\}\}")
BLOCK = re.compile(r"\{% docs (\w+) %\}\n(.*?)\n?\{% enddocs %\}", re.DOTALL)


def on_config(config: Any) -> Any:
    """Read the navigation from docs/README.md: one section for each heading above a table."""
    index = (ROOT / INDEX).read_text()
    sections = SECTION.split(index)[1:]
    config.nav = [{"Start here": ["README.md", {"What SkyOps is": PROJECT["README.md"]}]}]
    for heading, text in zip(sections[::2], sections[1::2], strict=True):
        pages = [_in_site(posixpath.normpath(f"docs/{link}")) for _, link in ROW.findall(text)]
        config.nav.append({heading: pages})
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    names = [f"decisions/{path.name}" for path in decisions if path.name != "README.md"]
    config.nav.append({"Decisions": ["decisions/README.md", *names]})
    config.nav.append({"Reference": [{"Tables and columns": TABLES}, {"Licence": "license.md"}]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/, and the data dictionary."""
    for source, name in PROJECT.items():
        text = (ROOT / source).read_text()
        if source == "LICENSE":
            text = f"# Licence\n\n```text\n{text}\n```\n"
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, TABLES, content=tables()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead each link to where its file is in the site."""
    name = page.file.src_uri
    outside = {there: here for here, there in PROJECT.items()}
    source = outside.get(name, f"docs/{name}")

    def moved(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        there = posixpath.relpath(_in_site(target), posixpath.dirname(name) or ".")
        return f"{found[1]}{there}{found[3]}"

    return LINK.sub(moved, markdown)


def _in_site(path: str) -> str:
    """Where a file of the project is in the site."""
    return PROJECT.get(path, path.removeprefix("docs/"))


def tables() -> str:
    """The data dictionary: each table that dbt makes or reads, its columns and their types."""
    models = ROOT / "dbt_project" / "models"
    blocks = dict(BLOCK.findall("\n".join(p.read_text() for p in sorted(models.rglob("*.md")))))
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(models.rglob("*.yml")):
        document = yaml.safe_load(path.read_text()) or {}
        schema = path.relative_to(models).parts[0]
        schema = {"fleet": "metrics", "reliability": "metrics"}.get(schema, schema)
        for model in document.get("models", []):
            found.setdefault(schema, []).append(model)
        for source in document.get("sources", []):
            found.setdefault(source.get("schema", source["name"]), []).extend(source["tables"])
    order = ("metrics", "live", "features", "raw", "ml", "audit", "staging", "intermediate")
    lines = [
        "# Tables and columns",
        "",
        "Written from dbt's descriptions while the site is built. Units are part of a column's",
        "name; times are UTC. The lineage of each column is in the Dagster UI and in the dbt docs.",
    ]
    for schema in [*order, *sorted(set(found) - set(order))]:
        if schema not in found:
            continue
        lines += ["", f"## {schema}"]
        for table in sorted(found[schema], key=lambda each: each["name"]):
            lines += ["", f"### {schema}.{table['name']}", "", _said(table, blocks)]
            lines += _columns(table.get("columns", []), blocks)
    return "\n".join(lines) + "\n"


def _columns(columns: list[dict[str, Any]], blocks: dict[str, str]) -> list[str]:
    if not columns:
        return []
    rows = [
        f"| `{each['name']}` | {each.get('data_type', '')} | {_said(each, blocks)} |"
        for each in columns
    ]
    return ["", "| column | type | what it is |", "|---|---|---|", *rows]


def _said(of: dict[str, Any], blocks: dict[str, str]) -> str:
    """A description on one line, its references resolved."""
    text = DOC.sub(lambda found: blocks[found[1]], of.get("description") or "")
    return " ".join(text.split()).replace("|", "\\|")
