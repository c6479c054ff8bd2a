"""The assets and checks of operators' files, run by Dagster on a real warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skyops_assets.sources.operator.kinds import KINDS
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.operator import GOOD, as_csv

pytestmark = pytest.mark.xdist_group("operator")


def materialise() -> tuple[Any, dict[str, dict[str, Any]], dict[tuple[str, str], Any]]:
    """All of them in one run: its result, each asset's metadata, each check's evaluation."""
    import dagster as dg

    from skyops_assets.defs.operator import checks
    from skyops_assets.defs.operator.assets import OPERATOR_INPUTS
    from skyops_assets.defs.resources import WarehouseResource

    result = dg.materialize(
        [*OPERATOR_INPUTS, *checks.nothing_lost, *checks.all_read],
        instance=dg.DagsterInstance.ephemeral(),
        resources={"warehouse": WarehouseResource()},
        raise_on_error=False,
    )
    shown = {
        event.asset_key.path[-1]: {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }
    found = {
        (one.asset_key.path[-1], one.check_name): one
        for one in result.get_asset_check_evaluations()
    }
    return result, shown, found


def test_without_any_file_all_is_green_and_says_what_to_put_where(pointed: Warehouse) -> None:
    result, shown, found = materialise()
    assert result.success
    assert set(shown) == {kind.name for kind in KINDS}
    for kind in KINDS:
        assert shown[kind.name]["unavailable"] == (
            f"No {kind.noun}: put a CSV, JSON or Excel file named {kind.name}.csv (or .json, "
            f".xlsx), or a folder {kind.name} of them, into a folder or bucket, and set "
            "SKYOPS_OPERATOR_DATA to it."
        )
    assert len(found) == 2 * len(KINDS)
    assert all(one.passed for one in found.values())


def test_what_was_read_is_told_and_what_cannot_be_is_warned_of(
    pointed: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    monkeypatch.setenv("SKYOPS_OPERATOR_DATA", str(tmp_path))
    (tmp_path / "parts.csv").write_bytes(
        as_csv([GOOD["parts"], GOOD["parts"] | {"part_name": ""}, GOOD["parts"]])
    )
    (tmp_path / "bulletins.xlsx").write_bytes(b"PK\x03\x04 torn")
    result, shown, found = materialise()
    assert result.success
    accounts = ("read_rows", "loaded_rows", "duplicate_rows", "rejected_rows", "removed_rows")
    assert [shown["parts"][name] for name in accounts] == [3, 1, 1, 1, 0]
    assert shown["parts"]["reasons"] == "part_name is missing: 1"
    assert (
        "bulletins.xlsx is a damaged Excel file"
        in (shown["bulletins"]["files_that_cannot_be_read"])
    )
    assert str(tmp_path) in shown["exposure"]["unavailable"]
    red = {key for key, one in found.items() if not one.passed}
    assert red == {
        ("parts", "every_file_can_be_read"),
        ("bulletins", "every_file_can_be_read"),
    }
    said = found["parts", "every_file_can_be_read"].metadata
    assert said["rejected_rows"].value == 1

    # Written around the loader; the files say nothing of it.
    query(
        pointed,
        "insert into raw.parts select 'X', 'Y', null, null, null, 'by hand', 1, batch_id "
        "from raw.parts",
    )
    result, _, found = materialise()
    assert not result.success
    assert not found["parts", "no_row_is_lost"].passed
    assert "by hand" in found["parts", "no_row_is_lost"].description
    assert found["bulletins", "no_row_is_lost"].passed
