"""What a model's materialisation shows of its table, as Postgres has it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from skyops_assets.transform.tables import columns_of, row_count
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

MODEL = "model.skyops.fct_fixes"
MANIFEST: dict[str, Any] = {
    "nodes": {
        MODEL: {
            "resource_type": "model", "schema": "metrics",
            "alias": "fct_fixes", "name": "fct_fixes",
            "package_name": "skyops", "original_file_path": "models/metrics/fct_fixes.sql",
            "config": {"materialized": "incremental"},
            "depends_on": {"nodes": ["source.skyops.raw.airports"]},
        }
    },
    "sources": {
        "source.skyops.raw.airports": {
            "resource_type": "source", "schema": "raw", "source_name": "raw",
            "identifier": "airports", "name": "airports", "config": {},
        }
    },
}  # fmt: skip


@pytest.fixture
def fixes(warehouse: Warehouse, query: Query) -> tuple[str, str]:
    query(warehouse, "create schema if not exists metrics")
    query(
        warehouse,
        'create table metrics.fct_fixes (field text, sizes_m double precision[], "Code" char(4), '
        "gone int, rate numeric(5, 2))",
    )
    query(warehouse, "alter table metrics.fct_fixes drop column gone")
    query(warehouse, "insert into metrics.fct_fixes select 'EHAM' from generate_series(1, 3)")
    return ("metrics", "fct_fixes")


def test_columns_have_their_order_and_the_types_that_postgres_writes(
    warehouse: Warehouse, fixes: tuple[str, str]
) -> None:
    found = columns_of(warehouse, [fixes, ("metrics", "nowhere"), ("no such schema", "a")])
    assert list(found) == [fixes]
    assert list(found[fixes].items()) == [
        ("field", "text"), ("sizes_m", "double precision[]"), ("Code", "character(4)"),
        ("rate", "numeric(5,2)"),
    ]  # fmt: skip


def test_rows_are_counted(warehouse: Warehouse, fixes: tuple[str, str]) -> None:
    assert row_count(warehouse, fixes) == 3


@pytest.mark.usefixtures("fixes", "manifest")
@pytest.mark.parametrize(
    ("query_of_dbt", "said"),
    [
        ("select icao as field from skyops.raw.airports", None),
        ("select from from", "its row count, columns or column lineage cannot be shown (Parse"),
        (None, "cannot be shown (FileNotFoundError"),
    ],
    ids=["read", "not SQL", "no file"],
)
def test_a_model_is_shown_with_what_can_be_told_of_it(
    query_of_dbt: str | None,
    said: str | None,
    warehouse: Warehouse,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot is a warning: the table is there, and its run goes on."""
    from skyops_assets.defs.transform.assets import SkyOpsTranslator, _described

    file = tmp_path / "compiled" / "skyops" / "models" / "metrics" / "fct_fixes.sql"
    file.parent.mkdir(parents=True)
    if query_of_dbt is not None:
        file.write_text(query_of_dbt)
    ran: Any = SimpleNamespace(
        manifest=MANIFEST, target_path=tmp_path, dagster_dbt_translator=SkyOpsTranslator()
    )
    event = dg.Output(None, metadata={"unique_id": MODEL, "status": "success"})
    context: Any = dg.build_asset_context()
    shown = _described(event, ran, context, warehouse, project="this", before={}).metadata
    assert shown["status"].value == "success"
    assert shown["dagster/row_count"].value == 3
    schema: Any = shown["dagster/column_schema"].value
    assert [column.name for column in schema.columns] == ["field", "sizes_m", "Code", "rate"]
    assert (said is None) == ("dagster/column_lineage" in shown)
    if said:
        assert said in capsys.readouterr().err
    else:
        lineage: Any = shown["dagster/column_lineage"].value
        found = lineage.deps_by_column
        assert found["field"] == [dg.TableColumnDep(dg.AssetKey(["raw", "airports"]), "icao")]
        assert found["Code"] == []


@pytest.mark.usefixtures("fixes", "manifest")
def test_lineage_is_read_from_the_sql_once_for_the_same_project_and_columns(
    warehouse: Warehouse, query: Query, tmp_path: Path
) -> None:
    from skyops_assets.defs.transform import assets

    file = tmp_path / "compiled" / "skyops" / "models" / "metrics" / "fct_fixes.sql"
    file.parent.mkdir(parents=True)
    file.write_text("select icao as field from skyops.raw.airports")
    ran: Any = SimpleNamespace(
        manifest=MANIFEST,
        target_path=tmp_path,
        dagster_dbt_translator=assets.SkyOpsTranslator(),
    )
    event = dg.Output(None, metadata={"unique_id": MODEL, "status": "success"})
    context: Any = dg.build_asset_context()

    def described(before: Any, project: str = "this") -> Any:
        return assets._described(
            event, ran, context, warehouse, project=project, before=before
        ).metadata

    key = ran.dagster_dbt_translator.get_asset_key(MANIFEST["nodes"][MODEL])
    first = described({})
    # Without its SQL it can only be taken from what was shown before.
    file.unlink()
    again = described({key: first})
    assert again[assets.LINEAGE] == first[assets.LINEAGE]
    assert again["dagster/row_count"] == first["dagster/row_count"]
    assert assets.LINEAGE not in described({})
    # Of other columns, or another project, it is of no use.
    query(warehouse, "alter table metrics.fct_fixes add column further int")
    assert assets.LINEAGE not in described({key: first})
    query(warehouse, "alter table metrics.fct_fixes drop column further")
    assert assets.LINEAGE in described({key: first})
    assert assets.LINEAGE not in described({key: first}, project="another")
