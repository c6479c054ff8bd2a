"""The champion by hand, on a real Postgres and MLflow: promoted, rolled back, killed, audited.

And where it is exported to: a folder, and a server that speaks S3.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import onnxruntime
import psycopg2
import pytest

from skyops_assets.arrivals import features
from skyops_assets.arrivals.learning import fit
from skyops_assets.arrivals.models import card, champions, export, registry
from skyops_assets.arrivals.steps import evaluate, predict, promote, train
from skyops_assets.arrivals.store import decisions, evaluations, training, versions
from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import health
from skyops_assets.runtime import environment
from skyops_assets.settings import Settings
from skyops_assets.store import Store
from skyops_assets.warehouse import environments
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.migrate import MIGRATIONS, migrate
from skyops_assets.warehouse.query import insert_statement
from tests.support.arrival_frames import raw_synthetic
from tests.support.databases import Databases
from tests.support.model_loop import EASY, fill
from tests.support.servers import object_store

pytestmark = pytest.mark.xdist_group("models")

NAME = "arrival-transit-40nm"
REASON = "by way of trial"
SECRET = "s3cr3t-of-the-store"


@pytest.fixture(scope="module")
def trained(server: Warehouse, settings: Settings) -> Warehouse:
    """A warehouse with versions 1 to 3, each measured, none decided on."""
    frame = raw_synthetic(1200, hours=48)
    for rows in (600, 900, 1200):
        fill(server, frame.iloc[:rows])
        train.build_training_set(server, settings)
        train.train_challenger(server, settings, dagster_run_id="run-1", code_version="abc")
        evaluate.evaluate_challenger(server, settings)
    return server


@pytest.fixture
def warehouse(trained: Warehouse, settings: Settings) -> Warehouse:
    """The versions without a champion, a decision or a prediction."""
    with trained.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "truncate audit.champion_changes, ml.promotion_decisions, ml.predictions;"
            "update ml.model_versions set is_champion = false, promoted_at = null"
        )
    champions.sync_alias(trained, registry.configure(trained, settings), NAME)
    return trained


def promote_by_hand(
    warehouse: Warehouse, settings: Settings, version: str
) -> champions.ChampionSwitch:
    return champions.promote(warehouse, settings, version, REASON, ring_nm=40)


def rollback(warehouse: Warehouse, settings: Settings, **options: Any) -> champions.ChampionSwitch:
    return champions.rollback(warehouse, settings, REASON, ring_nm=40, **options)


def champion(warehouse: Warehouse) -> str | None:
    found = versions.champion(warehouse, NAME)
    return found.version if found else None


def alias(warehouse: Warehouse, settings: Settings) -> str | None:
    aliases = registry.configure(warehouse, settings).get_registered_model(NAME).aliases
    return str(aliases["champion"]) if "champion" in aliases else None


def audit(warehouse: Warehouse) -> list[tuple[str, str | None, str]]:
    return [
        (change.action, change.from_version, change.to_version)
        for change in versions.champion_changes(warehouse, NAME)
    ]


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_promoting_and_rolling_back_move_flag_and_alias_and_write_one_row_each(
    warehouse: Warehouse, settings: Settings
) -> None:
    for version in ("1", "2", "3"):
        promote_by_hand(warehouse, settings, version)
    moved = rollback(warehouse, settings)
    assert moved == champions.ChampionSwitch(40, NAME, "3", "2", "tester", "rollback", REASON)
    assert champion(warehouse) == alias(warehouse, settings) == "2"
    rollback(warehouse, settings)
    assert champion(warehouse) == alias(warehouse, settings) == "1"
    assert audit(warehouse) == [
        ("promote", None, "1"), ("promote", "1", "2"), ("promote", "2", "3"),
        ("rollback", "3", "2"), ("rollback", "2", "1"),
    ]  # fmt: skip
    last = versions.champion_changes(warehouse, NAME)[-1]
    assert (last.actor, last.reason, last.is_by_hand) == ("tester", REASON, True)


def test_the_card_and_the_origin_are_kept_in_mlflow_at_every_step(
    warehouse: Warehouse, settings: Settings
) -> None:
    client = registry.configure(warehouse, settings)

    def kept(version: str) -> str:
        found = client.get_model_version(NAME, version)
        folder = client.download_artifacts(found.run_id, "model_card.md")
        text = Path(folder).read_text()
        # MLflow's column is shorter than a long card.
        shown = found.description.removesuffix("\n\n(More in the run's artifact model_card.md.)\n")
        assert text.startswith(shown) and len(shown) > registry.MAX_DESCRIPTION * 0.8
        return text

    evaluate.evaluate_challenger(warehouse, settings)
    decided = promote.decide_promotion(warehouse, settings, policy=EASY)
    assert decided.model_card == kept("3")
    assert "Champion.\n" in kept("3") and "decision 1" not in kept("2")
    made = decisions.read_decision(warehouse, decided.training_run_id)
    tags = client.get_model_version(NAME, "3").tags
    assert made and tags["decision_id"] == str(made["decision_id"])
    assert tags["decision"] == "promoted"
    assert tags["code_version"] == "abc" and tags["dagster_run_id"] == "run-1"
    run = training.training_run(warehouse, decided.training_run_id)
    assert run and tags["fingerprint"] == run.fingerprint
    promote_by_hand(warehouse, settings, "2")
    assert "was replaced by version 2; promoted by tester, by hand" in kept("3")
    assert "became champion; promoted by tester, by hand" in kept("2")
    again = train.train_challenger(warehouse, settings, code_version="abc")
    assert again.model_version == "3" and again.model_card == kept("3")


def test_a_broken_champion_can_be_rolled_back_and_its_card_is_what_is_missing(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_by_hand(warehouse, settings, "1")
    promote_by_hand(warehouse, settings, "2")
    log_card = registry.log_card

    def lost(client: Any, name: str, version: str, run: str, **given: Any) -> None:
        log_card(client, name, version, "lost" if version == "2" else run, **given)

    monkeypatch.setattr(registry, "log_card", lost)
    moved = rollback(warehouse, settings)
    assert moved.after == champion(warehouse) == "1"
    assert "card of arrival-transit-40nm:2 cannot be kept" in moved.warnings[0]
    # Nor is its own card a reason to say that nothing was done.
    moved = promote_by_hand(warehouse, settings, "2")
    assert moved.after == champion(warehouse) == "2"
    assert "card of arrival-transit-40nm:2 cannot be kept" in moved.warnings[0]


def test_what_the_champion_has_learned_from_is_not_taken_for_unanswered(
    warehouse: Warehouse, settings: Settings
) -> None:
    """As where older arrivals are loaded later, so that the test rows begin earlier."""
    promote_by_hand(warehouse, settings, "2")
    evaluate.evaluate_challenger(warehouse, settings)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("update ml.evaluations set champion_rows = champion_rows / 2")
    found = {reason.rule: reason for reason in promote.judge_challenger(warehouse).reasons}
    assert (found["scored_share"].is_passed, found["scored_share"].value) == (True, 1.0)
    assert found["test_rows"].value == 180


def test_the_gatekeepers_promotion_is_audited_as_its_own(
    warehouse: Warehouse, settings: Settings
) -> None:
    evaluate.evaluate_challenger(warehouse, settings)
    assert promote.decide_promotion(warehouse, settings, policy=EASY).is_promoted
    promote.decide_promotion(warehouse, settings, policy=EASY)
    (change,) = versions.champion_changes(warehouse, NAME)
    decision = decisions.read_decision(
        warehouse, training.latest_training_run(warehouse, NAME).training_run_id
    )
    assert (change.action, change.actor, change.is_by_hand) == ("gatekeeper", "gatekeeper", False)
    assert decision is not None and change.decision_id == decision["decision_id"]


def test_what_cannot_be_done_says_why_and_changes_nothing(
    warehouse: Warehouse, settings: Settings
) -> None:
    with pytest.raises(SkyOpsError, match="no champion to roll back from"):
        rollback(warehouse, settings)
    promote_by_hand(warehouse, settings, f"{NAME}:1")
    with pytest.raises(SkyOpsError, match=r"no version '7'; there are 1, 2, 3"):
        promote_by_hand(warehouse, settings, "7")
    with pytest.raises(SkyOpsError, match=r"Version 1 of .* is already champion"):
        promote_by_hand(warehouse, settings, "1")
    with pytest.raises(SkyOpsError, match=r"Version 1 of .* has no earlier champion"):
        rollback(warehouse, settings)
    with pytest.raises(SkyOpsError, match="is version 1, not 3"):
        rollback(warehouse, settings, only_from="3")
    with pytest.raises(SkyOpsError, match="reason is empty"):
        champions.promote(warehouse, settings, "2", "  ", ring_nm=40)
    assert audit(warehouse) == [("promote", None, "1")]
    assert champion(warehouse) == alias(warehouse, settings) == "1"


def test_a_version_whose_files_are_gone_does_not_become_champion(
    warehouse: Warehouse, settings: Settings, tmp_path: Path
) -> None:
    promote_by_hand(warehouse, settings, "2")
    promote_by_hand(warehouse, settings, "3")
    client = registry.configure(warehouse, settings)
    files = Path(client.get_model_version_download_uri(NAME, "2").removeprefix("file://"))
    moved = files.rename(tmp_path / "gone")
    try:
        for act in (
            lambda: promote_by_hand(warehouse, settings, "2"),
            lambda: rollback(warehouse, settings),
        ):
            with pytest.raises(SkyOpsError, match=f"{NAME}:2 cannot be loaded"):
                act()
    finally:
        moved.rename(files)
    assert champion(warehouse) == alias(warehouse, settings) == "3"
    assert len(audit(warehouse)) == 2


def test_killed_before_the_alias_the_champion_stands_and_the_next_act_puts_the_alias_right(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_by_hand(warehouse, settings, "1")
    promote_by_hand(warehouse, settings, "2")
    first = registry.follow_champion
    calls = iter([first, killed])  # The first call is the one that puts right what was before.
    with monkeypatch.context() as patch:
        patch.setattr(registry, "follow_champion", lambda *given: next(calls)(*given))  # noqa: PLW0108
        with pytest.raises(KeyboardInterrupt):
            rollback(warehouse, settings)
    assert (champion(warehouse), alias(warehouse, settings)) == ("1", "2")
    assert predict.predict_crossings(warehouse, settings).model_version == "1"
    with pytest.raises(SkyOpsError, match="is version 1, not 2"):
        rollback(warehouse, settings, only_from="2")  # Repeated by one who saw it killed.
    assert champion(warehouse) == alias(warehouse, settings) == "1"
    assert audit(warehouse)[-1] == ("rollback", "2", "1")


def test_killed_within_the_transaction_nothing_happened(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_by_hand(warehouse, settings, "1")
    insert = insert_statement
    with monkeypatch.context() as patch:
        patch.setattr(
            "skyops_assets.arrivals.store.versions.insert_statement",
            lambda table, row: killed() if "audit" in table else insert(table, row),
        )
        with pytest.raises(KeyboardInterrupt):
            promote_by_hand(warehouse, settings, "2")
    assert champion(warehouse) == alias(warehouse, settings) == "1"
    assert audit(warehouse) == [("promote", None, "1")]


def test_the_gatekeeper_does_not_undo_a_rollback_but_a_person_may(
    warehouse: Warehouse, settings: Settings
) -> None:
    promote_by_hand(warehouse, settings, "1")
    evaluate.evaluate_challenger(warehouse, settings)
    generous = dataclasses.replace(EASY, min_gain=-1, min_skill_low=-1)
    assert promote.decide_promotion(warehouse, settings, policy=generous).is_promoted
    assert champion(warehouse) == "3"
    rollback(warehouse, settings)
    for _ in range(2):
        decided = promote.decide_promotion(warehouse, settings, policy=generous)
        assert not decided.is_promoted
        assert "demoted by hand, so only a person can promote it again: tester" in decided.sentence
    assert champion(warehouse) == alias(warehouse, settings) == "1"
    promote_by_hand(warehouse, settings, "3")
    decided = promote.decide_promotion(warehouse, settings, policy=generous)
    assert champion(warehouse) == "3"
    assert [row[0] for row in audit(warehouse)] == ["promote", "gatekeeper", "rollback", "promote"]


def test_a_version_promoted_by_hand_before_the_gatekeeper_is_judged_and_stays(
    warehouse: Warehouse, settings: Settings
) -> None:
    promote_by_hand(warehouse, settings, "3")
    evaluate.evaluate_challenger(warehouse, settings)
    decided = promote.decide_promotion(warehouse, settings)
    assert "reference" not in {reason.rule for reason in decided.reasons if not reason.is_passed}
    assert champion(warehouse) == "3"
    assert audit(warehouse) == [("promote", None, "3")]


def test_a_champion_changed_while_the_gatekeeper_decides_is_not_overwritten(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = evaluations.read_evaluation

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(evaluations, "read_evaluation", read)
        promote_by_hand(warehouse, settings, "1")
        return read(*given)

    evaluate.evaluate_challenger(warehouse, settings)
    monkeypatch.setattr(evaluations, "read_evaluation", meanwhile)
    decided = promote.decide_promotion(warehouse, settings, policy=EASY)
    assert not decided.is_promoted
    assert "reference" in {reason.rule for reason in decided.reasons if not reason.is_passed}
    assert champion(warehouse) == alias(warehouse, settings) == "1"
    before = versions.version(warehouse, NAME, "2")
    after = versions.version(warehouse, NAME, "3")
    assert before and after
    with pytest.raises(versions.ChampionChanged, match="it is version 1 now, not version 2"):
        versions.change_champion(
            warehouse, before, after, action="promote", actor="me", reason=REASON
        )


def test_the_audit_cannot_be_rewritten(warehouse: Warehouse, settings: Settings) -> None:
    promote_by_hand(warehouse, settings, "1")
    for statement in ("update audit.champion_changes set actor = 'x'",
                      "delete from audit.champion_changes"):  # fmt: skip
        with (
            pytest.raises(psycopg2.Error, match="never changed or deleted"),
            warehouse.connect() as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_promotions_from_before_the_audit_are_taken_over(
    databases: Databases, tmp_path: Path
) -> None:
    old = databases.new(is_migrated=False)
    for path in sorted(MIGRATIONS.glob("000[1-6]*.sql")):
        shutil.copy(path, tmp_path)
    migrate(old, tmp_path)
    with old.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into ml.training_sets (fingerprint, ring_nm, row_count, excluded, airports)"
            " values ('f', 40, 9, '{}', '{}')"
        )
        for number in "123":
            cursor.execute(
                "insert into ml.training_runs (training_run_id, model_name, ring_nm, recipe,"
                " fingerprint, features, params, train_share, train_rows, test_rows,"
                " embargoed_rows, shared_flight_rows)"
                " values (%s, %s, 40, 'r', 'f', '{}', '{}', 0.7, 6, 3, 0, 0)",
                (f"t{number}", NAME),
            )
            cursor.execute(
                "insert into ml.model_versions values (%s, %s, %s, 'f', %s, %s)",
                (NAME, number, f"t{number}", f"m{number}", number == "2"),
            )
            before = str(int(number) - 1) if number != "1" else None
            cursor.execute(
                "insert into ml.promotion_decisions (training_run_id, model_name,"
                " challenger_version, champion_version, is_promoted, reasons, summary)"
                " values (%s, %s, %s, %s, %s, '[]', 'said so')",
                (f"t{number}", NAME, number, before, number != "3"),
            )
    migrate(old)
    assert audit(old) == [("gatekeeper", None, "1"), ("gatekeeper", "1", "2")]
    assert champions.champion_before(versions.champion_changes(old, NAME), "m2") == ("m1", "1")
    run = training.training_run(old, "t1")
    assert run is not None and run.absent_features is None
    found = versions.version(old, NAME, "2")
    assert found and "not recorded" in card.markdown(card.gather(old, found))
    databases.drop(old)


def test_a_running_consumer_predicts_with_the_champion_rolled_back_to(
    warehouse: Warehouse, settings: Settings
) -> None:
    """A process that goes on predicting, and a rollback in another: 0.1 s later, when written."""
    promote_by_hand(warehouse, settings, "1")
    promote_by_hand(warehouse, settings, "2")
    script = (
        "import sys\n"
        "from skyops_assets.arrivals.steps import predict\n"
        "from skyops_assets.settings import load_settings\n"
        "from skyops_assets.warehouse.connection import open_warehouse\n"
        "settings = load_settings()\n"
        "warehouse = open_warehouse(settings)\n"
        "while True:\n"
        "    print(predict.predictor_in_force(warehouse, settings).version, flush=True)\n"
    )
    variables = {**os.environ, "SKYOPS_HOME": str(settings.home)}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=variables, stdout=subprocess.PIPE, text=True
    ) as consumer:
        assert consumer.stdout
        try:
            assert consumer.stdout.readline() == "2\n"
            rollback(warehouse, settings)
            began = time.monotonic()
            while consumer.stdout.readline() != "1\n":
                assert time.monotonic() - began < 60
            assert [consumer.stdout.readline() for _ in range(3)] == ["1\n"] * 3
        finally:
            consumer.kill()


@pytest.fixture
def skyops(settings: Settings, manifest: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).parent / "skyops"), "model", *arguments],
            env={**os.environ, "SKYOPS_HOME": str(settings.home), "SKYOPS_ACTOR": "clerk", **more},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


def test_the_commands_as_a_person_runs_them(
    warehouse: Warehouse, settings: Settings, skyops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = skyops("promote", "2", "--reason", "first [one]")
    assert done.returncode == 0, done.stderr
    assert "promoted version 2 (before: no champion), by clerk" in done.stdout
    promote_by_hand(warehouse, settings, "3")
    done = skyops("rollback", "--reason", "too late by minutes", "--from", "3")
    assert "rolled back to version 2 (before: version 3), by clerk" in done.stdout
    assert done.stderr.strip() == ""
    for name, value in environment(settings, warehouse).items():
        monkeypatch.setenv(name, value)
    asset = dg.AssetKey(["ml", "promotion_decisions"])
    with dg.DagsterInstance.get() as instance:
        told = instance.get_latest_materialization_event(asset)
    assert told and told.asset_materialization
    shown = {key: value.value for key, value in told.asset_materialization.metadata.items()}
    assert shown == {
        "decision": "rollback by hand: version 2 is champion", "champion_version": "2",
        "champion_version_before": "3", "changed_by": "clerk", "reason": "too late by minutes",
    }  # fmt: skip
    rows = json.loads(skyops("list", "--json").stdout)
    assert [row["version"] for row in rows] == ["1", "2", "3"]
    assert [row["is_champion"] for row in rows] == [False, True, False]
    assert [row["is_challenger"] for row in rows] == [False, False, True]
    assert all(row["mae_min"] > 0 and row["skill"] is not None for row in rows)
    assert rows[1]["promoted_because"] == "too late by minutes"
    shown = skyops("list").stdout
    assert NAME in shown and "champion" in shown and "challenger" in shown and "clerk" in shown
    card = skyops("show").stdout
    assert card.startswith(f"# {NAME}, version 2\n")
    assert "by clerk, by hand: first [one]" in card
    facts = json.loads(skyops("show", "3", "--json").stdout)
    assert facts["run"]["train_rows"] > 0
    assert facts["card"].startswith(f"# {NAME}, version 3\n")


def test_a_dagster_that_cannot_be_told_does_not_undo_a_change(
    warehouse: Warehouse, settings: Settings, skyops: Any
) -> None:
    promote_by_hand(warehouse, settings, "1")
    promote_by_hand(warehouse, settings, "2")
    with warehouse.connect("postgres", autocommit=True) as c, c.cursor() as cursor:
        cursor.execute("create database broken")
    with warehouse.connect("broken") as c, c.cursor() as cursor:
        # A table of Dagster's, and nothing that Dagster could write to it.
        cursor.execute("create table event_logs (nothing int)")
    done = skyops("rollback", "--reason", "because", SKYOPS_DAGSTER_DATABASE="broken")
    assert done.returncode == 0 and champion(warehouse) == "1"
    assert "rolled back to version 1 (before: version 2)" in done.stdout
    assert "Done, but: The change could not be reported to Dagster" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "9"], "has no version '9'; there are 1, 2, 3"),
        (["promote", "9", "--reason", "x"], "has no version '9'"),
        (["promote", "1"], "--reason"),
        (["rollback", "--reason", "x"], "no champion to roll back from"),
        (["rollback", "--reason", "x", "--ring", "100"], "promote VERSION --ring 100"),
        (["list", "--ring", "60"], "There is no model for --ring 60; choose 100 or 40."),
    ],
)
def test_a_command_that_cannot_be_done_is_one_clear_error(
    warehouse: Warehouse, skyops: Any, arguments: list[str], said: str
) -> None:
    done = skyops(*arguments)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert said in done.stderr


def test_the_health_check_sees_that_the_champion_cannot_be_loaded_any_more(
    warehouse: Warehouse, settings: Settings
) -> None:
    assert health.probe_model(settings, warehouse)[0] is health.State.OK
    promote_by_hand(warehouse, settings, "2")
    state, says = health.probe_model(settings, warehouse)
    assert state is health.State.OK and says.endswith(f" {NAME}:2 loads and predicts.")
    assert says.startswith("arrival-transit-100nm has no champion yet")
    root = Path(settings.artifact_root)
    root.rename(root.with_name("away"))
    try:
        with pytest.raises(SkyOpsError, match="cannot be loaded from MLflow"):
            health.probe_model(settings, warehouse)
    finally:
        root.with_name("away").rename(root)


def test_cleaning_up_removes_trainings_that_came_to_nothing_and_nothing_of_a_version(
    warehouse: Warehouse, settings: Settings, graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the job itself: an old snapshot and an old MLflow run that no version refers to."""
    monkeypatch.setenv("SKYOPS_HOME", str(settings.home))
    client = registry.configure(warehouse, settings)
    experiment = client.get_experiment_by_name(registry.EXPERIMENT).experiment_id
    days_ago = {days: time.time() - days * 86_400 for days in (89, 91)}
    snapshots = sorted((settings.home / "training").glob("*.parquet"))
    orphans = {}
    for days, at in days_ago.items():
        run_id = client.create_run(experiment, start_time=int(at * 1_000)).info.run_id
        client.log_text(run_id, "x", "x.txt")
        model = client.create_logged_model(experiment, "model", source_run_id=run_id)
        folder = Path(model.artifact_location.removeprefix("file://"))
        folder.mkdir(parents=True)
        orphans[days] = (run_id, folder, settings.home / "training" / f"{days}.parquet")
        orphans[days][2].write_text("")
        os.utime(orphans[days][2], (at, at))
    half = orphans[91][2].with_name("91.0a1b.part")  # Of a process that was killed as it wrote.
    half.write_text("")
    os.utime(half, (days_ago[91], days_ago[91]))
    with warehouse.connect() as connection, connection.cursor() as cursor:
        # The versions' own are older still.
        cursor.execute("update ml.training_sets set last_built_at = now() - interval '1 year'")
        cursor.execute("select mlflow_run_id from ml.model_versions")
        run_ids = [run_id for (run_id,) in cursor.fetchall()]
    for path in snapshots:
        os.utime(path, (0, 0))
    done = graph.defs.resolve_job_def("clean_up").execute_in_process()
    (output,) = [e for e in done.all_events if e.is_successful_output]
    shown = {k: v.value for k, v in output.event_specific_data.metadata.items()}
    assert shown == {
        "removed_runs": 0, "thinned_runs": 0, "removed_snapshots": 2, "removed_mlflow_runs": 1,
        "removed_reports": 0, "removed_check_results": 0, "removed_service_predictions": 0,
    }  # fmt: skip
    assert not half.exists()
    for days, is_left in ((89, True), (91, False)):
        run_id, folder, snapshot = orphans[days]
        assert (folder.exists(), snapshot.exists()) == (is_left, is_left)
        assert (client.get_run(run_id).info.lifecycle_stage == "active") is is_left
    assert all(path.exists() for path in snapshots)
    assert len(run_ids) == 3
    for number in ("1", "2", "3"):
        registry.load(client, NAME, number, versions.version(warehouse, NAME, number).mlflow_run_id)


