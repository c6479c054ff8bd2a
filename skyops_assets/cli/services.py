"""Commands that keep the services running, end them and show their logs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from skyops_assets.cli.app import app
from skyops_assets.cli.output import note, note_settings, out
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    from skyops_assets.settings import Settings
    from skyops_assets.warehouse.connection import Warehouse


@app.command()
def up(
    detach: Annotated[
        bool,
        typer.Option("--detach", "-d", help="Return once everything runs; `skyops down` stops it."),
    ] = False,
) -> None:
    """Keep the Dagster UI, daemon, code server, service and dbt docs running, on loopback."""
    from skyops_assets.operations import keeping, supervise
    from skyops_assets.settings import load_settings

    settings = load_settings()
    if detach:
        _detach(settings)
        return
    note_settings()
    with supervise.until_stopped(_say), keeping.claimed(settings) as claim:
        keeping.end_leftovers(settings.home, claim.left, _say)
        supervise.require_ports(settings)
        _say("Preparing the warehouse")
        from skyops_assets import runtime

        warehouse = runtime.prepare(settings, note)
        _require_no_daemon(settings, warehouse)
        surroundings = runtime.service_environment(settings, warehouse, note)
        supervise.run_services(settings, claim, _say, surroundings)


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; in a container 0.0.0.0.")
    ] = "127.0.0.1",
) -> None:
    """Serve predictions, aircraft, flights, metrics and models over HTTP."""
    from skyops_assets import runtime
    from skyops_assets.cli.output import prepare
    from skyops_assets.operations import supervise
    from skyops_assets.settings import load_settings

    settings = load_settings()
    if problem := supervise.cannot_bind(host, settings.service_port):
        raise SkyOpsError(f"{problem} Set SKYOPS_SERVICE_PORT to another port.")
    _, warehouse = prepare()
    surroundings = runtime.service_environment(settings, warehouse, note)
    _say("Starting the service; `skyops link` prints the link that logs a browser in.")
    sys.stdout.flush()
    # In place of this process, which has imported much that the service never uses.
    command = [sys.executable, "-m", "skyops_assets.serving", host]
    os.execve(sys.executable, command, surroundings)  # noqa: S606


@app.command()
def worker(
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", "-q", help="Queue to take runs from; can be given several times."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, help="Runs at the same time.")
    ] = 2,
) -> None:
    """Take runs that the daemon sends by Celery, on this machine, until Ctrl-C."""
    from skyops_assets import launchers, setting_values
    from skyops_assets.cli.output import prepare
    from skyops_assets.settings import load_settings

    queues = queue or [launchers.QUEUE]
    for name in queues:
        try:
            setting_values.queue(name)
        except ValueError as error:
            raise SkyOpsError(f"--queue {name!r} cannot be used: {error}.") from None
    if (launcher := load_settings().launcher) != "celery":
        raise SkyOpsError(
            f"No runs come here with SKYOPS_LAUNCHER={launcher}: set it to celery, here and where "
            "the daemon runs (docs/distribution.md)."
        )
    prepare()
    # In place of this process, so that Celery itself is asked to stop.
    command = launchers.worker_command(queues, concurrency)
    os.execv(command[0], command)  # noqa: S606


@app.command()
def down() -> None:
    """Stop everything that `skyops up` started, and wait for its end."""
    from skyops_assets.operations import keeping
    from skyops_assets.operations.sentinel import stop_server
    from skyops_assets.settings import load_settings

    settings = load_settings()
    was_up = keeping.end(settings.home, _say)
    stop_server(settings.home)
    if was_up:
        _say("SkyOps is down.")
    else:
        _say(f"Nothing is running in {settings.home}.")


@app.command()
def logs(
    service: Annotated[
        str | None,
        typer.Argument(
            help="up, code-server, daemon, ui, service, docs, follow, postgres or demo."
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines, until Ctrl-C.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="Number of last lines of each log.")
    ] = 20,
) -> None:
    """Print the last lines of the logs of `skyops up`, or of one of its services."""
    from skyops_assets.operations import logs as kept
    from skyops_assets.settings import load_settings

    found = kept.chosen(load_settings().home, service)
    for name, path in found.items():
        if len(found) > 1:
            print(f"==> {name}: {path} <==")
        for line in kept.last_lines(path, lines):
            print(line)
    if follow:
        for name, line in kept.follow_all(found):
            print(f"{name}: {line}" if len(found) > 1 else line, flush=True)


def _detach(settings: Settings) -> None:
    """Start `skyops up` in a session of its own, and show what it says until it is ready."""
    from skyops_assets.operations import entrance, keeping, supervise
    from skyops_assets.operations import logs as kept
    from skyops_assets.warehouse.embedded import unusable

    keeping.require_none(settings)
    log = kept.files(settings.home)["up"]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        kept.rotate([log])
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "skyops_assets.cli", "up"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env=supervise.into_a_file(os.environ),
            )
            said = kept.follow(log, file.tell())
    except OSError as error:
        raise SkyOpsError(unusable(settings.home, error)) from None
    try:
        while True:
            is_over = process.poll() is not None
            keeper = keeping.find(settings.home)
            while (line := next(said)) is not None:
                print(line, flush=True)
            if is_over:
                raise typer.Exit(1)
            if keeper and keeper.pid == process.pid and keeper.is_ready:
                # Not by the process itself: what it says goes to a log.
                print(f"Open the service: {entrance.link(settings)}", flush=True)
                return
            time.sleep(0.1)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def _require_no_daemon(settings: Settings, warehouse: Warehouse) -> None:
    """Raise `SkyOpsError` where a daemon of another home works on this one's Dagster database."""
    from skyops_assets.instance import lease

    lease.of_daemon(warehouse.sqlalchemy(settings.dagster_database), lambda _: None).release()


def _say(line: str) -> None:
    out.print(escape(line), soft_wrap=True)
