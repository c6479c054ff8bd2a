"""Where the output of runs is kept: Dagster's folder, or `compute_logs` in `SKYOPS_STORE`.

Belongs here: which of Dagster's managers has it. Does not: how long (`retention`).
"""

from __future__ import annotations

from typing import Any

from skyops_assets.instance.private import (
    ComputeLogManager,
    ConfigurableClassData,
    LocalComputeLogManager,
)
from skyops_assets.settings import load_settings
from skyops_assets.store import COMPUTE_LOGS, S3


class ComputeLogs(LocalComputeLogManager):
    """What dagster.yaml names; it makes the manager that the settings ask for."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]
    ) -> ComputeLogManager:
        """Dagster's own manager of a folder, or of a bucket."""
        store = load_settings().store
        if store is None:
            return LocalComputeLogManager(inst_data=inst_data, **config_value)
        if not store.startswith(S3):
            return LocalComputeLogManager(f"{store}/{COMPUTE_LOGS}", inst_data=inst_data)
        from dagster_aws.s3 import S3ComputeLogManager

        bucket, _, prefix = store.removeprefix(S3).partition("/")
        # boto3 takes AWS' variables by itself.
        return S3ComputeLogManager(
            bucket, prefix=f"{prefix}/{COMPUTE_LOGS}".lstrip("/"), inst_data=inst_data
        )
