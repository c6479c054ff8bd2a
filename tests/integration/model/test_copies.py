"""A version from one environment to another: two warehouses, two MLflows, two stores."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr

from skyops_assets.arrivals.models import card, champions, copies, graphs, registry, transfer
from skyops_assets.arrivals.steps import evaluate, promote, train
from skyops_assets.arrivals.store import training, versions
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.store import open_store
from skyops_assets.warehouse import environments
from skyops_assets.warehouse.connection import Warehouse
from tests.support.arrival_frames import raw_synthetic
from tests.support.databases import Databases, Query
from tests.support.model_loop import EASY, fill

NAME = "arrival-transit-40nm"
LENIENT = replace(
    EASY, max_wrong_way_min=5, max_impossible_share=0.5, max_shuffled_skill=1, max_start_s=600,
    max_p95_ms=1000,
)  # fmt: skip
"""What is tried is the way of a copy, not how good it is, or how busy this machine."""
Installed = tuple[Warehouse, Settings]


@pytest.fixture(scope="module")
def installed(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Installed]]:
    """An environment with databases and a store of its own, by its name."""
    made = []

    def install(env: str, **more: object) -> Installed:
        warehouse, mlflow = databases.new(), databases.new(is_migrated=False)
        made.extend([warehouse, mlflow])
        environments.remember(warehouse, env)
        settings = Settings(
            home=tmp_path_factory.mktemp(env), env=env, actor="tester", recipe="ridge",
            search_trials=0, mlflow_database=str(mlflow.url.database), **more,
        )  # fmt: skip
        return warehouse, settings

    yield install
    for one in made:
        databases.drop(one)


@pytest.fixture(scope="module")
def staging(installed: Callable[..., Installed]) -> Installed:
    """Where version 1 was trained and is champion."""
    warehouse, settings = installed("staging")
    fill(warehouse, raw_synthetic(400, hours=12))
    train.build_training_set(warehouse, settings)
    train.train_challenger(warehouse, settings, code_version="abc")
    champions.promote(warehouse, settings, "1", "it works", ring_nm=40)
    return warehouse, settings


@pytest.fixture(scope="module")
def prod(installed: Callable[..., Installed], staging: Installed) -> Installed:
    there, settings = staging
    return installed(
        "prod",
        source_database_url=SecretStr(there.libpq()),
        source_mlflow_database=settings.mlflow_database,
        source_store=str(settings.home),
    )


def test_what_cannot_be_copied_says_why(staging: Installed, prod: Installed, query: Query) -> None:
    warehouse, settings = prod
    there = staging[1]
    unset = settings.model_copy(update={"source_store": None})
    itself = settings.model_copy(update={"env": "staging"})
    nowhere = settings.model_copy(
        update={"source_database_url": SecretStr("postgresql://a:hidden@127.0.0.1:1/skyops")}
    )
    no_mlflow = settings.model_copy(update={"source_mlflow_database": "postgres"})
    for given, number, said in (
        (unset, "1", "SKYOPS_SOURCE_STORE, and MLflow's database"),
        (itself, "1", "is of the environment 'staging' too"),
        (nowhere, "1", "From the source: .*cannot be reached.*SKYOPS_SOURCE_DATABASE_URL"),
        (no_mlflow, "1", "has no MLflow: name that"),
        (settings, "9", "From the source: arrival-transit-40nm has no version '9'; there are 1"),
        (settings.model_copy(update={"source_store": "/nowhere"}), "1", "cannot be read from /now"),
    ):
        with pytest.raises(SkyOpsError, match=said) as caught:
            copies.copy(warehouse, given, number, "a trial", ring_nm=40)
        assert "hidden" not in str(caught.value)
    with pytest.raises(SkyOpsError, match="The reason is empty"):
        copies.copy(warehouse, settings, "1", " ", ring_nm=40)
    # Rows that are not those of the fingerprint.
    ((fingerprint,),) = query(staging[0], "select fingerprint from ml.model_versions")
    name = training.snapshot_name(fingerprint)
    kept = open_store(there).read(name)
    assert kept
    path = Path(there.home, name)
    pd.read_parquet(path).iloc[1:].to_parquet(path, index=False)
    with pytest.raises(SkyOpsError, match="are not those that arrival-transit-40nm:1 was trained"):
        copies.copy(warehouse, settings, "1", "a trial", ring_nm=40)
    path.write_bytes(kept)
    assert versions.list_versions(warehouse, NAME) == []
    assert query(warehouse, "select count(*) from audit.model_copies") == [(0,)]


def test_a_version_is_copied_whole_and_becomes_champion_by_the_gatekeeper_there(
    staging: Installed, prod: Installed, query: Query
) -> None:
    (there, theirs), (warehouse, settings) = staging, prod
    # Numbers are each registry's own.
    fill(warehouse, raw_synthetic(300, hours=12, seed=11))
    train.build_training_set(warehouse, settings)
    train.train_challenger(warehouse, settings)
    made = copies.copy(warehouse, settings, f"{NAME}:1", "it was tried in staging", ring_nm=40)
    assert (made.version, made.from_env, made.from_version) == ("2", "staging", "1")
    original, copy = versions.version(there, NAME, "1"), versions.version(warehouse, NAME, "2")
    assert original and copy and not copy.is_champion
    assert versions.champion(warehouse, NAME) is None
    assert copy == replace(original, version="2", mlflow_run_id=copy.mlflow_run_id,
                           is_champion=False)  # fmt: skip
    # Every file, but for the one that names its run.
    noted = versions.model_copy(warehouse, "mlflow_run_id", copy.mlflow_run_id)
    assert noted and (noted.actor, noted.reason) == ("tester", "it was tried in staging")
    assert len(noted.files) == made.files
    held = {
        open_store(theirs).sha256(file.name): file.name
        for file in open_store(theirs).files("mlflow")
    }
    apart = {name for name, sha256 in noted.files.items() if sha256 not in held}
    assert apart == {"model/MLmodel"} and "run/model.onnx" in noted.files
    assert "became champion" in noted.card
    ours, source = registry.configure(warehouse, settings), theirs.mlflow_database
    other = transfer.elsewhere(there, source)
    for run_id, client in ((original.mlflow_run_id, other), (copy.mlflow_run_id, ours)):
        assert client.get_run(run_id).data.params["recipe"] == "ridge"
    assert registry.read_onnx(ours, copy.mlflow_run_id) == registry.read_onnx(
        other, original.mlflow_run_id
    )
    tags = ours.get_model_version(NAME, "2").tags
    assert (tags["env"], tags["copied_from"]) == ("prod", f"staging:{NAME}:1")
    # The rows that it is judged on came along; the next training takes this environment's own.
    assert training.has_snapshot(settings, original.fingerprint)
    assert training.latest_training_set(warehouse, 40).fingerprint != original.fingerprint
    rows = training.read_snapshot(settings, original.fingerprint)
    asked = rows.head(20).to_dict("records")
    here, at_source = graphs.read(warehouse, copy), graphs.read(there, original)
    assert here.ask(asked)[0].tolist() == at_source.ask(asked)[0].tolist()
    text = card.markdown(card.gather(warehouse, copy))
    assert "Copied from the environment staging, where it is version 1" in text

    with pytest.raises(SkyOpsError, match="was copied already: here it is version 2"):
        copies.copy(warehouse, settings, "1", "again", ring_nm=40)

    evaluate.evaluate_challenger(warehouse, settings)
    decided = promote.decide_promotion(warehouse, settings, policy=LENIENT)
    assert (decided.challenger_version, decided.is_promoted) == ("2", True), decided.sentence
    assert versions.champion(warehouse, NAME) == replace(copy, is_champion=True)
    assert query(
        warehouse,
        "select v.env, r.env, c.env from ml.model_versions as v"
        " join ml.training_runs as r using (training_run_id)"
        " join audit.champion_changes as c on to_version = version where version = '2'",
    ) == [("prod", "staging", "prod")]
    # What staging has is as it was.
    assert versions.champion(there, NAME) == original


def test_files_that_are_gone_there_are_said_and_nothing_is_registered(
    staging: Installed, installed: Callable[..., Installed]
) -> None:
    there, theirs = staging
    warehouse, settings = installed(
        "trial",
        source_database_url=SecretStr(there.libpq()),
        source_mlflow_database=theirs.mlflow_database,
        source_store=str(theirs.home),
    )
    away = Path(f"{theirs.artifact_root}-away")
    shutil.move(theirs.artifact_root, away)
    try:
        with pytest.raises(SkyOpsError, match="has no files: this machine does not see"):
            copies.copy(warehouse, settings, "1", "a trial", ring_nm=40)
    finally:
        shutil.move(away, theirs.artifact_root)
    assert versions.list_versions(warehouse, NAME) == []
    assert copies.copy(warehouse, settings, "1", "once more", ring_nm=40).version == "1"
