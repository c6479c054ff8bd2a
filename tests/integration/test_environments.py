"""An environment's name: what has it, and that a warehouse serves one environment only."""

from __future__ import annotations

from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from skyops_assets import runtime
from skyops_assets.audit import log
from skyops_assets.cli import app
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse import environments
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support.databases import Databases, Query


def test_the_first_use_names_a_warehouse_and_another_name_is_refused(
    warehouse: Warehouse, home: Path, query: Query
) -> None:
    environments.require(warehouse, "staging")
    environments.remember(warehouse, "staging")
    environments.remember(warehouse, "staging")
    assert query(warehouse, "select name, actor from audit.environments") == [("staging", None)]
    given = SecretStr(warehouse.libpq())
    with pytest.raises(SkyOpsError, match="is of the environment 'staging', and SKYOPS_ENV is 'p"):
        runtime.prepare(Settings(home=home, database_url=given, warehouse_url=given, env="prod"))
    with pytest.raises(SkyOpsError, match="SKYOPS_ENV is 'prod'"):
        environments.remember(warehouse, "prod")


def test_another_environments_warehouse_is_not_even_migrated(
    databases: Databases, home: Path, query: Query
) -> None:
    older = databases.new()
    try:
        environments.remember(older, "prod")
        query(older, "delete from public.skyops_migrations where name like '0042%'")
        given = SecretStr(older.libpq())
        with pytest.raises(SkyOpsError, match="is of the environment 'prod'"):
            runtime.prepare(Settings(home=home, database_url=given, warehouse_url=given))
        assert query(older, "select 1 from public.skyops_migrations where name like '0042%'") == []
    finally:
        databases.drop(older)


def test_a_warehouse_of_before_gets_its_name_at_the_next_start(
    databases: Databases, query: Query
) -> None:
    before = databases.new(is_migrated=False)
    try:
        assert environments.names(before) == []
        migrate(before)
        log.record_run_failure(before, run_id="before", job="main", error="old")
        environments.remember(before, "prod")
        log.record_run_failure(before, run_id="after", job="main", error="new")
        rows = query(before, "select run_id, env from audit.monitoring_log order by log_id")
        assert rows == [("before", None), ("after", "prod")]
    finally:
        databases.drop(before)


def test_a_person_renames_it_and_the_names_are_kept(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments.remember(pointed, "dev")
    monkeypatch.setenv("SKYOPS_ACTOR", "tester")
    for arguments, said in (
        (("pro d", "--reason", "x"), "'pro d' cannot be the name of an environment"),
        (("dev", "--reason", "x"), "is called 'dev' already"),
        (("prod", "--reason", " "), "The reason is empty"),
    ):
        refused = CliRunner().invoke(app, ["rename-env", *arguments])
        assert refused.exit_code != 0 and said in str(refused.exception)
    done = CliRunner().invoke(app, ["rename-env", "prod", "--reason", "it serves now"])
    assert done.exit_code == 0, done.output
    assert "called prod now (before: dev)" in done.output
    assert "Set SKYOPS_ENV=prod wherever" in done.output
    assert environments.names(pointed) == ["dev", "prod"]
    environments.require(pointed, "prod")
    assert query(
        pointed, "select actor, reason from audit.environments order by environment_id desc limit 1"
    ) == [("tester", "it serves now")]
    with pytest.raises(psycopg2.Error, match="rows are added, never changed"):
        query(pointed, "update audit.environments set name = 'dev'")
