"""Brings the live models up to date as positions come: the work of `skyops follow`.

It waits for loads, which Postgres tells (``NOTIFY skyops_loads``, at their commit), and runs dbt in
this process with the project parsed once: the models are the same as those of the hourly build, and
so is their SQL. It builds the models that are not tagged `hourly` and tests nothing; what it made
waits for the hourly build's tests in ``audit.pending_ranges`` (docs/transform.md).

Belongs here: when to run dbt, and with what. Does not: what a pass computes, which is dbt's.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.files import beat
from skyops_assets.transform.dbt import (
    DBT_PROJECT,
    LOCK,
    TURN,
    build_arguments,
    manifest_fingerprint,
    parse_for_any_server,
    prepare_session,
    run_target,
    transform_fingerprint,
)
from skyops_assets.warehouse.connection import ServerUnreachable, Warehouse, only_one

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

CHANNEL = "skyops_loads"
TOLD = "skyops_live"
"""Where each pass tells that the live views are new, and again once it has predicted."""
UP_TO_DATE = "Everything is up to date."
POLL_S = 5.0
"""How long a load waits that nobody told of: behind some poolers LISTEN is deaf."""
PASS = (
    "run",
    "--exclude",
    "tag:hourly",
    "config.materialized:view",
    "config.materialized:reference",
)
LONGEST_WAIT_S = 20.0
"""How long at most a pass is put off for a build that is under way."""
ATTEMPTS = 5
"""A pass that fails so often in a row ends the process; its keeper starts it again."""
MEMORY_GROWTH = 1.2
"""By how much the process may grow after its first passes; then it starts itself again."""
SETTLED_AFTER = 50
"""Passes after which its memory is taken as the measure of its growth."""
WAITING = """
select
    (select fingerprint from audit.transform_state),
    exists (
        select 1 from raw.ingest_batches
        where target = 'raw.opensky_states' and transformed_at is null
    ),
    (
        select max(batch_id) from raw.ingest_batches
        where target in ('raw.airports', 'raw.runways', 'raw.aircraft')
    )
