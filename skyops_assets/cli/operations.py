"""Commands that start, show and query the platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from skyops_assets.cli.app import app
from skyops_assets.cli.output import (
    JsonOption,
    err,
    gather,
    note,
    out,
    prepare,
    print_json,
    show_status,
)
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    from skyops_assets.settings import Settings


@app.command()
def docs() -> None:
    """Build the dbt docs as one static page."""
    settings, _ = prepare()
    out.print(f"The dbt docs are in {_build_docs(settings)}")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show the warehouse, its rows, the champion model and the last runs."""
    settings, warehouse = prepare()
    found = gather(settings, warehouse)
    if as_json:
        print_json(found)
    else:
        show_status(found)


@app.command("rename-env")
def rename_env(
    name: Annotated[str, typer.Argument(help="The new name, such as prod.")],
    reason: Annotated[str, typer.Option(help="Why; kept in audit.environments.")],
) -> None:
    """Give this warehouse's environment another name; its model versions stay its own."""
    from skyops_assets import setting_values
    from skyops_assets.arrivals.models.champions import actor
    from skyops_assets.settings import load_settings
    from skyops_assets.warehouse import environments
    from skyops_assets.warehouse.connection import open_warehouse
    from skyops_assets.warehouse.migrate import migrate

    try:
        setting_values.environment(name)
    except ValueError as error:
        raise SkyOpsError(f"{name!r} cannot be the name of an environment: {error}.") from None
    settings = load_settings()
    # Not `prepare`, which refuses the name that is not given yet.
    warehouse = open_warehouse(settings)
    migrate(warehouse)
    before = environments.rename(warehouse, name, actor(settings), reason)
    out.print(f"The environment is called {name} now (before: {before or 'without a name'}).")
    if settings.env != name:
        note(f"Set SKYOPS_ENV={name} wherever this warehouse is used, and restart SkyOps.")


@app.command()
def selftest(as_json: JsonOption = False) -> None:
    """Test this installation on simulated flights, in a separate database; takes a minute."""
    from skyops_assets.operations import selftest as trial

    settings, warehouse = prepare()
    steps = []
    with err.status("Trying load, build, landings, model and service"):
        for step in trial.run(settings, warehouse):
            steps.append(step)
            if not as_json:
                mark = "[red]failed[/]" if step.error else "[green]ok[/]"
                said = escape(step.error or step.says)
                out.print(f"{step.name:9} {mark} {step.seconds:5.1f} s  {said}", soft_wrap=True)
    if as_json:
        print_json(steps)
    if any(step.error for step in steps):
        raise SkyOpsError("This installation does not work; the failed step above says why.")


@app.command()
def health(as_json: JsonOption = False) -> None:
    """Check every part; exit code 1 if one is broken. Costs one OpenSky credit."""
    from skyops_assets.operations import health as parts

    settings, warehouse = prepare()
    with err.status("Checking every part"):
        from skyops_assets.client import heartbeats_now

        found = parts.examine(settings, warehouse, heartbeats_now)
    if as_json:
        print_json(found)
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


@app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def exec_(context: typer.Context) -> None:
    """Run any command in SkyOps' environment: skyops exec -- dagster job list."""
    if not context.args:
        raise SkyOpsError("Name a command to run, such as: skyops exec -- dagster job list")
    prepare()
    try:
        done = subprocess.run(context.args, check=False)
    except FileNotFoundError:
        raise SkyOpsError(f"There is no command {context.args[0]!r} to run.") from None
    raise typer.Exit(done.returncode)


@app.command()
def purge(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete the folder SKYOPS_HOME (embedded warehouse, models, logs), after confirmation."""
    from skyops_assets.operations import purge as state
    from skyops_assets.settings import load_settings

    settings = load_settings()
    size = state.removable(settings)
    home = escape(str(settings.home))
    if not settings.home.exists():
        out.print(f"There is no {home}: nothing to remove.", soft_wrap=True)
        return
    what = "models and logs" if settings.database_url else "the whole warehouse, models and logs"
    out.print(f"{home} holds {size / 1e6:,.0f} MB: {what}.", soft_wrap=True)
    if settings.database_url:
        out.print("The databases on your own Postgres stay: drop them there.")
    if settings.store and Path(settings.store) != settings.home:
        out.print(f"The files in {escape(settings.store)} stay: remove them there.")
    if not yes:
        if not sys.stdin.isatty():
            raise SkyOpsError(
                "Nothing is removed: there is no terminal to confirm on. To remove it without "
                "confirmation: skyops purge --yes, or make purge FORCE=1."
            )
        if input("Type yes to delete it for good: ").strip().lower() != "yes":
            raise SkyOpsError("Nothing is removed.")
    state.remove(settings)
    out.print(f"Removed {home}", soft_wrap=True)


def _build_docs(settings: Settings) -> str:
    from skyops_assets.transform.dbt import build_docs

    with err.status("Building the dbt docs"):
        return build_docs(settings)
