"""dagster-dbt's resource without what costs each run seconds and serves none of ours.

Belongs here: what of dagster-dbt is overridden by private names. Does not: how SkyOps runs dbt
(`defs.transform`, `skyops-dbt`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from typing import Any
from unittest.mock import patch

from dagster_dbt import DbtCliResource
from packaging.version import Version, parse


class LeanDbtCliResource(DbtCliResource):
    """Starts dbt at once: no adapter of its own, and no process that only asks dbt's version.

    Both together took 2 s of CPU a run. The adapter serves the stream's `fetch_row_counts` and
    `fetch_column_metadata`, which must therefore not be asked of it.
    """

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override] # noqa: ARG002
        return None

    @cached_property
    def _cli_version(self) -> Version:
        return parse(version("dbt-core"))


@contextmanager
def chosen_nodes() -> Iterator[None]:
    """Within it, `@dbt_assets` chooses of a manifest without asking dbt.

    Everything, or what `select` or `exclude` names as ``fqn:project.folder``, several of them
    separated by spaces. dagster-dbt asks
    dbt-core where it is installed, which costs the import of dbt's graph and of networkx: 0.4 of
    the 1.4 s of CPU that loading the code location takes beside importing Dagster.
    """

    def select(
        select: str, exclude: str, selector: str, manifest_json: Mapping[str, Any], **_: Any
    ) -> set[str]:
        assert selector == ""
        nodes = manifest_json["nodes"]

        def within(names: str, node: Mapping[str, Any]) -> bool:
            model = nodes.get(node.get("attached_node") or "", node)
            place = f"{'.'.join(model['fqn'])}."
            assert all(name.startswith("fqn:") for name in names.split()), names
            folders = [name.removeprefix("fqn:") for name in names.split()]
            return any(folder == "*" or place.startswith(f"{folder}.") for folder in folders)

        return {
            key
            for key, node in nodes.items()
            if within(select, node) and not (exclude and within(exclude, node))
        }

    with patch("dagster_dbt.asset_utils.select_unique_ids", select):
        yield
