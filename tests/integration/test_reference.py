"""Open files: the mirror stands in for the web, the hash is checked, absence is not an error."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query


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


@pytest.mark.mirror
def test_the_runways_around_paris_are_those_of_the_pinned_file(mirror: Path) -> None:
    """Of the fields in the area of the demo's recording, each runway in use."""
    every = {
        row["runway_id"]: row for row in reference.runways(Settings(data_mirror=mirror)).to_pylist()
    }
    ours = reference.paris_runways().to_pylist()
    assert len(ours) == 56
    assert ours == [every[row["runway_id"]] for row in ours]
    places = {
        row["icao"]
        for row in reference.airports().to_pylist()
        if 47.7 < row["latitude_deg"] < 50 and 0.7 < row["longitude_deg"] < 4.1
    }
    wanted = {
        number
        for number, row in every.items()
        if row["airport"] in places and not row["is_closed"]
        and row["le_latitude_deg"] is not None and row["he_latitude_deg"] is not None
        # As the staging model has it: no helipads.
        and re.fullmatch("[0-3]?[0-9][LRC]?", row["le_ident"])
    }  # fmt: skip
    assert wanted == {row["runway_id"] for row in ours}


def test_without_the_web_paris_has_its_runways_until_a_load_gets_them_all(
    warehouse: Warehouse, query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = Settings(home=tmp_path, data_mirror=tmp_path)
    assert reference.missing(warehouse) == ["raw.airports", "raw.runways"]
    reference.load_airports(warehouse)
    batch, problem = reference.load_runways(warehouse, offline)
    assert batch and batch.loaded_rows == 56
    assert problem and "Only the runways around Paris are known" in problem
    assert reference.missing(warehouse) == []
    assert "Only the runways around Paris" in (reference.runways_note(warehouse) or "")
    query(warehouse, "update raw.ingest_batches set finished_at = finished_at - interval '2 days'")
    assert reference.missing(warehouse) == ["raw.runways"]

    world = reference.paris_runways().slice(0, 3)
    monkeypatch.setattr(reference, "runways", lambda _: world)
    assert reference.load_runways(warehouse, offline)[1] is None
    assert query(warehouse, "select count(*) from raw.runways") == [(3,)]
    assert reference.missing(warehouse) == [] and reference.runways_note(warehouse) is None
    monkeypatch.undo()
    batch, problem = reference.load_runways(warehouse, offline)
    assert batch is None and problem and "stay as they are" in problem
    assert query(warehouse, "select count(*) from raw.runways") == [(3,)]
