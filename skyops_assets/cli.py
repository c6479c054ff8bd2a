"""The command ``skyops``.

Belongs here: arguments, progress, and errors as one sentence. What a command does lies in
the packages; they are imported when a command runs, so that ``--help`` stays quick.
"""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    from skyops_assets.arrivals.models.champions import Moved
    from skyops_assets.settings import Settings
    from skyops_assets.sources.opensky.loading.files import FileLoad
    from skyops_assets.warehouse.connection import Warehouse

app = typer.Typer(
    help="SkyOps: flight-operations analytics on OpenSky data as one Dagster graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
model = typer.Typer(
    help="See the model's versions; promote one, or roll back.", no_args_is_help=True
)
app.add_typer(model, name="model")
gate = typer.Typer(help="Measure how often the gatekeeper is wrong.", no_args_is_help=True)
app.add_typer(gate, name="gate")
monitor = typer.Typer(
    help="Look at the champion, ask for a retraining, or calibrate the alarms.",
    no_args_is_help=True,
)
app.add_typer(monitor, name="monitor")
# A pipe or a file has no width to fit into.
WIDTH = None if sys.stdout.isatty() else 200
out = Console(highlight=False, width=WIDTH)
err = Console(stderr=True, highlight=False, width=WIDTH)


class Format(StrEnum):
    """How `skyops sql` prints an answer."""

    table = "table"
    csv = "csv"
    json = "json"


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
) -> None:
    """Options of every command."""


@app.command()
def demo() -> None:
    """Run the whole graph on the Paris recording and show what it produced."""
    from skyops_assets.sources.opensky.reading.recordings import DEMO_END, DEMO_START
    from skyops_assets.warehouse.connection import only_one

    settings, warehouse = _prepare()
    with (
        _steps(settings.home / "logs" / "demo.log") as progress,
        only_one(warehouse, "skyops.demo", lambda: progress.line("waiting for another demo")),
    ):
        progress.line("loading the asset graph")
        from skyops_assets.client import run_main

        run = run_main(DEMO_START, DEMO_END, progress.event)
    if not run.is_success:
        raise SkyOpsError(
            f"The main job failed. {' '.join(run.failures)} "
            f"(everything it printed: {settings.home / 'logs' / 'demo.log'})"
        )
    out.print()
    _show_status(_gather(settings, warehouse))
    _show_decision(warehouse)
    out.print("\nNext: [bold]make up[/] opens the graph in the Dagster UI.")


@app.command()
def up() -> None:
    """Keep the Dagster UI, daemon, code server and the dbt docs running, on loopback."""
    from skyops_assets.operations.supervise import run_services

    settings, _ = _prepare()
    if not _docs_page(settings).exists():
        _build_docs(settings)
    from skyops_assets.client import reap_now

    for ended in reap_now():
        out.print(f"Ended the run {escape(ended)}", soft_wrap=True)
    run_services(settings, out.print)


@app.command()
def docs() -> None:
    """Build the dbt docs as one static page."""
    settings, _ = _prepare()
    out.print(f"The dbt docs are in {_build_docs(settings)}")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the warehouse, its rows, the champion model and the last runs."""
    settings, warehouse = _prepare()
    found = _gather(settings, warehouse)
    if as_json:
        print(json.dumps(found, indent=2, default=str))
    else:
        _show_status(found)


@app.command()
def health(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask every part whether it works; exit code 1 if one is broken. Costs one OpenSky credit."""
    from dataclasses import asdict

    from skyops_assets.operations import health as parts

    settings, warehouse = _prepare()
    with err.status("Asking every part"):
        from skyops_assets.client import heartbeats_now

        found = parts.examine(settings, warehouse, heartbeats_now)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        colours = {
            parts.State.OK: "green",
            parts.State.WARNING: "yellow",
            parts.State.BROKEN: "red",
        }
        table = Table("part", "state", "")
        for one in found:
            table.add_row(one.part, f"[{colours[one.state]}]{one.state}[/]", escape(one.says))
        out.print(table)
    if parts.worst(found) == parts.State.BROKEN:
        raise typer.Exit(1)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT on the warehouse.")],
    format: Annotated[Format, typer.Option(help="How to print the answer.")] = Format.table,
) -> None:
    """Query the warehouse (read-only)."""
    import psycopg2

    _, warehouse = _prepare()
    try:
        with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
            # For the session, not for one transaction: the query may hold a COMMIT.
            connection.set_session(readonly=True)
            cursor.execute(query)
            if cursor.description is None:
                raise SkyOpsError("The statement returns no rows; `skyops sql` takes a SELECT.")
            names = [column.name for column in cursor.description]
            rows = cursor.fetchall()
    except psycopg2.Error as error:
        raise SkyOpsError(f"Postgres refuses the query: {str(error).strip()}") from error
    if format is Format.json:
        print(json.dumps([dict(zip(names, map(_plain, row), strict=True)) for row in rows]))
    elif format is Format.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows([["" if v is None else _text(v) for v in row] for row in rows])
    else:
        table = Table(*[escape(name) for name in names])
        for row in rows:
            table.add_row(*["" if v is None else escape(_text(v)) for v in row])
        out.print(table)


