"""Commands that bring positions in: files, the live feed, rejected rows, simulations."""

from __future__ import annotations

import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from skyops_assets.cli.app import app
from skyops_assets.cli.operator_inputs import load_operator_inputs
from skyops_assets.cli.output import JsonOption, err, out, prepare, print_error, print_json, steps
from skyops_assets.errors import SkyOpsError, Stopped
from skyops_assets.operations.pushing import reports

if TYPE_CHECKING:
    from rich.console import Console

    from skyops_assets.settings import Settings
    from skyops_assets.sources.opensky.loading.files import FileLoad
    from skyops_assets.warehouse.connection import Warehouse


@app.command()
@reports
def load(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Recordings, or folders of them.")
    ] = None,
    operator: Annotated[
        bool,
        typer.Option(
            "--operator",
            help="Load the schedules and maintenance records in SKYOPS_OPERATOR_DATA instead.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Load recordings: REST responses, OpenSky history, traffic-style tables.

    Damage costs a row, a line or the rest of a file, but never another file. Files in a folder that
    are not recordings, such as a README, are listed and skipped.

    With --operator, load schedules and maintenance records instead, as the daily job does.

    Exit code 0: all recordings are loaded. 1: a file that was named is not a recording, a file
    could not be read to its end, nearly all rows of a file are rejected (each case is reported), or
    something else failed. 2: the command was not understood.
    """
    if operator == bool(paths):
        raise typer.BadParameter("Name recordings, or --operator alone.")
    if paths:
        _load_recordings(paths, as_json)
    else:
        load_operator_inputs(as_json)


def _load_recordings(paths: list[Path], as_json: bool) -> None:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from skyops_assets.sources.opensky.loading.files import FileLoad, load_file
    from skyops_assets.sources.opensky.reading.recordings import find_recordings
    from skyops_assets.sources.text import shown
    from skyops_assets.warehouse.connection import ServerUnreachable

    files = find_recordings(paths)
    settings, warehouse = prepare()
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
        _show_loads(done, as_json)
        raise
    except BaseException as error:
        # What is committed, Dagster must know of; and what stopped the load is what is told last.
        _show_loads(done, as_json)
        try:
            _tell_dagster(done, err if as_json else out)
        except SkyOpsError as untold:
            print_error(untold)
        if _is_interrupted(error):
            raise Stopped(
                f"{len(done)} of {len(files)} files were started. Loaded rows stay; load the same "
                "files again for the rest."
            ) from None
        raise
    _show_loads(done, as_json)
    _tell_dagster(done, err if as_json else out)
    if all(one.foreign for one in done):
        raise SkyOpsError("There is no recording among these files: nothing is loaded.")
    _load_references(settings, warehouse)
    if failed := [one for one in done if one.failure]:
        rejected = [one for one in failed if one.failure == one.nearly_all_rejected]
        raise SkyOpsError(_failed(len(files), len(failed) - len(rejected), len(rejected)))


def _is_interrupted(error: BaseException) -> bool:
    """Whether a person stopped it; ADBC takes Ctrl-C for itself while it waits for the server."""
    is_cancelled = getattr(error, "sqlstate", None) == "57014" and "timeout" not in str(error)
    return isinstance(error, KeyboardInterrupt) or is_cancelled


def _failed(files: int, unread: int, rejected: int) -> str:
    """What became of files that could not be loaded, or not well."""
    if files == 1:
        return "Correct the file and load it again: rows already loaded are not loaded twice."
    said = []
    if unread:
        others = "the others" if unread + rejected < files else "the readable parts"
        said.append(
            f"{unread} of {files} files could not be read to their end; {others} are loaded."
        )
    if rejected:
        said.append(f"{rejected} of {files} files had nearly all rows rejected.")
    return " ".join(
        [*said, "Correct these and load them again: rows already loaded are not loaded twice."]
    )


def _load_references(settings: Settings, warehouse: Warehouse) -> None:
    """Bring airports and runways where they are missing: nothing can be found without them."""
    from skyops_assets.sources import reference

    if not (names := reference.missing(warehouse)):
        return
    with steps(settings.home / "logs" / "load.log", stream=2) as progress:
        progress.line(f"loading {' and '.join(names)}, which positions are matched to")
        from skyops_assets.client import run_references

        run = run_references(progress.event)
    if not run.is_success:
        raise SkyOpsError(f"Airports and runways could not be loaded. {' '.join(run.failures)}")
    if note := reference.runways_note(warehouse):
        err.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


def _show_loads(done: list[FileLoad], as_json: bool) -> None:
    """Show the result of each file; with JSON, messages for people go to the error stream."""
    from skyops_assets.sources.text import shown

    if as_json:
        names = ("path", "format", "read_rows", "loaded_rows", "duplicate_rows", "rejected_rows",
                 "seconds", "reasons", "error", "foreign")  # fmt: skip
        print_json([{name: getattr(one, name) for name in names} for one in done])
        return
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
            err.print(f"[{colour}]Not a recording:[/] {escape(one.foreign)}", soft_wrap=True)
        if one.error:
            err.print(f"[red]Not loaded:[/] {escape(one.error)}", soft_wrap=True)
        if one.nearly_all_rejected:
            err.print(f"[red]Rejected:[/] {escape(one.nearly_all_rejected)}", soft_wrap=True)


def _tell_dagster(done: list[FileLoad], told: Console) -> None:
    """Report the hours that were touched to Dagster."""
    from collections import Counter

    hours: Counter[datetime] = Counter()
    for one in done:
        hours.update(one.hours)
    if not hours:
        return
    shown = {hour: {"good_rows": rows} for hour, rows in hours.items()}
    try:
        with err.status("Reporting the load to Dagster"):
            from skyops_assets.client import report_loaded

            unshown = report_loaded(shown, "skyops load")
    except Exception as error:
        raise SkyOpsError(
            f"{len(hours)} loaded hours of raw/opensky_states could not be reported to Dagster "
            f"({' '.join(str(error).split())}). Load the same files again: no row changes, and "
            "the hours are reported."
        ) from error
    told.print(f"Reported to Dagster: {len(hours)} hours of raw/opensky_states")
    if unshown:
        told.print(
            f"The graph does not show {len(unshown)} of them, from {min(unshown):%Y-%m-%d %H:%M} "
            f"to {max(unshown):%Y-%m-%d %H:%M} UTC; downstream tables are built all the same. "
            f"To see them: export SKYOPS_FIRST_HOUR={min(hours):%Y-%m-%dT%H:%M} (and "
            f"SKYOPS_LAST_HOUR={max(hours):%Y-%m-%dT%H:%M}, if no later hours are to come)",
            soft_wrap=True,
        )


@app.command()
@reports
def refresh() -> None:
    """Rebuild every table downstream of the loaded data now, as `skyops up` does every hour.

    Updates flights, landings, arrivals, features and the champion's predictions. Trains nothing.
    """
    from skyops_assets.warehouse.connection import only_one

    settings, warehouse = prepare()
    log = settings.home / "logs" / "refresh.log"
    _load_references(settings, warehouse)
    try:
        with (
            steps(log) as progress,
            only_one(
                warehouse, "skyops.refresh", lambda: progress.line("waiting for another build")
            ),
        ):
            progress.line("loading the asset graph")
            from skyops_assets.client import run_refresh

            run = run_refresh(progress.event)
    except KeyboardInterrupt:
        raise Stopped("The refresh was stopped; the next one starts over.") from None
    if not run.is_success:
        raise SkyOpsError(f"The refresh failed. {' '.join(run.failures)} (full output: {log})")
    out.print("Every table is up to date with the loaded data.")


@app.command()
def collect() -> None:
    """Collect live positions around the watched airports until stopped."""
    from skyops_assets.settings import load_settings
    from skyops_assets.sources.opensky.live.collect import Report, describe
    from skyops_assets.sources.opensky.live.collect import collect as run
    from skyops_assets.warehouse.connection import open_warehouse

    as_given = load_settings()
    settings, warehouse = prepare()

    if as_given.shows_the_demo:
        out.print(
            "SKYOPS_FIRST_HOUR is not set, so the graph shows only the demo's hours. To see the "
            "collected ones: export "
            f"SKYOPS_FIRST_HOUR={datetime.now(UTC):%Y-%m-%dT%H:00}",
            soft_wrap=True,
        )

    def report(found: Report) -> None:
        # Here, not at the top: Dagster takes seconds to import, and the first response is stored.
        from skyops_assets.client import report_loaded

        shown = describe(found)
        rows = found.rows.items()
        report_loaded(
            {hour: {"dagster/partition_row_count": count, **shown} for hour, count in rows},
            "skyops collect",
            is_live=True,
        )
        out.print(
            f"{datetime.now(UTC):%H:%M:%S} responses: {shown['responses']}, "
            f"{shown['loaded_rows']:,} new positions, {shown['duplicate_rows']:,} duplicates, "
            f"{shown['rejected_rows']:,} rejected; {shown['credits_left']:,} credits left, "
            f"a round every {shown['interval_s']:g} s"
        )

    run(
        settings,
        warehouse,
        report=report,
        say=lambda text: out.print(escape(text), soft_wrap=True),
        revive=lambda: open_warehouse(as_given),
    )


@app.command("replay-rejected")
@reports
def replay_rejected(
    target: Annotated[
        str, typer.Option(help="Table that the rows were meant for.")
    ] = "raw.opensky_states",
    reason: Annotated[
        str | None,
        typer.Option(help="Only rows whose reason matches (SQL LIKE, % stands for any text)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check rejected rows again and load those that now pass."""
    from skyops_assets.sources.opensky.loading import replay

    _, warehouse = prepare()
    found = replay.replay_rejected(warehouse, target=target, reason=reason)
    if as_json:
        print_json(found)
        return
    out.print(
        f"Checked {found.looked_at_rows:,} rejected rows again: {found.loaded_rows:,} are now "
        f"loaded, {found.duplicate_rows:,} were loaded already, {found.left_rows:,} stay rejected."
    )
    if found.responses:
        out.print(
            f"Whole responses among them: {found.responses:,}, with {found.response_rows:,} rows, "
            f"of which {found.rejected_rows:,} are now rejected one by one."
        )


@app.command("fake-opensky")
def fake_opensky(  # noqa: PLR0917
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 8900,
    recording: Annotated[str, typer.Option(help="A recording, or `demo` for Paris.")] = "demo",
    responses: Annotated[
        Path | None, typer.Option(help="Folder of OpenSky responses (*.json) to replay instead.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Recorded seconds to replay per second.")] = 1.0,
    faults: Annotated[
        str, typer.Option(help="Faults to inject, separated by commas, or all.")
    ] = "",
    as_recorded: Annotated[
        bool,
        typer.Option("--as-recorded", help="Keep the recorded times; by default, replay as now."),
    ] = False,
) -> None:
    """Run a fake OpenSky server, to try live collection without an account."""
    from skyops_assets.simulate import fake_faults, fake_opensky, fake_states
    from skyops_assets.sources.opensky.reading.rest import SIMULATED_SOURCES

    if speed == 0:
        raise SkyOpsError(
            "At --speed 0 no time passes and no new position arrives; 1 is real time."
        )
    names = (
        fake_faults.FAULTS
        if faults == "all"
        else [n.strip() for n in faults.split(",") if n.strip()]
    )
    with err.status("Reading the recording"):
        source: fake_states.Source = (
            fake_states.replay_of(None if recording == "demo" else Path(recording))
            if responses is None
            else fake_states.Snapshots.read(responses)
        )
        server = fake_opensky.FakeOpenSky(
            source,
            speed=speed,
            faults=names,
            # Where the time does not pass as fast as on the clock, "now" is a start only.
            starts_at=None if as_recorded else int(time.time()),
        )

    def show(running: fake_opensky.Running) -> None:
        out.print(f"The fake OpenSky runs at {running.url}. Ctrl-C stops it. To collect from it:\n")
        out.print(f"export SKYOPS_OPENSKY_URL={running.url}")
        out.print(f"export SKYOPS_OPENSKY_TOKEN_URL={running.token_url}")
        out.print("export SKYOPS_OPENSKY_CLIENT_ID=me SKYOPS_OPENSKY_CLIENT_SECRET=anything")
        out.print(
            f"\nIts positions have the source {SIMULATED_SOURCES}{fake_opensky.NAME}. "
            "No model learns from them unless SKYOPS_LEARN_FROM_SIMULATED=true."
        )
        out.print(f"The requests it received: {running.base}/fake/accounts")

    fake_opensky.serve(server, port, show)


@app.command()
def simulate(  # noqa: PLR0917
    folder: Annotated[Path, typer.Argument(help="An empty folder, or a new one.")],
    flights: Annotated[int | None, typer.Option(help="Minimum number of flights.")] = None,
    rows: Annotated[int | None, typer.Option(help="Minimum number of rows, instead.")] = None,
    days: Annotated[int, typer.Option(help="Days over which the flights start.")] = 1,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day, UTC.")
    ] = datetime(2024, 1, 31),
    airports: Annotated[str, typer.Option(help="ICAO codes, separated by commas.")] = "all",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same rows.")] = 1,
    layout: Annotated[str, typer.Option(help="history or traffic: see docs/simulate.md.")] = (
        "history"
    ),
    clean: Annotated[bool, typer.Option("--clean", help="Without gaps or damaged rows.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a SYNTHETIC recording and its ground truth, for tests and benchmarks."""
    from skyops_assets.simulate import write as simulation
    from skyops_assets.simulate.fields import AIRPORTS
    from skyops_assets.simulate.flights import Plan
    from skyops_assets.simulate.reception import Quality

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
    if as_json:
        files = {str(path): simulation.rows_of(path) for path in paths}
        print_json({"files": files, "flights": len(made.flights), **simulation.counted(made)})
        return
    table = Table("synthetic", "rows")
    for path in paths:
        table.add_row(escape(str(path)), f"{simulation.rows_of(path):,}")
    out.print(table)
    did = ", ".join(f"{count:,} {kind}" for kind, count in simulation.counted(made).items())
    out.print(f"{len(made.flights):,} flights: {did}")
    out.print("None of it was observed. To load it into a separate warehouse:\n")
    home, recording = (shlex.quote(str(folder / name)) for name in ("home", "recording"))
    out.print(f"SKYOPS_HOME={home} skyops load {recording}", markup=False, soft_wrap=True)
