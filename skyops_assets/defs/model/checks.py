"""Checks on the training set and on the challenger."""

from collections.abc import Iterator

import dagster as dg

from skyops_assets.arrivals.gate.policy import LIGHTS
from skyops_assets.defs.model.assets import evaluations, training_runs, training_sets
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, as_metadata, suite_result


@dg.asset_check(asset=training_sets, blocking=True, metadata=OWNED)
def training_set_is_valid(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The Great Expectations suite `training_set` on the rows frozen last.

    Blocks training. A small set is no fault: what needs many rows is judged from 200 on, and with
    no rows training itself says that there is nothing to learn from.
    """
    from skyops_assets.arrivals.features import RING_NM
    from skyops_assets.arrivals.store.training import latest_training_set, read_snapshot
    from skyops_assets.quality.expectations import validate_parts

    settings = warehouse.settings
    frozen = latest_training_set(warehouse.open(), RING_NM)
    frame = read_snapshot(settings, frozen.fingerprint)
    note = None if len(frame) else "The training set has no rows: there is nothing to judge."
    found = validate_parts([frame], "training_set", settings.home)
    return suite_result(found, settings, note, fingerprint=frozen.fingerprint)


@dg.asset_check(asset=training_runs, blocking=True, metadata=OWNED)
def challenger_is_sound(warehouse: WarehouseResource) -> dg.AssetCheckResult:
    """The registered challenger loads, predicts 0 to 120 minutes, and can be fitted again equal.

    As ONNX it gives the same prediction and interval within 0.001 minutes, with missing values and
    unseen categories too.

    Blocks evaluation and promotion. Without enough arrivals there is no challenger, and nothing
    to find fault with.
    """
    from skyops_assets.arrivals.steps.verify import verify_challenger

    found = verify_challenger(warehouse.open(), warehouse.settings)
    no_model = "No model was trained: too few arrivals." if found.version is None else None
    return dg.AssetCheckResult(
        passed=found.problem is None,
        description=f"{found.problem}. Materialise ml/training_runs again; if it stays, look at "
        "what changed in the recipe or the libraries."
        if found.problem
        else no_model,
        metadata=as_metadata(vars(found)),
    )


@dg.multi_asset_check(
    name="gatekeeper_lights",
    specs=[
        dg.AssetCheckSpec(
            f"challenger_{light}",
            asset=evaluations,
            description=f"The gatekeeper's {light} light: docs/gatekeeper.md names its rules.",
            metadata=OWNED,
        )
        for light in LIGHTS
    ],
)
def gatekeeper_lights(warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The gatekeeper's four lights on the challenger. Red is no failure: it is not promoted."""
    from skyops_assets.arrivals.steps.promote import judge_challenger

    decision = judge_challenger(warehouse.open())
    for light, is_green in decision.lights.items():
        rules = decision.of(light)
        red = [reason.text for reason in rules if not reason.is_passed]
        yield dg.AssetCheckResult(
            check_name=f"challenger_{light}",
            asset_key=evaluations.key,
            passed=is_green,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(red) or None,
            # As text: a value with parts would be shown only after a click.
            metadata={r.rule: f"{'yes' if r.is_passed else 'no'}: {r.text}" for r in rules},
        )