@app.command()
def load(
    paths: Annotated[list[Path], typer.Argument(help="Recordings, or folders of them.")],
) -> None:
    """Load recordings: REST answers, OpenSky history, traffic-style tables.

    What is damaged costs its row, its line or the rest of its file, and never another file. Files
    in a folder that are no recordings, such as a README, are named and left.

    Exit code 0: all recordings are loaded. 1: a file that was named is no recording, one could not
    be read to its end, nearly all rows of one are rejected (each is told of), or something else
    failed. 2: the command was not understood.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from skyops_assets.sources.opensky.loading.files import FileLoad, load_file
    from skyops_assets.sources.opensky.reading.recordings import find_recordings
    from skyops_assets.sources.tables import shown
    from skyops_assets.warehouse.connection import ServerUnreachable

    files = find_recordings(paths)
    _, warehouse = _prepare()
    done: list[FileLoad] = []
    counted = TextColumn("{task.fields[rows]:>12,} rows  {task.fields[speed]:>9,.0f} rows/s")
    name = TextColumn("{task.description}", markup=False)
    try:
        with Progress(name, BarColumn(), TaskProgressColumn(), counted, console=err) as progress:
            for number, file in enumerate(files, start=1):
                label = f"{number}/{len(files)} {shown(Path(file.name))}"
                bar = progress.add_task(label, total=None, rows=0, speed=0)
                began = time.monotonic()

                def advance(
                    rows: int, total: int | None, bar: Any = bar, began: float = began
                ) -> None:
                    speed = rows / max(time.monotonic() - began, 1e-6)
                    progress.update(bar, completed=rows, total=total, rows=rows, speed=speed)

                done.append(FileLoad(file, file in paths))
                load_file(warehouse, file, advance, done[-1])
                if len(files) > 1:
                    progress.remove_task(bar)
    except ServerUnreachable:
        # Dagster's storage is on the same server.
        _show_loads(done)
        raise
    except BaseException:
        # What is committed, Dagster must know of; and what stopped the load is what is told last.
        _show_loads(done)
        try:
            _tell_dagster(done)
        except SkyOpsError as error:
            _print_error(error)
        raise
    _show_loads(done)
    _tell_dagster(done)
    if all(one.foreign for one in done):
        raise SkyOpsError("There is no recording among these files: nothing is loaded.")
    if failed := [one for one in done if one.failure]:
        rejected = [one for one in failed if one.failure == one.nearly_all_rejected]
        unread = len(failed) - len(rejected)
        raise SkyOpsError(
            f"{unread} of {len(files)} files could not be loaded to their end; the others are "
            "loaded. "
            * (unread > 0)
            + f"{len(rejected)} of {len(files)} files had nearly all rows rejected. "
            * (len(rejected) > 0)
            + "Correct these and load them again: what is there already changes nothing."
        )


def _show_loads(done: list[FileLoad]) -> None:
    """Show what became of each file."""
    from skyops_assets.sources.tables import shown

    table = Table("file", "format", "read", "loaded", "duplicates", "rejected", "seconds")
    for one in done:
        if one.foreign:
            continue
        before = one.bad_rows - one.rejected_rows
        table.add_row(
            escape(shown(one.path)),
            one.format,
            f"{one.read_rows:,}",
            f"{one.loaded_rows:,}",
            f"{one.duplicate_rows:,}" + f" ({before:,} rejected before)" * (before > 0),
            f"{one.rejected_rows:,}",
            f"{one.seconds:.1f}",
        )
    out.print(table)
    for one in done:
        if one.foreign:
            colour = "red" if one.is_named else "yellow"
            err.print(f"[{colour}]No recording:[/] {escape(one.foreign)}", soft_wrap=True)
        if one.error:
            err.print(f"[red]Not loaded:[/] {escape(one.error)}", soft_wrap=True)
        if one.nearly_all_rejected:
            err.print(f"[red]Rejected:[/] {escape(one.nearly_all_rejected)}", soft_wrap=True)


def _tell_dagster(done: list[FileLoad]) -> None:
    """Tell Dagster of the hours that were touched."""
    from collections import Counter

    hours: Counter[datetime] = Counter()
    for one in done:
        hours.update(one.hours)
    if not hours:
        return
    from skyops_assets.client import report_loaded

    shown = {hour: {"good_rows": rows} for hour, rows in hours.items()}
    try:
        unreported = report_loaded(shown, "skyops load")
    except Exception as error:
        raise SkyOpsError(
            f"Dagster could not be told of {len(hours)} loaded hours of raw/opensky_states "
            f"({' '.join(str(error).split())}). Load the same files again: it changes no row, "
            "and tells."
        ) from error
    out.print(f"Reported to Dagster: {len(hours) - len(unreported)} hours of raw/opensky_states")
    if unreported:
        out.print(
            f"Loaded, but no partition of it: {len(unreported)} hours from "
            f"{min(unreported):%Y-%m-%d %H:%M} to {max(unreported):%Y-%m-%d %H:%M} UTC "
            "(before SKYOPS_FIRST_HOUR, or in the future)"
        )


@app.command()
def collect() -> None:
    """Collect live positions around the watched airports until stopped."""
    from skyops_assets.settings import load_settings
    from skyops_assets.sources.opensky.live.collect import Report, describe
    from skyops_assets.sources.opensky.live.collect import collect as run
    from skyops_assets.warehouse.connection import open_warehouse

    as_given = load_settings()
    settings, warehouse = _prepare()

    def report(found: Report) -> None:
        # Here and not at the top: Dagster takes seconds to import, and the first answer is stored.
        from skyops_assets.client import report_loaded

        shown = describe(found)
        rows = found.rows.items()
        report_loaded(
            {hour: {"dagster/partition_row_count": count, **shown} for hour, count in rows},
            "skyops collect",
        )
        out.print(
            f"{datetime.now(UTC):%H:%M:%S} answers: {shown['answers']}, {shown['loaded_rows']:,} "
            f"positions new, {shown['duplicate_rows']:,} known, {shown['rejected_rows']:,} "
            f"rejected; {shown['credits_left']:,} credits left, a round every "
            f"{shown['interval_s']:g} s"
        )

    run(
        settings,
        warehouse,
        report=report,
        say=lambda text: out.print(escape(text), soft_wrap=True),
        revive=lambda: open_warehouse(as_given),
    )


@app.command("replay-rejected")
def replay_rejected(
    target: Annotated[
        str, typer.Option(help="Table that the rows were meant for.")
    ] = "raw.opensky_states",
    reason: Annotated[
        str | None, typer.Option(help="Only rows with such a reason (SQL LIKE, % stands for any).")
    ] = None,
) -> None:
    """Read rejected rows again and load those that are good by now."""
    from skyops_assets.sources.opensky.loading import replay

    _, warehouse = _prepare()
    found = replay.replay_rejected(warehouse, target=target, reason=reason)
    out.print(
        f"Read {found.looked_at_rows:,} rejected rows again: {found.loaded_rows:,} rows are loaded "
        f"now, {found.duplicate_rows:,} were there already, {found.left_rows:,} stay rejected."
    )
    if found.answers:
        out.print(
            f"Whole answers among them: {found.answers:,}, with {found.answer_rows:,} rows, of "
            f"which {found.rejected_rows:,} are rejected by themselves now."
        )


@app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def exec_(context: typer.Context) -> None:
    """Run any command in SkyOps' environment: skyops exec -- dagster job list."""
    if not context.args:
        raise SkyOpsError("Name a command to run, such as: skyops exec -- dagster job list")
    _prepare()
    try:
        done = subprocess.run(context.args, check=False)
    except FileNotFoundError:
        raise SkyOpsError(f"There is no command {context.args[0]!r} to run.") from None
    raise typer.Exit(done.returncode)


