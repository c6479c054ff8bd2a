"""Measure predictions against what happened, and candidates against each other.

Belongs here: metrics, paired intervals, importance; pure functions of arrays and frames. Does
not: which parts are looked at (`slices`), deciding what is good enough (`gate.policy`). A number
that cannot be computed is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import FEATURE_GROUPS, FEATURES, LABEL, SEED
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    import pandas as pd

    from skyops_assets.arrivals.evaluation.slices import Slice

MIN_DAYS_FOR_DAY_BLOCKS = 10
RESAMPLES = 2000
MAX_IMPORTANCE_ROWS = 2000
MIN_COVERAGE = 0.9
"""A baseline that answers for fewer of the test rows cannot be the reference: it would shrink
the rows on which all are compared to those it finds easy."""


@dataclass(frozen=True)
class Metrics:
    """Errors in minutes, predicted minus actual; `bias_min` > 0 means predicted too late."""

    rows: int
    mae_min: float | None
    rmse_min: float | None
    r2: float | None
    bias_min: float | None
    p90_min: float | None
    within_1min_share: float | None
    within_2min_share: float | None


NOT_MEASURED = Metrics(0, None, None, None, None, None, None, None)


@dataclass(frozen=True)
class Comparison:
    """By how much a candidate's MAE is below the reference's: skill = 1 - MAE / MAE_reference.

    `low` and `high` bound the 95 % interval of a paired bootstrap over `blocks` blocks of one
    `block` ("hour" or "day").
    """

    reference: str
    rows: int
    days: int
    skill: float | None
    low: float | None
    high: float | None
    blocks: int
    block: str


@dataclass(frozen=True)
class Score:
    """One candidate on the rows that all are measured on."""

    candidate: str
    role: str
    predicted_rows: int
    metrics: Metrics
    against_baseline: Comparison | None
    interval_coverage: float | None = None
    interval_width_min: float | None = None


@dataclass(frozen=True)
class SliceScore:
    """Challenger, champion and best baseline on one slice's scored rows; MAE in minutes.

    `comparison` is the challenger's gain against the champion on those rows that the champion
    has not learned from, as are the errors then; without a champion against the best baseline.
    """

    kind: str
    name: str
    is_gated: bool
    challenger_mae_min: float | None
    champion_mae_min: float | None
    baseline_mae_min: float | None
    comparison: Comparison


@dataclass(frozen=True)
class Evaluation:
    """All candidates on the same test rows.

    `scored` flags the test rows that every eligible candidate answered. `reference` is the
    baseline with the lowest MAE there; choosing it on the test rows can only make it look
    better, so the skill against it is never flattered. `against_champion` compares the
    challenger with the champion on those scored rows that crossed after everything the
    champion has learned from, and so do the `slices`.
    """

    scores: tuple[Score, ...]
    test_rows: int
    scored: np.ndarray
    reference: str | None
    against_champion: Comparison | None
    champion: str | None
    slices: tuple[SliceScore, ...] = ()

    @property
    def scored_rows(self) -> int:
        """How many rows every eligible candidate answered."""
        return int(self.scored.sum())

    def score(self, role: str) -> Score | None:
        """The challenger's or champion's score."""
        return next((score for score in self.scores if score.role == role), None)


def measure(actual: np.ndarray, predicted: np.ndarray) -> Metrics:
    """MAE, RMSE, R2 (against the mean of `actual`), bias, and of |error| the 90th percentile and
    the shares of at most 1 and 2 minutes.

    Both arrays hold minutes, have the same length, and are without NaN. R2 is None with fewer
    than two rows or where all labels are equal; everything is None with no rows.

    Raises:
        SkyOpsError: a value is NaN or infinite, or the lengths differ.
    """
    import numpy as np

    _check_pair(actual, predicted)
    if not len(actual):
        return NOT_MEASURED
    error = predicted - actual
    distance = np.abs(error)
    spread = float(((actual - actual.mean()) ** 2).sum())
    is_constant = len(actual) < 2 or float(np.ptp(actual)) == 0
    return Metrics(
        rows=len(actual),
        mae_min=float(distance.mean()),
        rmse_min=float(np.sqrt((error**2).mean())),
        r2=None if is_constant else 1 - float((error**2).sum()) / spread,
        bias_min=float(error.mean()),
        p90_min=float(np.quantile(distance, 0.9)),
        within_1min_share=float((distance <= 1).mean()),
        within_2min_share=float((distance <= 2).mean()),
    )


def measure_interval(
    actual: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[float | None, float | None]:
    """Share of `actual` within [low, high], and the mean width in minutes; None with no rows.

    Raises:
        SkyOpsError: a bound is NaN or infinite, the lengths differ, or a low bound lies above.
    """
    _check_pair(actual, low)
    _check_pair(actual, high)
    if (low > high).any():
        row = int((low > high).argmax())
        raise SkyOpsError(
            f"{int((low > high).sum())} of {len(low)} prediction intervals have low above high, "
            f"such as {low[row]:g} to {high[row]:g} min."
        )
    if not len(actual):
        return None, None
    return float(((low <= actual) & (actual <= high)).mean()), float((high - low).mean())


def compare(
    actual: np.ndarray,
    predicted: np.ndarray,
    reference: np.ndarray,
    at: pd.Series,
    name: str,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Skill with a 95 % interval by a paired bootstrap over blocks of time.

    Blocks are UTC days from 10 days on, else hours; over single flights the interval would be
    three times too narrow, because flights of one hour share their delay (measured at LSZH).
    No interval with fewer than two blocks; no skill where the reference makes no error at all.

    Args:
        actual, predicted, reference: minutes, same length, without NaN.
        at: the time of each row (UTC).
        name: what the reference is called.
    """
    import numpy as np

    _check_pair(actual, predicted)
    _check_pair(actual, reference)
    days = at.dt.floor("D")
    day_count = int(days.nunique())
    block = "day" if day_count >= MIN_DAYS_FOR_DAY_BLOCKS else "hour"
    codes, blocks = _codes(days if block == "day" else at.dt.floor("h"))
    own = np.bincount(codes, np.abs(predicted - actual), minlength=blocks)
    theirs = np.bincount(codes, np.abs(reference - actual), minlength=blocks)
    skill = None if theirs.sum() == 0 else float(1 - own.sum() / theirs.sum())
    low = high = None
    if blocks >= 2 and skill is not None:
        drawn = np.random.default_rng(seed).integers(0, blocks, (resamples, blocks))
        below = theirs[drawn].sum(axis=1)
        if (below > 0).all():
            skills = 1 - own[drawn].sum(axis=1) / below
            low, high = (float(q) for q in np.quantile(skills, (0.025, 0.975)))
    return Comparison(name, len(actual), day_count, skill, low, high, blocks, block)


