"""What is asked of Dagster: run the main job, report loads, look at runs and daemons."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from skyops_assets.defs.shared import as_metadata
from skyops_assets.errors import SkyOpsError
from skyops_assets.instance.check_results import failed_checks
from skyops_assets.instance.events import cause
from skyops_assets.instance.executor import leased
from skyops_assets.instance.private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    MAX_RETRIES_TAG,
    registered,
)
from skyops_assets.instance.processes import heartbeats
from skyops_assets.instance.repair import LOCATION

if TYPE_CHECKING:
    from skyops_assets.arrivals.models.champions import ChampionSwitch

DEMO = {"skyops/by": "demo"}

OnEvent = Callable[[str, str], None]
"""Called with (kind, name): ("assets", how many there are), ("start", step), ("asset", key),
("failed check", name)."""


@dataclass(frozen=True)
class FinishedRun:
    """How a run ended.

    Attributes:
        failures: one line per failed step, with the error that a person should read.
    """

    run_id: str
    is_success: bool
    failures: list[str]


def run_main(
    start: datetime, end: datetime, on_event: OnEvent, recording: str | None = None
) -> FinishedRun:
    """Materialise the whole graph for the hours from ``start`` to ``end`` (exclusive), as one run.

    The caller holds the warehouse's lock "skyops.demo".

    Args:
        recording: what the hours are read from: a path, or `demo`; None takes SKYOPS_RECORDING.

    Raises:
        KeyboardInterrupt: a person stopped it; the run is told of as failed.
    """
    # In this order: the definitions load their parts without a word about what is beta.
    from skyops_assets.definitions import usual_defs
    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.raw.partitions import HOURS

    hours = HOURS.get_partition_keys_in_time_window(dg.TimeWindow(start, end))
    states = {"config": {"recording": recording}}
    with dg.DagsterInstance.get() as instance:
        _end_dead_runs(instance)
        return _execute(
            instance,
            usual_defs().resolve_job_def("main"),
            on_event,
            run_config={"ops": {opensky_states.op.name: states}},
            tags={
                **DEMO,
                ASSET_PARTITION_RANGE_START_TAG: hours[0],
                ASSET_PARTITION_RANGE_END_TAG: hours[-1],
            },
        )


def run_references(on_event: OnEvent) -> FinishedRun:
    """Load airports and runways, as one run.

    Raises:
        KeyboardInterrupt: a person stopped it.
    """
    from skyops_assets.definitions import usual_defs
    from skyops_assets.defs.raw.assets import airports, runways

    job = usual_defs().resolve_job_def("main")
    job = job.get_subset(asset_selection={airports.key, runways.key})
    with dg.DagsterInstance.get() as instance:
        return _execute(instance, job, on_event)


def run_operator_inputs(on_event: OnEvent) -> FinishedRun:
    """Load all kinds of operators' files and check their accounts, as one run.

    Raises:
        KeyboardInterrupt: a person stopped it.
    """
    from skyops_assets.definitions import usual_defs
    from skyops_assets.defs.operator.assets import OPERATOR_INPUTS

    job = usual_defs().resolve_job_def("main")
    job = job.get_subset(asset_selection={asset.key for asset in OPERATOR_INPUTS})
    with dg.DagsterInstance.get() as instance:
        return _execute(instance, job, on_event)


def run_refresh(on_event: OnEvent) -> FinishedRun:
    """Rebuild all that follows from what is loaded, as one run; as the hourly schedule does.

    Raises:
        SkyOpsError: nothing has been loaded yet.
        KeyboardInterrupt: a person stopped it.
    """
    from skyops_assets.definitions import usual_defs
    from skyops_assets.defs.raw.automation import HISTORY_KEY, RAW
    from skyops_assets.defs.transform.automation import materialise_observed, without_positions

    defs = usual_defs()
    job = defs.resolve_job_def("refresh")
    with dg.DagsterInstance.get() as instance:
        materialise_observed(instance)
        if instance.get_latest_materialization_event(RAW) is None:
            if instance.get_latest_materialization_event(HISTORY_KEY) is None:
                raise SkyOpsError(
                    "Nothing has been loaded yet: load recordings (skyops load) or collect live "
                    "positions (skyops collect)."
                )
            assets, checks = without_positions(defs.resolve_asset_graph())
            job = job.get_subset(asset_selection=assets, asset_check_selection=checks)
        return _execute(instance, job, on_event)


def run_reprocess(since: str, until: str, on_event: OnEvent) -> FinishedRun:
    """Compute a range of hours again, and what follows from it, as one run.

    Raises:
        KeyboardInterrupt: a person stopped it.
    """
    from skyops_assets.definitions import usual_defs
    from skyops_assets.defs.transform.assets import REPROCESS, dbt_models

    job = usual_defs().resolve_job_def(REPROCESS)
    chosen = {dbt_models.op.name: {"config": {"since": since, "until": until}}}
    with dg.DagsterInstance.get() as instance:
        return _execute(instance, job, on_event, run_config={"ops": chosen})


def _execute(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    on_event: OnEvent,
    *,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, Any] | None = None,
) -> FinishedRun:
    """Run a job in this process."""
    run_id = str(uuid4())
    on_event("assets", str(len(set(job.asset_layer.executable_asset_keys))))
    instance.add_event_listener(run_id, lambda entry: _tell(entry, on_event))
    try:
        with registered(instance, job.name, LOCATION), leased(instance, run_id):
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                run_config={
                    "loggers": {"console": {"config": {"log_level": "INFO"}}},
                    **(run_config or {}),
                },
                # Whoever started it sees how it ends: the daemon is not to try it again.
                tags={MAX_RETRIES_TAG: "0", **(tags or {})},
            )
    except dg.DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    failures = [
        f"{event.step_key}: {cause(event)}"
        for event in result.all_events
        if event.event_type == dg.DagsterEventType.STEP_FAILURE
    ]
    if any(dg.DagsterExecutionInterruptedError.__name__ in failure for failure in failures):
        # Met within a step, it is a step's failure.
        raise KeyboardInterrupt
    return FinishedRun(run_id, result.success, failures)


def _end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Fail what earlier demos left unfinished: this one holds the lock, so they are dead."""
    unfinished = dg.RunsFilter(
        tags=DEMO, statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    )
    for run in instance.get_runs(unfinished):
        instance.report_run_failed(run, "The process ended before the run was complete.")


