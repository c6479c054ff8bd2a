"""dagster-dbt's resource without what costs each run seconds and serves none of ours.

Belongs here: what of dagster-dbt is overridden by private names. Does not: how SkyOps runs dbt
(`defs.transform`, `skyops-dbt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version

from dagster_dbt import DbtCliResource
from packaging.version import Version, parse


class LeanDbtCliResource(DbtCliResource):
    """Starts dbt at once: no adapter of its own, and no process that only asks dbt's version.

    Both together took 2 s of CPU a run. The adapter serves the stream's `fetch_row_counts` and
    `fetch_column_metadata`, which must therefore not be asked of it.
    """

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]
        return None

    @cached_property
    def _cli_version(self) -> Version:  # type: ignore[override]
        return parse(version("dbt-core"))