@app.command("fake-opensky")
def fake_opensky(  # noqa: PLR0917
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes a free one.")] = 8900,
    recording: Annotated[str, typer.Option(help="A recording, or `demo` for Paris.")] = "demo",
    answers: Annotated[
        Path | None, typer.Option(help="Folder of OpenSky answers (*.json) to give instead.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Recorded seconds in one second.")] = 1.0,
    faults: Annotated[str, typer.Option(help="Faults to play, separated by commas, or all.")] = "",
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="Keep the recorded times; else it is now.")
    ] = False,
) -> None:
    """Stand in for OpenSky, so that "live" can be tried without an account."""
    from skyops_assets.simulate import fake_opensky
    from skyops_assets.sources.opensky.reading.rest import SIMULATED_SOURCES

    names = (
        fake_opensky.FAULTS
        if faults == "all"
        else [n.strip() for n in faults.split(",") if n.strip()]
    )
    with err.status("Reading what is to be replayed"):
        source: fake_opensky.Source = (
            fake_opensky.replay_of(None if recording == "demo" else Path(recording))
            if answers is None
            else fake_opensky.Snapshots.read(answers)
        )
        server = fake_opensky.FakeOpenSky(
            source,
            speed=speed,
            faults=names,
            # Where the time does not pass as fast as on the clock, "now" is a start only.
            starts_at=None if as_recorded else int(time.time()),
        )

    def show(running: fake_opensky.Running) -> None:
        out.print(f"OpenSky's stand-in answers at {running.url}. Ctrl-C stops it. To ask it:\n")
        out.print(f"export SKYOPS_OPENSKY_URL={running.url}")
        out.print(f"export SKYOPS_OPENSKY_TOKEN_URL={running.token_url}")
        out.print("export SKYOPS_OPENSKY_CLIENT_ID=me SKYOPS_OPENSKY_CLIENT_SECRET=anything")
        out.print(
            f"\nIts positions have the source {SIMULATED_SOURCES}{fake_opensky.NAME}. "
            "No model learns from them, unless SKYOPS_LEARN_FROM_SIMULATED=true."
        )
        out.print(f"What it was asked: {running.base}/fake/accounts")

    fake_opensky.serve(server, port, show)


