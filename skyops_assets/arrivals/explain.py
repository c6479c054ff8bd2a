"""Show a model to a person: plots as PNG, evaluation and decision as Markdown.

Belongs here: pictures and words made of numbers computed elsewhere. Does not: computing them
(`evaluate`, `gatekeeper`), or putting them anywhere. Works with one row, or none.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from skyops_assets.arrivals.evaluate import Evaluation
    from skyops_assets.arrivals.gatekeeper import Decision

_BLUE = "#2b6cb0"
_GREY = "#718096"
_RED = "#c53030"


def residual_plot(actual: np.ndarray, predicted: np.ndarray, title: str) -> bytes:
    """Error over prediction, and how errors are distributed; minutes; PNG."""
    import numpy as np

    figure, (left, right) = _figure(2)
    error = predicted - actual
    _title(figure, title, len(error))
    left.axhline(0, color=_GREY, linewidth=1)
    left.scatter(predicted, error, s=_dot(len(error)), color=_BLUE, alpha=0.6, linewidths=0)
    left.set(xlabel="predicted transit (min)", ylabel="error: predicted - actual (min)")
    right.axvline(0, color=_GREY, linewidth=1)
    if len(error):
        bins = min(40, max(5, round(2 * len(error) ** 0.5)))
        right.hist(error, bins=bins, color=_BLUE, alpha=0.8)
        median = float(np.median(error))
        right.axvline(
            median, color=_RED, linestyle="--", linewidth=1, label=f"median {median:+.2f} min"
        )
        right.legend(frameon=False)
    right.set(xlabel="error: predicted - actual (min)", ylabel="arrivals")
    return _png(figure)


def fit_plot(actual: np.ndarray, predicted: np.ndarray, title: str) -> bytes:
    """Predicted over actual transit; minutes; PNG."""
    figure, (axes,) = _figure(1)
    _title(figure, title, len(actual))
    if len(actual):
        low = min(actual.min(), predicted.min()) - 1
        high = max(actual.max(), predicted.max()) + 1
        axes.plot([low, high], [low, high], color=_GREY, linewidth=1)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.scatter(actual, predicted, s=_dot(len(actual)), color=_BLUE, alpha=0.6, linewidths=0)
    axes.set(xlabel="actual transit (min)", ylabel="predicted transit (min)")
    return _png(figure)


def importance_plot(importance: Mapping[str, float], rows: int, title: str) -> bytes:
    """What the MAE gains in minutes when a group of features is permuted; PNG."""
    figure, (axes,) = _figure(1)
    _title(figure, title, rows)
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names], color=_BLUE)
    axes.axvline(0, color=_GREY, linewidth=1)
    axes.set(xlabel="rise of the mean absolute error when permuted (min)")
    return _png(figure)


def candidate_plot(names: Sequence[str], maes: Sequence[float], rows: int, title: str) -> bytes:
    """The mean absolute error of every candidate on the same rows; PNG."""
    figure, (axes,) = _figure(1)
    _title(figure, title, rows)
    bars = axes.barh(list(names)[::-1], list(maes)[::-1], color=_BLUE)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.margins(x=0.12)
    axes.set(xlabel="mean absolute error (min)")
    return _png(figure)


def evaluation_markdown(evaluation: Evaluation) -> str:
    """The candidates as a table, the reference named; "-" is what could not be computed."""
    lines = [
        f"{evaluation.scored_rows} of {evaluation.test_rows} test arrivals could be predicted by "
        f"every candidate; reference: {evaluation.reference or 'none'}.",
        "",
        "| candidate | arrivals | MAE (min) | RMSE (min) | R2 | bias (min) | P90 (min) "
        "| skill | 95 % interval |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for score in evaluation.scores:
        m, against = score.metrics, score.against_baseline
        interval = _interval(against.low, against.high) if against else "-"
        cells = (
            score.candidate,
            str(m.rows),
            _number(m.mae_min),
            _number(m.rmse_min),
            _number(m.r2),
            _number(m.bias_min, "+.2f"),
            _number(m.p90_min),
            _number(against.skill if against else None, "+.1%"),
            interval,
        )
        lines.append("| " + " | ".join(cells) + " |")
    versus = evaluation.against_champion
    if versus:
        lines += [
            "",
            f"Gain against {versus.reference} on {versus.rows} arrivals it has not learned from: "
            f"{_number(versus.skill, '+.1%')} ({_interval(versus.low, versus.high)}).",
        ]
    return "\n".join(lines)


def decision_markdown(decision: Decision) -> str:
    """The verdict in bold and every rule with what it found."""
    verdict = "Promoted" if decision.is_promoted else "Not promoted"
    rules = [
        f"| {'pass' if reason.is_passed else '**fail**'} | {reason.rule} | {reason.text} |"
        for reason in decision.reasons
    ]
    return "\n".join([f"**{verdict}**", "", "| | rule | found |", "|---|---|---|", *rules])


def baseline_labels(frame: pd.DataFrame) -> str:
    """One sentence on the labels of a training set."""
    if not len(frame):
        return "no arrivals"
    return (
        f"{len(frame)} arrivals, transit {frame[LABEL].min():.1f} to {frame[LABEL].max():.1f} min, "
        f"median {frame[LABEL].median():.1f} min"
    )


def _figure(panels: int) -> tuple[Figure, Sequence[Axes]]:
    # Figure without pyplot: no global state, no display, safe in threads.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * panels if panels > 1 else 6.5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _title(figure: Figure, title: str, rows: int) -> None:
    figure.suptitle(f"{title} (n = {rows})", fontsize=11)


def _dot(rows: int) -> float:
    return 24 if rows < 500 else 8


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without its own time of making, the same numbers give the same bytes.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:+.1%} to {high:+.1%}"
