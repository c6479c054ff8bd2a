"""The job that trains, evaluates and decides; `monitoring.automation` asks for it."""

import dagster as dg

from skyops_assets.defs.features import checks as features
from skyops_assets.defs.platform.checks import PERIODIC
from skyops_assets.defs.shared import TAGS

retrain_job = dg.define_asset_job(
    "retrain",
    # With the checks of what it learns from, which were red in another run.
    selection=(
        dg.AssetSelection.groups("model", "predictions")
        | dg.AssetSelection.checks(
            features.arrival_features_columns,
            features.crossing_features_columns,
        )
    )
    - PERIODIC,
    tags=TAGS,
    description="Train a challenger, evaluate it, decide on its promotion, predict.",
)
