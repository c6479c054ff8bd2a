"""Show a verdict to a person: Markdown for the UI, and one HTML file with plots.

Belongs here: words and pictures made of a `MonitorSummary`, and where the file is kept. Does not:
measuring or deciding (`monitor`). The file needs nothing of the web.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import LABEL
from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.store import versions
from skyops_assets.audit import log
from skyops_assets.monitoring import drift, monitor
from skyops_assets.monitoring.skill import MIN_ROWS
from skyops_assets.reporting import html as page
from skyops_assets.reporting.markdown import image, number, table
from skyops_assets.reporting.plots import BLUE, GREY, RED, new_figure, to_png
from skyops_assets.settings import Settings
from skyops_assets.store import REPORTS, open_store
from skyops_assets.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import pandas as pd

    from skyops_assets.monitoring.monitor import MonitorSummary
    from skyops_assets.monitoring.skill import WindowSkill

MAX_PLOTS = 6
ABOUT = (
    "This report says whether the arrival model in force, the champion, still predicts well "
    "(skill), and whether arrivals still resemble those that it has learned from (drift)."
)
TO_DO = {
    monitor.OK: "Nothing is to be done.",
    monitor.SKILL_ALARM: "What to do: by itself SkyOps trains a challenger, unless a rule below "
    "holds that back; then see to what the rule names. Until one is promoted, the columns that "
    "drifted and the checks of the data may tell why; `skyops model rollback` returns to the "
    "version before.",
    monitor.DRIFT: "What to do: see which columns drifted, below. A new runway direction, season "
    "or kind of traffic needs nothing, as long as the skill is above its floor; a column that is "
    "wrong is to be mended at its source.",
    monitor.TOO_FEW: f"Nothing is to be done: {MIN_ROWS} predicted arrivals that "
    "have landed are needed, and the skill is measured once they are there.",
    monitor.NO_CHAMPION: "There is no champion yet, nothing to compare: predictions come from a "
    "baseline. Nothing is to be done; the gatekeeper promotes a first version once enough arrivals "
    "show that it is better.",
    monitor.NO_ARRIVALS: "There are no arrivals yet, nothing to compare. They come with the first "
    "load of positions in which flights land.",
}
"""What each verdict asks of the reader."""

Table = tuple[str, list[str], list[list[str]]]


def markdown(summary: MonitorSummary) -> str:
    """The verdict, what it is of and asks for, and every table."""
    lines = [f"**{_headline(summary)}**", ""]
    for text in _introduction(summary):
        lines += [text, ""]
    for title, names, rows in _tables(summary):
        lines += [f"### {title}", "", table(names, rows), ""]
    return "\n".join(lines)


def picture(summary: MonitorSummary) -> str:
    """The first plot, as Markdown; empty where there is none."""
    return "".join(image(title, png) for title, png in _plots(summary, first_alone=True))


def html(summary: MonitorSummary) -> str:
    """The same with plots, as one page."""
    title = f"Drift report: {summary.model_name}"
    is_good = {monitor.OK: True, monitor.SKILL_ALARM: False, monitor.DRIFT: False}
    parts = [
        f"<h1>{escape(title)}</h1>",
        page.verdict(_headline(summary), is_good.get(summary.verdict)),
        *(f"<p>{escape(text)}</p>" for text in _introduction(summary)),
    ]
    for heading, names, rows in _tables(summary):
        parts += [f"<h2>{escape(heading)}</h2>", page.table(names, rows)]
    for heading, png in _plots(summary):
        parts += [f"<h2>{escape(heading)}</h2>", page.image(png, heading)]
    return page.page(title, parts)


def name(log_id: int) -> str:
    """The name in the store of the page of one look."""
    return f"{REPORTS}/monitoring-{log_id:06d}.html"


def publish(warehouse: Warehouse, settings: Settings, summary: MonitorSummary) -> str:
    """Keep the page under the store's ``reports``, and with the champion's run in MLflow.

    Returns:
        Where it is: a path, or an address in a bucket.
    """
    file, text = name(summary.log_id), html(summary)
    store = open_store(settings)
    store.write(file, text.encode())
    champion = versions.champion(warehouse, summary.model_name)
    if champion and champion.version == summary.model_version:
        client = registry.configure(warehouse, settings)
        page_name = PurePosixPath(file).name
        client.log_text(champion.mlflow_run_id, text, f"monitoring/{page_name}")
    log.note_report(warehouse, summary.log_id, store.address(file))
    return store.address(file)


def sweep(settings: Settings, keep_days: int) -> int:
    """Remove the reports of looks longer ago than that; those on a champion stay with it in MLflow.

    Returns:
        How many were removed. The rows of the log stay.
    """
    before = datetime.now(UTC) - timedelta(days=keep_days)
    removed = 0
    store = open_store(settings)
    for file in store.files(REPORTS):
        is_look = file.name.startswith(f"{REPORTS}/monitoring-")
        if is_look and file.modified_at < before:
            store.delete(file.name)
            removed += 1
    return removed


def _headline(summary: MonitorSummary) -> str:
    version = f", version {summary.model_version}" if summary.model_version else ""
    return f"{summary.model_name}{version}: {summary.verdict}"


def _introduction(summary: MonitorSummary) -> list[str]:
    """What the report is, what was compared with what, what is to be done, what was decided."""
    window, found = summary.window, summary.drift
    compared = ""
    if window:
        compared = (
            f" Compared are {window.rows:,} arrivals from {window.start_at:%Y-%m-%d %H:%M} to "
            f"{window.end_at:%Y-%m-%d %H:%M} UTC (the window) with "
        )
        compared += (
            f"{found.reference_rows:,} before them that the champion has learned from, of the same "
            "hours and weekdays (the reference)."
            if found and not found.too_few
            else "the window before; there is no reference "
            f"({found.too_few if found else 'what the champion has learned from is gone'})."
        )
    return [ABOUT + compared, TO_DO[summary.verdict], f"Decision: {summary.decision.sentence}."]


def _tables(summary: MonitorSummary) -> list[Table]:
    windows = [("window", summary.window), ("the one before", summary.earlier)]
    tables: list[Table] = []
    if summary.window:
        tables = [
            (
                f"Skill (floor {summary.skill_floor:.2f})",
                ["", "from (UTC)", "to (UTC)", "arrivals", "skill", "95 % interval", "against",
                 "MAE (min)", "RMSE (min)", "R2"],
                [_window_row(name, window) for name, window in windows if window],
            ),
            (
                f"Drift score: {number(summary.drift_score, '.3f')}",
                ["column", "statistic", "value", "threshold"],
                [
                    [one.column, one.statistic, number(one.value, ".3f"),
                     number(one.threshold, ".3f")]
                    for one in (summary.drift.beyond if summary.drift else ())
                ]
                or [[_no_drift(summary), "", "", ""]],
            ),
        ]  # fmt: skip
    tables.append(
        (
            "Why (or why not) a retraining was started",
            ["rule", "applies", "what was found"],
            [[r.rule, "yes" if r.holds else "no", r.text] for r in summary.decision.reasons],
        )
    )
    if summary.asked.rows:
        tables.append(_asked(summary))
    if summary.runway_changes:
        tables.append(
            (
                "Runway changes in the window",
                ["airport", "first landing in the new direction (UTC)", "from", "to"],
                [
                    [
                        change["airport"],
                        f"{change['changed_at']:%Y-%m-%d %H:%M}",
                        change["from_direction"],
                        change["to_direction"],
                    ]
                    for change in summary.runway_changes
                ],
            )
        )
    return tables


def _asked(summary: MonitorSummary) -> Table:
    asked = summary.asked
    unlike = ", ".join(f"{name} {share:.1%}" for name, share in list(asked.outside.items())[:5])
    drifted = ", ".join(asked.drifted[:5]) or "no column"
    return (
        f"Service requests in {(asked.end_at - asked.start_at).days} days",
        ["", "found"],
        [
            ["records (the newest)", f"{asked.rows:,}"],
            ["drift score", asked.too_few or f"{number(asked.drift_score, '.3f')} ({drifted})"],
            [
                "with a value that no learned arrival reached",
                asked.too_few or f"{asked.outside_share:.1%} ({unlike or 'none'})",
            ],
            [
                "flights that landed: MAE, bias (min)",
                f"{asked.landed}: {number(asked.mae_min, '.2f')}, {number(asked.bias_min, '.2f')}",
            ],
        ],
    )


def _window_row(name: str, window: WindowSkill) -> list[str]:
    against, metrics = window.against, window.metrics
    low, high = (against.low, against.high) if against else (None, None)
    row = [name, f"{window.start_at:%Y-%m-%d %H:%M}", f"{window.end_at:%Y-%m-%d %H:%M}"]
    if not window.is_enough:
        return [*row, f"{window.rows}: too few", *["-"] * 6]
    return [
        *row,
        str(window.rows),
        number(window.skill, ".3f"),
        f"{number(low, '.3f')} to {number(high, '.3f')}",
        against.reference if against else "-",
        *(number(value, ".3f") for value in (metrics.mae_min, metrics.rmse_min, metrics.r2)),
    ]


def _no_drift(summary: MonitorSummary) -> str:
    if summary.drift is None:
        return "nothing to compare with"
    return summary.drift.too_few or "no column is beyond its threshold"


def _plots(summary: MonitorSummary, *, first_alone: bool = False) -> list[tuple[str, bytes]]:
    current, reference = summary.current, summary.reference
    if current is None or not len(current):
        return []
    plots = [("Error by day", _errors_by_day(current))]
    if first_alone or reference is None or summary.drift is None or summary.drift.too_few:
        return plots
    numbers = [c for c in summary.drift.columns if c not in ("airport", "sector")]
    for column in dict.fromkeys([*numbers[:MAX_PLOTS], drift.PREDICTION, LABEL]):
        if column in reference and reference[column].notna().any():
            plots.append((column, _densities(reference[column], current[column], column)))
    return plots


def _errors_by_day(current: pd.DataFrame) -> bytes:
    figure, (axes,) = new_figure(1)
    error = (current[drift.PREDICTION] - current[LABEL]).abs()
    by_day = error.groupby(current["crossed_at"].dt.floor("D")).mean()
    axes.bar([f"{day:%m-%d}" for day in by_day.index], by_day.to_numpy(), color=BLUE)
    axes.tick_params(axis="x", rotation=60)
    axes.set(ylabel="mean absolute error (min)")
    return to_png(figure)


def _densities(reference: pd.Series, current: pd.Series, column: str) -> bytes:
    import numpy as np

    figure, (axes,) = new_figure(1)
    a, b = (values.dropna().to_numpy(dtype="float64") for values in (reference, current))
    both = np.concatenate([a, b])
    low, high = (float(q) for q in np.quantile(both, (0.005, 0.995)))
    edges = np.linspace(low, high, 41).tolist()
    axes.hist(a, edges, density=True, color=GREY, alpha=0.6, label=f"reference ({len(a)})")
    if len(b):
        label = f"window ({len(b)})"
        axes.hist(b, edges, density=True, histtype="step", color=RED, label=label)
    axes.legend(frameon=False)
    axes.set(xlabel=column, ylabel="density")
    return to_png(figure)