# The model store


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Address of a server that speaks S3, with the bucket `models`."""
    with object_store("models") as url:
        yield url


@pytest.fixture(params=["folder", "s3"])
def exporting(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Settings:
    """Settings that export: into a folder, and into a prefix of the bucket."""
    if request.param == "folder":
        return settings.model_copy(update={"model_store": str(tmp_path / "store")})
    return on_s3(settings, request.getfixturevalue("s3"), f"s3://models/{tmp_path.name}")


def on_s3(settings: Settings, url: str, place: str) -> Settings:
    given = {
        "model_store": place, "model_store_endpoint": url, "model_store_region": "eu-west-1",
        "model_store_access_key_id": "key", "model_store_secret_access_key": SECRET,
    }  # fmt: skip
    checked = Settings(**given)
    return settings.model_copy(update={name: getattr(checked, name) for name in given})


def read(settings: Settings, path: str) -> bytes:
    content = export.open_store(settings).read(f"{NAME}/{path}")
    assert content is not None, path
    return content


def as_a_service_reads_it(settings: Settings) -> tuple[str, bytes]:
    """The champion's version and model, by the recipe of docs/models.md."""
    pointer = json.loads(read(settings, "champion.json"))
    for file in pointer["files"].values():
        content = read(settings, file["path"])
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert len(content) == file["size_bytes"]
    return pointer["version"], read(settings, pointer["files"]["model.onnx"]["path"])