@app.command()
def simulate(  # noqa: PLR0917
    folder: Annotated[Path, typer.Argument(help="An empty folder, or one to be made.")],
    flights: Annotated[int | None, typer.Option(help="How many flights, at least.")] = None,
    rows: Annotated[int | None, typer.Option(help="How many rows, at least, instead.")] = None,
    days: Annotated[int, typer.Option(help="Days within which the flights begin.")] = 1,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day, UTC.")
    ] = datetime(2024, 1, 31),
    airports: Annotated[str, typer.Option(help="ICAO codes, separated by commas.")] = "all",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rows.")] = 1,
    layout: Annotated[str, typer.Option(help="history or traffic: see docs/simulate.md.")] = (
        "history"
    ),
    clean: Annotated[bool, typer.Option("--clean", help="Nothing is lost or spoilt.")] = False,
) -> None:
    """Write a SYNTHETIC recording, and the truth of it, for tests and benchmarks."""
    from skyops_assets.simulate import write as simulation
    from skyops_assets.simulate.fields import AIRPORTS
    from skyops_assets.simulate.reception import Quality
    from skyops_assets.simulate.truth import Plan

    if layout not in list(simulation.Layout):
        raise SkyOpsError(f"There is no layout {layout!r}; choose history or traffic.")
    simulation.check_empty(folder)
    codes = tuple(code.strip().upper() for code in airports.split(",") if code.strip())
    plan = Plan(seed, start.replace(tzinfo=UTC), days, AIRPORTS if airports == "all" else codes)
    with err.status("Simulating") as shown:
        made = simulation.simulate(
            plan,
            flights=50 if flights is None and rows is None else flights,
            rows=rows,
            quality=None if clean else Quality(),
            layout=simulation.Layout(layout),
            on_rows=lambda done: shown.update(f"Simulating: {done:,} rows"),
        )
        paths = simulation.write(folder, made, plan)
    table = Table("synthetic", "rows")
    for path in paths:
        table.add_row(escape(str(path)), f"{simulation.rows_of(path):,}")
    out.print(table)
    did = ", ".join(f"{count:,} {kind}" for kind, count in simulation.counted(made).items())
    out.print(f"{len(made.flights):,} flights: {did}")
    out.print("None of it was observed. To load it, into a warehouse of its own:\n")
    out.print(
        f"SKYOPS_HOME={escape(str(folder / 'home'))} skyops load "
        f"{escape(str(folder / 'recording'))}", soft_wrap=True,
    )  # fmt: skip


