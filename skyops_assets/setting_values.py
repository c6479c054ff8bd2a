"""The values of settings that more is asked of than a type: addresses, places, days.

Belongs here: pure checks, which give the value as it is used, or raise a `ValueError` that says in
a few words why it cannot be. Does not: names and defaults (`settings`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

TOKEN_MIN = 32
ENVIRONMENT_MAX = 30


def day(value: date) -> date:
    """A day that partitions can begin with: not too many of them, and at least one."""
    if value.year < 2000 or value > datetime.now(UTC).date():
        raise ValueError(f"{value} is before 2000 or in the future")
    return value


def hour(value: datetime) -> datetime:
    """A whole hour of such a day, UTC, without an offset."""
    value = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    if value != value.replace(minute=0, second=0, microsecond=0):
        raise ValueError(f"{value} is not a whole hour")
    day(value.date())
    return value


def airports(value: tuple[str, ...]) -> tuple[str, ...]:
    """ICAO codes, in capitals."""
    codes = tuple(code.strip().upper() for code in value)
    for code, given in zip(codes, value, strict=True):
        if not (len(code) == 4 and code.isalnum() and code.isascii()):
            raise ValueError(f"{given!r} is not an ICAO airport code such as LFPG")
    return codes


def place(value: str) -> str:
    """A folder by its whole path, or a place in a bucket."""
    if "://" not in value:
        if not value.startswith("/"):
            # Runs are started in other folders than commands.
            raise ValueError(f"{value!r} must begin with / or be s3://bucket/prefix")
        return value
    bucket = value.removeprefix("s3://").split("/")[0]
    if not value.startswith("s3://") or not bucket or set(value) & set("@?# "):
        # Without the value: what has an @ may hold a password.
        raise ValueError("it is neither a folder nor s3://bucket/prefix")
    return value.rstrip("/")


def metar_url(value: str) -> str:
    """An address or a path with a place for the airport and the day."""
    # Not shown: an address may hold a key.
    if not value.startswith(("https://", "http://", "/")):
        raise ValueError("it is neither an http or https address nor a path that begins with /")
    try:
        made = value.format(airport="LFPG", day="2021-10-07", next_day="2021-10-08")
    except (LookupError, ValueError, AttributeError):
        made = ""
    if "LFPG" not in made or "2021-10-07" not in made:
        raise ValueError("it needs {airport} and {day}, and may have {next_day}, but nothing else")
    return value


def address(value: str) -> str:
    """An http or https address that may be shown."""
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError("it is not an http or https address")
    if parts.username is not None or parts.query or parts.fragment:
        # An address is shown in messages; a password in it would be too.
        raise ValueError("an address here has no user, password, ? or #")
    return value.rstrip("/")


def token(value: str) -> None:
    """A secret that nobody guesses, in characters that a link takes."""
    if len(value) < TOKEN_MIN or not re.fullmatch(r"[\w-]+", value, re.ASCII):
        raise ValueError(
            f"it is not {TOKEN_MIN} or more letters, digits, - and _; `openssl rand -hex 32` makes "
            "a good one"
        )


def queue(value: str) -> str:
    """The name of a queue of runs."""
    if not re.fullmatch(r"[\w.-]+", value, re.ASCII):
        raise ValueError("the name of a queue has letters, digits, ., - and _ only")
    return value


def redis(value: str) -> None:
    """The address of a Redis; it may hold a password."""
    if not value.startswith(("redis://", "rediss://")):
        raise ValueError("it is not the address of a Redis, such as redis://host:6379/0")


def environment(value: str) -> str:
    """The short name of an environment."""
    if len(value) > ENVIRONMENT_MAX or not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", value):
        raise ValueError(
            f"it is not a name such as staging: up to {ENVIRONMENT_MAX} letters and digits, with "
            "hyphens between them"
        )
    return value
