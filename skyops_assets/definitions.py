"""The root of the graph: every definition under ``defs/``, bound to its resources.

Importing it reads no settings and parses no dbt project: `defs` does, when Dagster loads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import dagster as dg

from skyops_assets.defs.resources import resources
from skyops_assets.garbage import collect_rarely
from skyops_assets.instance.executor import leased_executor
from skyops_assets.instance.private import BaseAssetGraph
from skyops_assets.settings import PROJECT_ROOT


def build_defs(overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Bind the graph.

    Args:
        overrides: resources by name that take the place of the usual ones, such as
            ``{"warehouse": WarehouseResource(url=dg.EnvVar("OTHER_URL"))}`` for another database.
    """

    def graph() -> BaseAssetGraph:
        return bound.resolve_asset_graph()

    bound: dg.Definitions = dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=PROJECT_ROOT),
        dg.Definitions(
            resources={
                **resources(),
                "graph": graph,
                **(overrides or {}),
            },
            # One process a run: the graph is nearly a line, and each further process would
            # import the model's libraries again (measured: 1.4 s against 14 to 80 s).
            executor=leased_executor,
        ),
    )
    return bound


@cache
def usual_defs() -> dg.Definitions:
    """The graph with its usual resources, built once a process."""
    collect_rarely()
    return build_defs()


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    return usual_defs()
