"""Open files: the mirror stands in for the web, the hash is checked, absence is not an error."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.sources import reference


def test_the_mirror_stands_in_for_the_web(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    settings = Settings(data_mirror=tmp_path)
    found = reference.fetch("a.csv", "https://host.invalid/a", sha256(b"x").hexdigest(), settings)
    assert found == tmp_path / "a.csv"


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("changed")
    with pytest.raises(SkyOpsError, match="not the pinned version") as caught:
        reference.fetch("a.csv", "", sha256(b"x").hexdigest(), Settings(data_mirror=tmp_path))
    assert not isinstance(caught.value, reference.Unavailable)


def test_a_mirror_without_the_file_does_not_ask_the_web(tmp_path: Path) -> None:
    with pytest.raises(reference.Unavailable, match="has no file"):
        reference.fetch("a.csv", "https://host.invalid/a", "0", Settings(data_mirror=tmp_path))


def test_a_web_that_does_not_answer_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, data_mirror=None)
    with pytest.raises(reference.Unavailable, match="cannot be fetched"):
        reference.fetch("a.csv", "https://127.0.0.1:1/a.csv", "0" * 64, settings)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.mirror
def test_the_runways_of_the_mirror_are_the_pinned_ones_in_metres(mirror: Path) -> None:
    rows = reference.runways(Settings(data_mirror=mirror)).to_pylist()
    assert len(rows) == 48_184
    at_paris = {row["le_ident"]: row for row in rows if row["airport"] == "LFPG"}
    assert {"08L", "08R", "09L", "09R"} <= set(at_paris)
    assert at_paris["08L"]["length_m"] == pytest.approx(4_200, abs=100)
    assert at_paris["08L"]["he_ident"] == "26R"
