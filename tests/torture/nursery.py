"""Forks `skyops` commands from a process that has imported everything: 10 ms a start, not 4 s.

A script of the tests in this folder. Each line on stdin is a JSON object (argv, env, log); it
responses with the pid of the command. When stdin ends, every command that still runs is killed.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from importlib import import_module

CHUNK_ROWS = 2_000
"""In place of 200,000, so that a recording of a test's size takes many transactions."""
LOOK_EVERY_S = 0.2
TROUBLE_PAUSE_S = 0.2
"""In place of 5 s, so that a successor or a second attempt is no matter of patience."""


def import_everything() -> None:
    for name in (
        "adbc_driver_postgresql.dbapi",
        "airportsdata",
        "dagster_postgres.storage",
        "httpx",
        "psycopg2",
        "pyarrow.compute",
        "pyarrow.csv",
        "pyarrow.parquet",
        "rich.progress",
        "skyops_assets.cli",
        "skyops_assets.client",
        "skyops_assets.defs.raw.assets",
        "skyops_assets.sources.opensky.loading.files",
        "skyops_assets.runtime",
        "tenacity",
    ):
        import_module(name)
    from skyops_assets.sources.opensky.live import collect
    from skyops_assets.sources.opensky.reading.recordings import open_recording

    open_recording.__defaults__ = (CHUNK_ROWS,)
    collect.LOOK_EVERY_S, collect.TROUBLE_PAUSE_S = LOOK_EVERY_S, TROUBLE_PAUSE_S


def run(job: dict) -> int:
    """The command, in the child; its exit code, which also is the last line of its log."""
    from skyops_assets.cli import __main__

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(job["env"])
    sys.argv = ["skyops", *job["argv"]]
    try:
        __main__.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()
    os.write(log, f"\nexit {code}\n".encode())
    return code


def main() -> None:
    import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # So nobody has to wait for the dead.
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            # Without taking Dagster apart, which takes 0.8 s.
            os._exit(run(json.loads(line)))
        print(pid, flush=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
