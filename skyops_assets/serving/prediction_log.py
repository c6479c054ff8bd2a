"""Every prediction that was given, into `ml.service_predictions`, without an answer waiting for it.

Four times a second one thread appends what was given to a file of the home, and another sends
whole files to the warehouse. A file goes once its rows are committed; rows have ids, so one that
is sent twice is there once. What a killed process had not appended yet is lost: at most a quarter
of a second.
Where the disk takes nothing, rows go straight to the warehouse; where neither takes them for a
second they stay in memory, and /v1/predict refuses until one of the two does.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
import uuid
from collections import deque
from contextlib import suppress
from itertools import islice
from pathlib import Path

import psycopg

from skyops_assets.errors import storable
from skyops_assets.serving import metrics

EVERY_S = 0.25
AGAIN_S = 2.0
"""The warehouse is asked again so long after it could not be reached."""
REFUSES_AFTER_S = 1.0
CONNECT_S = 3
STATEMENT_MS = 10_000
MOST_BYTES = 8_000_000
"""Of a file, while the warehouse is away."""
AT_ONCE = 2000
PATTERN = "*.jsonl"

COLUMNS = (
    "id uuid, asked_at timestamptz, key_id text, model_name text, model_version text,"
    " ring_nm integer, airport text, flight_id text, icao24 text, crossed_at timestamptz,"
    " features jsonb, transit_min double precision, low_min double precision,"
    " high_min double precision, latency_ms double precision"
)
NAMES = ", ".join(column.split()[0] for column in COLUMNS.split(","))
INSERT = f"""
insert into ml.service_predictions ({NAMES})
select {NAMES} from json_to_recordset(%s::json) as given ({COLUMNS})
on conflict (id) do nothing
"""  # noqa: S608
log = logging.getLogger(__name__)


class PredictionLog:
    """The log of one service.

    Args:
        conninfo: of a role that may insert into the table.
        folder: where it keeps what was not sent yet. What a service that is gone has left there is
            sent too; a file is locked by who writes or sends it.
    """

    def __init__(self, conninfo: str, folder: Path) -> None:
        self._conninfo, self._folder = conninfo, folder
        self._given: deque[bytes] = deque()
        self._lock = threading.Lock()
        """Of what follows: rows in memory, and the file that is written."""
        self._held: list[bytes] = []
        self._flying: list[bytes] = []
        self._held_since: float | None = None
        self._file: int | None = None
        self._connection: psycopg.Connection | None = None
        self._is_away = False
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"log, {work.__name__}", daemon=True)
            for work in (self._keep, self._send)
        ]
        self.unsent_bytes = 0

    def open(self) -> None:
        """Begin, with what an earlier service has left."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Send what there is, or keep it on disk."""
        self._over.set()
        for thread in self._threads:
            thread.join(CONNECT_S + STATEMENT_MS / 1000 + 1)
        self._keep_now()
        if not self._is_away:
            self._send_now()
        if self._connection:
            self._connection.close()

    def add(self, lines: list[bytes]) -> None:
        """Take rows, each a JSON object with the table's columns."""
        self._given.extend(lines)

    @property
    def is_refusing(self) -> bool:
        """Whether rows wait in memory for longer than may be lost."""
        since = self._held_since
        return since is not None and time.monotonic() - since > REFUSES_AFTER_S

    @property
    def troubles(self) -> list[str]:
        """What is not as it is to be, a sentence each."""
        if self.is_refusing:
            return [
                "Predictions cannot be logged, so none is given: neither the warehouse nor "
                f"{self._folder} takes them."
            ]
        if self._is_away:
            kept = f"{self.unsent_bytes:,} bytes of them wait in {self._folder}"
            return [f"Predictions cannot be sent to the warehouse; {kept}."]
        return []

    def _keep(self) -> None:
        while not self._over.wait(EVERY_S):
            self._keep_now()

    def _keep_now(self) -> None:
        with self._lock:
            self._held += [self._given.popleft() for _ in range(len(self._given))]
            if self._held and self._append(self._held):
                self._held = []
            if not self._held and not self._flying:
                self._held_since = None
            elif self._held_since is None:
                self._held_since = time.monotonic()

    def _append(self, lines: list[bytes]) -> bool:
        """Whether the disk has taken them, whole."""
        try:
            if self._file is None:
                self._file = _new_file(self._folder)
            before = os.fstat(self._file).st_size
            try:
                content = memoryview(b"".join(line + b"\n" for line in lines))
                while content:
                    content = content[os.write(self._file, content) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file, before)
                # Even if half a row stays, no other is appended to it.
                self._end_file()
                raise
        except OSError as error:
            if self._held_since is None:
                log.warning("%s takes no predictions: %s", self._folder, error)
            return False
        if os.fstat(self._file).st_size > MOST_BYTES:
            self._end_file()
        return True

    def _end_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def _send(self) -> None:
        while not self._over.wait(AGAIN_S if self._is_away else EVERY_S):
            self._send_now()

    def _send_now(self) -> None:
        """All that waits, file by file, and what no file took."""
        with self._lock:
            self._end_file()
            self._flying, self._held = self._held, []
        try:
            self._insert(self._flying)
            self._flying = []
            for path in self._waiting():
                self._send_file(path)
        except (psycopg.Error, OSError) as error:
            if not self._is_away:
                reason = storable(str(error), 300)
                log.warning("Predictions cannot be sent to the warehouse yet: %s", reason)
            self._is_away = True
            if self._connection:
                self._connection.close()
            self._connection = None
            with self._lock:
                self._held, self._flying = self._flying + self._held, []
        else:
            self._is_away = False
        self._measure()

    def _measure(self) -> None:
        """What waits, for readiness and metrics; a file's name begins with when it was begun."""
        waiting = self._waiting()
        self.unsent_bytes = sum(map(_size, waiting))
        metrics.LOG_UNSENT.set(self.unsent_bytes)
        begun = [int(path.name.partition("-")[0]) / 1e9 for path in waiting if "-" in path.name]
        metrics.LOG_UNSENT_AGE.set(time.time() - min(begun) if begun else 0)

    def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # It is written, or another service sends it.
            if not os.fstat(file.fileno()).st_nlink:
                return
            while lines := list(islice(file, AT_ONCE)):
                # A killed service may have left half a row at the end.
                try:
                    self._insert([one for one in lines if one.endswith(b"\n")])
                except psycopg.DataError as error:
                    log.error("%s stays as it is: %s", path, storable(str(error), 300))
                    path.rename(path.with_suffix(".refused"))
                    return
            path.unlink()

    def _insert(self, lines: list[bytes]) -> None:
        if not lines:
            return
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=CONNECT_S,
                prepare_threshold=None,
                application_name="skyops serve, log",
            )
            self._connection.read_only = False
        with self._connection.transaction():
            self._connection.execute(f"set local statement_timeout = {STATEMENT_MS}")
            self._connection.execute(INSERT, ((b"[" + b",".join(lines) + b"]").decode(),))

    def _waiting(self) -> list[Path]:
        # Names begin with the time.
        return sorted(self._folder.glob(PATTERN))


def _new_file(folder: Path) -> int:
    """A file that nobody else reads before it is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        path = folder / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return file
        os.close(file)  # One who sends was quicker, and has removed it.


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
