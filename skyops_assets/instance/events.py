"""Reads Dagster's event log: failed steps, the error to show, where a sensor begins.

Belongs here: questions to the log of an instance. Does not: what is done about the answers.
"""

from __future__ import annotations

import dagster as dg

from skyops_assets.warehouse.trouble import explain_text


def cause(event: dg.DagsterEvent) -> str:
    """The error at the root of a step's failure, which is the one that a person should read."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    said = error.message.strip() if error else event.message or "failed"
    return explain_text(said) or said


def steps_of(
    instance: dg.DagsterInstance,
    run_id: str,
    kind: dg.DagsterEventType = dg.DagsterEventType.STEP_FAILURE,
) -> list[dg.DagsterEvent]:
    """The steps of a run that failed, or ended otherwise."""
    logs = instance.all_logs(run_id, of_type=kind)
    return [log.dagster_event for log in logs if log.dagster_event]


def newest_event(instance: dg.DagsterInstance, kind: dg.DagsterEventType) -> int:
    """The number of the last event of a kind, where a sensor begins; 0 where there is none."""
    records = instance.event_log_storage.get_event_records(dg.EventRecordsFilter(kind), limit=1)
    return records[0].storage_id if records else 0
