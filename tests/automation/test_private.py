"""What SkyOps uses of Dagster beside its public interface is there, and does what SkyOps expects.

The first place to look after an upgrade of Dagster; `skyops_assets/instance/private.py` is the only
module of the product that names them.
"""

import ast
import os
import signal
import time
from datetime import datetime
from typing import Any

import dagster as dg
import pytest
from dagster._utils.interrupts import capture_interrupts

from skyops_assets.instance import private
from skyops_assets.settings import PROJECT_ROOT

HOURS = dg.HourlyPartitionsDefinition(datetime(2024, 1, 1))


@dg.asset(partitions_def=HOURS)
def hourly(context: dg.AssetExecutionContext) -> None:
    if context.partition_key == "2024-01-01-01:00":
        raise ValueError("this hour fails")


def test_only_one_module_names_private_parts_of_dagster() -> None:
    package = PROJECT_ROOT / "skyops_assets"
    named = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and "dagster" in ast.unparse(node)
        and "._" in ast.unparse(node)
    }
    assert named == {"instance/private.py"}


def test_the_failed_partitions_of_an_asset_are_told_and_a_later_success_takes_one_out(
    instance: dg.DagsterInstance,
) -> None:
    for key in ("2024-01-01-00:00", "2024-01-01-01:00"):
        dg.materialize([hourly], instance=instance, partition_key=key, raise_on_error=False)
    assert private.failed_partitions(instance, hourly.key, HOURS) == ["2024-01-01-01:00"]
    instance.report_runless_asset_event(
        dg.AssetMaterialization(hourly.key, partition="2024-01-01-01:00")
    )
    assert private.failed_partitions(instance, hourly.key, HOURS) == []


def test_the_latest_event_of_each_partition_is_told_by_its_kind(
    instance: dg.DagsterInstance,
) -> None:
    kinds = (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION)
    first, second = "2024-01-01-00:00", "2024-01-01-01:00"
    for event in (
        dg.AssetMaterialization(hourly.key, partition=first),
        dg.AssetObservation(hourly.key, partition=first),
        dg.AssetObservation(hourly.key, partition=second),
        dg.AssetObservation(hourly.key, partition=first),
    ):
        instance.report_runless_asset_event(event)
    made, seen = (private.latest_by_partition(instance, hourly.key, kind) for kind in kinds)
    assert set(made) == {first}
    assert seen[first] > seen[second] > made[first]


def test_the_last_result_of_a_check_is_told(instance: dg.DagsterInstance) -> None:
    key = dg.AssetCheckKey(hourly.key, "sound")
    assert private.latest_check_result(instance, key) is None
    for has_passed in (True, False):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=hourly.key, check_name="sound", passed=has_passed, metadata={}
            )
        )
        found = private.latest_check_result(instance, key)
        assert found is not None
        assert found[0] is has_passed
    assert found[1] > 1e9


def test_the_tables_of_the_event_log_can_be_asked(instance: dg.DagsterInstance) -> None:
    from sqlalchemy import text

    dg.materialize([hourly], instance=instance, partition_key="2024-01-01-00:00")
    with private.index_connection(instance) as connection:
        keys = connection.execute(text("select asset_key from asset_keys")).scalars().all()
    assert hourly.key.to_string() in keys


def test_automation_is_shown_as_on(instance: dg.DagsterInstance) -> None:
    """By the answer that the UI has of the web server."""
    from dagster._daemon.asset_daemon import get_auto_materialize_paused

    assert get_auto_materialize_paused(instance), "off in a new instance"
    for _ in range(2):
        private.show_automation_as_on(instance)
        assert not get_auto_materialize_paused(instance)


