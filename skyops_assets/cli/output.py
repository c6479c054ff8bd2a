"""What the commands print, and how: consoles, tables, progress.

Belongs here: values as people and programs read them. Does not: commands.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from skyops_assets.arrivals.features import RINGS_NM
from skyops_assets.errors import SkyOpsError, Stopped

if TYPE_CHECKING:
    from skyops_assets.settings import Settings
    from skyops_assets.warehouse.connection import Warehouse


def _console(stream: TextIO, **where: Any) -> Console:
    """A console that prints text as it is: no `:x:` becomes an emoji, and a pipe has no width."""
    width = None if stream.isatty() else 10_000
    return Console(highlight=False, emoji=False, width=width, **where)


out = _console(sys.stdout)
err = _console(sys.stderr, stderr=True)


def _known_ring(ring: int) -> int:
    if ring not in RINGS_NM:
        known = " or ".join(str(one) for one in RINGS_NM)
        raise SkyOpsError(f"There is no model for --ring {ring}; choose {known}.")
    return ring


RingOption = Annotated[
    int, typer.Option("--ring", help="The model's ring, in NM: 100 or 40.", callback=_known_ring)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def aliases(row: dict[str, Any]) -> str:
    """What a version is: champion, challenger, both or neither."""
    names = [name for name in ("champion", "challenger") if row[f"is_{name}"]]
    return ", ".join(names) or "-"


def minute(at: datetime | None) -> str:
    """A time to the minute, UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else "-"


def _moment(iso: str | None) -> str:
    return f"{minute(datetime.fromisoformat(iso))} UTC" if iso else "-"


def figure(value: float | None, form: str, unit: str = "") -> str:
    """A number in its format, with its unit; only a dash if there is none."""
    return "-" if value is None else format(value, form) + unit


def prepare() -> tuple[Settings, Warehouse]:
    """Settings and the running warehouse, with this process's environment set to them."""
    from skyops_assets import runtime
    from skyops_assets.settings import load_settings

    settings = load_settings()
    note_settings()
    try:
        with err.status("Preparing the warehouse and the dbt project"):
            return settings, runtime.prepare(settings, note)
    except KeyboardInterrupt:
        raise Stopped("Nothing had started yet.") from None


def note_settings() -> None:
    """Print notes on the settings, such as an unknown name."""
    from skyops_assets.settings import notices

    for notice in notices():
        note(notice)


def note(text: str) -> None:
    """Print a note beside the answer."""
    err.print(f"[yellow]Note:[/] {escape(text)}", soft_wrap=True)


def gather(settings: Settings, warehouse: Warehouse) -> dict[str, Any]:
    """The status, as `operations.status.gather` has it, while a line says that it is read."""
    from skyops_assets.operations import status

    def last_runs() -> list[dict[str, Any]]:
        from skyops_assets import client

        return client.last_runs()

    with err.status("Reading the status"):
        return status.gather(settings, warehouse, last_runs)


