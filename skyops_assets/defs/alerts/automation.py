"""The sensor that tells people: of failed runs and checks, champions, and a fallen R2."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from skyops_assets.alerts.problems import Observation, of_check, of_run
from skyops_assets.defs.live.checks import watch_lane
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNERS
from skyops_assets.instance.events import cause, newest_event, steps_of
from skyops_assets.instance.private import is_reserved_asset_job_name

AT_ONCE = 500
"""Events of each kind that one tick looks at: more wait for the next, so that it takes below 1 s
(measured: 0.9 s for 1,000 checks, 0.1 to 0.3 s for none, with a million events behind them)."""
KINDS = (
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
)
CHAMPIONS = dg.AssetKey(["ml", "promotion_decisions"])


@dg.sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Send alerts to log, webhook and e-mail: once when a problem begins, and once when "
    "it ends.",
)
def alerts(context: dg.SensorEvaluationContext, warehouse: WarehouseResource) -> dg.SkipReason:
    """Tells of what happened since the last tick, and again what a channel did not take.

    The cursor moves when all of it is in `audit.alerts`; a tick that failed before is repeated.
    """
    from skyops_assets.alerts import store

    database, settings = warehouse.open(), warehouse.settings
    if context.cursor is None:
        # What was before the first tick is no news.
        changes, log = store.newest(database)
        events = {kind.value: newest_event(context.instance, kind) for kind in KINDS}
        context.update_cursor(json.dumps({"champion": changes, "monitoring": log, **events}))
        return dg.SkipReason("Alerts start now: earlier events raise none.")
    # Here, as somebody looks every 30 s anyway: what it reports is told of below.
    watch_lane(context.instance, database)
    cursor = json.loads(context.cursor)
    owners = _owners(context)
    observations: list[Observation] = []
    for kind in KINDS:
        records = context.instance.event_log_storage.get_event_records(
            dg.EventRecordsFilter(kind, after_cursor=cursor[kind.value]),
            limit=AT_ONCE,
            ascending=True,
        )
        for record in records:
            observations += _observed(context.instance, record, owners, settings.alert_warn_checks)
            cursor[kind.value] = record.storage_id
    responsible = owners.get(CHAMPIONS, tuple(OWNERS))
    changed, cursor["champion"] = store.champion_changes_after(
        database, cursor["champion"], responsible
    )
    fallen, cursor["monitoring"] = store.r2_after(
        database, cursor["monitoring"], settings.alert_r2_floor, responsible
    )
    noted = store.note(database, settings, [*observations, *changed, *fallen])
    context.update_cursor(json.dumps(cursor))
    sent = store.deliver(database, settings)
    failed = "".join(f" {channel}: {error}" for channel, error in sent.failures.items())
    return dg.SkipReason(
        f"{noted.opened} new, {noted.recovered} recovered, {sent.arrived} notices sent.{failed}"
    )


def _owners(context: dg.SensorEvaluationContext) -> dict[dg.AssetKey, tuple[str, ...]]:
    """The assets that have owners."""
    if context.repository_def is None:
        return {}
    graph = context.repository_def.asset_graph
    nodes = (graph.get(key) for key in graph.get_all_asset_keys())
    return {node.key: tuple(node.owners) for node in nodes if node.owners}


def _observed(
    instance: dg.DagsterInstance,
    record: dg.EventLogRecord,
    owners: dict[dg.AssetKey, tuple[str, ...]],
    warn_checks: Sequence[str],
) -> list[Observation]:
    entry = record.event_log_entry
    event = entry.dagster_event
    assert event is not None
    at = datetime.fromtimestamp(entry.timestamp, UTC)
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        found = event.asset_check_evaluation_data
        seen = of_check(
            found.asset_key.to_user_string(),
            found.check_name,
            at,
            is_passed=found.passed,
            is_error=found.severity == dg.AssetCheckSeverity.ERROR,
            description=found.description,
            run_id=entry.run_id,
            owners=owners.get(found.asset_key, tuple(OWNERS)),
            warn_checks=warn_checks,
        )
        return [seen] if seen else []
    return _of_run(instance, event, entry.run_id, at, owners)


def _of_run(
    instance: dg.DagsterInstance,
    event: dg.DagsterEvent,
    run_id: str,
    at: datetime,
    owners: dict[dg.AssetKey, tuple[str, ...]],
) -> list[Observation]:
    """A run's end, and each of its steps that did what it was to."""
    job = event.job_name
    done = steps_of(instance, run_id, dg.DagsterEventType.STEP_SUCCESS)
    green = [of_run(job, run_id, at, None, OWNERS, step=str(step.step_key)) for step in done]
    if event.event_type == dg.DagsterEventType.RUN_SUCCESS:
        return [of_run(job, run_id, at, None, OWNERS), *green]
    steps = steps_of(instance, run_id)
    # The check that stopped a run is an alert of its own, and its owner's.
    errors = [step.step_failure_data.error for step in steps]
    broken = [
        step
        for step, error in zip(steps, errors, strict=True)
        if error is None or error.cls_name != "DagsterAssetCheckFailedError"
    ]
    if steps and not broken:
        return green
    by_step = {"__".join(key.path): names for key, names in owners.items()}

    def red(of: Sequence[dg.DagsterEvent], name: str | None = None) -> Observation:
        said = [f"{step.step_key}: {cause(step)}" for step in of] or [event.message or "no message"]
        responsible = dict.fromkeys(
            owner for step in of for owner in by_step.get(str(step.step_key), ())
        )
        return of_run(job, run_id, at, said, list(responsible) or OWNERS, step=name)

    if steps and is_reserved_asset_job_name(job):
        return [*green, *(red([step], str(step.step_key)) for step in broken)]
    return [*green, red(steps)]
