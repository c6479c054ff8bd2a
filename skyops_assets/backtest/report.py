"""What a replay came to, for a person: one HTML page with plots, and every decision as CSV.

Belongs here: tables, plots and words made of a `Replay`. Does not: replaying (`replay`).
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from skyops_assets.arrivals.evaluation import metrics
from skyops_assets.arrivals.features import LABEL
from skyops_assets.backtest.replay import Event, Replay, Retrain
from skyops_assets.reporting import html, plots
from skyops_assets.reporting.markdown import number

if TYPE_CHECKING:
    import pandas as pd

    from skyops_assets.arrivals.evaluation.metrics import Comparison

MIN_SLICE_ROWS = 100
"""Below it a slice's mean error says little: at Zurich its standard error is 0.2 minutes."""
SHOWN_SLICES = 8


@dataclass(frozen=True)
class MonthlyResult:
    """One month, or all: minutes; `against_*` compares on the rows that both answered."""

    month: str
    rows: int
    mae_min: float | None
    kept_mae_min: float | None
    baseline_mae_min: float | None
    against_kept: Comparison | None
    against_baseline: Comparison | None
    versions: str


def lines(replay: Replay) -> list[MonthlyResult]:
    """The months in order, then all of them."""
    rows = replay.arrivals
    months = rows["crossed_at"].dt.strftime("%Y-%m")
    found = [_line(month, part) for month, part in rows.groupby(months)]
    return [*found, _line("all", rows)]


