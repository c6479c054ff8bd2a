"""Commands of the model loop: versions, the gatekeeper, backtests."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from skyops_assets.arrivals.features import RING_NM, named
from skyops_assets.cli.app import app
from skyops_assets.cli.output import (
    JsonOption,
    RingOption,
    aliases,
    err,
    figure,
    minute,
    out,
    prepare,
    print_json,
)
from skyops_assets.errors import SkyOpsError
from skyops_assets.operations.pushing import reports

if TYPE_CHECKING:
    from skyops_assets.arrivals.models.champions import ChampionSwitch
    from skyops_assets.arrivals.store.corrections import Correction

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]

model = typer.Typer(
    help="List and show model versions, promote one or roll back, exclude bad data.",
    no_args_is_help=True,
)
gate = typer.Typer(help="Measure how often the gatekeeper is wrong.", no_args_is_help=True)
app.add_typer(model, name="model")
app.add_typer(gate, name="gate")


@app.command()
@reports
def backtest(  # noqa: PLR0917
    airports: Annotated[str, typer.Option(help="ICAO codes, separated by commas.")],
    start: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, UTC.")
    ],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, UTC.")],
    retrain: Annotated[
        str, typer.Option(help="When to train a challenger: policy, weekly or never.")
    ] = "policy",
    folder: Annotated[
        Path | None, typer.Option(help="Where to write the report; a new folder by default.")
    ] = None,
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Replay history forward in time with the code that runs live, and write a report."""
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

    from skyops_assets.backtest import replay as replays
    from skyops_assets.backtest import report as backtest_report

    if retrain not in list(replays.Retrain):
        raise SkyOpsError(f"There is no --retrain {retrain!r}; choose policy, weekly or never.")
    codes = tuple(code.strip().upper() for code in airports.split(",") if code.strip())
    settings, warehouse = prepare()
    name = f"{'-'.join(codes)}_{start:%Y%m%d}-{end:%Y%m%d}_{named(retrain, ring)}"
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
            ring_nm=ring,
            retrain=replays.Retrain(retrain),
            on_day=show,
        )
    page = backtest_report.write(made, folder)
    if as_json:
        print_json({"report": str(page), "months": backtest_report.lines(made)})
        return
    table = Table(
        "month", "arrivals", "MAE (min)", "gain on the first champion", "skill", "in force"
    )
    for line in backtest_report.lines(made):
        table.add_row(
            line.month,
            f"{line.rows:,}",
            figure(line.mae_min, ".3f"),
            figure(line.against_kept.skill if line.against_kept else None, "+.1%"),
            figure(line.against_baseline.skill if line.against_baseline else None, "+.1%"),
            escape(line.versions),
        )
    out.print(table)
    out.print(f"Report: {escape(str(page))}", soft_wrap=True)