def test_the_store_follows_promotions_and_rollbacks_and_the_model_there_predicts_the_same(
    warehouse: Warehouse, exporting: Settings
) -> None:
    client = registry.configure(warehouse, exporting)
    for act, number in (("promote", "2"), ("promote", "3"), ("rollback", "2")):
        moved = (
            promote_by_hand(warehouse, exporting, number)
            if act == "promote"
            else rollback(warehouse, exporting)
        )
        assert moved.warnings == ()
        version, model = as_a_service_reads_it(exporting)
        assert version == number
        run = versions.version(warehouse, NAME, number)
        assert run and model == registry.read_onnx(client, run.mlflow_run_id)
    assert "Champion.\n" in read(exporting, "2/model_card.md").decode()
    assert "was replaced by version 2" in read(exporting, "3/model_card.md").decode()
    described = json.loads(read(exporting, "2/metadata.json"))
    run_of = training.training_run(warehouse, run.training_run_id)
    assert run_of and described["fingerprint"] == run_of.fingerprint
    assert described["params"] == run_of.params and described["code_version"] == "abc"
    assert described["decision"] is None
    # What the metadata says is enough to ask the model.
    assert [one["name"] for one in described["inputs"]] == list(features.FEATURES)
    empty = {"string": np.array([[""]], dtype=object), "double": np.array([[np.nan]])}
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    given = {one["name"]: empty[one["type"]] for one in described["inputs"]}
    names = [one["name"] for one in described["outputs"]]
    minutes, low, high = (float(found[0, 0]) for found in session.run(names, given))
    assert 0 < low <= minutes <= high < 120
    assert {one.type for one in session.get_inputs()} == {"tensor(string)", "tensor(double)"}
    assert names == [one.name for one in session.get_outputs()] == list(fit.OUTPUTS)


