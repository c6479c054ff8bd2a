"""The jobs that train, evaluate and decide, one a ring; `monitoring.automation` asks for them."""

import dagster as dg

from skyops_assets.arrivals.features import RINGS_NM, named
from skyops_assets.defs.features import checks as features
from skyops_assets.defs.platform.checks import PERIODIC
from skyops_assets.defs.shared import TAGS
from skyops_assets.launchers import training_tags
from skyops_assets.settings import load_settings

retrain_jobs = [
    dg.define_asset_job(
        named("retrain", ring_nm),
        # With the checks of what it learns from, which were red in another run.
        selection=(
            dg.AssetSelection.tag("ring", f"{ring_nm}nm")
            | dg.AssetSelection.groups("predictions")
            | dg.AssetSelection.checks(
                features.arrival_features_columns,
                features.crossing_features_columns,
            )
        )
        - PERIODIC,
        tags=TAGS | training_tags(load_settings()),
        description=f"Train a challenger for the {ring_nm} NM ring, evaluate it, decide on its "
        "promotion and predict.",
    )
    for ring_nm in RINGS_NM
]