@model.command("list")
def list_models(
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """List the versions: training data, skill, the gatekeeper's decision, and the champion."""
    from skyops_assets.arrivals.store.versions import list_versions, model_name

    _, warehouse = prepare()
    name = model_name(ring)
    found = list_versions(warehouse, name)
    if as_json:
        print_json(found)
        return
    if not found:
        asset = named("training_runs", ring)
        out.print(f"{name} has no version yet; materialise ml/{asset} to train one.")
        return
    table = Table(
        "version", "aliases", "trained from", "through (UTC)", "MAE (min)", "skill",
        "gatekeeper", "promoted (UTC)", "by", title=name,
    )  # fmt: skip
    for row in found:
        table.add_row(
            row["version"],
            aliases(row),
            minute(row["trained_from_at"]),
            minute(row["trained_through_at"]),
            figure(row["mae_min"], ".2f"),
            figure(row["skill"], "+.0%"),
            {True: "promoted", False: "not promoted", None: "-"}[row["is_promoted"]],
            minute(row["promoted_at"]),
            escape(row["promoted_by"] or "-"),
        )
    out.print(table)


@model.command("show")
def show_model(
    version: Annotated[
        str | None, typer.Argument(help="A version. Default: the champion, else the last trained.")
    ] = None,
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Show everything known about a version: its card, origin and history."""
    from rich.markdown import Markdown

    from skyops_assets.arrivals.models import card, champions

    _, warehouse = prepare()
    found = card.gather(warehouse, champions.chosen(warehouse, version, ring_nm=ring))
    if as_json:
        print_json(card.as_json(found))
    elif out.is_terminal:
        out.print(Markdown(card.markdown(found)))
    else:
        print(card.markdown(found))


@model.command("reproduce")
def reproduce_model(
    version: Annotated[str, typer.Argument(help="The version to train again.")],
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Train a version again from its snapshot, parameters and seed, and compare to the bit.

    Ends with 1 where it is another model. Nothing is written.
    """
    from skyops_assets.arrivals.models import champions
    from skyops_assets.arrivals.steps.reproduce import reproduce
    from skyops_assets.runtime import code_version

    settings, warehouse = prepare()
    chosen = champions.chosen(warehouse, version, ring_nm=ring)
    with err.status("Training the version again"):
        found = reproduce(warehouse, settings, chosen, code_version())
    if as_json:
        print_json(found)
    else:
        what = (
            f"the same to the bit: graph {found.graph_sha256[:12]}"
            if found.is_same
            else f"another model: its answers to {found.rows:,} arrivals differ by up to "
            f"{found.max_difference_min:.3g} minutes, and its graph is "
            f"{found.graph_sha256_now[:12]} instead of {found.graph_sha256[:12]}"
        )
        out.print(f"{chosen.label} trained again is {what}.", soft_wrap=True)
        for line in found.differences:
            out.print(escape(line), soft_wrap=True)
        if not (found.is_same or found.differences):
            out.print(
                "Data, code and libraries are as they were: look at the processor and the BLAS."
            )
    if not found.is_same:
        raise typer.Exit(1)


@model.command("copy")
def copy_model(
    version: Annotated[str, typer.Argument(help="The version there.")],
    reason: Annotated[str, typer.Option(help="Why; kept in audit.model_copies.")],
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Copy a version from another environment into this one, as challenger.

    Run it in the environment that gets the version. SKYOPS_SOURCE_DATABASE_URL and
    SKYOPS_SOURCE_STORE name the other one (docs/models.md).
    """
    from skyops_assets.arrivals.models import copies

    settings, warehouse = prepare()
    with err.status("Copying the version"):
        made = copies.copy(warehouse, settings, version, reason, ring_nm=ring)
    if as_json:
        print_json(made)
        return
    out.print(
        f"{made.model_name}: version {made.from_version} of {made.from_env} is version "
        f"{made.version} of {settings.env} now, with {made.files} files, as challenger. It "
        "predicts nothing until the gatekeeper (materialise ml/evaluations and "
        "ml/promotion_decisions) or `skyops model promote` makes it champion.",
        soft_wrap=True,
    )


@model.command("promote")
def promote_model(
    version: Annotated[str, typer.Argument(help="The version to promote.")],
    reason: Annotated[str, typer.Option(help="Why; kept in audit.champion_changes.")],
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Make a version champion by hand, whatever the gatekeeper decided."""
    from skyops_assets.arrivals.models import champions

    settings, warehouse = prepare()
    with err.status("Loading the version"):
        moved = champions.promote(warehouse, settings, version, reason, ring_nm=ring)
    _show_moved("promoted", moved, as_json)


@model.command("rollback")
def rollback_model(
    reason: Annotated[str, typer.Option(help="Why; kept in audit.champion_changes.")],
    only_from: Annotated[
        str | None,
        typer.Option(
            "--from", help="Only if this version is champion, so that repeating is harmless."
        ),
    ] = None,
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Make the previous champion champion again."""
    from skyops_assets.arrivals.models import champions

    settings, warehouse = prepare()
    with err.status("Loading the previous champion"):
        moved = champions.rollback(warehouse, settings, reason, ring_nm=ring, only_from=only_from)
    _show_moved("rolled back to", moved, as_json)


@model.command("exclude")
def exclude(  # noqa: PLR0917
    reason: Annotated[str, typer.Option(help="Why; kept in audit.corrections.")],
    since: Annotated[
        datetime | None, typer.Option("--from", formats=TIMES, help="The start, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", formats=TIMES, help="The end, UTC, exclusive.")
    ] = None,
    airport: Annotated[str | None, typer.Option(help="ICAO code. Default: all airports.")] = None,
    flight: Annotated[str | None, typer.Option(help="A flight_id, instead of a period.")] = None,
    landed_at: Annotated[
        datetime | None,
        typer.Option(
            formats=TIMES,
            help="Keep the --flight, but with this landing time at the --airport, UTC.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Exclude a period or a flight from training and skill, or correct a landing."""
    from skyops_assets.arrivals.models.champions import actor
    from skyops_assets.arrivals.store import corrections

    first, end, landed = (at and at.replace(tzinfo=UTC) for at in (since, until, landed_at))
    code = airport and airport.upper()
    settings, warehouse = prepare()
    who = actor(settings)
    if flight and landed and code and not (first or end):
        made = corrections.correct_landing(warehouse, flight, code, landed, who, reason)
    elif flight and not (landed or code or first or end):
        made = corrections.leave_out_flight(warehouse, flight, who, reason)
    elif first and end and not (flight or landed):
        made = corrections.leave_out_time(warehouse, first, end, code, who, reason)
    else:
        raise SkyOpsError(
            "Give --from and --to (and optionally --airport) to exclude a period, --flight to "
            "exclude a flight, or --flight, --airport and --landed-at to correct a landing."
        )
    _show_correction(made, as_json)


@model.command("corrections")
def list_corrections(as_json: JsonOption = False) -> None:
    """List manual exclusions from training and skill, and corrected landings."""
    from skyops_assets.arrivals.store import corrections

    _, warehouse = prepare()
    found = corrections.corrections(warehouse)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    table = Table("", "made", "what", "by", "reason", "undone")
    for one in found:
        back = f"{minute(one.undone_at)} by {one.undone_by}" if one.undone_at else ""
        table.add_row(
            str(one.correction_id), minute(one.made_at), escape(one.text), escape(one.author),
            escape(one.reason), escape(back),
        )  # fmt: skip
    out.print(table if found else "Nothing is excluded or corrected.")


@model.command("undo")
def undo_correction(
    correction: Annotated[int, typer.Argument(help="Its number in `skyops model corrections`.")],
    reason: Annotated[str, typer.Option(help="Why; recorded with it.")],
    as_json: JsonOption = False,
) -> None:
    """Undo an exclusion or correction; the next training uses the original data."""
    from skyops_assets.arrivals.models.champions import actor
    from skyops_assets.arrivals.store import corrections

    settings, warehouse = prepare()
    _show_correction(corrections.undo(warehouse, correction, actor(settings), reason), as_json)


@gate.command("calibrate")
def calibrate_gate(
    draws: Annotated[
        int, typer.Option(min=2, help="Fits per kind and month; 16 make 240 challengers.")
    ] = 16,
    month: Annotated[
        str | None, typer.Option(help="Only this month, such as 2019-05. Default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same rows.")] = 20211007,
    ring: RingOption = RING_NM,
    as_json: JsonOption = False,
) -> None:
    """Test the gatekeeper with equal, better and worse challengers (docs/gatekeeper.md).

    Uses the arrivals in the warehouse and the main recipe. Exit code 1 if a share is beyond its
    limit. Writes nothing.
    """
    from skyops_assets.arrivals import features
    from skyops_assets.arrivals.store import inputs
    from skyops_assets.backtest import gate_calibration

    settings, warehouse = prepare()
    rows, _ = features.usable_arrivals(
        inputs.read_arrivals(warehouse, ring, with_simulated=settings.learn_from_simulated)
    )
    with err.status("Fitting") as shown:
        lines = gate_calibration.calibrate(
            rows, draws=draws, only=month, seed=seed, progress=shown.update
        )
    table = Table("month", "draws", "challengers", "trials", "promoted", "limit", "held")
    if as_json:
        print_json([{**asdict(line), "is_held": line.is_held} for line in lines])
    for line in lines:
        limit = "" if line.most is None else f"at most {line.most:.0%}"
        limit = limit if line.least is None else f"at least {line.least:.0%}"
        mark = ("[green]yes[/]" if line.is_held else "[red]no[/]") if limit else ""
        table.add_row(
            line.month, line.kind, line.what, f"{line.trials:,}", f"{line.share:.2%}", limit, mark
        )
    if not as_json:
        out.print(table)
    if not all(line.is_held for line in lines):
        raise SkyOpsError("The policy is beyond a limit on these arrivals.")


def _show_correction(one: Correction, as_json: bool) -> None:
    if as_json:
        print_json(asdict(one))
        return
    what = "undone" if one.undone_at else "in force"
    out.print(
        f"Correction {one.correction_id} is {what}: {escape(one.text)}. It counts from the next "
        "training and the next monitoring of the champion.",
        soft_wrap=True,
    )


def _show_moved(what: str, moved: ChampionSwitch, as_json: bool) -> None:
    before = f"version {moved.before}" if moved.before else "no champion"
    if as_json:
        print_json(moved)
    else:
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
            f"The change could not be reported to Dagster ({' '.join(str(error).split())}), so its "
            "UI does not show it; the next predictions use it. Materialise ml/predictions to have "
            "them now."
        )
    for doubt in doubts:
        err.print(f"[yellow]Done, but:[/] {escape(doubt)}", soft_wrap=True)
