"""The names of variables that begin with SKYOPS_: former ones, those of others, and mistyped ones.

Belongs here: telling a name from a setting's, and reading files that are named in their place. Does
not: what values mean (`settings`).
"""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

PREFIX = "SKYOPS_"

FORMER_NAMES = {
    "SKYOPS_RAW_LEAST_VOLUME_SHARE": "raw_min_volume_share",
    "SKYOPS_LEAST_OUTCOME_SHARE": "min_outcome_share",
    "SKYOPS_LEAST_DISK_DAYS": "min_disk_days",
    "SKYOPS_LEAST_DISK_GB": "min_disk_gb",
}
"""Variables of earlier versions, and the settings that they are now; the present name wins."""

OTHERS = {
    # Of docker/compose.yaml, whose file of variables the containers get as a whole.
    "SKYOPS_CODE_MEMORY",
    "SKYOPS_DOMAIN",
    "SKYOPS_EXTRAS",
    "SKYOPS_POSTGRES_MEMORY",
    "SKYOPS_SECRETS",
    "SKYOPS_IMAGE",
    # Of `runtime.environment`, for what SkyOps starts.
    "SKYOPS_DAGSTER_URL",
    "SKYOPS_PG_HOST",
    "SKYOPS_PG_PORT",
    "SKYOPS_PG_USER",
    "SKYOPS_PG_PASSWORD",
    "SKYOPS_PG_DBNAME",
    "SKYOPS_PG_SSLMODE",
    "SKYOPS_PG_SSLROOTCERT",
    "SKYOPS_PG_SSLCERT",
    "SKYOPS_PG_SSLKEY",
    "SKYOPS_TRANSFORM_FINGERPRINT",
    "SKYOPS_TRANSFORM_TURNS",
}
"""Variables that are no settings, and set with a reason."""

NEARLY = 0.8
"""So alike (difflib's ratio, without the prefix) is a name that was meant: WATCH_AIRPORT and
WATCH_AIRPORTS are 0.96 alike, DOCS_HOST and DOCS_PORT 0.78."""


def former_values(given: Mapping[str, str]) -> dict[str, str]:
    """Values that are given under a former name only, with a warning for each."""
    values = {}
    for former, name in FORMER_NAMES.items():
        present = f"{PREFIX}{name.upper()}"
        if former in given:
            warnings.warn(
                f"{former} is now called {present}.", PendingDeprecationWarning, stacklevel=1
            )
            if present not in given:
                values[name] = given[former]
    return values


def read_files(given: MutableMapping[str, str], fields: Iterable[str]) -> None:
    """Put what a file holds in the place of the variable that names it, for all that starts here.

    SKYOPS_ALERT_WEBHOOK_URL_FILE=/run/secrets/webhook becomes SKYOPS_ALERT_WEBHOOK_URL: a secret
    that is handed in as a file is in no container's description.

    Raises:
        ValueError: a file cannot be read or is empty, or the setting is given as well.
    """
    for name in (f"{PREFIX}{field.upper()}" for field in fields):
        variable = f"{name}_FILE"
        if not (path := given.get(variable)):
            given.pop(variable, None)
            continue
        if given.get(name):
            raise ValueError(f"{name} and {variable} are both set: set one of them.")
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ValueError(
                f"{variable} names {path!r}, which cannot be read by user {os.getuid()}: {why}."
            ) from None
        if not text:
            raise ValueError(f"{variable} names {path!r}, which is empty: write the value into it.")
        given[name] = text
        del given[variable]


def check_names(given: Iterable[str], fields: Iterable[str]) -> list[str]:
    """The variables that nobody knows, and that change nothing.

    Raises:
        ValueError: one is nearly a setting: what was meant to be set would not be.
    """
    known = {f"{PREFIX}{field.upper()}" for field in fields}
    ours = (name for name in sorted(given) if name.upper().startswith(PREFIX))
    unknown = [name for name in ours if name.upper() not in known | OTHERS | FORMER_NAMES.keys()]
    for name in unknown:
        alike = difflib.get_close_matches(
            name.upper().removeprefix(PREFIX),
            [one.removeprefix(PREFIX) for one in known],
            n=1,
            cutoff=NEARLY,
        )
        if alike:
            raise ValueError(f"{name} is not a setting: did you mean {PREFIX}{alike[0]}?")
    return unknown