def test_the_gatekeepers_promotion_is_exported_with_its_decision(
    warehouse: Warehouse, exporting: Settings
) -> None:
    evaluate.evaluate_challenger(warehouse, exporting)
    decided = promote.decide_promotion(warehouse, exporting, policy=EASY)
    assert (decided.is_promoted, decided.store_problem) == (True, None)
    assert as_a_service_reads_it(exporting)[0] == "3"
    described = json.loads(read(exporting, "3/metadata.json"))
    assert described["decision"]["is_promoted"] is True
    assert described["decision"]["summary"] == decided.sentence


@pytest.fixture
def named(warehouse: Warehouse, settings: Settings) -> Iterator[Warehouse]:
    """The versions in a warehouse that is called `dev`, as MLflow's tags call it."""
    environments.remember(warehouse, settings.env)
    yield warehouse
    client = registry.configure(warehouse, settings)
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("update ml.model_versions set env = null; truncate audit.environments")
    for version in ("2", "3"):
        client.set_model_version_tag(NAME, version, "env", "dev")


@pytest.mark.parametrize("where", ["warehouse", "mlflow"])
def test_a_version_of_another_environment_does_not_become_champion(
    named: Warehouse, settings: Settings, where: str
) -> None:
    evaluate.evaluate_challenger(named, settings)
    client = registry.configure(named, settings)
    assert client.get_model_version(NAME, "3").tags["env"] == "dev"

    def belongs(env: str) -> None:
        for version in ("2", "3"):
            if where == "mlflow":
                client.set_model_version_tag(NAME, version, "env", env)
            else:
                with named.connect() as connection, connection.cursor() as cursor:
                    cursor.execute(
                        "update ml.model_versions set env = %s where version = %s", (env, version)
                    )

    belongs("staging")
    foreign = "is of the environment 'staging', and this is 'dev'.*skyops model copy VERSION"
    with pytest.raises(SkyOpsError, match=f"{NAME}:2 {foreign}"):
        promote_by_hand(named, settings, "2")
    with pytest.raises(SkyOpsError, match=f"{NAME}:3 {foreign}"):
        promote.decide_promotion(named, settings, policy=EASY)
    assert champion(named) is None and audit(named) == []
    # A name that this environment had before is its own.
    environments.rename(named, "staging", "me", "a trial")
    environments.rename(named, "dev", "me", "back")
    assert promote.decide_promotion(named, settings, policy=EASY).is_promoted
    promote_by_hand(named, settings, "2")
    with named.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select distinct env from audit.champion_changes")
        assert cursor.fetchall() == [("dev",)]


