"""The resources that assets, checks and sensors ask for by name."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
from pydantic import SecretStr

from skyops_assets.instance.dbt_cli import LeanDbtCliResource
from skyops_assets.instance.private import BaseAssetGraph
from skyops_assets.runtime import database_variables
from skyops_assets.settings import Settings, load_settings
from skyops_assets.transform.dbt import DBT_PROJECT
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate

Graph = Callable[[], BaseAssetGraph]
"""Gives the whole graph that an asset or a sensor is part of.

Not the context's repository: a run in a process of its own, such as the demo's, has none.
"""


class WarehouseResource(dg.ConfigurableResource):
    """The warehouse and the settings that name it, read when a step first needs them.

    Attributes:
        url: another database than that of the environment, which SKYOPS_DATABASE_URL names. As
            ``dg.EnvVar``, so that the UI does not show its password.
    """

    url: str | None = None

    @property
    def settings(self) -> Settings:
        """The settings of this process's environment."""
        settings = load_settings()
        if self.url is None:
            return settings
        other = {"database_url": SecretStr(self.url), "warehouse_url": None}
        return settings.model_copy(update=other)

    def open(self) -> Warehouse:
        """The running warehouse; another one than the environment's with its schema.

        Raises:
            SkyOpsError: it cannot be reached; the message says what to do.
        """
        warehouse = open_warehouse(self.settings)
        if self.url is not None:
            migrate(warehouse)
        return warehouse

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Within it, processes that are started have this warehouse too."""
        if self.url is None:
            yield
            return
        with patch.dict(os.environ, database_variables(self.open())):
            yield


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