def plain(value: Any) -> Any:
    """A database value as JSON takes it: ISO 8601 for times; NaN and infinities are text."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, memoryview)):
        return "\\x" + bytes(value).hex()
    if value is None or isinstance(value, (int, float, str, bool, dict)):
        return value
    return str(value)


def print_json(value: Any) -> None:
    """An answer for programs; dataclasses by the names of their fields."""

    def given(one: Any) -> Any:
        if is_dataclass(one) and not isinstance(one, type):
            one = asdict(one)
        if isinstance(one, dict):
            return {str(name): given(value) for name, value in one.items()}
        return [given(item) for item in one] if isinstance(one, (list, tuple)) else plain(one)

    print(json.dumps(given(value)))


def text(value: Any) -> str:
    """A database value as a cell of a table or CSV: JSON where it has parts."""
    given = plain(value)
    return json.dumps(given) if isinstance(given, (list, dict)) else str(given)


def show_rows(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    """Rows as a table; where it is wider than the terminal, a record at a time, line by line.

    NULL is shown as such: an empty cell is an empty text.
    """

    def cell(value: Any) -> Text:
        return Text("NULL", "dim") if value is None else Text(text(value))

    table = Table(*[Column(Text(name)) for name in names])
    for row in rows:
        table.add_row(*map(cell, row))
    widest = Measurement.get(out, out.options.update(max_width=1_000_000), table).maximum
    if widest <= out.width or len(names) == 1:
        out.print(table)
        return
    if not rows:
        out.print(f"No rows of {', '.join(names)}.", markup=False, soft_wrap=True)
    longest = max(map(cell_len, names))
    for number, row in enumerate(rows, start=1):
        out.print(Text(f"-[ {number} ]".ljust(min(40, out.width), "-"), "dim"))
        for name, value in zip(names, row, strict=True):
            padding = " " * (longest - cell_len(name))
            out.print(Text.assemble((name, "bold"), padding, " | ", cell(value)))


class _Steps:
    """Progress of a run: a line a step in a pipe, and on a terminal a bar."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began = time.monotonic()
        self.seen: set[str] = set()
        self.bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            # What libraries print belongs into the log.
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=None)

    def line(self, text: str) -> None:
        """What is done now."""
        self.bar.update(self.task, description=text if len(text) < 40 else f"{text[:38]}…")
        if self.bar.disable:
            self._print(text)

    def event(self, kind: str, name: str) -> None:
        """Take one event of a run."""
        if kind == "assets":
            self.bar.update(self.task, total=int(name))
        elif kind == "start":
            self.line(name.replace("__", "/"))
        elif kind == "asset" and name not in self.seen:
            self.seen.add(name)
            self.bar.advance(self.task)
            if self.bar.disable:
                self._print(f"  [green]{name}[/]")
        elif kind == "failed check":
            self._print(f"  [yellow]check not passed: {name}[/]")

    def _print(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self.began:4.0f} s[/]  {text}")


@contextmanager
def steps(log: Path, stream: int = 1) -> Iterator[_Steps]:
    """Progress on the terminal, while all that libraries print goes to a file.

    Args:
        stream: where it is shown: 1 is the output, 2 that for errors.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    terminal = os.fdopen(os.dup(stream), "w")
    try:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            shown = _Steps(_console(terminal, file=terminal))
            with shown.bar:
                yield shown
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, saved in enumerate(kept, start=1):
            os.dup2(saved, number)
            os.close(saved)
        terminal.close()


def show_status(found: dict[str, Any]) -> None:
    """The warehouse, OpenSky\'s credits, rows by table, the champion and the last runs."""
    warehouse = found["warehouse"]
    kind = "embedded" if warehouse["embedded"] else "external"
    out.print(f"Environment: {found['env']}")
    out.print(f"Warehouse: Postgres {warehouse['server_version']} ({kind}), {warehouse['url']}")
    feed = found["opensky"]
    rhythm = feed.get("problem") or (
        f"a round costs {feed['credits_a_round']}, one every {feed['interval_s']:.1f} s"
    )
    last = feed["last_answer_at"]
    seen = f"last live response {last:%Y-%m-%d %H:%M:%S} UTC" if last else "no live response yet"
    out.print(
        f"OpenSky: {feed['credits_left']:,} of {feed['credits_a_day']:,} credits left today "
        f"({feed['opensky_account']}); {escape(rhythm)}; {seen}",
        soft_wrap=True,
    )
    table = Table("table", "rows")
    for name, rows in found["counts"].items():
        table.add_row(name, f"{rows:,}")
    out.print(table)
    for ring_nm, champion in found["champions"].items():
        if champion is None:
            out.print(f"Champion at {ring_nm} NM: none; predictions come from the best baseline.")
        else:
            out.print(
                f"Champion at {ring_nm} NM: {champion['name']} version {champion['version']}, "
                f"MAE {figure(champion['mae_min'], '.2f', ' min')}, skill "
                f"{figure(champion['skill'], '.2f')}, trained through "
                f"{_moment(champion['trained_through'])}",
                soft_wrap=True,
            )
    for run in found["last_runs"]:
        began = _moment(run["started_at"])
        out.print(f"Run {run['run_id'][:8]} {run['job']} {run['status']}, started {began}")


def print_error(error: SkyOpsError) -> None:
    """One sentence, brackets and all."""
    mark = "[yellow]Stopped:[/]" if isinstance(error, Stopped) else "[red]Error:[/]"
    err.print(f"{mark} {escape(str(error))}", soft_wrap=True)
