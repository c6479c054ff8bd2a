"""Runs of Dagster in processes of their own, as every launcher starts them.

Belongs here: making such a run and its process, and waiting for what comes of it. Does not: what is
to come of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.code_pointer import FileCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from skyops_assets.instance.repair import LOCATION

JOB = """
import os, time
import dagster as dg
import psycopg2
from skyops_assets.instance.executor import leased_executor

def note(context, what):
    connection = psycopg2.connect(os.environ["MARKS"])
    with connection, connection.cursor() as cursor:
        cursor.execute("insert into marks values (%s, %s, clock_timestamp())",
                       (context.run_id, what))
    connection.close()

@dg.op(pool="tap")
def first(context):
    note(context, "begins")
    for _ in range(int(os.environ["TENTHS"])):
        time.sleep(0.1)
    note(context, "ends")

@dg.op(ins={"start": dg.In(dg.Nothing)})
def second(context):
    note(context, "goes on")

@dg.job(executor_def=leased_executor)
def pump():
    second(first())
"""
"""Two steps that note in a table when they write; the first takes so many tenths of a second."""
MARKS = "create table marks (run_id text, what text, at timestamptz)"


def origin(job: str, location: str = LOCATION) -> RemoteJobOrigin:
    """Of a job of a code location, by default of SkyOps' own."""
    where = RegisteredCodeLocationOrigin(location)
    return RemoteJobOrigin(RemoteRepositoryOrigin(where, "__repository__"), job)


def made(instance: dg.DagsterInstance, path: Path, job: str, **more: Any) -> dg.DagsterRun:
    """A run of a job in a file, which a launcher has just been given."""
    names: dict[str, Any] = {}
    exec(path.read_text(), names)
    code = FileCodePointer(str(path), job, str(path.parent))
    return instance.create_run_for_job(
        names[job],
        status=dg.DagsterRunStatus.STARTING,
        remote_job_origin=origin(job),
        job_code_origin=JobPythonOrigin(job, RepositoryPythonOrigin(sys.executable, code)),
        **more,
    )


def launch(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Give a run to the instance's launcher, as the daemon does."""
    instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))


def process_of(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    before: Sequence[str] = (),
    **variables: str,
) -> subprocess.Popen[bytes]:
    """The process of a run: what the default launcher, a container or a worker starts.

    Args:
        before: a command that starts it, such as in another network.
    """
    arguments = serialize_value(ExecuteRunArgs(run.job_code_origin, run.run_id, instance.get_ref()))
    return subprocess.Popen(
        [*before, sys.executable, "-m", "dagster", "api", "execute_run", arguments],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(is_so: Callable[[], Any], within_s: float = 400) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def kill(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(20)
