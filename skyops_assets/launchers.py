"""Where runs get their process: Dagster's instance file for each launcher, and what each needs.

Belongs here: the launcher's block of ``dagster.yaml``, writing that file, and refusing settings by
which a run elsewhere would not find its data. Does not: how a worker takes runs
(`instance.workers`), whether a run lives (`instance.lease`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from skyops_assets.errors import SkyOpsError
from skyops_assets.files import replacing
from skyops_assets.settings import PROJECT_ROOT, Settings

QUEUE = "dagster"
"""Dagster's own name for the queue of runs that have no other by a tag."""
QUEUE_TAG = "dagster-celery/queue"
WAITS_S = 3600
"""So long a run may wait for a worker or a node that has room. In Dagster's queue it waits for as
long as it has to; only what that lets through comes here, of which one writes to the warehouse."""
JOB_STAYS_S = 3600
"""So long Kubernetes keeps the Job of a run that is over."""
MARK = "# Written by SkyOps "
FORMER = "# Dagster's instance. `skyops` copies this file to SKYOPS_HOME/dagster and sets the "
"""How what earlier versions wrote begins: at each start, whatever was changed in it."""
BROKER = "SKYOPS_CELERY_BROKER"


def variables(settings: Settings) -> dict[str, str]:
    """What the instance file names beside the variables of every launcher."""
    return {} if settings.launcher != "celery" else {BROKER: _broker(settings)}


def training_tags(settings: Settings) -> dict[str, str]:
    """The tags by which a job that trains goes to a queue of its own."""
    return {QUEUE_TAG: settings.training_queue} if settings.training_queue else {}


def _broker(settings: Settings) -> str:
    """The broker's address; with TLS, certificates are verified where nothing else is said."""
    url = settings.celery_broker.get_secret_value() if settings.celery_broker else ""
    parts = urlsplit(url)
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in parse_qs(parts.query):
        return f"{url}{'&' if parts.query else '?'}ssl_cert_reqs=required"
    return url


def check(settings: Settings) -> None:
    """Refuse a launcher on other machines whose runs would not find what they need.

    Raises:
        SkyOpsError: something is not set, not installed, or only on this machine.
    """
    if settings.launcher == "local":
        return
    chosen = f"SKYOPS_LAUNCHER={settings.launcher}"
    if settings.database_url is None:
        raise SkyOpsError(
            f"{chosen} starts runs on other machines, which cannot reach the embedded Postgres: "
            "name a server of yours in SKYOPS_DATABASE_URL, or use SKYOPS_LAUNCHER=local."
        )
    for name, place in (
        ("SKYOPS_STORE", settings.store_root), ("SKYOPS_MLFLOW_ARTIFACTS", settings.artifact_root),
    ):  # fmt: skip
        if "://" not in place and not settings.store_shared:
            raise SkyOpsError(
                f"{chosen} starts runs on other machines, and {name} is a folder ({place}), which "
                "each of them would have for itself: name s3://bucket/prefix, or set "
                "SKYOPS_STORE_SHARED=1 if it is one folder that all of them mount at this path."
            )
    if settings.launcher == "celery" and settings.celery_broker is None:
        raise SkyOpsError(f"{chosen} needs a Redis in {BROKER}, such as redis://host:6379/1.")
    module, target = {
        "celery": ("dagster_celery", "celery"),
        "kubernetes": ("dagster_k8s", "kubernetes"),
    }[settings.launcher]
    if find_spec(module) is None:
        raise SkyOpsError(
            f"What {chosen} needs is not installed: run `make {target}`, or install "
            f"requirements-{target}.lock (docs/distribution.md)."
        )


def worker_command(queues: Sequence[str], concurrency: int, log_level: str = "INFO") -> list[str]:
    """What takes runs from queues, so many at the same time, in an environment of `runtime`'s."""
    return [
        sys.executable, "-m", "celery", "-A", "skyops_assets.instance.workers", "worker",
        "--queues", ",".join(queues), "--concurrency", str(concurrency),
        "--hostname", f"skyops-{os.getpid()}@%h", "--loglevel", log_level,
    ]  # fmt: skip


def _celery(_: Settings) -> dict[str, Any]:
    return {
        "module": "dagster_celery.launcher",
        "class": "CeleryRunLauncher",
        # Its usual place for states, `rpc://`, is within the process that asks.
        "config": {"broker": {"env": BROKER}, "backend": {"env": BROKER}, "default_queue": QUEUE},
    }


def _kubernetes(settings: Settings) -> dict[str, Any]:
    config = {
        "job_namespace": settings.kubernetes_namespace,
        "job_image": settings.kubernetes_image,
        "service_account_name": settings.kubernetes_service_account,
        "env_secrets": list(settings.kubernetes_secrets),
        "env_config_maps": list(settings.kubernetes_config_maps),
        # Demanded, and used by nothing: a pod gets the instance as an argument, and the image's
        # entry point writes this file.
        "instance_config_map": "none",
        "run_k8s_config": {"job_spec_config": {"ttl_seconds_after_finished": JOB_STAYS_S}},
    }
    return {
        "module": "dagster_k8s.launcher",
        "class": "K8sRunLauncher",
        "config": {name: value for name, value in config.items() if value is not None},
    }


_BLOCKS: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "celery": _celery, "kubernetes": _kubernetes
}  # fmt: skip


def instance_file(settings: Settings) -> str:
    """Dagster's ``dagster.yaml``: the project's, with the launcher's block."""
    text = (PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8")
    if settings.launcher in _BLOCKS:
        import yaml

        instance = yaml.safe_load(text)
        instance["run_launcher"] = _BLOCKS[settings.launcher](settings)
        instance["run_monitoring"]["start_timeout_seconds"] = WAITS_S
        text = yaml.safe_dump(instance, sort_keys=False)
    return f"{MARK}({_digest(text)}). If you change it, SkyOps leaves it as it is.\n{text}"


def write(settings: Settings, path: Path) -> str | None:
    """Write Dagster's instance file, unless a person has put one of their own there.

    Returns:
        Why it was not written, if so.
    """
    text = instance_file(settings)
    present = path.read_text(encoding="utf-8") if path.is_file() else None
    if present == text:
        return None
    if present is None or _is_ours(present):
        try:
            # By rename: a process that starts meanwhile must not read half a file.
            with replacing(path) as part:
                part.write_text(text, encoding="utf-8")
            return None
        except OSError as error:
            # Nothing takes the place of a file that is mounted.
            if error.errno != errno.EBUSY:
                raise
    return (
        f"{path} was changed or mounted by somebody and stays as it is: Dagster starts runs as it "
        f"says, not as SKYOPS_LAUNCHER={settings.launcher}. Remove it to have SkyOps write it."
    )


def _is_ours(text: str) -> bool:
    if text.startswith(FORMER):
        return True
    first, _, rest = text.partition("\n")
    return first.startswith(f"{MARK}({_digest(rest)})")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