def report_loaded(
    hours: Mapping[datetime, Mapping[str, Any]], by: str, *, is_live: bool = False
) -> list[datetime]:
    """Tell Dagster that hours of raw/opensky_states were loaded outside of a run.

    Args:
        hours: the start of each hour (UTC) and what is to be shown of it.
        by: what loaded them.
        is_live: positions as they come, again and again. They are observations, which leave the
            results of the checks as they are; the hourly refresh makes materialisations of them.

    Returns:
        The hours that the graph does not show, as they are no partitions. They are reported all the
        same: what follows from them is to be built.
    """
    from skyops_assets.defs.raw.assets import opensky_states
    from skyops_assets.defs.raw.partitions import HOURS

    unshown = []
    event = dg.AssetObservation if is_live else dg.AssetMaterialization
    with dg.DagsterInstance.get() as instance:
        for hour, shown in sorted(hours.items()):
            key = hour.astimezone(UTC).strftime(HOURS.fmt)
            if not HOURS.has_partition_key(key):
                unshown.append(hour)
            shown_by = as_metadata({**shown, "loaded_by": by})
            instance.report_runless_asset_event(
                event(opensky_states.key, partition=key, metadata=shown_by)
            )
    return unshown


def report_passes(shown: Mapping[str, Any]) -> None:
    """Tell Dagster what `skyops follow` did since it last told."""
    from skyops_assets.defs.live.checks import FEED

    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(dg.AssetObservation(FEED, metadata=as_metadata(shown)))


def report_champion(moved: "ChampionSwitch") -> None:
    """Tell Dagster that a person changed the champion, so that what follows from it follows.

    As a materialisation, for automation does not see observations.
    """
    from skyops_assets.defs.rings import ring_key

    shown = {
        "decision": f"{moved.action} by hand: version {moved.after} is champion",
        "champion_version": moved.after,
        "champion_version_before": moved.before,
        "changed_by": moved.actor,
        "reason": moved.reason,
    }
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                ring_key("promotion_decisions", moved.ring_nm), metadata=as_metadata(shown)
            )
        )


def failed_checks_now() -> tuple[str, ...]:
    """The blocking checks of what the model learns from whose last result is a failure."""
    from skyops_assets.definitions import usual_defs

    training_sets = dg.AssetKey(["ml", "training_sets"])
    with dg.DagsterInstance.get() as instance:
        return failed_checks(instance, usual_defs().resolve_asset_graph(), training_sets)


def last_runs(limit: int = 5) -> list[dict[str, Any]]:
    """The newest runs, the latest first: run_id, job, status, started_at, ended_at (UTC, ISO)."""
    with dg.DagsterInstance.get() as instance:
        return [
            {
                "run_id": record.dagster_run.run_id,
                "job": record.dagster_run.job_name,
                "status": record.dagster_run.status.value,
                "started_at": _iso(record.start_time),
                "ended_at": _iso(record.end_time),
            }
            for record in instance.get_run_records(limit=limit)
        ]


def heartbeats_now() -> dict[str, datetime | None]:
    """As `heartbeats`, of this process's instance."""
    with dg.DagsterInstance.get() as instance:
        return heartbeats(instance)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _tell(entry: dg.EventLogEntry, on_event: OnEvent) -> None:
    event = entry.dagster_event
    if event is None:
        return
    kind = event.event_type
    if kind == dg.DagsterEventType.STEP_START:
        on_event("start", str(event.step_key))
    elif kind == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
        on_event("asset", event.asset_key.to_user_string())
    elif kind == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed:
            on_event("failed check", check.check_name)
