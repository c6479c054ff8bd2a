"""Ticks of the sensor `alerts` on a Dagster instance."""

from __future__ import annotations

from typing import Any

import dagster as dg


class Ticks:
    """The sensor's ticks, with its cursor between them."""

    def __init__(self, repository: Any, instance: dg.DagsterInstance) -> None:
        self.repository, self.instance = repository, instance
        self.cursor: str | None = None
        self()

    def __call__(self) -> str:
        from skyops_assets.defs.resources import WarehouseResource

        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.repository,
            resources={"warehouse": WarehouseResource()},
        )
        found = self.repository.get_sensor_def("alerts").evaluate_tick(context)
        self.cursor = found.cursor
        return str(found.skip_message)
