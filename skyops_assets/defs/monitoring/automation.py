"""Sensors that watch runs."""

import dagster as dg

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import cause


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    # The runs of `skyops demo` too, which come from no code location.
    monitor_all_code_locations=True,
)
def run_failures_to_audit_log(
    context: dg.RunFailureSensorContext, warehouse: WarehouseResource
) -> None:
    """Writes every failed run to `audit.monitoring_log`, once, with its error."""
    from skyops_assets.monitoring.log import record_run_failure

    steps = [f"{event.step_key}: {cause(event)}" for event in context.get_step_failure_events()]
    record_run_failure(
        warehouse.open(),
        run_id=context.dagster_run.run_id,
        job=context.dagster_run.job_name,
        error="\n".join(steps) or context.failure_event.message or "no message",
    )
