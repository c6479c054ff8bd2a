"""The champion's files for services without SkyOps, in a folder or an S3-compatible store.

Belongs here: what lies there, and in which order it is written. Does not: who is champion
(`store`), MLflow (`registry`).

``<model name>/<version>/`` holds ``model.onnx``, ``model_card.md`` and ``metadata.json``, and
``<model name>/champion.json`` names the version in force and the SHA-256 of its model and metadata.
It is written last, and each file appears whole or not at all: no one reads half a champion.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from skyops_assets import store
from skyops_assets.arrivals.features import CATEGORICAL
from skyops_assets.arrivals.learning import onnx_model
from skyops_assets.arrivals.models import card, registry
from skyops_assets.arrivals.models.card import VersionRecord
from skyops_assets.arrivals.store import versions
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.store import Store
from skyops_assets.warehouse import environments
from skyops_assets.warehouse.connection import Warehouse

CARD = "model_card.md"
METADATA = "metadata.json"
POINTER = "champion.json"


def export_champion(warehouse: Warehouse, settings: Settings, name: str) -> str | None:
    """Bring the store to where the warehouse says; the problem if it could not be.

    Nothing is written without a champion, or where all is there already. A store that is away
    changes nothing about the champion. Under a lock: else one who read the old champion could
    write it after the new one.
    """
    if settings.model_store is None:
        return None
    import pyarrow

    try:
        with versions.champion_lock(warehouse, name, "skyops.model_store"):
            champion = versions.champion(warehouse, name)
            if champion:
                onnx = registry.read_onnx(
                    registry.configure(warehouse, settings), champion.mlflow_run_id
                )
                files = open_store(settings)
                other = _of(files.read(f"{name}/{POINTER}"), "env")
                if other not in {None, settings.env, *environments.names(warehouse)}:
                    raise SkyOpsError(
                        f"it has the champion of the environment {other!r}, and this is "
                        f"{settings.env!r}: give each environment a folder or prefix of its own"
                    )
                _write(warehouse, files, card.gather(warehouse, champion), onnx, settings.env)
    except (SkyOpsError, OSError, pyarrow.ArrowException) as error:
        return (
            f"The champion could not be written to {settings.model_store} "
            f"({' '.join(str(error).split())}). It is champion all the same; the next prediction, "
            "decision or `skyops model` command writes it. See SKYOPS_MODEL_STORE."
        )
    return None


def exported(settings: Settings, name: str) -> str | None:
    """The version that the store has as champion; None if none.

    Raises:
        OSError: the store cannot be read.
    """
    return _of(open_store(settings).read(f"{name}/{POINTER}"), "version")


def is_usable(settings: Settings) -> bool:
    """Whether the store gives back what was written there; the file is removed again.

    Raises:
        OSError: it cannot be written, read or removed.
    """
    files, path, content = open_store(settings), f".health/{uuid4().hex}", b"health"
    files.write(path, content)
    back = files.read(path)
    files.delete(path)
    return back == content


def open_store(settings: Settings) -> Store:
    """The model store of the settings, which must name one; nothing is asked of it yet."""
    key, secret = settings.model_store_access_key_id, settings.model_store_secret_access_key
    if (key is None) != (secret is None):
        raise SkyOpsError(
            "SKYOPS_MODEL_STORE_ACCESS_KEY_ID and SKYOPS_MODEL_STORE_SECRET_ACCESS_KEY belong "
            "together; set both, or neither to use AWS' own variables."
        )
    return store.open_place(
        str(settings.model_store),
        endpoint=settings.model_store_endpoint,
        region=settings.model_store_region,
        key=key.get_secret_value() if key else None,
        secret=secret.get_secret_value() if secret else None,
    )


def metadata(facts: VersionRecord, onnx: bytes, env: str) -> dict[str, Any]:
    """What a service must know of a version to ask it, and where it comes from."""
    version, run, row, made = facts.version, facts.run, facts.row, facts.decision
    training_set = facts.training_set
    return {
        "model_name": version.model_name,
        "version": version.version,
        "env": env,
        "ring_nm": run.ring_nm,
        "onnx": {"file": registry.ONNX_FILE, **_mark(onnx)},
        "inputs": [
            {"name": name, "type": "string" if name in CATEGORICAL else "double"}
            for name in run.features
        ],
        "outputs": [
            {"name": name, "type": "float", "unit": "min"} for name in onnx_model.outputs(onnx)
        ],
        "recipe": run.recipe,
        "params": run.params,
        "airports": list(training_set.airports) if training_set else None,
        "fingerprint": run.fingerprint,
        "dbt_fingerprint": training_set.dbt_fingerprint if training_set else None,
        "code_version": run.code_version,
        "training_run_id": run.training_run_id,
        "mlflow_run_id": version.mlflow_run_id,
        "trained_from_at": run.trained_from_at,
        "trained_through_at": run.trained_through_at,
        "train_rows": run.train_rows,
        "mae_min": row["mae_min"],
        "skill": row["skill"],
        "decision": made
        and {key: made[key] for key in ("decision_id", "is_promoted", "summary", "decided_at")},
    }


def _write(warehouse: Warehouse, files: Store, facts: VersionRecord, onnx: bytes, env: str) -> None:
    name, number = facts.version.model_name, facts.version.version
    contents = {
        registry.ONNX_FILE: onnx,
        CARD: card.markdown(facts).encode(),
        METADATA: _json(metadata(facts, onnx, env)),
    }
    pointer = _json(
        {
            "model_name": name,
            "version": number,
            "env": env,
            "promoted_at": facts.row["promoted_at"],
            "promoted_by": facts.row["promoted_by"],
            "files": {
                file: {"path": f"{number}/{file}", **_mark(contents[file])}
                # Not the card: it is written again while its version is in force.
                for file in (registry.ONNX_FILE, METADATA)
            },
        }
    )
    there = files.read(f"{name}/{POINTER}")
    paths = {f"{name}/{number}/{file}": content for file, content in contents.items()}
    if there == pointer and all(files.read(path) == content for path, content in paths.items()):
        return
    for path, content in paths.items():
        files.write(path, content)
    before = _of(there, "version")
    if before != number and (gone := before and versions.version(warehouse, name, before)):
        # Its card says that it is champion.
        text = card.markdown(card.gather(warehouse, gone))
        files.write(f"{name}/{before}/{CARD}", text.encode())
    files.write(f"{name}/{POINTER}", pointer)


def _of(pointer: bytes | None, what: str) -> str | None:
    try:
        return str(json.loads(pointer or b"")[what])
    except (ValueError, LookupError, TypeError):
        return None  # Not there yet, or not ours.


def _mark(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


def _json(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2, default=_plain, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    # Always in UTC: a time as another session writes it would be another file.
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else float(value)
