"""Python processes of their own: with a warehouse, or as another user."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path


def child(code: str, home: Path, **variables: str) -> subprocess.Popen[str]:
    """A Python process with `settings` and a warehouse of its own in `home`."""
    start = (
        "from skyops_assets.settings import load_settings\n"
        "from skyops_assets.warehouse.connection import open_warehouse\n"
        "from skyops_assets.warehouse.migrate import migrate\n"
        "settings = load_settings()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        env={**os.environ, "SKYOPS_HOME": str(home), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


def as_user(uid: int, act: Callable[[], object]) -> str:
    """What ``act`` gives, or its error, in a fork that is another user."""
    read, write = os.pipe()
    forked = os.fork()
    if forked == 0:
        try:
            if uid != os.geteuid():
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            said = str(act())
        except BaseException as error:
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    os.waitpid(forked, 0)
    return said


def skyops(variables: dict[str, str], *arguments: str) -> str:
    """What a command prints that ends well."""
    done = subprocess.run(
        [sys.executable, "-m", "skyops_assets.cli", *arguments],
        env=variables, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
