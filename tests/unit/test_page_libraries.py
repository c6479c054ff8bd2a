"""Fetching the live page's libraries: what the lock names, or nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from skyops_assets.serving import page_libraries
from skyops_assets.serving.live_page import LOCK
from skyops_assets.settings import PROJECT_ROOT


def packed(folder: Path, **files: str) -> tuple[Path, str]:
    """A package as npm has it, and its integrity."""
    path = folder / "one-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name.replace('__', '/')}.js")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    digest = hashlib.sha512(path.read_bytes()).digest()
    return path, "sha512-" + base64.b64encode(digest).decode()


def lock(folder: Path, integrity: str, files: dict[str, str]) -> Path:
    path = folder / "lock.json"
    path.write_text(json.dumps({"one": {"version": "1.0.0", "integrity": integrity,
                                        "files": files}}))  # fmt: skip
    return path


def test_only_the_named_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, integrity = packed(tmp_path, dist__a="A", lib__b="B", lib__c__d="D", other="O")
    monkeypatch.setattr(page_libraries, "_pack", lambda *_: {"one": archive})
    asked = lock(tmp_path, integrity, {"dist/a.js": "a.js", "lib/": "deep/"})
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "old.js").write_text("old")
    assert not page_libraries.are_there(asked, folder)
    page_libraries.fetch(asked, folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.js")}
    assert found == {"a.js", "deep/b.js", "deep/c/d.js"}
    assert page_libraries.are_there(asked, folder)


def test_another_content_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, _ = packed(tmp_path, a="A")
    monkeypatch.setattr(page_libraries, "_pack", lambda *_: {"one": archive})
    asked = lock(tmp_path, "sha512-abc", {"a.js": "a.js"})
    monkeypatch.setattr(sys, "argv", ["", str(asked), str(tmp_path / "vendor")])
    assert page_libraries.main() == 1
    assert "and not sha512-abc as locked; nothing was installed." in capsys.readouterr().err
    assert not (tmp_path / "vendor").exists()


def test_without_npm_it_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "import sys; sys.exit('npm error network  request failed')"
    monkeypatch.setattr(page_libraries, "_npm", lambda: [sys.executable, "-c", program])
    monkeypatch.setattr(sys, "argv", ["", str(LOCK), str(tmp_path / "vendor")])
    assert page_libraries.main() == 3
    assert capsys.readouterr().err == (
        "npm cannot be reached (npm error network request failed): vendor is left out, and with it "
        "the live page or its checks. Everything else works; `make page` tries again.\n"
    )
    assert not (tmp_path / "vendor").exists()


@pytest.mark.parametrize("path", [LOCK, PROJECT_ROOT / "tests/support/page_libraries.json"])
def test_the_lock_names_contents_and_no_address(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text and "resolved" not in text
    for one in json.loads(text).values():
        assert one["integrity"].startswith("sha512-") and one["licence"]
