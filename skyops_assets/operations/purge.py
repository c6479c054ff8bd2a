"""Remove SKYOPS_HOME: the embedded warehouse and all other local state.

Belongs here: what must not be removed, and removing. Does not: asking (`cli.operations`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import keeping
from skyops_assets.settings import PROJECT_ROOT, Settings

MARKS = ("postgres/PG_VERSION", "postgres.lock", "dagster/dagster.yaml")
"""What a command of SkyOps leaves in its home, of which a folder that is one has something."""


def removable(settings: Settings) -> int:
    """The bytes that SKYOPS_HOME takes; 0 where it is not there.

    Raises:
        SkyOpsError: it must not be removed, as it is in use or no home of SkyOps alone.
    """
    home = settings.home
    if not home.exists():
        return 0
    places = {PROJECT_ROOT, Path.home()}
    if any(home == place or home in place.parents for place in places):
        raise SkyOpsError(
            f"SKYOPS_HOME {str(home)!r} holds more than SkyOps' state: delete by hand what you do "
            "not need."
        )
    if not any((home / mark).exists() for mark in MARKS):
        raise SkyOpsError(
            f"SKYOPS_HOME {str(home)!r} holds nothing that SkyOps made: nothing is removed."
        )
    if user := _user(home):
        raise SkyOpsError(
            f"{user} still uses {str(home)!r}: stop SkyOps there first (skyops down, or Ctrl-C in "
            "its terminal). Nothing is removed."
        )
    sizes = (
        os.lstat(os.path.join(folder, name)).st_blocks * 512
        for folder, _, names in os.walk(home)
        for name in names
    )
    return sum(sizes)


def remove(settings: Settings) -> None:
    """Remove the folder, whatever of it is already gone.

    Raises:
        SkyOpsError: something of it cannot be removed.
    """
    try:
        shutil.rmtree(settings.home)
    except OSError as error:
        raise SkyOpsError(
            f"{str(error.filename)!r} cannot be removed: {error.strerror}. The rest of "
            f"{str(settings.home)!r} may be gone already."
        ) from None


def _user(home: Path) -> str | None:
    """Who works in this home: a keeper, the embedded server, or what SkyOps started."""
    import psutil

    if keeper := keeping.find(home):
        return f"The {keeper.says},"
    server, dagster = str((home / "postgres").resolve()), str(home / "dagster")
    for process in psutil.process_iter(["pid", "name", "status", "cwd", "environ"]):
        found = process.info
        if found["pid"] == os.getpid() or found["status"] == psutil.STATUS_ZOMBIE:
            continue
        is_server = found["name"] == "postgres" and found["cwd"] == server
        # Set by SkyOps for what it starts, and by nobody else.
        if is_server or (found["environ"] or {}).get("DAGSTER_HOME") == dagster:
            return f"The process {found['pid']} ({found['name']})"
    return None