@app.command()
def backtest(
    airports: Annotated[str, typer.Option(help="ICAO codes, separated by commas.")],
    start: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, UTC.")
    ],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, UTC.")],
    retrain: Annotated[
        str, typer.Option(help="When to train a challenger: policy, weekly or never.")
    ] = "policy",
    folder: Annotated[
        Path | None, typer.Option(help="Where the report goes; a new folder by default.")
    ] = None,
) -> None:
    """Replay history forward in time with the code that runs live, and write a report."""
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    from skyops_assets.backtest import replay as replays
    from skyops_assets.backtest import report as backtest_report

    if retrain not in list(replays.Retrain):
        raise SkyOpsError(f"There is no --retrain {retrain!r}; choose policy, weekly or never.")
    codes = tuple(code.strip().upper() for code in airports.split(",") if code.strip())
    settings, warehouse = _prepare()
    name = f"{'-'.join(codes)}_{start:%Y%m%d}-{end:%Y%m%d}_{retrain}"
    folder = folder or settings.home / "backtests" / name
    with Progress(
        *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(), console=err
    ) as progress:
        bar = progress.add_task("days", total=None)

        def show(event: replays.Event, done: int, days: int) -> None:
            progress.update(bar, completed=done, total=days)
            if event.is_retrained:
                said = f"trained ({event.trigger}): {escape(event.decision or '')}"
                progress.console.print(f"{event.at:%Y-%m-%d}  {said}", soft_wrap=True)

        made = replays.replay(
            warehouse,
            settings,
            airports=codes,
            start=start.date(),
            end=end.date(),
            retrain=replays.Retrain(retrain),
            on_day=show,
        )
    page = backtest_report.write(made, folder)
    table = Table(
        "month", "arrivals", "MAE (min)", "gain on the first champion", "skill", "in force"
    )
    for line in backtest_report.lines(made):
        table.add_row(
            line.month,
            f"{line.rows:,}",
            _figure(line.mae_min, ".3f"),
            _figure(line.against_kept.skill if line.against_kept else None, "+.1%"),
            _figure(line.against_baseline.skill if line.against_baseline else None, "+.1%"),
            escape(line.versions),
        )
    out.print(table)
    out.print(f"Report: {escape(str(page))}", soft_wrap=True)


@model.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the versions: trained on what, how good, what was decided, which is in force."""
    from skyops_assets.arrivals.features import RING_NM
    from skyops_assets.arrivals.store.versions import list_versions, model_name

    _, warehouse = _prepare()
    name = model_name(RING_NM)
    found = list_versions(warehouse, name)
    if as_json:
        print(json.dumps([{key: _plain(value) for key, value in row.items()} for row in found]))
        return
    if not found:
        out.print(f"{name} has no version yet; materialise ml/training_runs to train one.")
        return
    table = Table(
        "version", "aliases", "trained from", "through (UTC)", "MAE (min)", "skill",
        "gatekeeper", "promoted (UTC)", "by", title=name,
    )  # fmt: skip
    for row in found:
        table.add_row(
            row["version"],
            _aliases(row),
            _minute(row["trained_from_at"]),
            _minute(row["trained_through_at"]),
            _figure(row["mae_min"], ".2f"),
            _figure(row["skill"], "+.0%"),
            {True: "promoted", False: "not promoted", None: "-"}[row["is_promoted"]],
            _minute(row["promoted_at"]),
            escape(row["promoted_by"] or "-"),
        )
    out.print(table)


@model.command("show")
def show_model(
    version: Annotated[
        str | None, typer.Argument(help="A version; else the champion or the last one trained.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show everything known of a version: its card, its origin, and what became of it."""
    from rich.markdown import Markdown

    from skyops_assets.arrivals.features import RING_NM
    from skyops_assets.arrivals.models import card, champions

    _, warehouse = _prepare()
    found = card.gather(warehouse, champions.chosen(warehouse, version, ring_nm=RING_NM))
    if as_json:
        print(json.dumps(card.as_json(found), default=_plain))
    elif out.is_terminal:
        out.print(Markdown(card.markdown(found)))
    else:
        print(card.markdown(found))


