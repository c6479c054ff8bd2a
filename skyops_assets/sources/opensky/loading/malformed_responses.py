"""Responses that are none as a whole, kept whole.

Belongs here: putting a body that could not be read into ``raw.rejected_states``, accounted for as
one row, and taking it out of its payload. Does not: telling that it is bad (`rest`).
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from skyops_assets.sources.opensky.loading.states import TARGET
from skyops_assets.sources.opensky.reading.recording import storable
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.rejects import keep_payloads


def keep_malformed_response(
    warehouse: Warehouse, body: bytes, reason: str, source: str, *, run_id: str | None = None
) -> bulk.Batch:
    """Keep a bad response: one rejected row, or a duplicate where the same body is there already.

    The payload is ``{"body": text}``, or ``{"body_base64": text}`` for what is not UTF-8 text.

    Args:
        body, reason: of the `MalformedResponse`.
        source: as that of the rows that it should have had.
    """
    started_at = datetime.now(UTC)
    payloads = [_payload(body)]
    with bulk.transaction(warehouse) as cursor:
        batch_id = bulk.next_batch(cursor)
        rejected = keep_payloads(cursor, TARGET, source, payloads, [reason], batch_id=batch_id)
        batch = bulk.Batch(
            batch_id=batch_id,
            target=TARGET,
            source=source,
            window_start_at=None,
            window_end_at=None,
            read_rows=1,
            loaded_rows=0,
            duplicate_rows=1 - rejected,
            rejected_rows=rejected,
        )
        bulk.record_batch(cursor, batch, started_at=started_at, run_id=run_id)
    return batch


def kept_body(payload: object) -> bytes | None:
    """The body that `keep_malformed_response` kept; None for another payload."""
    match payload:
        case {"body": str(text), **others} if not others:
            return text.encode()
        case {"body_base64": str(text), **others} if not others:
            try:
                return base64.b64decode(text)
            except ValueError:
                return None
    return None


def _payload(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return json.dumps({"body_base64": base64.b64encode(body).decode()})
    if storable(text) != text:
        return json.dumps({"body_base64": base64.b64encode(body).decode()})
    return json.dumps({"body": text})
