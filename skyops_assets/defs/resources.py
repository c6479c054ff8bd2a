"""The resources that assets, checks and sensors ask for by name."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from skyops_assets.instance.dbt_cli import LeanDbtCliResource
from skyops_assets.instance.private import BaseAssetGraph
from skyops_assets.settings import Settings, load_settings
from skyops_assets.transform.dbt import DBT_PROJECT
from skyops_assets.warehouse.connection import Warehouse, open_warehouse

Graph = Callable[[], BaseAssetGraph]
"""Gives the whole graph that an asset or a sensor is part of.

Not the context's repository: a run in a process of its own, such as the demo's, has none.
"""


class WarehouseResource(dg.ConfigurableResource):
    """The warehouse and the settings that name it, read when a step first needs them."""

    @property
    def settings(self) -> Settings:
        """The settings of this process's environment."""
        return load_settings()

    def open(self) -> Warehouse:
        """The running warehouse.

        Raises:
            SkyOpsError: it cannot be reached; the message says what to do.
        """
        return open_warehouse(self.settings)


def resources() -> dict[str, Any]:
    """What the graph runs with unless `build_defs` is given something else."""
    # Beside this Python, whether or not its folder is on the PATH.
    beside = Path(sys.executable).with_name("skyops-dbt")
    return {
        "warehouse": WarehouseResource(),
        "dbt": LeanDbtCliResource(
            project_dir=str(DBT_PROJECT),
            profiles_dir=str(DBT_PROJECT),
            dbt_executable=str(beside) if beside.exists() else "skyops-dbt",
        ),
    }