@model.command("promote")
def promote_model(
    version: Annotated[str, typer.Argument(help="The version that is to predict.")],
    reason: Annotated[str, typer.Option(help="Why; kept in audit.champion_changes.")],
) -> None:
    """Make a version champion by hand, whatever the gatekeeper said of it."""
    from skyops_assets.arrivals.features import RING_NM
    from skyops_assets.arrivals.models import champions

    settings, warehouse = _prepare()
    with err.status("Loading the version"):
        moved = champions.promote(warehouse, settings, version, reason, ring_nm=RING_NM)
    _show_moved("promoted", moved)


@model.command("rollback")
def rollback_model(
    reason: Annotated[str, typer.Option(help="Why; kept in audit.champion_changes.")],
    only_from: Annotated[
        str | None,
        typer.Option("--from", help="Only if this version is champion: repeating is harmless."),
    ] = None,
) -> None:
    """Make the champion before the one in force champion again."""
    from skyops_assets.arrivals.features import RING_NM
    from skyops_assets.arrivals.models import champions

    settings, warehouse = _prepare()
    with err.status("Loading the champion before"):
        moved = champions.rollback(
            warehouse, settings, reason, ring_nm=RING_NM, only_from=only_from
        )
    _show_moved("rolled back to", moved)


@gate.command("calibrate")
def calibrate_gate(
    draws: Annotated[
        int, typer.Option(min=2, help="Fits of a kind and month; 16 are 240 challengers.")
    ] = 16,
    month: Annotated[
        str | None, typer.Option(help="Only this month, such as 2019-05; else every one.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same rows.")] = 20211007,
) -> None:
    """Put equal, better and worse challengers before the gatekeeper (docs/gatekeeper.md).

    On the arrivals in the warehouse, with the main recipe. Ends with 1 where a share is beyond its
    limit. Nothing is written.
    """
    from skyops_assets.arrivals import features
    from skyops_assets.arrivals.features import RING_NM
    from skyops_assets.arrivals.store import inputs
    from skyops_assets.backtest import gate_calibration

    settings, warehouse = _prepare()
    rows, _ = features.usable_arrivals(
        inputs.read_arrivals(warehouse, RING_NM, with_simulated=settings.learn_from_simulated)
    )
    with err.status("Fitting") as shown:
        lines = gate_calibration.calibrate(
            rows, draws=draws, only=month, seed=seed, progress=shown.update
        )
    table = Table("month", "draws", "challengers", "trials", "promoted", "held to", "")
    for line in lines:
        limit = "" if line.most is None else f"at most {line.most:.0%}"
        limit = limit if line.least is None else f"at least {line.least:.0%}"
        mark = ("[green]yes[/]" if line.is_held else "[red]no[/]") if limit else ""
        table.add_row(
            line.month, line.kind, line.what, f"{line.trials:,}", f"{line.share:.2%}", limit, mark
        )
    out.print(table)
    if not all(line.is_held for line in lines):
        raise SkyOpsError("The policy does not hold what it is to hold on these arrivals.")


@monitor.command("run")
def run_monitor(
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Ask for a retraining too; `skyops up` starts it.")
    ] = False,
) -> None:
    """Log a verdict on the champion and write the drift report.

    A red blocking check of what the model learns from holds a retraining back, as in the job.
    """
    from skyops_assets.client import failed_checks_now
    from skyops_assets.monitoring import policy, report
    from skyops_assets.monitoring.monitor import monitor_champion

    settings, warehouse = _prepare()
    with err.status("Looking at the checks and the champion"):
        found = monitor_champion(
            warehouse,
            settings,
            request=policy.BUTTON if retrain else None,
            quality_failures=failed_checks_now(),
        )
    out.print(f"{found.verdict}; {found.decision.sentence}")
    out.print(f"The report is {report.publish(warehouse, settings, found)}")