"""


@dataclass(frozen=True)
class Pass:
    """One run of the live models, in seconds: waiting for another dbt run, dbt, what follows."""

    waited_s: float
    dbt_s: float
    after_s: float


class Stopped(Exception):
    """A signal asked for the end; the pass under way was finished."""


class Renewed(Exception):
    """The process is to start again: it has grown, or the project is another."""


@dataclass
class Follower:
    """Follows the loads until a signal, or until this process should be a new one.

    Args:
        home: SKYOPS_HOME, where dbt's artifacts go.
        after: what is done once the live models are built, such as predicting.
        say: prints a line for the person who watches.
        on_pass: told of each pass.
    """

    warehouse: Warehouse
    home: Path
    after: Callable[[], None]
    say: Callable[[str], None]
    on_pass: Callable[[Pass], None]

    def __post_init__(self) -> None:
        self._options = pass_options(run_target(self.home, "follow"))
        self._stop = _Stop(lambda: beat(self.home, "follow"))
        self._references: int | None = None
        self._fingerprint = ""
        self._said = ""
        self._passes, self._failed, self._settled_bytes = 0, 0, 0

    def run(self) -> None:
        """Make pass after pass; a warehouse that is away for a while is waited for.

        Raises:
            Stopped: SIGTERM or SIGINT came.
            Renewed: the process has grown, or the project has changed since it started.
            SkyOpsError: dbt cannot parse the project, or a model fails.
        """
        with self._stop.on_signals():
            self._run()

    def _run(self) -> None:
        from dbt.cli.main import dbtRunner
        from dbt.contracts.graph.manifest import Manifest

        prepare_session(self.warehouse)
        parse_for_any_server()
        self._project = manifest_fingerprint()
        parsed = dbtRunner().invoke(["parse", *self._options])
        if not isinstance(parsed.result, Manifest):
            raise SkyOpsError(f"dbt cannot parse the project: {parsed.exception or parsed.result}")
        self._dbt = dbtRunner(manifest=parsed.result)
        while True:
            try:
                with self._listening() as ear:
                    self._follow(ear)
            except ServerUnreachable as error:
                self._tell(str(error))
                self._stop.sleep(POLL_S)

    def _follow(self, ear: Connection) -> None:
        while True:
            known, is_waiting, references = self._look()
            if references != self._references:
                self._references = references
                self._fingerprint = transform_fingerprint(self.warehouse, build_arguments())
            if known != self._fingerprint:
                if manifest_fingerprint() != self._project:
                    raise Renewed
                self._tell(
                    "Waiting for a full build, because the models, the airports or the "
                    "settings have changed: `skyops refresh`, or the next hourly build."
                )
            elif is_waiting:
                self._pass()
                continue
            else:
                self._tell(UP_TO_DATE)
            self._stop.check()
            if select.select([ear, self._stop.woken], [], [], POLL_S)[0]:
                ear.poll()
                ear.notifies.clear()
            self._stop.check()

    def _look(self) -> tuple[str | None, bool, int | None]:
        with self.warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute(WAITING)
            row: tuple[str | None, bool, int | None] = cursor.fetchone()  # type: ignore[assignment]
        return row

    def _pass(self) -> None:
        began = time.monotonic()
        with only_one(self.warehouse, TURN, lambda: self._tell("Waiting for another dbt run.")):
            got = time.monotonic()
            # Another run may have built all, or begun to build all anew, while this one waited.
            if self._look()[:2] != (self._fingerprint, True):
                return
            os.environ["SKYOPS_TRANSFORM_FINGERPRINT"] = self._fingerprint
            done = self._dbt.invoke([*PASS, *self._options])
        built = time.monotonic()
        if not done.success:
            self._failed += 1
            if self._failed == ATTEMPTS:
                raise SkyOpsError(f"dbt failed {ATTEMPTS} times in a row: {_why(done)}")
            self._tell(f"dbt failed; trying again: {_why(done)}")
            self._stop.sleep(POLL_S)
            return
        self._failed = 0
        self._said = UP_TO_DATE  # Each pass says so by itself.
        self._announce()
        self.after()
        self._announce()
        self.on_pass(Pass(got - began, built - got, time.monotonic() - built))
        self._stop.check()
        if self._is_other_run():
            # Else a lane that is always busy would let it have one model a pass.
            self._stop.sleep(min(LONGEST_WAIT_S, time.monotonic() - got))
        self._mind_memory()

    def _is_other_run(self) -> bool:
        """Whether a build is under way, which works between two passes."""
        with self.warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute("select not pg_try_advisory_xact_lock_shared(hashtext(%s))", (LOCK,))
            return cursor.fetchone() == (True,)

    def _announce(self) -> None:
        with self.warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"notify {TOLD}")

    def _mind_memory(self) -> None:
        import psutil

        self._passes += 1
        used = psutil.Process().memory_info().rss
        if self._passes == SETTLED_AFTER:
            self._settled_bytes = used
        elif self._passes > SETTLED_AFTER and used > MEMORY_GROWTH * self._settled_bytes:
            raise Renewed

    @contextmanager
    def _listening(self) -> Iterator[Connection]:
        with self.warehouse.connect(autocommit=True) as ear, ear.cursor() as cursor:
            cursor.execute(f"listen {CHANNEL}")
            yield ear

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self.say(text)


def pass_options(target: Path) -> list[str]:
    """Options of every dbt command of the lane; `target` is the folder for dbt's artifacts."""
    return [
        "--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT),
        "--target-path", str(target), "--log-path", str(target), "--quiet",
        "--no-write-json", "--log-level-file", "none", "--no-use-colors", "--no-version-check",
        "--no-send-anonymous-usage-stats",
    ]  # fmt: skip


def _why(done: Any) -> str:
    """What dbt says of a failed run, as one line."""
    if done.exception:
        return " ".join(str(done.exception).split())
    failed = [one for one in done.result.results if one.status in ("error", "fail")]
    return "; ".join(f"{one.node.name}: {' '.join(str(one.message).split())}" for one in failed)


class _Stop:
    """The wish to end, which wakes who waits; who looks at it lives, and that is told.

    Args:
        alive: tells it.
    """

    def __init__(self, alive: Callable[[], None]) -> None:
        self.is_asked = False
        self._alive = alive
        self.woken, self._waker = os.pipe()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask; a second one does what it always did."""
        before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}

        def ask(_number: int, _frame: FrameType | None) -> None:
            self.is_asked = True
            os.write(self._waker, b".")
            for one, handler in before.items():
                signal.signal(one, handler)

        for one in before:
            signal.signal(one, ask)
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def check(self) -> None:
        self._alive()
        if self.is_asked:
            raise Stopped

    def sleep(self, seconds: float) -> None:
        select.select([self.woken], [], [], seconds)
        self.check()


def start_again() -> None:
    """Take this process's place with a fresh one, of the same command."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (no shell)
