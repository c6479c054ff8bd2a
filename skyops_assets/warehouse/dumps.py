"""Postgres' own programs for a database as a file: pg_dump, and back through psql.

Belongs here: which of the programs on this machine is asked, and with what. Does not: what a backup
is made of (`operations.backup`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from itertools import islice
from pathlib import Path

from skyops_assets.errors import SkyOpsError, storable
from skyops_assets.warehouse.connection import TLS_OPTIONS, Warehouse
from skyops_assets.warehouse.embedded import program

TOOLS = Path("/usr/lib/postgresql")
"""Where Debian has the programs of each of Postgres' versions."""
HEAD_LINES = 50
UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
"""Stands near the head of what newer programs write, whatever server it is for."""


def dump(warehouse: Warehouse, database: str, path: Path, *, snapshot: str, server: int) -> None:
    """Write a database to a file, as a snapshot sees it, and read the file to its end.

    Args:
        snapshot: of a transaction that stays open meanwhile (`pg_export_snapshot`).
        server: the server's version, as psycopg2 counts them.

    Raises:
        SkyOpsError: the programs here are too old, or one failed, with its own words.
    """
    _run(
        [_tool("pg_dump", server // 10000), "--format=custom", "--no-owner", "--no-privileges",
         f"--snapshot={snapshot}", f"--file={path}"],
        warehouse, database,
    )  # fmt: skip
    _run([_tool("pg_restore"), "--file", os.devnull, str(path)], None, None)


def load(warehouse: Warehouse, database: str, path: Path) -> None:
    """Read a dump into an empty database, all of it or nothing.

    Raises:
        SkyOpsError: it was not restored; the database is as it was.
    """
    read = [_tool("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(path)]
    write = [_tool("psql"), "--no-psqlrc", "--quiet", "--single-transaction",
             "--set=ON_ERROR_STOP=1", "--output", os.devnull]  # fmt: skip
    with tempfile.TemporaryFile() as errors:
        script = subprocess.Popen(read, stdout=subprocess.PIPE, stderr=errors)
        server = subprocess.Popen(
            write, stdin=subprocess.PIPE, stderr=errors, env=_environment(warehouse, database)
        )
        assert script.stdout
        assert server.stdin
        with suppress(BrokenPipeError), script.stdout, server.stdin:
            for line in islice(script.stdout, HEAD_LINES):
                if line != UNKNOWN_BEFORE_17:
                    server.stdin.write(line)
            shutil.copyfileobj(script.stdout, server.stdin)
            if script.wait():
                # Else psql would commit the part that it was given.
                server.stdin.write(b";\nselect 1 / 0;\n")
        codes = script.wait(), server.wait()
        errors.seek(0)
        if any(codes):
            raise SkyOpsError(f"Database {database!r} was not restored: {_said(errors.read())}")
    with (
        warehouse.connect(database, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("analyze")


def _tool(name: str, server: int = 0) -> str:
    """One of Postgres' programs, of the server's version or the next newer one that is here.

    Raises:
        SkyOpsError: all are older.
    """
    found = [program(name), *TOOLS.glob(f"*/bin/{name}"), shutil.which(name)]
    by_version: dict[int, str] = {}
    for path in found:
        if path and Path(path).exists():
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            if version := re.search(r"\) (\d+)", said.stdout):
                by_version.setdefault(int(version[1]), str(path))
    if name != "pg_dump":
        # The newest reads the dumps of all, and speaks to all.
        return by_version[max(by_version)]
    if not (fitting := [version for version in by_version if version >= server]):
        raise SkyOpsError(
            f"The server runs Postgres {server}, and the newest {name} here is for "
            f"{max(by_version)}: install Postgres {server}'s client programs."
        )
    return by_version[min(fitting)]


def _run(command: list[str], warehouse: Warehouse | None, database: str | None) -> None:
    """Run one of Postgres' programs.

    Raises:
        SkyOpsError: it failed, with its own words.
    """
    environment = _environment(warehouse, str(database)) if warehouse else None
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode:
        where = f" of database {database!r}" if database else ""
        raise SkyOpsError(f"{Path(command[0]).name}{where} failed: {_said(done.stderr)}")


def _environment(warehouse: Warehouse, database: str) -> dict[str, str]:
    """Where a program of Postgres' goes; the password is in it, for others see arguments."""
    parts = warehouse.parts
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("PG")},
        "PGHOST": parts["host"],
        "PGPORT": parts["port"],
        "PGUSER": parts["user"],
        "PGDATABASE": database,
        **({"PGPASSWORD": parts["password"]} if parts["password"] else {}),
        **{f"PG{name.upper()}": parts[name] for name in TLS_OPTIONS if name in parts},
    }


def _said(errors: bytes) -> str:
    return storable(" ".join(errors.decode(errors="replace").split()), 600)
