"""Sensors that watch runs."""

import dagster as dg

from skyops_assets.defs.resources import WarehouseResource


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=30)
def run_failures_to_audit_log(
    context: dg.RunFailureSensorContext, warehouse: WarehouseResource
) -> None:
    """Writes every failed run to `audit.monitoring_log`, once, with its error."""
    from skyops_assets.monitoring.log import record_run_failure

    record_run_failure(
        warehouse.open(),
        run_id=context.dagster_run.run_id,
        job=context.dagster_run.job_name,
        error=context.failure_event.message or "the run failed without a message",
    )
