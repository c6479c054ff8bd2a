"""API keys of the service, in ``audit.api_keys``: made, listed, revoked.

A key is `sk_` and 43 characters of base64url: 256 random bits. It is shown once, as it is made;
what is kept is its SHA-256. The service reads the table itself (`serving.access`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all, fetch_one

READ, PREDICT, ADMIN = SCOPES = ("read", "predict", "admin")
BROWSER, PUBLIC = NOBODYS = ("browser", "public")
"""Who asks without a key, as the service's log has it."""
SHOWN = "key_id, owner, scopes, created_at, created_by, expires_at, revoked_at, revoked_by"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


def create(
    warehouse: Warehouse,
    name: str,
    *,
    owner: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    actor: str,
) -> str:
    """Make a key and return it; nobody can read it again.

    Args:
        expires_at: None for never.

    Raises:
        SkyOpsError: the name is taken or is none, a scope is not known, the end is past.
    """
    wanted = list(dict.fromkeys(scopes))
    if unknown := [scope for scope in wanted if scope not in SCOPES]:
        raise SkyOpsError(
            f"There is no scope {unknown[0]!r}; a key has one or more of {', '.join(SCOPES)}."
        )
    if not wanted:
        raise SkyOpsError(f"A key needs a scope: one or more of {', '.join(SCOPES)}.")
    if not _NAME.fullmatch(name):
        raise SkyOpsError(
            f"{name!r} is not a valid key name: use up to 63 lower-case letters, digits, '.', '-' "
            "and '_', such as 'planner' or 'display-gate-4'."
        )
    if name in NOBODYS:
        raise SkyOpsError(
            f"{name!r} is what the service calls callers without a key; choose another."
        )
    if not owner.strip():
        raise SkyOpsError("A key needs an owner: the person to contact about it.")
    if expires_at and expires_at <= datetime.now(UTC):
        raise SkyOpsError(f"The key would have expired already, at {expires_at.isoformat()}.")
    key = "sk_" + secrets.token_urlsafe(32)
    made = fetch_one(
        warehouse,
        "insert into audit.api_keys (key_id, key_sha256, owner, scopes, created_by, expires_at)"
        " values (%(name)s, %(hash)s, %(owner)s, %(scopes)s, %(actor)s, %(expires_at)s)"
        " on conflict (key_id) do nothing returning key_id",
        {
            "name": name,
            "hash": hashlib.sha256(key.encode()).digest(),
            "owner": owner.strip(),
            "scopes": wanted,
            "actor": actor,
            "expires_at": expires_at,
        },
    )
    if made is None:
        raise SkyOpsError(
            f"The name {name!r} is taken by a present or former key, and names are never reused. "
            "Choose another; `skyops key list` shows them all."
        )
    return key


def list_all(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Every key that was ever made, the newest first; not the keys themselves."""
    return fetch_all(
        warehouse,
        f"select {SHOWN} from audit.api_keys order by created_at desc, key_id",  # noqa: S608
        {},
    )


def revoke(warehouse: Warehouse, name: str, *, actor: str) -> dict[str, Any]:
    """End a key, from now on.

    Raises:
        SkyOpsError: there is no such key, or it was revoked before.
    """
    ended = fetch_one(
        warehouse,
        "update audit.api_keys set"  # noqa: S608
        " revoked_at = clock_timestamp(), revoked_by = %(actor)s"
        f" where key_id = %(name)s and revoked_at is null returning {SHOWN}",
        {"name": name, "actor": actor},
    )
    if ended:
        return ended
    known = {row["key_id"]: row for row in list_all(warehouse)}
    if name not in known:
        raise SkyOpsError(f"There is no key {name!r}; `skyops key list` shows them all.")
    row = known[name]
    raise SkyOpsError(
        f"The key {name!r} was already revoked by {row['revoked_by']} at "
        f"{row['revoked_at'].astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    )


def state(row: dict[str, Any]) -> str:
    """Whether a key works: valid, expired or revoked."""
    if row["revoked_at"]:
        return "revoked"
    is_over = row["expires_at"] and row["expires_at"] <= datetime.now(UTC)
    return "expired" if is_over else "valid"


def end(text: str) -> datetime | None:
    """When a key ends: `never`, so many days (`90d`), or the end of a day (`2027-01-31`), UTC.

    Raises:
        SkyOpsError: it is none of these.
    """
    if text == "never":
        return None
    try:
        if days := re.fullmatch(r"(\d{1,5})d", text, re.ASCII):
            return datetime.now(UTC).replace(microsecond=0) + timedelta(days=int(days[1]))
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        return day + timedelta(days=1)
    except (ValueError, OverflowError):
        raise SkyOpsError(
            f"--expires {text!r} is not an expiry: give days from now such as 90d, the last day "
            "such as 2027-01-31 (UTC), or never."
        ) from None
