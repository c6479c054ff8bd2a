"""Commands of the live lane."""

from __future__ import annotations

from datetime import datetime

from skyops_assets.cli.app import app
from skyops_assets.cli.output import out, prepare
from skyops_assets.errors import SkyOpsError


@app.command()
def follow() -> None:
    """Bring the live models and predictions up to date as positions come, until stopped."""
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

    def on_pass(one: lane.Pass) -> None:
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
        say("Starting again, as the memory has grown or the models have changed.")
        lane.start_again()
