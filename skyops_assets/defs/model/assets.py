"""The model loop: freeze the rows, train, evaluate, decide."""

from typing import Any

import dagster as dg
from pydantic import Field

from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.rings import asset_of_each_ring
from skyops_assets.defs.shared import as_metadata
from skyops_assets.reporting.markdown import image


class ChosenArrivals(dg.Config):
    """The arrivals to learn from; by default all. A model from a choice is promoted by a person.

    Attributes:
        airports: ICAO codes.
        since, until: ISO 8601 with a time zone; arrivals that crossed from `since` and before
        `until`.
    """

    airports: list[str] = Field([])
    since: str | None = None
    until: str | None = None


class ChosenRecipe(dg.Config):
    """The recipe to fit the challenger with; by default that in SKYOPS_RECIPE."""

    recipe: str | None = None


@asset_of_each_ring(
    after=dg.AssetKey(["features", "arrival_features"]), kinds={"parquet"}, config=ChosenArrivals
)
def training_sets(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    ring_nm: int,
    config: ChosenArrivals,
) -> dg.MaterializeResult:
    """One row per frozen training set: the arrivals of one ring, identified by a content hash."""
    from skyops_assets.arrivals.steps.train import Choice, build_training_set

    made = build_training_set(
        warehouse.open(),
        warehouse.settings,
        ring_nm=ring_nm,
        choice=Choice.of(config.airports, config.since, config.until),
        dagster_run_id=context.run.run_id,
    )
    return dg.MaterializeResult(
        metadata=as_metadata(
            {
                "dagster/row_count": made.row_count,
                "fingerprint": made.fingerprint,
                "ring_nm": made.ring_nm,
                "crossed_from_at": made.crossed_from_at,
                "crossed_through_at": made.crossed_through_at,
                "excluded": made.excluded,
                "chosen": made.chosen,
                "dbt_fingerprint": made.dbt_fingerprint,
                "features": list(made.features or ()),
                "airports": dg.MetadataValue.md(made.markdown),
                "snapshot": dg.MetadataValue.path(made.snapshot),
            }
        )
    )


@asset_of_each_ring(after="training_sets", kinds={"scikitlearn", "mlflow"}, config=ChosenRecipe)
def training_runs(
    context: dg.AssetExecutionContext,
    warehouse: WarehouseResource,
    ring_nm: int,
    config: ChosenRecipe,
) -> dg.MaterializeResult:
    """One row per training run: the challenger, fitted on the past part of the training set.

    The model itself is registered in MLflow with the alias `challenger`.
    """
    from skyops_assets.arrivals.learning import recipes
    from skyops_assets.arrivals.steps.train import train_challenger
    from skyops_assets.runtime import code_version

    made = train_challenger(
        warehouse.open(),
        warehouse.settings,
        ring_nm=ring_nm,
        recipe=recipes.named(config.recipe) if config.recipe else None,
        dagster_run_id=context.run.run_id,
        code_version=code_version(),
    )
    if made.untrained_reason:
        context.log.warning(f"No model was trained: {made.untrained_reason}")
    return dg.MaterializeResult(
        metadata=as_metadata({**vars(made), "model_card": _md(made.model_card)})
    )


@asset_of_each_ring(after="training_runs", kinds={"scikitlearn", "mlflow"})
def evaluations(
    _: dg.AssetExecutionContext, warehouse: WarehouseResource, ring_nm: int
) -> dg.MaterializeResult:
    """One row per candidate and training run: challenger, champion and baselines on the same rows.

    The metadata are the challenger's figures; minutes are errors of the landing time.
    """
    from skyops_assets.arrivals.steps.evaluate import evaluate_challenger

    found = evaluate_challenger(warehouse.open(), warehouse.settings, ring_nm=ring_nm)
    shown: dict[str, Any] = {
        "candidate": found.candidate,
        "reference": found.reference,
        "test_rows": found.test_rows,
        "scored_rows": found.scored_rows,
        **found.numbers,
        "comparison": dg.MetadataValue.md(found.markdown),
        "slices": _md(found.slices_markdown),
    }
    for name, png in found.images.items():
        title = name.removesuffix(".png")
        shown[title] = dg.MetadataValue.md(image(title, png))
    return dg.MaterializeResult(metadata=as_metadata(shown))


@asset_of_each_ring(after="evaluations", kinds={"mlflow"})
def promotion_decisions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, ring_nm: int
) -> dg.MaterializeResult:
    """One row per training run: the gatekeeper's decision, with a reason for every rule.

    A promoted version becomes champion. Not promoting is a normal outcome.
    """
    from skyops_assets.arrivals.steps.promote import decide_promotion

    made = decide_promotion(
        warehouse.open(),
        warehouse.settings,
        ring_nm=ring_nm,
        dagster_run_id=context.run.run_id,
    )
    context.log.info(made.sentence)
    if made.store_problem:
        context.log.warning(made.store_problem)
    return dg.MaterializeResult(
        metadata=as_metadata(
            {
                "is_promoted": made.is_promoted,
                "decision": made.sentence,
                "challenger_version": made.challenger_version,
                "champion_version_before": made.champion_version,
                "reasons": dg.MetadataValue.md(made.markdown),
                "model_card": _md(made.model_card),
                "store_problem": made.store_problem,
            }
        )
    )


def _md(text: str | None) -> dg.MetadataValue | None:
    return None if text is None else dg.MetadataValue.md(text)
