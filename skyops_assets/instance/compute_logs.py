"""Where the output of runs is kept: Dagster's folder, or `compute_logs` in `SKYOPS_STORE`.

Belongs here: which of Dagster's managers has it, and the one for a bucket. Does not: how long
(`retention`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from skyops_assets.instance.private import (
    IO_TYPE_EXTENSION,
    CapturedLogSubscription,
    CloudLogManager,
    ComputeIOType,
    ComputeLogManager,
    ConfigurableClassData,
    LocalComputeLogManager,
    PollingSubscriptions,
)
from skyops_assets.settings import load_settings
from skyops_assets.store import COMPUTE_LOGS, S3, Store, open_place

UPLOADED_EVERY_S = 30


class ComputeLogs(LocalComputeLogManager):
    """What dagster.yaml names; it makes the manager that the settings ask for."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: dict[str, Any]
    ) -> ComputeLogManager:
        """Dagster's own manager of a folder, or that of a bucket."""
        store = load_settings().store
        if store is None:
            return LocalComputeLogManager(inst_data=inst_data, **config_value)
        if not store.startswith(S3):
            return LocalComputeLogManager(f"{store}/{COMPUTE_LOGS}", inst_data=inst_data)
        return BucketLogs(open_place(f"{store}/{COMPUTE_LOGS}"), inst_data)


class BucketLogs(CloudLogManager):
    """The output of runs in a bucket: a step's when it ends, and what there is every half minute.

    dagster-aws has such a manager; where it is installed, each process of Dagster loads all of its
    components at its start, which takes longer than the whole graph of SkyOps.
    """

    def __init__(self, store: Store, inst_data: ConfigurableClassData | None = None) -> None:
        """Capture into a folder of this process, and upload below the root of ``store``."""
        self._store, self._inst_data = store, inst_data
        self._folder = tempfile.TemporaryDirectory(prefix="skyops-logs-")
        self._local = LocalComputeLogManager(self._folder.name)
        self._subscriptions = PollingSubscriptions(self)
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What dagster.yaml has."""
        return self._inst_data

    @property
    def local_manager(self) -> LocalComputeLogManager:
        """The folder of this process."""
        return self._local

    @property
    def upload_interval(self) -> int:
        """Seconds."""
        return UPLOADED_EVERY_S

    @staticmethod
    def _name(log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False) -> str:
        ending = f"{IO_TYPE_EXTENSION[io_type]}{'.partial' if partial else ''}"
        return f"{'/'.join(log_key)}.{ending}"

    def delete_logs(
        self, log_key: Sequence[str] | None = None, prefix: Sequence[str] | None = None
    ) -> None:
        """Remove the output of one step, or all below a prefix."""
        self._local.delete_logs(log_key=log_key, prefix=prefix)
        if log_key:
            names = [
                self._name(log_key, io_type, partial)
                for io_type in ComputeIOType
                for partial in (False, True)
            ]
        else:
            names = [file.name for file in self._store.files("/".join(prefix or ()))]
        for name in names:
            self._store.delete(name)

    def download_url_for_type(self, log_key: Sequence[str], io_type: ComputeIOType) -> None:
        """None: the UI shows the output itself, and a bucket is not open to browsers."""

    def display_path_for_type(self, log_key: Sequence[str], io_type: ComputeIOType) -> str:
        """The address of the object."""
        return self._store.address(self._name(log_key, io_type))

    def cloud_storage_has_logs(
        self, log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False
    ) -> bool:
        """Whether the bucket has what a step has said."""
        return self._store.find(self._name(log_key, io_type, partial)) is not None

    def _upload_file_obj(
        self,
        data: IO[bytes],
        log_key: Sequence[str],
        io_type: ComputeIOType,
        partial: bool = False,
    ) -> None:
        self._store.write(self._name(log_key, io_type, partial), data.read())

    def download_from_cloud_storage(
        self, log_key: Sequence[str], io_type: ComputeIOType, partial: bool = False
    ) -> None:
        """Have it in the folder of this process, where Dagster reads it."""
        said = self._store.read(self._name(log_key, io_type, partial)) or b""
        path = Path(
            self._local.get_captured_local_path(
                log_key, IO_TYPE_EXTENSION[io_type], partial=partial
            )
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(said)

    def get_log_keys_for_log_key_prefix(
        self, log_key_prefix: Sequence[str], io_type: ComputeIOType
    ) -> list[list[str]]:
        """The steps of which there is output below a prefix."""
        ending = f".{IO_TYPE_EXTENSION[io_type]}"
        return [
            file.name.removesuffix(ending).split("/")
            for file in self._store.files("/".join(log_key_prefix))
            if file.name.endswith(ending)
        ]

    def on_subscribe(self, subscription: CapturedLogSubscription) -> None:
        """Send to a page what there is, every few seconds."""
        self._subscriptions.add_subscription(subscription)

    def on_unsubscribe(self, subscription: CapturedLogSubscription) -> None:
        """The page was closed."""
        self._subscriptions.remove_subscription(subscription)

    def dispose(self) -> None:
        """Remove the folder of this process."""
        self._subscriptions.dispose()
        super().dispose()
        self._folder.cleanup()
