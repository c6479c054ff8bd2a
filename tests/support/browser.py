"""A headless Chromium, where the machine has one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.serving import live_page
from skyops_assets.serving.page_libraries import are_there

TESTS = Path(".venv/page-tests")


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, which draws in software; skips where there is none, and fails in CI."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("There is no Chromium, and in CI pages must be looked at")
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
                  "--disable-background-networking"],
        )  # fmt: skip
        yield browser
        browser.close()


def complaining(page: Any) -> Any:
    """A page that keeps what it complains of in `complaints`."""
    page.set_default_timeout(60_000)
    page.complaints = []
    page.on(
        "console",
        lambda said: (
            page.complaints.append(f"{said.text} {said.location['url']}")
            if said.type == "error"
            else None
        ),
    )
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


def needs_page() -> None:
    """Skip where the pages' libraries could not be had, and fail so in CI."""
    if not are_there(live_page.LOCK, live_page.FOLDER / "vendor"):
        if os.environ.get("CI") == "true":
            pytest.fail("The page's libraries are not there, and in CI it must be looked at")
        pytest.skip("npm could not be reached: there is no page")


def axe(page: Any, widths: tuple[int, ...]) -> dict[str, list[str]]:
    """What axe-core finds serious or critical at these widths, by its rule: dark after light."""
    if not are_there(Path("tests/support/page_libraries.json"), TESTS):
        pytest.skip("npm could not be reached: there is no axe-core")
    page.add_script_tag(path=TESTS / "axe.min.js")
    grave = {}
    for width in widths:
        page.set_viewport_size({"width": width, "height": 844})
        # Nothing stands out of the page on either side.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for each in page.evaluate("axe.run()")["violations"]:
            if each["impact"] in ("serious", "critical"):
                grave[each["id"]] = [node["html"] for node in each["nodes"]]
        page.locator("#theme").click()
    return grave
