"""What there is of for each ring: one recipe, one loop and one gate, with the ring a parameter.

Belongs here: making an asset or a check of each ring from one function, and doing something for
every ring. Does not: what is done.
"""

from collections.abc import Callable, Mapping
from inspect import cleandoc
from typing import Any, TypeVar

import dagster as dg

from skyops_assets.arrivals.features import RINGS_NM, named
from skyops_assets.defs.policies import placed
from skyops_assets.defs.resources import WarehouseResource
from skyops_assets.defs.shared import OWNED, as_metadata
from skyops_assets.errors import SkyOpsError

T = TypeVar("T")
AssetWork = Callable[..., dg.MaterializeResult]
"""Called with the context, the warehouse, the ring, and its config where it has one."""
CheckWork = Callable[[WarehouseResource, int], dg.AssetCheckResult]


def ring_key(name: str, ring_nm: int) -> dg.AssetKey:
    """An asset of the model stage, whose table holds rows of every ring."""
    return dg.AssetKey(["ml", named(name, ring_nm)])


def asset_of_each_ring(
    *, after: dg.AssetKey | str, kinds: set[str], config: type[dg.Config] | None = None
) -> Callable[[AssetWork], list[dg.AssetsDefinition]]:
    """An asset of each ring, called as the function is; ``tag:ring=100nm`` finds a ring's.

    Args:
        after: what it is made from: a key, or the name of the same ring's asset.
        config: what a person may choose for a run.
    """

    def build(work: AssetWork) -> list[dg.AssetsDefinition]:
        def of(ring_nm: int) -> dg.AssetsDefinition:
            asset = dg.asset(
                **placed(*ring_key(work.__name__, ring_nm).path),
                deps=[ring_key(after, ring_nm) if isinstance(after, str) else after],
                kinds=kinds,
                tags={"ring": f"{ring_nm}nm"},
                description=_description(work, ring_nm),
            )

            def plain(
                context: dg.AssetExecutionContext, warehouse: WarehouseResource
            ) -> dg.MaterializeResult:
                return work(context, warehouse, ring_nm)

            if config is None:
                return asset(plain)

            def chosen(
                context: dg.AssetExecutionContext,
                config: config,  # type: ignore[valid-type]
                warehouse: WarehouseResource,
            ) -> dg.MaterializeResult:
                return work(context, warehouse, ring_nm, config)

            return asset(chosen)

        return [of(ring_nm) for ring_nm in RINGS_NM]

    return build


def check_of_each_ring(
    asset: dg.AssetKey | str, *, blocking: bool = False
) -> Callable[[CheckWork], list[dg.AssetChecksDefinition]]:
    """A check of each ring, called as the function is.

    Args:
        asset: the name of the ring's own asset; or the key of one for all rings, whose checks are
            told apart as `named` does.
    """

    def build(work: CheckWork) -> list[dg.AssetChecksDefinition]:
        def of(ring_nm: int) -> dg.AssetChecksDefinition:
            is_own, name = isinstance(asset, str), work.__name__

            @dg.asset_check(
                asset=ring_key(asset, ring_nm) if isinstance(asset, str) else asset,
                name=name if is_own else named(name, ring_nm),
                blocking=blocking,
                description=_description(work, ring_nm),
                metadata=OWNED,
            )
            def check(warehouse: WarehouseResource) -> dg.AssetCheckResult:
                return work(warehouse, ring_nm)

            return check

        return [of(ring_nm) for ring_nm in RINGS_NM]

    return build


def each_ring(work: Callable[[int], T]) -> dict[int, T]:
    """What is done for every ring, by ring; one that fails holds no other up, and is told of then.

    Raises:
        SkyOpsError: several rings failed.
    """
    done, failed = {}, []
    for ring_nm in RINGS_NM:
        try:
            done[ring_nm] = work(ring_nm)
        except Exception as error:
            failed.append(error)
    if len(failed) > 1:
        raise SkyOpsError(" ".join(str(error) for error in failed)) from failed[0]
    if failed:
        raise failed[0]
    return done


def by_ring(found: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Metadata of several rings, with the ring in each name."""
    return {
        (f"{name}, {ring_nm} NM" if " " in name else named(name, ring_nm)): value
        for ring_nm, values in found.items()
        for name, value in as_metadata(values).items()
    }


def _description(work: Callable[..., Any], ring_nm: int) -> str:
    return f"{cleandoc(work.__doc__ or '')}\n\nFor the {ring_nm} NM ring."
