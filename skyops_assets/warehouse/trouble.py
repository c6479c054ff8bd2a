"""What a server's error means, in one sentence: a full disk, a missing right, no connection left.

Belongs here: errors within work, of whichever library. Does not: errors of connecting
(`connection`), and errors that are SkyOps' own: those keep their words and their traceback.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

_SENTENCES = {
    "53100": "The disk of the warehouse's server is full ({said}). Make room there, or set or "
    "lower SKYOPS_RAW_RETENTION_DAYS, and try again: what was not committed is undone.",
    "ENOSPC": "The disk is full ({said}). Make room, or lower SKYOPS_RUN_RETENTION_DAYS, and do it "
    "again.",
    "42501": "The warehouse's user may not do this ({said}). Grant the right as the owner of the "
    "database, or make the user owner of SkyOps' tables.",
    "25006": "The warehouse is now read-only ({said}). Has it become a standby, or is "
    "default_transaction_read_only set? SkyOps needs the primary server.",
    "53300": "The warehouse has no connection left ({said}). Raise max_connections, or the limit "
    "of the role or the database, or close idle connections.",
    "53200": "The warehouse's server is out of memory ({said}). Give it more memory, or lower "
    "SKYOPS_DBT_THREADS, and try again.",
    "25P03": "The warehouse's server ended an open transaction ({said}). Set "
    "idle_in_transaction_session_timeout of the role or the database to 0.",
    "timeout": "The warehouse's server stopped a statement ({said}). Set statement_timeout and "
    "lock_timeout of the role or the database to 0, or to hours, and try again.",
    "08006": "The warehouse's server cannot be reached ({said}). What was committed before is "
    "kept, the rest is undone: check that the server runs, and try again.",
    "57P01": "The warehouse's server ended the connection ({said}). What was committed before is "
    "kept, the rest is undone: check that the server runs, and try again.",
}
_SENTENCES["57P02"] = _SENTENCES["57P03"] = _SENTENCES["57P01"]

_WORDS = (
    # Without a code, as dbt and Dagster hand them on. Postgres says so in its own language, but the
    # system's words for a full disk are English in nearly every server's log.
    ("53100", r"could not (?:extend|write|create|fsync|fallocate)[^\n]*No space left on device"),
    ("ENOSPC", r"[^\n]*No space left on device"),
    ("42501", r"(?:permission denied for|must be owner of)[^\n]*"),
    ("25006", r"cannot execute [^\n]* in a read-only transaction"),
    (
        "53300",
        r"[^\n]*(?:too many clients already|too many connections for|slots are reserved)[^\n]*",
    ),
    (
        "08006",
        r"connection to server [^\n]* failed: [^\n]*|server closed the connection unexpectedly"
        r"|too many retries for DB connection",
    ),
    ("timeout", r"canceling statement due to (?:statement|lock) timeout[^\n]*"),
    ("57P01", r"terminating connection due to administrator command"),
)


def explain(error: BaseException) -> str | None:
    """What is wrong with the server or the disk, and what to do; None where it is something else.

    Whatever the libraries have put around it: psycopg2, ADBC, SQLAlchemy, dbt, Dagster.
    """
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT):
            return _sentence("ENOSPC", str(one))
        code = getattr(one, "pgcode", None) or getattr(one, "sqlstate", None)
        if code in _SENTENCES:
            return _sentence(code, str(one))
    return explain_text(str(error))


def explain_text(said: str) -> str | None:
    """As `explain`, for an error of which only the words are left."""
    for code, pattern in _WORDS:
        if found := re.search(pattern, said):
            return _sentence(code, found[0])
    return None


def _sentence(code: str, said: str) -> str:
    """The sentence, with the first line of the server's words.

    Without what ADBC and SQLAlchemy write before, and the statement that ADBC adds.
    """
    first = said.strip().splitlines()[0].partition("Query was:")[0]
    first = re.sub(r"^.*?(ERROR|FATAL|PANIC): +|^\(psycopg2\.[^)]*\) ", "", first)
    return _SENTENCES[code].format(said=first.strip(" ."))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from or holds."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = getattr(one, "orig", None)
        waiting += [inner if isinstance(inner, BaseException) else None]
        waiting += [one.__cause__, one.__context__]
