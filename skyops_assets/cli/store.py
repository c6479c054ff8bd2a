"""Commands of the store: where files are kept beside the tables."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from skyops_assets.cli.app import app
from skyops_assets.cli.output import JsonOption, err, note, out, prepare, print_json
from skyops_assets.errors import SkyOpsError

store = typer.Typer(
    help="See whether every version has its files; move files to a folder or bucket.",
    no_args_is_help=True,
)
app.add_typer(store, name="store")


@store.command("check")
def check(as_json: JsonOption = False) -> None:
    """Name the files that are gone, each with its version; ends with 1 where there are any."""
    from skyops_assets.operations import moving

    settings, warehouse = prepare()
    with err.status("Listing the files"):
        try:
            found = moving.lost_here(warehouse, settings)
        except OSError as error:
            raise SkyOpsError(
                f"{settings.store_root} cannot be read ({error}). See SKYOPS_STORE."
            ) from None
    apart = moving.kept_apart(warehouse, settings)
    if as_json:
        print_json({"store": settings.store_root, "lost": found, "notice": apart})
    else:
        for line in found or [f"Every version has its files in {settings.store_root}."]:
            out.print(escape(line), soft_wrap=True)
        if apart:
            note(apart)
    if found:
        raise typer.Exit(1)


@store.command("move")
def move(
    place: Annotated[
        str, typer.Argument(help="A folder (an absolute path), or s3://bucket/prefix.")
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="The old place; else SKYOPS_STORE, or SKYOPS_HOME where it is that one."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the originals.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move training sets, reports, docs and MLflow's files; repeat it after a kill to go on.

    SkyOps must not run meanwhile.
    """
    from skyops_assets import setting_values
    from skyops_assets.operations import moving

    settings, warehouse = prepare()
    try:
        goal, old = (one and setting_values.place(one).rstrip("/") for one in (place, source))
    except ValueError as error:
        raise SkyOpsError(f"There is no such place: {error}.") from None
    with err.status("Looking at the files") as shown:
        made = moving.move(
            warehouse, settings, str(goal), old, keep=keep,
            say=lambda text: shown.update(escape(text)),
        )  # fmt: skip
    if as_json:
        print_json(made)
    else:
        what = "copied" if made.is_source_kept else "moved"
        out.print(
            f"{made.files:,} files ({made.bytes / 1e6:,.1f} MB) were {what} from "
            f"{escape(made.source)} to {escape(made.goal)}, each read back.",
            soft_wrap=True,
        )
    if settings.store_root != made.goal:
        note(f"Set SKYOPS_STORE={made.goal} before SkyOps is started again.")
    for line in made.lost:
        note(line)
