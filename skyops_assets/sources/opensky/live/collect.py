"""The live feed: ask OpenSky for the watch list's boxes and write each response at once.

Belongs here: the rhythm of asking, one collector at a time, and what happens when OpenSky or the
warehouse fails. Does not: a request (`client`), one round (`poll`), its price (`boxes`, `credits`).

A response in hand is written before the next is asked for, and kept until it is, on disk as well: a
warehouse that goes away, or a process that is killed, costs time and not positions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from skyops_assets.files import beat
from skyops_assets.sources.opensky.live.boxes import BoundingBox, cost_of
from skyops_assets.sources.opensky.live.client import OpenSkyClient, Response
from skyops_assets.sources.opensky.live.credits import CreditBudget, CreditState
from skyops_assets.sources.opensky.live.failures import (
    PermanentFailure,
    QuotaExceeded,
    TransientFailure,
)
from skyops_assets.sources.opensky.live.poll import (
    Written,
    hour_rows,
    shortest_interval_s,
    watched_boxes,
    what_is_missed,
    write_response,
)
from skyops_assets.sources.opensky.live.spool import Spool
from skyops_assets.sources.opensky.loading.partitions import (
    drop_old_partitions,
    index_finished_days,
)
from skyops_assets.warehouse.connection import ServerUnreachable, Warehouse
from skyops_assets.warehouse.sessions import BEGIN_LONG
from skyops_assets.warehouse.trouble import explain

if TYPE_CHECKING:
    from skyops_assets.settings import Settings


REPORT_EVERY_S = 300.0
"""288 reports a day: Dagster's event log keeps each for a week."""
LOOK_EVERY_S = 5.0
"""How often a collector that waits looks whether it may work, and one that works whether it still
may: with the server's keepalives (25 s) a successor starts within half a minute of a death."""
TROUBLE_PAUSE_S = 5.0
REFUSED_PAUSE_S = 300.0
"""What worked before and is refused now is asked for again after so long."""
SAY_AGAIN_S = 600.0
STOP_GRACE_S = 5.0
"""How long a request under way is waited for when a signal asks for the end."""
LOCK = "skyops.collect"
_KEEPALIVES = """
    set local tcp_keepalives_idle = 10;
    set local tcp_keepalives_interval = 5;
    set local tcp_keepalives_count = 3
"""


class Feed(Protocol):
    """Where responses come from: `OpenSkyClient`."""

    def states(self, box: BoundingBox | None = None) -> Response:
        """The state vectors of now."""


@dataclass
class Tally:
    """What was collected since the last report."""

    responses: int = 0
    malformed_responses: int = 0
    read_rows: int = 0
    loaded_rows: int = 0
    duplicate_rows: int = 0
    rejected_rows: int = 0
    longest_lag_s: float = 0.0
    batch_id: int | None = None
    newest_position_at: datetime | None = None
    hours: set[datetime] = field(default_factory=set)

    def add(self, written: Written) -> None:
        """Count a response."""
        batch = written.batch
        self.responses += 1
        self.malformed_responses += written.error is not None
        self.read_rows += batch.read_rows
        self.loaded_rows += batch.loaded_rows
        self.duplicate_rows += batch.duplicate_rows
        self.rejected_rows += batch.rejected_rows
        self.longest_lag_s = max(self.longest_lag_s, written.lag_s)
        self.batch_id = batch.batch_id
        newest = (self.newest_position_at, batch.window_end_at)
        self.newest_position_at = max((at for at in newest if at), default=None)
        self.hours |= written.hours


@dataclass(frozen=True)
class Report:
    """What a collector tells of the last minutes.

    Attributes:
        tally: the sums.
        rows: how many positions each touched hour holds now, of all sources; hours whose number
            has not changed since the last report are left out.
        credits: of the account.
        interval_s: seconds between two rounds.
    """

    tally: Tally
    rows: Mapping[datetime, int]
    credits: CreditState
    interval_s: float


@contextmanager
def leadership(
    warehouse: Warehouse, stop: threading.Event, on_wait: Callable[[], None]
) -> Iterator[Callable[[], None] | None]:
    """Be the one collector that works; waits for it while another is.

    The right is a lock of this transaction, which stays open: Postgres frees it when the process
    ends, however, and within 25 s when its machine is gone.

    Args:
        on_wait: called once if another collector works.

    Yields:
        A function that raises when the right may be lost (psycopg2.Error); None if ``stop`` was
        set first.
    """
    with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(BEGIN_LONG)
        cursor.execute(_KEEPALIVES)
        is_waiting = False
        while not stop.is_set():
            cursor.execute("select pg_try_advisory_xact_lock(hashtext(%s))", (LOCK,))
            if cursor.fetchone() == (True,):
                break
            if not is_waiting:
                on_wait()
            is_waiting = True
            stop.wait(LOOK_EVERY_S)
        yield None if stop.is_set() else lambda: cursor.execute("select 1")