@monitor.command("calibrate")
def calibrate_monitor(
    start: Annotated[datetime, typer.Option("--from", help="First moment of the period, UTC.")],
    end: Annotated[datetime, typer.Option("--to", help="End of the period, UTC, exclusive.")],
    trials: Annotated[int, typer.Option(min=1, help="Pairs of undisturbed windows.")] = 100,
    power: Annotated[int, typer.Option(min=1, help="Pairs of windows a disturbance.")] = 25,
) -> None:
    """False alarms and power of the alarms, on arrivals of a period that you know was calm."""
    from skyops_assets.arrivals import features
    from skyops_assets.arrivals.store import inputs
    from skyops_assets.backtest.alarm_calibration import calibrate

    settings, warehouse = _prepare()
    rows, _ = features.usable_arrivals(
        inputs.read_arrivals(
            warehouse, features.RING_NM, with_simulated=settings.learn_from_simulated
        )
    )
    names = ("disturbance", "pairs", "windows over the drift limit", "skill alarms", "found")
    table = Table(*names, "columns beyond, the most frequent")
    for one in calibrate(
        rows,
        start.replace(tzinfo=UTC),
        end.replace(tzinfo=UTC),
        false_alarm_trials=trials,
        power_trials=power,
        policy=settings.retrain_policy,
    ):
        most = sorted(one.columns, key=lambda name: -one.columns[name])[:3]
        table.add_row(
            one.disturbance,
            str(one.trials),
            f"{one.drift_windows} of {2 * one.trials}",
            str(one.skill_alarms),
            f"{one.found / one.trials:.0%}",
            ", ".join(most),
        )
    out.print(table)


def _show_moved(what: str, moved: Moved) -> None:
    before = f"version {moved.before}" if moved.before else "no champion"
    out.print(
        f"{moved.model_name}: {what} version {moved.after} (before: {before}), by "
        f"{escape(moved.actor)}. The next prediction uses it."
    )
    from skyops_assets.client import report_champion

    doubts = list(moved.warnings)
    try:
        report_champion(moved)
    except Exception as error:
        doubts.append(
            f"Dagster could not be told ({' '.join(str(error).split())}), so its UI does not show "
            "the change, and predictions use it when they are made next. Materialise "
            "ml/predictions to have them at once."
        )
    for doubt in doubts:
        err.print(f"[yellow]Done, but:[/] {escape(doubt)}", soft_wrap=True)


def _aliases(row: dict[str, Any]) -> str:
    names = [name for name in ("champion", "challenger") if row[f"is_{name}"]]
    return ", ".join(names) or "-"