def test_another_environments_champion_is_not_written_over_in_the_store(
    warehouse: Warehouse, exporting: Settings
) -> None:
    promote_by_hand(warehouse, exporting, "1")
    assert json.loads(read(exporting, "champion.json"))["env"] == "dev"
    assert json.loads(read(exporting, "1/metadata.json"))["env"] == "dev"
    prod = exporting.model_copy(update={"env": "prod"})
    problem = export.export_champion(warehouse, prod, NAME)
    assert problem and "it has the champion of the environment 'dev', and this is 'prod'" in problem
    assert json.loads(read(exporting, "champion.json"))["env"] == "dev"


def test_without_a_champion_nothing_is_written_and_a_second_time_nothing_either(
    warehouse: Warehouse, exporting: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export.export_champion(warehouse, exporting, NAME) is None
    assert export.exported(exporting, NAME) is None
    promote_by_hand(warehouse, exporting, "1")
    monkeypatch.setattr(Store, "write", killed)
    assert export.export_champion(warehouse, exporting, NAME) is None


def test_killed_before_any_write_the_pointer_names_a_whole_champion_and_the_next_step_heals(
    warehouse: Warehouse, exporting: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(version: str) -> None:
        before, after = (
            versions.champion(warehouse, NAME),
            versions.version(warehouse, NAME, version),
        )
        assert after
        given = {"action": "promote", "actor": "me", "reason": REASON}
        versions.change_champion(warehouse, before, after, **given)

    write = Store.write
    for done in range(5):  # Three files of version 2, the card of 1, the pointer.
        change("1")
        assert export.export_champion(warehouse, exporting, NAME) is None
        change("2")
        left = iter([write] * done + [killed])
        with monkeypatch.context() as patch:
            patch.setattr(Store, "write", lambda *given, left=left: next(left)(*given))
            with pytest.raises(KeyboardInterrupt):
                export.export_champion(warehouse, exporting, NAME)
        assert as_a_service_reads_it(exporting)[0] == "1"
    assert predict.predict_crossings(warehouse, exporting).store_problem is None
    assert as_a_service_reads_it(exporting)[0] == "2"


def test_what_was_lost_or_spoilt_in_the_store_is_written_again(
    warehouse: Warehouse, exporting: Settings
) -> None:
    promote_by_hand(warehouse, exporting, "1")
    files = export.open_store(exporting)
    files.delete(f"{NAME}/1/model.onnx")
    files.write(f"{NAME}/1/metadata.json", b"{}")
    assert export.export_champion(warehouse, exporting, NAME) is None
    assert as_a_service_reads_it(exporting)[0] == "1"
    for spoilt in (b"", b"[]", b"\xff{", b'{"version": "77"}'):
        files.write(f"{NAME}/champion.json", spoilt)
        assert export.export_champion(warehouse, exporting, NAME) is None
        assert as_a_service_reads_it(exporting)[0] == "1"


def test_a_store_that_is_away_leaves_the_promotion_and_is_told_without_its_secret(
    warehouse: Warehouse, settings: Settings, s3: str, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    away = on_s3(settings, "http://127.0.0.1:1", "s3://models/x")
    moved = promote_by_hand(warehouse, away, "1")
    assert moved.after == "1" and versions.champion(warehouse, NAME).version == "1"
    (said,) = moved.warnings
    assert "could not be written to s3://models/x" in said and "champion all the same" in said
    assert "could not be written" in (
        predict.predict_crossings(warehouse, away).store_problem or ""
    )
    state, says = health.probe_model_store(away, warehouse)
    assert state is health.State.BROKEN and "SKYOPS_MODEL_STORE" in says
    no_bucket = on_s3(settings, s3, "s3://other/x")
    assert "NO_SUCH_BUCKET" in (export.export_champion(warehouse, no_bucket, NAME) or "")
    (tmp_path / "file").write_text("")
    blocked = settings.model_copy(update={"model_store": str(tmp_path / "file")})
    assert "could not be written" in (export.export_champion(warehouse, blocked, NAME) or "")
    shown = capfd.readouterr()
    assert SECRET not in said + says + shown.out + shown.err + repr(away)


def test_half_a_graph_is_not_exported(
    warehouse: Warehouse, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings.model_copy(update={"model_store": str(tmp_path)})
    promote_by_hand(warehouse, folder, "1")
    read_onnx = registry.read_onnx
    monkeypatch.setattr(registry, "read_onnx", lambda *given: read_onnx(*given)[:-1000])
    (said,) = promote_by_hand(warehouse, folder, "2").warnings
    assert "ONNX graph of" in said and "cannot be loaded" in said
    assert as_a_service_reads_it(folder)[0] == "1"


def test_the_health_check_sees_what_the_store_lacks(
    warehouse: Warehouse, exporting: Settings
) -> None:
    state, says = health.probe_model_store(exporting, warehouse)
    assert state is health.State.OK and f"It has no champion of {NAME}." in says
    promote_by_hand(warehouse, exporting, "1")
    assert health.probe_model_store(exporting, warehouse)[0] is health.State.OK
    export.open_store(exporting).delete(f"{NAME}/champion.json")
    state, says = health.probe_model_store(exporting, warehouse)
    assert state is health.State.WARNING and f"{NAME}:1 is champion" in says
    # Nothing of the probe stays.
    if "://" not in str(exporting.model_store):
        assert not list((Path(str(exporting.model_store)) / ".health").iterdir())


def test_a_file_that_cannot_be_finished_leaves_the_one_before_and_no_rest(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = export.open_store(settings.model_copy(update={"model_store": str(tmp_path)}))
    files.write("a/x", b"before")
    monkeypatch.setattr("skyops_assets.files.os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        files.write("a/x", b"after")
    assert files.read("a/x") == b"before"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x"]