def evaluate(
    test: pd.DataFrame,
    baselines: Mapping[str, np.ndarray],
    challenger: tuple[str, np.ndarray] | None = None,
    champion: tuple[str, np.ndarray] | None = None,
    champion_trained_through_at: datetime | None = None,
    *,
    intervals: tuple[np.ndarray, np.ndarray] | None = None,
    slices: Sequence[Slice] = (),
) -> Evaluation:
    """Measure every candidate on the same rows of `test`.

    Args:
        test: canonical arrivals.
        baselines: name -> minutes per row of `test`, NaN where there is no answer; in the
            order in which a tie is decided.
        challenger, champion: name and minutes per row, NaN where there is no answer.
        champion_trained_through_at: the last landing the champion has learned from.
        intervals: the challenger's lowest and highest minutes per row of `test`.
        slices: parts of `test` to measure on their own.
    """
    import numpy as np

    rows = len(test)
    actual = test[LABEL].to_numpy()
    models = [
        (role, *model)
        for role, model in (("challenger", challenger), ("champion", champion))
        if model is not None
    ]
    eligible = {
        name: minutes
        for name, minutes in baselines.items()
        if rows and np.isfinite(minutes).mean() >= MIN_COVERAGE
    }
    scored = np.ones(rows, dtype=bool)
    for minutes in (*eligible.values(), *(minutes for _, _, minutes in models)):
        scored &= np.isfinite(minutes)
    truth, at = actual[scored], test["crossed_at"][scored]
    measured = {name: measure(truth, minutes[scored]) for name, minutes in eligible.items()}
    reference = min(
        (name for name, metrics in measured.items() if metrics.mae_min is not None),
        key=lambda name: measured[name].mae_min or 0.0,
        default=None,
    )

    def against(minutes: np.ndarray) -> Comparison | None:
        if reference is None:
            return None
        return compare(truth, minutes[scored], eligible[reference][scored], at, reference)

    coverage = width = None
    if intervals is not None:
        coverage, width = measure_interval(truth, intervals[0][scored], intervals[1][scored])
    scores = [
        Score(
            name,
            role,
            int(np.isfinite(minutes).sum()),
            measure(truth, minutes[scored]),
            against(minutes),
            coverage if role == "challenger" else None,
            width if role == "challenger" else None,
        )
        for role, name, minutes in models
    ] + [
        Score(
            name,
            "baseline",
            int(np.isfinite(minutes).sum()),
            measured.get(name, NOT_MEASURED),
            against(minutes) if name in eligible else None,
        )
        for name, minutes in baselines.items()
    ]
    against_champion = None
    fair = scored
    if champion and champion_trained_through_at is not None:
        fair = scored & (test["crossed_at"] > champion_trained_through_at).to_numpy()
    if challenger and champion:
        against_champion = compare(
            actual[fair],
            challenger[1][fair],
            champion[1][fair],
            test["crossed_at"][fair],
            champion[0],
        )
    other = champion or ((reference, eligible[reference]) if reference else None)
    parts = []
    for part in slices:
        seen = part.rows & fair
        if challenger and other and seen.any():
            parts.append(
                score_slice(
                    part,
                    actual[seen],
                    challenger[1][seen],
                    (other[0], other[1][seen]),
                    test["crossed_at"][seen],
                    champion=champion[1][seen] if champion else None,
                    baseline=eligible[reference][seen] if reference else None,
                )
            )
    return Evaluation(
        tuple(scores),
        rows,
        scored,
        reference,
        against_champion,
        champion[0] if champion else None,
        tuple(parts),
    )


