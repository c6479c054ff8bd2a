"""Commands of the monitoring: a verdict now, and the calibration of the alarms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from skyops_assets.arrivals.features import RING_NM
from skyops_assets.cli.app import app
from skyops_assets.cli.output import JsonOption, RingOption, err, out, prepare, print_json

monitor = typer.Typer(
    help="Evaluate the champion, request a retraining, or calibrate the alarms.",
    no_args_is_help=True,
)
app.add_typer(monitor, name="monitor")


@monitor.command("run")
def run_monitor(
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Also request a retraining; `skyops up` starts it.")
    ] = False,
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Log a verdict on the champion and write the drift report.

    A failed blocking check on the training data prevents a retraining, as in the job.
    """
    from skyops_assets.client import failed_checks_now
    from skyops_assets.monitoring import policy, report
    from skyops_assets.monitoring.monitor import monitor_champion

    settings, warehouse = prepare()
    with err.status("Evaluating the checks and the champion"):
        found = monitor_champion(
            warehouse,
            settings,
            ring_nm=ring,
            request=policy.BUTTON if retrain else None,
            quality_failures=failed_checks_now(),
        )
    page = report.publish(warehouse, settings, found)
    if as_json:
        print_json({"verdict": found.verdict, "decision": found.decision, "report": page})
        return
    out.print(f"{found.verdict}; {found.decision.sentence}", markup=False)
    out.print(f"The report is {page}", markup=False, soft_wrap=True)


@monitor.command("calibrate")
def calibrate_monitor(  # noqa: PLR0917
    start: Annotated[datetime, typer.Option("--from", help="First moment of the period, UTC.")],
    end: Annotated[datetime, typer.Option("--to", help="End of the period, UTC, exclusive.")],
    trials: Annotated[int, typer.Option(min=1, help="Pairs of undisturbed windows.")] = 100,
    power: Annotated[int, typer.Option(min=1, help="Pairs of windows per disturbance.")] = 25,
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Measure the alarms' false alarms and power on arrivals of a period known to be calm."""
    from skyops_assets.arrivals import features
    from skyops_assets.arrivals.store import inputs
    from skyops_assets.backtest.alarm_calibration import calibrate

    settings, warehouse = prepare()
    rows, _ = features.usable_arrivals(
        inputs.read_arrivals(warehouse, ring, with_simulated=settings.learn_from_simulated)
    )
    names = ("disturbance", "pairs", "windows over the drift limit", "skill alarms", "detected")
    table = Table(*names, "columns most often beyond")
    found = calibrate(
        rows,
        start.replace(tzinfo=UTC),
        end.replace(tzinfo=UTC),
        false_alarm_trials=trials,
        power_trials=power,
        policy=settings.retrain_policy,
    )
    if as_json:
        print_json(list(found))
        return
    for one in found:
        most = sorted(one.columns, key=lambda name: -one.columns[name])[:3]
        table.add_row(
            one.disturbance,
            str(one.trials),
            f"{one.drift_windows} of {2 * one.trials}",
            str(one.skill_alarms),
            f"{one.found / one.trials:.0%}",
            ", ".join(most),
        )
    out.print(table)
