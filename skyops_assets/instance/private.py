"""Every part of Dagster that SkyOps uses and that Dagster does not promise to keep.

Belongs here: names from `dagster._*` and methods of its storages that no public interface offers,
each with why it is needed. The one place to look at an upgrade: `tests/automation/test_private.py`
holds each of them to what SkyOps expects. Does not: anything that the public interface can do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.assets.job.asset_job import is_reserved_asset_job_name
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.errors import raise_execution_interrupts
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.cloud_storage_compute_log_manager import (
    PollingComputeLogSubscriptionManager as PollingSubscriptions,
)
from dagster._core.storage.cloud_storage_compute_log_manager import (
    TruncatingCloudStorageComputeLogManager as CloudLogManager,
)
from dagster._core.storage.compute_log_manager import (
    CapturedLogSubscription,
    ComputeIOType,
    ComputeLogManager,
)
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.local_compute_log_manager import (
    IO_TYPE_EXTENSION,
    LocalComputeLogManager,
)
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    GRPC_INFO_TAG,
    MAX_RETRIES_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)
from dagster._serdes import ConfigurableClassData

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "FINISHED_STATUSES",
    "GRPC_INFO_TAG",
    "IO_TYPE_EXTENSION",
    "MAX_RETRIES_TAG",
    "PARTITION_NAME_TAG",
    "WILL_RETRY_TAG",
    "BaseAssetGraph",
    "CapturedLogSubscription",
    "CloudLogManager",
    "ComputeIOType",
    "ComputeLogManager",
    "ConfigurableClassData",
    "LocalComputeLogManager",
    "PollingSubscriptions",
    "failed_partitions",
    "has_process",
    "index_connection",
    "is_reserved_asset_job_name",
    "latest_by_partition",
    "latest_check_result",
    "raise_execution_interrupts",
    "registered",
    "show_automation_as_on",
    "start_code_servers_with",
    "storage_url",
]


@contextmanager
def index_connection(instance: dg.DagsterInstance) -> Iterator[Connection]:
    """A connection to the tables of Dagster's event log; it commits by itself."""
    storage = instance.event_log_storage
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        yield connection


def storage_url(instance: dg.DagsterInstance) -> str | None:
    """The address of the Postgres that has the instance's runs; None where it is no Postgres."""
    return getattr(instance.run_storage, "postgres_url", None)


def has_process(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a process has begun on a run, whichever launcher started it: it says so at once."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return any(one.message.startswith("Started process for run") for one in events)


def latest_by_partition(
    instance: dg.DagsterInstance, key: dg.AssetKey, kind: dg.DagsterEventType
) -> dict[str, int]:
    """The number of the latest event of a kind for each partition of an asset that has one."""
    return dict(instance.get_latest_storage_id_by_partition(key, kind))


def latest_check_result(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey
) -> tuple[bool, float] | None:
    """Whether a check passed when it was last evaluated, and when; None where that is not known."""
    record = instance.get_latest_asset_check_evaluation_record(key)
    # The latest may be planned only, in a run that goes on or has failed.
    found = record.evaluation if record else None
    if record is None or record.event is None or not isinstance(found, dg.AssetCheckEvaluation):
        return None
    return found.passed, record.event.timestamp


def failed_partitions(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partitions: dg.TimeWindowPartitionsDefinition,
) -> list[str]:
    """The partitions of an asset whose last try failed, sorted.

    Not `get_status_by_partition`, which looks each key up: 2.4 s for five years of hours, not 5 ms.
    """
    # Here, as it imports SQLAlchemy, which loading the graph has no need of.
    from dagster._core.storage.partition_status_cache import (
        get_and_update_asset_status_cache_value,
    )

    status = get_and_update_asset_status_cache_value(instance, key, partitions)
    subset = status.deserialize_failed_partition_subsets(partitions) if status else None
    return sorted(subset.get_partition_keys()) if subset else []


@contextmanager
def registered(instance: dg.DagsterInstance, job: str, location: str) -> Iterator[None]:
    """Within it, runs that this process makes are of a job of a code location.

    The UI's timeline and its page of a job ask for runs by their job's origin, which
    `execute_in_process` does not give.
    """
    repository = RemoteRepositoryOrigin(
        RegisteredCodeLocationOrigin(location), SINGLETON_REPOSITORY_NAME
    )
    create = partial(
        instance.create_run_for_job, remote_job_origin=RemoteJobOrigin(repository, job)
    )
    with patch.object(instance, "create_run_for_job", create):
        yield


def show_automation_as_on(instance: dg.DagsterInstance) -> None:
    """Keep the UI from saying "Auto-materialize off" on each group with an automated asset.

    It goes by a switch from before there were automation sensors, which is off in a new instance,
    which the daemon no longer asks, and which the UI offers no way to turn.
    """
    # Here, as only a running instance has need of the daemon's modules.
    from dagster._daemon.asset_daemon import (
        get_auto_materialize_paused,
        set_auto_materialize_paused,
    )

    if get_auto_materialize_paused(instance):
        set_auto_materialize_paused(instance, False)


def start_code_servers_with(arguments: Sequence[str]) -> None:
    """Let this process start the servers behind a code server by `python` and these arguments.

    It names its own command, and no option, setting or variable of Dagster another one.
    """
    from dagster._grpc import server

    def command(executable_path: str) -> Sequence[str]:
        return [executable_path, *arguments]

    server.get_python_environment_entry_point = command