def score_slice(
    part: Slice,
    actual: np.ndarray,
    challenger: np.ndarray,
    against: tuple[str, np.ndarray],
    at: pd.Series,
    *,
    champion: np.ndarray | None = None,
    baseline: np.ndarray | None = None,
) -> SliceScore:
    """One slice measured; minutes on its rows, at least one, in every array."""
    import numpy as np

    def mae(minutes: np.ndarray | None) -> float | None:
        return None if minutes is None else float(np.abs(minutes - actual).mean())

    return SliceScore(
        part.kind,
        part.name,
        part.is_gated,
        mae(challenger),
        mae(champion),
        mae(baseline),
        compare(actual, challenger, against[1], at, against[0]),
    )


def group_importance(
    predict: Callable[[pd.DataFrame], np.ndarray],
    frame: pd.DataFrame,
    *,
    repeats: int = 10,
    max_rows: int = MAX_IMPORTANCE_ROWS,
    seed: int = SEED,
) -> dict[str, float]:
    """By how many minutes the MAE rises when a group of features is permuted together.

    Mean over `repeats` permutations on at most `max_rows` rows; empty with fewer than two
    rows. Source: Breiman 2001, with groups as in FEATURE_GROUPS.

    Args:
        predict: canonical frame -> minutes.
        frame: canonical arrivals that were not learned from.
    """
    import numpy as np
    import pandas as pd

    if len(frame) < 2:
        return {}
    rng = np.random.default_rng(seed)
    if len(frame) > max_rows:
        frame = frame.iloc[np.sort(rng.choice(len(frame), max_rows, replace=False))]
    frame = frame.reset_index(drop=True)
    actual = frame[LABEL].to_numpy()
    base = float(np.abs(predict(frame) - actual).mean())
    orders = [rng.permutation(len(frame)) for _ in range(repeats)]
    # One call for all repeats of a group: a prediction costs milliseconds whatever its size.
    stacked = pd.concat([frame[list(FEATURES)]] * repeats, ignore_index=True)
    truth = np.tile(actual, repeats)
    result = {}
    for group, names in FEATURE_GROUPS.items():
        permuted = stacked.copy()
        for name in names:
            values = frame[name].to_numpy()
            permuted[name] = np.concatenate([values[order] for order in orders])
        result[group] = float(np.abs(predict(permuted) - truth).mean()) - base
    return dict(sorted(result.items(), key=lambda item: -item[1]))


def _codes(moments: pd.Series) -> tuple[np.ndarray, int]:
    import pandas as pd

    codes, values = pd.factorize(moments)
    return codes, len(values)


def _check_pair(actual: np.ndarray, predicted: np.ndarray) -> None:
    import numpy as np

    if len(actual) != len(predicted):
        raise SkyOpsError(
            f"{len(predicted)} predictions for {len(actual)} arrivals cannot be scored."
        )
    for what, values in (("arrival", actual), ("prediction", predicted)):
        if not np.isfinite(values).all():
            raise SkyOpsError(
                f"{int((~np.isfinite(values)).sum())} of {len(values)} {what}s have no number; "
                "leave those rows out before scoring."
            )
