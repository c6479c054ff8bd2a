"""Commands of the live lane."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from skyops_assets.cli.app import app
from skyops_assets.cli.output import out, prepare
from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.connection import Warehouse

REPORT_EVERY_S = 300.0
"""As the collector: at most 288 reports a day."""


class PassReports:
    """Reports to Dagster what the passes since the last report did, while the next ones go on.

    Reports after the first pass: importing Dagster later would grow the process, which restarts
    itself when it grows.
    """

    def __init__(self, warehouse: Warehouse, say: Callable[[str], None]) -> None:
        self._warehouse, self._say = warehouse, say
        self._passes = self._predictions = 0
        self._told = (0, 0)
        self._due_at = 0.0
        self._said = ""
        self._telling: threading.Thread | None = None

    def add(self, predictions: int) -> None:
        """Count a pass, and report all since the last report if one is due."""
        self._passes += 1
        self._predictions += predictions
        if time.monotonic() < self._due_at or (self._telling and self._telling.is_alive()):
            return
        self._due_at = time.monotonic() + REPORT_EVERY_S
        # Dagster's storage may be away or slow: no pass waits for it.
        self._telling = threading.Thread(
            target=self._tell, args=(self._passes, self._predictions), daemon=True
        )
        self._telling.start()

    def _tell(self, passes: int, predictions: int) -> None:
        from skyops_assets.quality.lane import feed

        try:
            from skyops_assets.client import report_passes

            counted = {
                "passes": passes - self._told[0],
                "new_predictions": predictions - self._told[1],
            }
            report_passes({**counted, **(feed(self._warehouse) or {})})
        except Exception as error:
            text = " ".join(str(error).split())
            if text != self._said:
                self._say(f"The report to Dagster failed; the next one includes it: {text}")
            self._said = text
            return
        self._said = ""
        self._told = (passes, predictions)


@app.command()
def follow() -> None:
    """Update the live models and predictions as positions arrive, until stopped."""
    settings, warehouse = prepare()
    from skyops_assets.arrivals.features import RINGS_NM
    from skyops_assets.arrivals.steps.predict import LivePredictions
    from skyops_assets.transform import follow as lane

    rings = {ring: LivePredictions(warehouse, settings, ring_nm=ring) for ring in RINGS_NM}
    made = 0

    def say(text: str) -> None:
        out.print(f"{datetime.now():%H:%M:%S} {text}", soft_wrap=True, markup=False)

    def predict() -> None:
        nonlocal made
        made = 0
        for ring, live in rings.items():
            try:
                made += live.predict().new_predictions
            except SkyOpsError as error:
                # All else is up to date all the same; the hourly run predicts as well, and fails.
                say(f"No predictions at {ring} NM: {error}")

    reports = PassReports(warehouse, say)

    def on_pass(one: lane.Pass) -> None:
        reports.add(made)
        say(
            f"models {one.dbt_s:.1f} s, {made:,} new predictions {one.after_s:.1f} s"
            + (
                f", after waiting {one.waited_s:.0f} s for another dbt run"
                if one.waited_s > 1
                else ""
            )
        )

    say("Reading the dbt project")
    try:
        lane.Follower(warehouse, settings.home, predict, say, on_pass).run()
    except lane.Stopped:
        say("Stopped.")
    except lane.Renewed:
        say("Restarting, because memory use has grown or the models have changed.")
        lane.start_again()
