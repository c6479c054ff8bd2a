"""The documentation site: it builds without a warning, needs no web, is served with dbt's."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from skyops_assets.operations.documentation import application
from skyops_assets.settings import PROJECT_ROOT
from skyops_assets.store import open_place

MKDOCS = PROJECT_ROOT / ".venv" / "mkdocs" / "bin" / "mkdocs"
FETCHED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(https?:)?//")
"""What a browser would ask the web for; a link that a reader may follow is no such thing."""


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MKDOCS), "build", "--strict", "--config-file", str(config), "--site-dir", str(site)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(PROJECT_ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.xdist_group("site")
def test_every_page_and_table_is_in_the_site(site: Path) -> None:
    """Strict: a link that leads nowhere, or a page that no menu has, ends the build."""
    for page in (PROJECT_ROOT / "docs").rglob("*.md"):
        folder = page.parent.relative_to(PROJECT_ROOT / "docs")
        name = "" if page.stem == "README" else page.stem
        assert (site / folder / name / "index.html").exists(), page
    tables = (site / "tables" / "index.html").read_text()
    for model in (PROJECT_ROOT / "dbt_project" / "models").rglob("*.sql"):
        assert f".{model.stem}<" in tables


@pytest.mark.xdist_group("site")
def test_the_site_asks_the_web_for_nothing(site: Path) -> None:
    assert FETCHED.search('<script src="https://unpkg.com/x.js">')
    assert FETCHED.search('<link rel="preconnect" href=//fonts.example>')
    for page in site.rglob("*.html"):
        assert not FETCHED.search(page.read_text()), page
        assert "flowchart LR" not in page.read_text(), "Mermaid's script would come from the web"


@pytest.mark.parametrize("link", ["nowhere.md", "page.md#nowhere"])
def test_a_broken_link_ends_the_build(tmp_path: Path, link: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# One\n[a]({link})\n")
    (docs / "page.md").write_text("# Two\n")
    config = (PROJECT_ROOT / "mkdocs.yml").read_text().replace("hooks: [mkdocs_hook.py]\n", "")
    (tmp_path / "mkdocs.yml").write_text(config)
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert link.rpartition("#")[2] in done.stderr


def test_one_server_has_the_site_and_what_is_built(tmp_path: Path) -> None:
    site, built = tmp_path / "site", tmp_path / "docs"
    for path, text in {
        built / "index.html": "dbt's",
        built / "data_docs" / "states.html": "Data Docs",
        site / "live" / "index.html": "live",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    get = getter(site, built)
    asked = {path: get(path).text for path in ("/", "/dbt/", "/data_docs/states.html")}
    assert asked == {"/": "dbt's", "/dbt/": "dbt's", "/data_docs/states.html": "Data Docs"}
    (site / "index.html").write_text("the site's")
    assert get("/").text == "the site's"
    assert get("/dbt").text == "dbt's"
    assert get("/live/").text == "live"
    assert get("/nowhere").status_code == 404
    assert get("/..%2f..%2f..%2f..%2f..%2fetc/passwd").status_code == 404


def getter(site: Path, built: Path) -> Callable[[str], httpx.Response]:
    """What asks the server for a path, and follows where it is sent."""

    async def ask(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=application(site, open_place(str(built))))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://docs", follow_redirects=True
        ) as client:
            return await client.get(path)

    return lambda path: asyncio.run(ask(path))


def test_the_page_of_endpoints_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    from skyops_assets.serving.api_page import PAGE, api_page
    from skyops_assets.serving.app import create_app

    monkeypatch.setenv("SKYOPS_WAREHOUSE_URL", "postgresql:///none")
    assert PAGE.read_text() == api_page(create_app().openapi()), "run `make docs`"


MESSAGE = re.compile(r"^\| `([A-Z][^`]+|[a-z][^`]* [^`]*)` \|", re.MULTILINE)


def test_every_message_of_the_troubleshooting_is_one_that_somebody_sees() -> None:
    places = [*(PROJECT_ROOT / "skyops_assets").rglob("*.py"), PROJECT_ROOT / "Makefile"]
    # A long message is written in pieces.
    code = re.sub(r"\"\s*f?\"", "", "".join(path.read_text() for path in places))
    found = MESSAGE.findall((PROJECT_ROOT / "docs" / "troubleshooting.md").read_text())
    assert len(found) > 15
    assert [message for message in found if message not in code] == []


def test_the_glossary_has_every_table_of_metrics() -> None:
    glossary = (PROJECT_ROOT / "docs" / "glossary.md").read_text()
    models = PROJECT_ROOT / "dbt_project" / "models"
    names = {
        path.stem
        for folder in ("metrics", "fleet", "reliability")
        for path in (models / folder).glob("*.sql")
        if not path.stem.startswith("int_")
    }
    assert {name for name in names if f"`metrics.{name}`" not in glossary} == set()
