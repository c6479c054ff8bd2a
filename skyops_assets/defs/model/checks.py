"""Checks on the training set and on the challenger."""

from collections.abc import Iterator

import dagster as dg

from skyops_assets.arrivals.features import RINGS_NM, named
from skyops_assets.arrivals.gate.policy import LIGHTS
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.rings import check_of_each_ring, ring_key
from skyops_assets.defs.shared import OWNED, as_metadata, suite_result


@check_of_each_ring("training_sets", blocking=True)
def training_set_is_valid(warehouse: WarehouseResource, ring_nm: int) -> dg.AssetCheckResult:
    """The Great Expectations suite `training_set` passes on the rows frozen last.

    Blocks training. A small set is not a fault: expectations that need many rows apply from 200
    rows on, and without rows the training run itself says that there is nothing to learn from.
    """
    from skyops_assets.arrivals.store.training import latest_training_set, read_snapshot
    from skyops_assets.quality.expectations import validate_parts

    settings = warehouse.settings
    frozen = latest_training_set(warehouse.open(), ring_nm)
    frame = read_snapshot(settings, frozen.fingerprint)
    note = None if len(frame) else "The training set has no rows, so there is nothing to check."
    found = validate_parts([frame], "training_set", settings)
    return suite_result(found, settings, note, fingerprint=frozen.fingerprint)


@check_of_each_ring("training_runs", blocking=True)
def challenger_is_sound(warehouse: WarehouseResource, ring_nm: int) -> dg.AssetCheckResult:
    """The registered challenger loads, predicts 0 to 120 minutes, and refits to the same model.

    Its ONNX export gives the same predictions and intervals within 0.001 minutes, also for missing
    values and unseen categories.

    Blocks evaluation and promotion. Passes if there were too few arrivals to train a challenger.
    """
    from skyops_assets.arrivals.steps.verify import verify_challenger

    found = verify_challenger(warehouse.open(), warehouse.settings, ring_nm)
    made = ring_key("training_runs", ring_nm).to_user_string()
    no_model = "No model was trained: too few arrivals." if found.version is None else None
    return dg.AssetCheckResult(
        passed=found.problem is None,
        description=f"{found.problem}. Materialise {made} again; if the problem persists, look at "
        "what changed in the recipe or the libraries."
        if found.problem
        else no_model,
        metadata=as_metadata(vars(found)),
    )


def _lights(ring_nm: int) -> dg.AssetChecksDefinition:
    key = ring_key("evaluations", ring_nm)

    @dg.multi_asset_check(
        name=named("gatekeeper_lights", ring_nm),
        specs=[
            dg.AssetCheckSpec(
                f"challenger_{light}",
                asset=key,
                description=f"The gatekeeper's {light} light for the challenger at the {ring_nm} "
                "NM ring is green. docs/gatekeeper.md lists its rules.",
                metadata=OWNED,
            )
            for light in LIGHTS
        ],
    )
    def gatekeeper_lights(warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
        """The gatekeeper's four lights for the challenger. Red is no failure: it is not promoted.

        Without enough arrivals there is no challenger, and nothing to judge.
        """
        from skyops_assets.arrivals.steps.promote import judge_challenger

        decision = judge_challenger(warehouse.open(), ring_nm=ring_nm)
        untrained = next((r.text for r in decision.failed if r.rule == "trained"), None)
        for light, is_green in decision.lights.items():
            rules = decision.of(light)
            red = [reason.text for reason in rules if not reason.is_passed]
            yield dg.AssetCheckResult(
                check_name=f"challenger_{light}",
                asset_key=key,
                passed=is_green or untrained is not None,
                severity=dg.AssetCheckSeverity.WARN,
                description=untrained or "; ".join(red) or None,
                # As text: a value with parts would be shown only after a click.
                metadata={r.rule: f"{'yes' if r.is_passed else 'no'}: {r.text}" for r in rules},
            )

    return gatekeeper_lights


gatekeeper_lights = [_lights(ring_nm) for ring_nm in RINGS_NM]