def test_a_finished_run_has_a_finished_status(instance: dg.DagsterInstance) -> None:
    ok = dg.materialize([hourly], instance=instance, partition_key="2024-01-01-00:00")
    red = dg.materialize(
        [hourly], instance=instance, partition_key="2024-01-01-01:00", raise_on_error=False
    )
    statuses = {instance.get_run_by_id(one.run_id).status for one in (ok, red)}
    assert statuses == {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
    assert statuses < set(private.FINISHED_STATUSES)
    assert dg.DagsterRunStatus.STARTED not in private.FINISHED_STATUSES


def test_a_partitioned_run_carries_the_tag_that_names_its_partition(
    instance: dg.DagsterInstance,
) -> None:
    made = dg.materialize([hourly], instance=instance, partition_key="2024-01-01-00:00")
    run = instance.get_run_by_id(made.run_id)
    assert run is not None
    assert run.tags[private.PARTITION_NAME_TAG] == "2024-01-01-00:00"


def test_a_run_over_a_range_of_partitions_is_named_by_two_tags() -> None:
    asked: dict[str, Any] = {}

    @dg.asset(partitions_def=HOURS, backfill_policy=dg.BackfillPolicy.single_run())
    def ranged(context: dg.AssetExecutionContext) -> None:
        asked["keys"] = context.partition_keys

    job = dg.Definitions(assets=[ranged], jobs=[dg.define_asset_job("all_of_it", "*")])
    first, last = "2024-01-01-00:00", "2024-01-01-02:00"
    tags = {
        private.ASSET_PARTITION_RANGE_START_TAG: first,
        private.ASSET_PARTITION_RANGE_END_TAG: last,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        job.resolve_job_def("all_of_it").execute_in_process(instance=instance, tags=tags)
    assert [asked["keys"][0], asked["keys"][-1], len(asked["keys"])] == [first, last, 3]


def test_a_run_of_this_process_is_known_as_one_of_its_job() -> None:
    """By the tag that the UI's timeline asks for; and the daemon does not try it again."""

    @dg.op
    def nothing() -> None: ...

    @dg.job
    def known() -> None:
        nothing()

    with dg.DagsterInstance.ephemeral() as instance:
        with private.registered(instance, "known", "skyops"):
            done = known.execute_in_process(instance=instance)
        unknown = known.execute_in_process(instance=instance)
        shown = instance.get_runs(
            dg.RunsFilter(tags={".dagster/repository": "__repository__@skyops"})
        )
        assert [run.run_id for run in shown] == [done.run_id] != [unknown.run_id]
        assert shown[0].remote_job_origin.location_name == "skyops"
    assert private.MAX_RETRIES_TAG == "dagster/max_retries"


@pytest.mark.parametrize(("name", "is_reserved"), [("__ASSET_JOB", True), ("main", False)])
def test_the_job_of_the_ui_s_button_is_told_from_ours(name: str, is_reserved: bool) -> None:
    assert private.is_reserved_asset_job_name(name) is is_reserved


def test_the_graph_names_ancestors_and_blocking_checks() -> None:
    @dg.asset
    def above() -> None: ...

    @dg.asset(deps=[above])
    def below() -> None: ...

    @dg.asset_check(asset=above, blocking=True)
    def holds_up() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    graph = dg.Definitions(assets=[above, below], asset_checks=[holds_up]).resolve_asset_graph()
    assert isinstance(graph, private.BaseAssetGraph)
    assert graph.get_ancestor_asset_keys(below.key) == {above.key}
    (check,) = graph.get(above.key).check_keys
    assert graph.get(check).blocking


def test_the_names_of_tags_are_those_that_dagster_writes() -> None:
    """Of these two nothing here can be made to write them: a code server and a daemon do."""
    assert private.GRPC_INFO_TAG == ".dagster/grpc_info"
    assert private.WILL_RETRY_TAG == "dagster/will_retry"


def test_a_wait_within_a_run_can_be_terminated() -> None:
    """What came before it, too: Dagster keeps interrupts back between two steps."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with capture_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
            interrupted = pytest.raises(dg.DagsterExecutionInterruptedError)
            with interrupted, private.raise_execution_interrupts():
                time.sleep(5)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_instance_without_postgres_has_no_address(instance: dg.DagsterInstance) -> None:
    assert private.storage_url(instance) is None