def _minute(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else "-"


def _moment(iso: str | None) -> str:
    return f"{_minute(datetime.fromisoformat(iso))} UTC" if iso else "-"


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _prepare() -> tuple[Settings, Warehouse]:
    """Settings and the running warehouse, with this process's environment set to them."""
    from skyops_assets.runtime import prepare
    from skyops_assets.settings import load_settings

    settings = load_settings()
    with err.status("Preparing the warehouse and the dbt project"):
        return settings, prepare(settings)


def _gather(settings: Settings, warehouse: Warehouse) -> dict[str, Any]:
    from skyops_assets.operations.status import gather

    with err.status("Reading the status"):
        return gather(settings, warehouse)


def _plain(value: Any) -> Any:
    """A database value as JSON takes it: ISO 8601 for times; NaN and infinities are text."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, memoryview)):
        return "\\x" + bytes(value).hex()
    if value is None or isinstance(value, (int, float, str, bool, dict)):
        return value
    return str(value)


def _text(value: Any) -> str:
    """A database value as a cell of a table or CSV: JSON where it has parts."""
    plain = _plain(value)
    return json.dumps(plain) if isinstance(plain, (list, dict)) else str(plain)


class _Steps:
    """Prints a line, with the seconds since the start, as steps begin and assets appear."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began = time.monotonic()
        self.seen: set[str] = set()

    def line(self, text: str) -> None:
        """One line of progress."""
        self.console.print(f"[dim]{time.monotonic() - self.began:4.0f} s[/]  {text}")

    def event(self, kind: str, name: str) -> None:
        """Take one event of a run."""
        if kind == "start":
            self.line(name.replace("__", "/"))
        elif kind == "asset" and name not in self.seen:
            self.seen.add(name)
            self.line(f"  [green]{name}[/]")
        elif kind == "failed check":
            self.line(f"  [yellow]check not passed: {name}[/]")


@contextmanager
def _steps(log: Path) -> Iterator[_Steps]:
    """Progress on the terminal, while all that libraries print goes to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    terminal = os.fdopen(os.dup(1), "w")
    try:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield _Steps(Console(file=terminal, highlight=False, width=WIDTH))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, saved in enumerate(kept, start=1):
            os.dup2(saved, number)
            os.close(saved)
        terminal.close()


def _docs_page(settings: Settings) -> Path:
    return settings.home / "docs" / "index.html"


def _build_docs(settings: Settings) -> Path:
    from skyops_assets.transform.dbt import build_docs

    with err.status("Building the dbt docs"):
        return build_docs(_docs_page(settings))


def _show_status(found: dict[str, Any]) -> None:
    warehouse = found["warehouse"]
    kind = "embedded" if warehouse["embedded"] else "external"
    out.print(f"Warehouse: Postgres {warehouse['server_version']} ({kind}), {warehouse['url']}")
    feed = found["opensky"]
    rhythm = feed.get("problem") or (
        f"a round costs {feed['credits_a_round']}, one every {feed['interval_s']:.1f} s"
    )
    last = feed["last_answer_at"]
    seen = f"last live answer {last:%Y-%m-%d %H:%M:%S} UTC" if last else "no live answer yet"
    out.print(
        f"OpenSky: {feed['credits_left']:,} of {feed['credits_a_day']:,} credits left today "
        f"({feed['opensky_account']}); {escape(rhythm)}; {seen}",
        soft_wrap=True,
    )
    table = Table("table", "rows")
    for name, rows in found["counts"].items():
        table.add_row(name, f"{rows:,}")
    out.print(table)
    champion = found["champion"]
    if champion is None:
        out.print("Champion: none; predictions come from the best baseline.")
    else:
        out.print(
            f"Champion: {champion['name']} version {champion['version']}, "
            f"MAE {_figure(champion['mae_min'], '.2f')} min, skill "
            f"{_figure(champion['skill'], '.2f')}, trained through "
            f"{_moment(champion['trained_through'])}"
        )
    for run in found["last_runs"]:
        began = _moment(run["started_at"])
        out.print(f"Run {run['run_id'][:8]} {run['job']} {run['status']}, started {began}")


def _show_decision(warehouse: Warehouse) -> None:
    """The last decision of the gatekeeper: what was compared, the verdict, its reasons."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select training_run_id, is_promoted, reasons from ml.promotion_decisions "
            "order by decision_id desc limit 1"
        )
        row = cursor.fetchone()
        if row is None:
            return
        run, is_promoted, reasons = row
        cursor.execute(
            "select candidate, mae_min, scored_rows from ml.evaluations "
            "where training_run_id = %s and (role = 'challenger' or is_reference) "
            "and mae_min is not null order by is_reference",
            (run,),
        )
        for candidate, mae_min, rows in cursor.fetchall():
            out.print(f"MAE {mae_min:.2f} min on {rows} test arrivals: {candidate}")
    out.print(f"\nGatekeeper: {'promoted' if is_promoted else 'not promoted'}")
    for reason in reasons:
        mark = "[green]yes[/]" if reason["is_passed"] else "[yellow]no [/]"
        out.print(f"  {mark} {reason['light']:<11} {reason['text']}")


def _print_error(error: SkyOpsError) -> None:
    err.print(f"[red]Error:[/] {escape(str(error))}", soft_wrap=True)


def main() -> None:
    """Entry point: one clear sentence for an error, a traceback only with ``--debug``."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        if isinstance(error, SkyOpsError):
            _print_error(error)
        else:
            err.print(
                f"[red]Unexpected error:[/] {type(error).__name__}: {escape(str(error))} "
                "(`skyops --debug ...` shows where)",
                soft_wrap=True,
            )
        sys.exit(1)


if __name__ == "__main__":
    main()
