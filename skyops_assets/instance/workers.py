"""The Celery application of a worker, which runs what Dagster's Celery launcher sends.

Belongs here: how runs are taken. Does not: the launcher's settings and the worker's command
(`launchers`).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from celery.signals import heartbeat_sent
from dagster_celery.config import DEFAULT_CONFIG
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task

from skyops_assets.files import beat
from skyops_assets.launchers import BROKER, QUEUE

CONFIG = {
    **DEFAULT_CONFIG,
    # A process for each run, whose memory goes with it.
    "worker_max_tasks_per_child": 1,
    # A run stays in the queue until a process is free for it. One that a busy worker has put aside
    # would wait for that worker, be given to another after an hour, and be lost with the first.
    "worker_disable_prefetch": True,
    # Dagster keeps what a run prints; it goes by the output's number, which Celery's has not.
    "worker_redirect_stdouts": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
}

app = make_app(
    {
        "broker": os.environ[BROKER],
        "backend": os.environ[BROKER],
        "config_source": CONFIG,
        "task_default_queue": QUEUE,
    }
)
create_execute_job_task(app)


@heartbeat_sent.connect
def _beat(**_: Any) -> None:
    beat(Path(os.environ["SKYOPS_HOME"]), f"worker-{socket.gethostname()}")
