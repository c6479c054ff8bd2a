"""Shows an evaluation: plots, and tables in Markdown.

Belongs here: the form in which figures are shown. Does not: computing them (`metrics`, `slices`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyops_assets.arrivals.evaluation.metrics import MAX_IMPORTANCE_ROWS
from skyops_assets.arrivals.features import LABEL
from skyops_assets.reporting.markdown import interval, number, table
from skyops_assets.reporting.plots import BLUE, GREY, RED, new_figure, to_png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from skyops_assets.arrivals.evaluation.metrics import Evaluation


def residual_plot(actual: np.ndarray, predicted: np.ndarray, title: str) -> bytes:
    """Error over prediction, and how errors are distributed; minutes; PNG."""
    import numpy as np

    figure, (left, right) = new_figure(2)
    error = predicted - actual
    _title(figure, title, len(error))
    left.axhline(0, color=GREY, linewidth=1)
    left.scatter(predicted, error, s=_dot(len(error)), color=BLUE, alpha=0.6, linewidths=0)
    left.set(xlabel="predicted transit (min)", ylabel="error: predicted - actual (min)")
    right.axvline(0, color=GREY, linewidth=1)
    if len(error):
        bins = min(40, max(5, round(2 * len(error) ** 0.5)))
        right.hist(error, bins=bins, color=BLUE, alpha=0.8)
        median = float(np.median(error))
        right.axvline(
            median, color=RED, linestyle="--", linewidth=1, label=f"median {median:+.2f} min"
        )
        right.legend(frameon=False)
    right.set(xlabel="error: predicted - actual (min)", ylabel="arrivals")
    return to_png(figure)


def fit_plot(actual: np.ndarray, predicted: np.ndarray, title: str) -> bytes:
    """Predicted over actual transit; minutes; PNG."""
    figure, (axes,) = new_figure(1)
    _title(figure, title, len(actual))
    if len(actual):
        low = min(actual.min(), predicted.min()) - 1
        high = max(actual.max(), predicted.max()) + 1
        axes.plot([low, high], [low, high], color=GREY, linewidth=1)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.scatter(actual, predicted, s=_dot(len(actual)), color=BLUE, alpha=0.6, linewidths=0)
    axes.set(xlabel="actual transit (min)", ylabel="predicted transit (min)")
    return to_png(figure)


def importance_plot(importance: Mapping[str, float], rows: int, title: str) -> bytes:
    """What the MAE gains in minutes when a group of features is permuted; PNG."""
    figure, (axes,) = new_figure(1)
    _title(figure, title, rows)
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names], color=BLUE)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set(xlabel="rise of the mean absolute error when permuted (min)")
    return to_png(figure)


def candidate_plot(names: Sequence[str], maes: Sequence[float], rows: int, title: str) -> bytes:
    """The mean absolute error of every candidate on the same rows; PNG."""
    figure, (axes,) = new_figure(1)
    _title(figure, title, rows)
    bars = axes.barh(list(names)[::-1], list(maes)[::-1], color=BLUE)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.margins(x=0.12)
    axes.set(xlabel="mean absolute error (min)")
    return to_png(figure)


def error_plot(
    actual: np.ndarray, predicted: np.ndarray, local_hour: np.ndarray, title: str
) -> bytes:
    """The mean absolute error by predicted transit and by local hour; minutes; PNG.

    All predictions are made on one ring, so the distance says nothing; how far off the landing
    is said to be does, and is known when one asks. By the actual transit every model would look
    bad at both ends.
    """
    import numpy as np

    figure, (left, right) = new_figure(2)
    _title(figure, title, len(actual))
    error = np.abs(predicted - actual)
    tenths = np.linspace(0, 1, 11)
    edges = np.unique(np.quantile(predicted, tenths)) if len(predicted) else predicted
    if len(edges) > 1:
        place = np.clip(np.searchsorted(edges, predicted, "right") - 1, 0, len(edges) - 2)
        means = [error[place == number].mean() for number in range(len(edges) - 1)]
        left.bar(edges[:-1], means, np.diff(edges), align="edge", color=BLUE, edgecolor="white")
    left.set(xlabel="predicted transit (min), tenths", ylabel="mean absolute error (min)")
    hours = np.floor(local_hour)
    known = np.unique(hours[~np.isnan(hours)])
    right.bar(known, [error[hours == hour].mean() for hour in known], color=BLUE)
    right.set(xlabel="local hour", xlim=(-0.5, 23.5), ylabel="mean absolute error (min)")
    return to_png(figure)


def distribution_plot(actual: np.ndarray, answers: Mapping[str, np.ndarray], title: str) -> bytes:
    """What candidates predict and how far off they are, on the same arrivals; minutes; PNG."""
    import numpy as np

    figure, (left, right) = new_figure(2)
    _title(figure, title, len(actual))
    if len(actual):
        low, high = np.quantile(np.concatenate([actual, *answers.values()]), (0.0, 0.995))
        bins = list(np.linspace(low, max(high, low + 1), 40))
        left.hist(actual, bins=bins, color=GREY, alpha=0.3, label="actual")
        share = np.arange(1, len(actual) + 1) / len(actual)
        for (name, minutes), colour in zip(answers.items(), (BLUE, RED), strict=False):
            left.hist(minutes, bins=bins, histtype="step", color=colour, label=name)
            right.plot(np.sort(np.abs(minutes - actual)), share, color=colour, label=name)
        left.legend(frameon=False, fontsize=8)
    left.set(xlabel="transit (min)", ylabel="arrivals")
    right.set(xlabel="absolute error (min)", ylabel="share of arrivals at most", ylim=(0, 1))
    return to_png(figure)


def evaluation_images(
    evaluation: Evaluation,
    test: pd.DataFrame,
    minutes: Mapping[str, np.ndarray],
    importance: Mapping[str, float],
) -> dict[str, bytes]:
    """File name -> PNG; none without a scored row, fewer without a challenger.

    Args:
        minutes: candidate -> minutes per row of `test`.
    """
    if not evaluation.scored_rows:
        return {}
    measured = [s for s in evaluation.scores if s.metrics.mae_min is not None]
    images = {
        "candidates.png": candidate_plot(
            [s.candidate for s in measured],
            [s.metrics.mae_min or 0.0 for s in measured],
            evaluation.scored_rows,
            "Mean absolute error on the test arrivals",
        )
    }
    own = evaluation.score("challenger")
    if own is None:
        return images
    scored = evaluation.scored
    actual = test[LABEL].to_numpy()[scored]
    predicted = minutes[own.candidate][scored]
    other = evaluation.champion or evaluation.reference
    compared = {name: minutes[name][scored] for name in (own.candidate, other) if name}
    images |= {
        "residuals.png": residual_plot(actual, predicted, f"Residuals of {own.candidate}"),
        "predicted_vs_actual.png": fit_plot(
            actual, predicted, f"Predicted against actual, {own.candidate}"
        ),
        "error_by_transit_and_hour.png": error_plot(
            actual,
            predicted,
            test["local_hour"].to_numpy()[scored],
            f"Where {own.candidate} is off",
        ),
        "distributions.png": distribution_plot(actual, compared, " and ".join(compared)),
    }
    if importance:
        images["importance.png"] = importance_plot(
            importance,
            min(evaluation.test_rows, MAX_IMPORTANCE_ROWS),
            f"Permutation importance, {own.candidate}",
        )
    return images


def slices_markdown(evaluation: Evaluation) -> str | None:
    """The slices as a table; None where there are none."""
    if not evaluation.slices:
        return None
    lines = [
        f"Gain against {evaluation.slices[0].comparison.reference}. The gatekeeper ignores parts "
        "in italics, because the actual transit decides which arrivals belong to them.",
        "",
    ]
    head = ("part", "", "arrivals", "challenger (min)", "champion (min)", "best baseline (min)",
            "gain", "95 % interval")  # fmt: skip
    rows = (
        (
            part.kind,
            part.name if part.is_gated else f"*{part.name}*",
            part.comparison.rows,
            number(part.challenger_mae_min),
            number(part.champion_mae_min),
            number(part.baseline_mae_min),
            number(part.comparison.skill, "+.1%"),
            interval(part.comparison.low, part.comparison.high),
        )
        for part in evaluation.slices
    )
    return "\n".join([*lines, table(head, rows)])


def evaluation_markdown(evaluation: Evaluation) -> str:
    """The candidates as a table, the reference named; "-" is what could not be computed."""
    lines = [
        f"{evaluation.scored_rows} of {evaluation.test_rows} test arrivals could be predicted by "
        f"every candidate; reference: {evaluation.reference or 'none'}.",
        "",
    ]
    head = ("candidate", "arrivals", "MAE (min)", "RMSE (min)", "R2", "bias (min)", "P90 (min)",
            "within 1 min", "within 2 min", "skill", "95 % interval")  # fmt: skip
    rows = []
    for score in evaluation.scores:
        m, against = score.metrics, score.against_baseline
        rows.append(
            (
                score.candidate,
                m.rows,
                number(m.mae_min),
                number(m.rmse_min),
                number(m.r2),
                number(m.bias_min, "+.2f"),
                number(m.p90_min),
                number(m.within_1min_share, ".0%"),
                number(m.within_2min_share, ".0%"),
                number(against.skill if against else None, "+.1%"),
                interval(against.low, against.high) if against else "-",
            )
        )
    lines.append(table(head, rows))
    own = evaluation.score("challenger")
    if own and own.interval_coverage is not None:
        lines += [
            "",
            f"{own.interval_coverage:.1%} of the arrivals lie within the challenger's interval, "
            f"which is {number(own.interval_width_min)} min wide on average.",
        ]
    versus = evaluation.against_champion
    if versus:
        lines += [
            "",
            f"Gain against {versus.reference} on {versus.rows} arrivals outside its training data: "
            f"{number(versus.skill, '+.1%')} ({interval(versus.low, versus.high)}).",
        ]
    return "\n".join(lines)


def baseline_labels(frame: pd.DataFrame) -> str:
    """One sentence on the labels of a training set."""
    if not len(frame):
        return "no arrivals"
    return (
        f"{len(frame)} arrivals, transit {frame[LABEL].min():.1f} to {frame[LABEL].max():.1f} min, "
        f"median {frame[LABEL].median():.1f} min"
    )


def _title(figure: Figure, title: str, rows: int) -> None:
    figure.suptitle(f"{title} (n = {rows})", fontsize=11)


def _dot(rows: int) -> float:
    return 24 if rows < 500 else 8
