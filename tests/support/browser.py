"""A headless Chromium, where the machine has one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


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