def gains(replay: Replay) -> list[tuple[str, str, int, float, float]]:
    """Where replacing the first champion paid: (month, slice, rows, MAE kept, MAE as it was).

    Slices of at least `MIN_SLICE_ROWS` arrivals of a month by sector, runway in use, hour of the
    day and traffic, most minutes gained in all first; the last ones lost.
    """
    import numpy as np
    import pandas as pd

    rows = replay.arrivals[replay.arrivals["kept"].notna() & replay.arrivals["predicted"].notna()]
    if not len(rows):
        return []
    angles = np.degrees(np.arctan2(rows["runway_in_use_sin"], rows["runway_in_use_cos"]))
    runway = pd.Series(angles, index=rows.index).div(10).round().mod(36)
    groups = {
        "sector": rows["sector"].astype(str),
        "runway in use": _names(runway.replace(0, 36), "{:02.0f}"),
        "local hour": _names(rows["local_hour"] // 3 * 3, "{:02.0f} and the two after"),
        "entries in the hour before": _names(rows["entries_60min_count"] // 10 * 10, "{:.0f} up"),
    }
    month = rows["crossed_at"].dt.strftime("%Y-%m")
    kept = (rows["kept"] - rows[LABEL]).abs()
    was = (rows["predicted"] - rows[LABEL]).abs()
    found = []
    for name, values in groups.items():
        for at, value in sorted(set(zip(month, values, strict=True))):
            part = (month == at) & (values == value)
            if part.sum() >= MIN_SLICE_ROWS:
                what = f"{name} {value}"
                found.append(
                    (at, what, int(part.sum()), float(kept[part].mean()), float(was[part].mean()))
                )
    return sorted(found, key=lambda item: -(item[3] - item[4]) * item[2])


def write(replay: Replay, folder: Path) -> Path:
    """Write ``report.html``, ``decisions.csv`` and ``arrivals.parquet``; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "decisions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Event)])
        writer.writeheader()
        writer.writerows(asdict(event) for event in replay.events)
    replay.arrivals.to_parquet(folder / "arrivals.parquet", index=False)
    path = folder / "report.html"
    path.write_text(_page(replay), encoding="utf-8")
    return path


def _names(values: pd.Series, form: str) -> pd.Series:
    return values.map(form.format).where(values.notna(), "unknown")


def _line(month: str, rows: pd.DataFrame) -> MonthlyResult:
    answered = rows[rows["predicted"].notna()]
    actual = answered[LABEL].to_numpy()
    predicted = answered["predicted"].to_numpy()
    models = answered["model_name"].where(
        answered["model_name"].str.startswith("baseline:"), answered["model_version"]
    )
    return MonthlyResult(
        month=str(month),
        rows=len(answered),
        mae_min=metrics.measure(actual, predicted).mae_min,
        kept_mae_min=_mae(answered, "kept"),
        baseline_mae_min=_mae(answered, "baseline_transit_min"),
        against_kept=_against(answered, "kept"),
        against_baseline=_against(answered, "baseline_transit_min"),
        versions=", ".join(dict.fromkeys(models)),
    )


def _mae(rows: pd.DataFrame, column: str) -> float | None:
    known = rows[rows[column].notna()]
    return metrics.measure(known[LABEL].to_numpy(), known[column].to_numpy()).mae_min


def _against(rows: pd.DataFrame, column: str) -> Comparison | None:
    known = rows[rows[column].notna()]
    if not len(known):
        return None
    actual, predicted, other = (known[name].to_numpy() for name in (LABEL, "predicted", column))
    return metrics.compare(actual, predicted, other, known["crossed_at"], column)


def _page(replay: Replay) -> str:
    found = lines(replay)
    trained = [event for event in replay.events if event.is_retrained]
    promoted = [event for event in trained if event.is_promoted]
    table = gains(replay)
    kept = "the first champion, had it stayed"
    parts = [
        f"<h1>Backtest: {', '.join(replay.airports)}, {replay.ring_nm} NM ring</h1>",
        f"<p>{replay.start} through {replay.end}, retraining: <b>{replay.retrain}</b>. "
        f"{len(replay.events)} days with arrivals, {len(trained)} trainings, {len(promoted)} "
        "promotions. Each arrival was predicted by the champion or baseline of its crossing, "
        "from what was known then.</p>",
        "<h2>Errors</h2>",
        html.table(
            (
                "month",
                "arrivals",
                "MAE (min)",
                f"MAE of {kept}",
                "gain (95 %)",
                "MAE of the best baseline",
                "skill (95 %)",
                "in force",
            ),
            (
                (
                    line.month,
                    f"{line.rows:,}",
                    number(line.mae_min, ".3f"),
                    number(line.kept_mae_min, ".3f"),
                    _share(line.against_kept),
                    number(line.baseline_mae_min, ".3f"),
                    _share(line.against_baseline),
                    line.versions,
                )
                for line in found
            ),
        ),
        "<p>Gain and skill are 1 - MAE / MAE of the other on the same arrivals, with a 95 % "
        "interval by bootstrap over days (hours, where days are few).</p>",
        html.image(_weeks(replay), "Error by week"),
        "<h2>Where retraining paid off, and where not</h2>",
        html.table(
            ("month", "slice", "arrivals", f"MAE of {kept}", "MAE as it was", "difference"),
            (
                (month, what, f"{rows:,}", f"{old:.2f}", f"{new:.2f}", f"{new - old:+.2f}")
                for month, what, rows, old, new in (
                    [*table[:SHOWN_SLICES], *table[SHOWN_SLICES:][-SHOWN_SLICES:]]
                )
            ),
        )
        if table and replay.retrain is not Retrain.NEVER
        else "<p>Nothing to compare: no champion was replaced by another.</p>",
        "<h2>Every training, with the gatekeeper's reasons</h2>",
        html.table(
            ("known by", "trigger", "reasons", "arrivals learned", "promoted", "gain", "decision"),
            (
                (
                    f"{event.at:%Y-%m-%d %H:%M}",
                    event.trigger or "",
                    event.reasons,
                    f"{event.train_rows:,}" if event.train_rows is not None else "",
                    "yes" if event.is_promoted else "no",
                    "" if event.gain is None else f"{event.gain:+.1%}",
                    event.decision or "",
                )
                for event in trained
            ),
        ),
        "<p>The decisions of all days, including those without a training, are in decisions.csv; "
        "every arrival with its predictions is in arrivals.parquet.</p>",
    ]
    return html.page(f"Backtest {', '.join(replay.airports)}", parts)


def _weeks(replay: Replay) -> bytes:
    """Mean absolute error by week, and when champions changed; PNG."""
    from matplotlib import dates as mdates

    rows = replay.arrivals.set_index("crossed_at").sort_index()
    figure, (axes,) = plots.new_figure(1)
    figure.set_size_inches(10, 4)
    for column, label, colour in (
        ("baseline_transit_min", "best baseline", plots.GREY),
        ("kept", "first champion, had it stayed", plots.RED),
        ("predicted", "as it was", plots.BLUE),
    ):
        error = (rows[column] - rows[LABEL]).abs().resample("W-MON", label="left").mean()
        axes.plot(error.index, error, marker=".", color=colour, label=label)
    for event in replay.events:
        if event.is_promoted:
            axes.axvline(mdates.date2num(event.at), color=plots.BLUE, linestyle=":", linewidth=1)
    axes.set(ylabel="mean absolute error by week (min)", ylim=(0, None))
    axes.set_title("Dotted lines are promotions", fontsize=9, loc="left")
    axes.legend(frameon=False)
    return plots.to_png(figure)


def _share(against: Comparison | None) -> str:
    if against is None or against.skill is None:
        return "-"
    if against.low is None or against.high is None:
        return f"{against.skill:+.1%}"
    return f"{against.skill:+.1%} ({against.low:+.1%} to {against.high:+.1%})"
