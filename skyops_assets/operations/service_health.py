"""Whether what people and programs ask answers: the service and the Dagster UI.

Belongs here: asking them as anybody would, over HTTP. Does not: the parts they stand on (`health`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import FEATURES, KEY, RING_NM
from skyops_assets.audit import api_keys
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import execute, fetch_one

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0


class NotRunning(Exception):
    """Nothing answers there."""


def ask_ui(settings: Settings) -> str:
    """See that the Dagster UI answers; returns its version.

    Raises:
        NotRunning: it does not.
    """
    with _client(settings.ui_address) as client:
        answer = _get(client, "/server_info")
        return str(answer.json().get("dagster_version"))


def ask_service(settings: Settings, warehouse: Warehouse) -> tuple[bool, str]:
    """Whether the service works: ready, refuses a wrong key, and predicts a known crossing.

    Raises:
        NotRunning: nothing answers at its address.
    """
    address = settings.service_address
    with _client(address) as client:
        ready = _get(client, "/health/ready")
        if ready.status_code != 200:
            return False, f"{address} is not ready: {' '.join(ready.json()['causes'])}"
        wrong = _predict(client, "sk_wrong", {"records": []})
        if wrong.status_code != 401:
            return (
                False,
                f"{address} accepts a wrong key: it returned {wrong.status_code}, not 401.",
            )
        record = _known_crossing(warehouse)
        if record is None:
            return True, "It is ready and refuses a wrong key; there is no crossing to predict yet."
        with _key(warehouse) as key:
            given = _predict(client, key, {"ring_nm": RING_NM, "records": [record]})
        if given.status_code != 200:
            return False, f"{address} does not predict a known crossing: {given.text[:500]}"
        [one] = given.json()["predictions"]
        minutes = one["transit_min"]
        # A baseline has no answer where its one value is missing.
        told = "no value from the baseline" if minutes is None else f"{minutes:.1f} min"
        return True, f"It is ready, refuses a wrong key, and predicts a known crossing ({told})."


def _client(address: str) -> httpx.Client:
    import httpx

    return httpx.Client(base_url=address, timeout=TIMEOUT_S, trust_env=False)


def _get(client: httpx.Client, path: str) -> httpx.Response:
    import httpx

    try:
        return client.get(path)
    except httpx.HTTPError as error:
        raise NotRunning(f"{client.base_url} does not answer ({error}).") from None


def _predict(client: httpx.Client, key: str, body: object) -> httpx.Response:
    return client.post("/v1/predict", json=body, headers={"Authorization": f"Bearer {key}"})


def _known_crossing(warehouse: Warehouse) -> dict[str, object] | None:
    """The features of the latest crossing, as the service takes them."""
    if fetch_one(warehouse, "select to_regclass('features.crossing_features')", {}) == {
        "to_regclass": None
    }:
        return None
    names = ", ".join(name for name in FEATURES if name not in KEY)
    row = fetch_one(
        warehouse,
        f"select airport, {names} from features.crossing_features"  # noqa: S608
        " where ring_nm = %(ring_nm)s and source = 'positions' order by crossed_at desc limit 1",
        {"ring_nm": RING_NM},
    )
    return row and {name: value for name, value in row.items() if value is not None}


@contextmanager
def _key(warehouse: Warehouse) -> Iterator[str]:
    """A key that may predict, for as long as it is needed."""
    key_id = f"health-{secrets.token_hex(4)}"
    key = api_keys.create(
        warehouse,
        key_id,
        owner="SkyOps",
        scopes=[api_keys.PREDICT],
        expires_at=datetime.now(UTC) + timedelta(minutes=1),
        actor="skyops health",
    )
    try:
        yield key
    finally:
        execute(warehouse, "delete from audit.api_keys where key_id = %(id)s", {"id": key_id})