class Collector:
    """Asks and writes until it is told to stop.

    Args:
        warehouse: where to.
        feed: where from.
        boxes: what to ask for in each round.
        credits: tells what is left, and with it how often to ask.
        shortest_s: seconds between two rounds, at least.
        report: called every five minutes with what was collected, for the asset graph. What it
            raises is said and tried again five minutes later.
        say: prints a line for a person.
        spool: where the feed puts its responses; what others left there is stored first.
        keep_days: SKYOPS_RAW_RETENTION_DAYS.
        revive: called before each attempt to reach the warehouse again; starts an embedded one.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        feed: Feed,
        boxes: Sequence[BoundingBox],
        *,
        credits: CreditBudget,
        shortest_s: float,
        report: Callable[[Report], None],
        say: Callable[[str], None],
        spool: Spool | None = None,
        keep_days: int | None = None,
        revive: Callable[[], object] = lambda: None,
    ) -> None:
        self.warehouse = warehouse
        self.feed = feed
        self.boxes = tuple(boxes)
        self.cost_per_round = sum(cost_of(box) for box in boxes)
        self.is_asking = False
        self._credits = credits
        self._shortest_s = shortest_s
        self._report = report
        self._say = say
        self._spool = spool
        self._keep_days = keep_days
        self._revive = revive
        self._held: Response | None = None
        self._tally = Tally()
        self._rows: dict[datetime, int] = {}
        self._report_at = 0.0
        self._tidied: datetime | None = None
        self._has_answered = False
        self._said: tuple[str, float] = ("", 0.0)

    def run(self, stop: threading.Event) -> None:
        """Collect until ``stop`` is set, then report what is left to report.

        Raises:
            PermanentFailure: OpenSky refuses from the start: something has to be changed.
            SkyOpsError: the warehouse refuses the login.
        """
        import psycopg2
        from adbc_driver_manager import Error as ArrowError

        while not stop.is_set():
            try:
                if self._held is not None:
                    # Before it waits: another collector may work by now, and for days.
                    self._write(self._held)
                with leadership(self.warehouse, stop, self._say_waiting) as check:
                    if check is None:
                        return
                    self._store_left()
                    self._lead(check, stop)
                    self.send_report()
            except (ServerUnreachable, psycopg2.Error, ArrowError) as error:
                self._say_once(
                    f"The warehouse failed; trying again: {explain(error) or _line(error)}"
                )
                stop.wait(TROUBLE_PAUSE_S)
                with suppress(ServerUnreachable):
                    self._revive()
        if self._held is not None:
            self._say(
                "The last response is not stored, because the warehouse did not come back; the "
                "next collector stores it."
                if self._spool
                else "The last response is not stored: the warehouse is unavailable."
            )

    def _store_left(self) -> None:
        """Store what collectors that were killed have left in the spool."""
        for body, received_at in self._spool.left() if self._spool else ():
            self._tally.add(
                write_response(self.warehouse, Response(body, received_at, 200, None, 0))
            )

    def _lead(self, check: Callable[[], None], stop: threading.Event) -> None:
        while not stop.is_set():
            check()
            began = time.monotonic()
            pause_s = self._round(stop)
            self._tidy()
            while not stop.is_set() and (left_s := began + pause_s - time.monotonic()) > 0:
                if time.monotonic() >= self._report_at:
                    self.send_report()
                stop.wait(min(left_s, LOOK_EVERY_S))
                check()
            if time.monotonic() >= self._report_at:
                self.send_report()

    def _round(self, stop: threading.Event) -> float:
        """Ask for every box once; the seconds from the start of this round to the next."""
        for box in self.boxes:
            if stop.is_set():
                return 0.0
            try:
                self.is_asking = True
                response = self._held = self.feed.states(box)
            except QuotaExceeded as failure:
                self._say_once(str(failure))
                return max(failure.retry_after_s, self._shortest_s)
            except PermanentFailure as failure:
                if not self._has_answered:
                    raise
                if failure.is_sent_elsewhere:
                    # The other boxes would be as well.
                    self._say_once(f"{failure} Trying again in the next round.")
                    break
                self._say_once(f"{failure} Trying again every {REFUSED_PAUSE_S:.0f} s.")
                return REFUSED_PAUSE_S
            except TransientFailure as failure:
                self._say_once(str(failure))
                continue
            finally:
                self.is_asking = False
            self._write(response)
            self._has_answered = True
        return self._credits.read().interval_s(self.cost_per_round, self._shortest_s)

    def _write(self, response: Response) -> None:
        written = write_response(self.warehouse, response)
        self._held = None
        if self._spool is not None:
            self._spool.drop()
        self._tally.add(written)
        if written.error:
            self._say_once(f"{written.error} It is kept in raw.rejected_states.")

    def send_report(self) -> None:
        """Tell of the last minutes; what cannot be told now is told with the next report."""
        self._report_at = time.monotonic() + REPORT_EVERY_S
        if not self._tally.responses:
            return
        rows = hour_rows(self.warehouse, self._tally.hours)
        changed = {hour: count for hour, count in rows.items() if self._rows.get(hour) != count}
        state = self._credits.read()
        interval_s = state.interval_s(self.cost_per_round, self._shortest_s)
        try:
            self._report(Report(self._tally, changed, state, interval_s))
        except Exception as error:
            # Dagster's storage may be away while the warehouse is not: positions come first.
            self._say_once(f"The report to Dagster failed; trying again: {_line(error)}")
            return
        self._rows.update(rows)
        self._tally = Tally()

    def _tidy(self) -> None:
        """Once an hour: drop what retention does not keep, index the days that are over."""
        now = datetime.now(UTC)
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour == self._tidied:
            return
        for day, rows in drop_old_partitions(self.warehouse, self._keep_days, now).items():
            self._say(f"Retention dropped {rows:,} positions of {day}.")
        index_finished_days(self.warehouse, now)
        self._tidied = hour

    def _say_waiting(self) -> None:
        self._say("Another collector is running; this one waits and takes over when it ends.")

    def _say_once(self, text: str) -> None:
        """Say it, unless it was the last thing said within ten minutes."""
        last, at = self._said
        if text != last or time.monotonic() - at > SAY_AGAIN_S:
            self._say(text)
            self._said = (text, time.monotonic())


class _Stop(threading.Event):
    """The wish to end; who waits for it lives, and that is told."""

    def __init__(self, alive: Callable[[], None]) -> None:
        super().__init__()
        self._alive = alive

    def wait(self, timeout: float | None = None) -> bool:
        self._alive()
        return super().wait(timeout)


def collect(
    settings: Settings,
    warehouse: Warehouse,
    *,
    report: Callable[[Report], None],
    say: Callable[[str], None],
    revive: Callable[[], object],
) -> None:
    """Collect until SIGTERM or SIGINT; for the main thread of a process.

    The work is done in a thread, and signals are taken here, where nothing can be interrupted
    halfway. A response that is being written is written to its end.

    Raises:
        SkyOpsError: as `Collector.run`.
    """
    import signal

    boxes = watched_boxes(settings)
    budget = CreditBudget.from_settings(settings, warehouse)
    stop = _Stop(lambda: beat(settings.home, "collect"))
    failed: list[BaseException] = []

    def pause(seconds: float) -> None:
        if stop.wait(seconds):
            raise TransientFailure("Stopped between two attempts.")

    signals = {signal.SIGTERM, signal.SIGINT}
    # Before the thread starts, which inherits it: a signal then waits until it is asked for.
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    spool = Spool(settings.home / "collected")
    with OpenSkyClient.from_settings(settings, budget, sleep=pause, on_body=spool.keep) as client:
        collector = Collector(
            warehouse,
            client,
            boxes,
            credits=budget,
            shortest_s=shortest_interval_s(settings),
            report=report,
            say=say,
            spool=spool,
            keep_days=settings.raw_retention_days,
            revive=revive,
        )
        state = budget.read()
        interval_s = state.interval_s(collector.cost_per_round, shortest_interval_s(settings))
        say(
            f"Collecting around {', '.join(settings.watch_airports)} as {client.account}: "
            f"{len(boxes)} {'box' if len(boxes) == 1 else 'boxes'} for {collector.cost_per_round} "
            f"of {state.remaining:,} credits left today, every {interval_s:.1f} s."
        )
        if note := what_is_missed(interval_s):
            say(note)

        def work() -> None:
            try:
                collector.run(stop)
            except BaseException as error:
                failed.append(error)

        worker = threading.Thread(target=work, name="collector", daemon=True)
        worker.start()
        while worker.is_alive() and signal.sigtimedwait(signals, 0.5) is None:
            pass
        stop.set()
        asked_at = time.monotonic()
        # A request under way may last SKYOPS_OPENSKY_TIMEOUT_S; its response is not in hand yet.
        while worker.is_alive() and not (
            collector.is_asking and time.monotonic() - asked_at > STOP_GRACE_S
        ):
            worker.join(0.1)
        if worker.is_alive():
            collector.send_report()
    signal.pthread_sigmask(signal.SIG_SETMASK, usual)
    if failed:
        raise failed[0]
    say("Stopped.")


def _line(error: BaseException) -> str:
    """An error on one line."""
    return " ".join(str(error).split())


def describe(report: Report) -> dict[str, Any]:
    """A report's figures by name, for metadata and for a line on the terminal."""
    tally = report.tally
    return {
        "responses": tally.responses,
        "malformed_responses": tally.malformed_responses,
        "read_rows": tally.read_rows,
        "loaded_rows": tally.loaded_rows,
        "duplicate_rows": tally.duplicate_rows,
        "rejected_rows": tally.rejected_rows,
        "longest_lag_s": round(tally.longest_lag_s, 3),
        "batch_id": tally.batch_id,
        "newest_position_at": tally.newest_position_at,
        **credit_figures(report.credits),
        "interval_s": round(report.interval_s, 1),
    }


def credit_figures(state: CreditState) -> dict[str, Any]:
    """An account's credits by name; the account is ``anonymous`` or a hash of its id."""
    return {
        "opensky_account": state.account,
        "credits_left": state.remaining,
        "credits_spent_today": state.spent,
        "credits_a_day": state.limit,
    }
