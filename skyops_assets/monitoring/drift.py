"""Whether arrivals have become other arrivals: statistics, their thresholds, and one score.

Belongs here: pure functions of columns and frames. Does not: skill (`skill`), alarms (`policy`),
reading rows (`store`). A number that cannot be computed is None, never 0.

Drift explains an alarm. Each column has its statistics, all with thresholds that are calibrated
together on the reference; the score that the policy looks at counts what is beyond (`drift_score`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import CATEGORICAL, FEATURE_GROUPS, LABEL, NUMERIC, SEED
from skyops_assets.monitoring.skill import MIN_ROWS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PREDICTION = "predicted_transit_min"
SEASONAL = ("local_hour", "local_weekday")
"""The reference is matched by these, so they are not tested."""

GROUPS = {
    "where from": (*FEATURE_GROUPS["airport"], *FEATURE_GROUPS["entry bearing"]),
    "altitude": FEATURE_GROUPS["altitude"],
    "aircraft and speed": (*FEATURE_GROUPS["aircraft"], *FEATURE_GROUPS["speed"]),
    "congestion": FEATURE_GROUPS["congestion"],
    "recent transits": FEATURE_GROUPS["recent transits"],
    "runway in use": FEATURE_GROUPS["runway in use"],
}
"""Six groups of features that move together: one beyond its thresholds is a score of 0.17.

Weather is told and does not count: it changes with every week."""

SMOOTHING = 0.5
CALIBRATIONS = 400
CALIBRATION_QUANTILE = 0.99
MARGIN = 1.5
"""The draws share their days, so their tail is too short: without it 3 of 60 undisturbed windows of
LSZH 2019-05 had a column beyond, by the direction of the runway in use."""
MIN_BLOCKS = 10
"""Days that a reference needs before its thresholds are calibrated on them."""
FOLDS = 3
MAX_REFERENCE_ROWS = 3000


@dataclass(frozen=True)
class Statistic:
    """A way to compare one column of a window with the reference's.

    Both sides are counted in the same bins, and the statistic is a function of the two counts: so
    a reference is resampled by its days' counts, without a look at its rows.

    Attributes:
        threshold: where none was calibrated.
        bins: reference column -> a function that gives each value's bin, -1 for none, and how
            many bins there are.
        compare: counts of reference and window -> a number, None where it has none.
    """

    name: str
    threshold: float
    bins: Callable[[pd.Series], tuple[Callable[[pd.Series], np.ndarray], int]]
    compare: Callable[[np.ndarray, np.ndarray], float | None]
    is_for_text: bool
    is_for_numbers: bool

    def measure(self, reference: pd.Series, current: pd.Series) -> float | None:
        """The statistic of two columns."""
        place, size = self.bins(reference)
        return self.compare(_count(place(reference), size), _count(place(current), size))


@dataclass(frozen=True)
class Finding:
    """One statistic of one column; `is_beyond` is None where there is no value."""

    column: str
    statistic: str
    value: float | None
    threshold: float
    is_calibrated: bool

    @property
    def is_beyond(self) -> bool | None:
        """Whether the value lies above the threshold."""
        return None if self.value is None else self.value > self.threshold


@dataclass(frozen=True)
class Drift:
    """What was compared: rows on both sides, the score, and the finding of each column.

    `score` is the share of `GROUPS` in which a feature is beyond its threshold, of those with a
    feature that could be tested. `too_few` says why there is none; then there are no findings.
    """

    rows: int
    reference_rows: int
    score: float | None
    auc: float | None
    findings: tuple[Finding, ...]
    too_few: str | None = None

    @property
    def beyond(self) -> tuple[Finding, ...]:
        """The findings above their threshold, the furthest first."""
        found = [finding for finding in self.findings if finding.is_beyond]
        return tuple(sorted(found, key=lambda f: -(f.value or 0) / max(f.threshold, 1e-9)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `beyond`, each once."""
        return tuple(dict.fromkeys(finding.column for finding in self.beyond))


def stability(reference: np.ndarray, current: np.ndarray) -> float | None:
    """Population stability index of two counts: sum of (b - a) ln(b / a) over their shares.

    Half a row is added to each bin. None where a side has no rows. Source: Siddiqi 2006; the usual
    thresholds (0.1 and 0.25) hold for no particular number of rows.
    """
    import numpy as np

    if not reference.sum() or not current.sum():
        return None
    a, b = (
        (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts))
        for counts in (reference, current)
    )
    return float(((b - a) * np.log(b / a)).sum())


def kolmogorov_smirnov(reference: np.ndarray, current: np.ndarray) -> float | None:
    """The largest distance of the distribution functions, 0 to 1; None where a side is empty."""
    import numpy as np

    if not reference.sum() or not current.sum():
        return None
    apart = np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum()
    return float(np.abs(apart).max())


def change_of_last(reference: np.ndarray, current: np.ndarray) -> float | None:
    """By how much the share of the last bin changed, 0 to 1; None where a side is empty."""
    if not reference.sum() or not current.sum():
        return None
    return abs(float(current[-1] / current.sum() - reference[-1] / reference.sum()))


def quantile_bins(
    parts: int,
) -> Callable[[pd.Series], tuple[Callable[[pd.Series], np.ndarray], int]]:
    """Bins between the reference's quantiles, each of which is a bin of its own.

    So a value that many rows share (a flight level, a constant) is seen to move.
    """

    def bins(reference: pd.Series) -> tuple[Callable[[pd.Series], np.ndarray], int]:
        import numpy as np

        there = reference.dropna().to_numpy(dtype="float64")
        levels = np.linspace(0, 1, parts + 1)[1:-1]
        edges = np.unique(np.quantile(there, levels)) if len(there) else np.empty(0)

        def place(values: pd.Series) -> np.ndarray:
            numbers = values.to_numpy(dtype="float64")
            at = np.searchsorted(edges, numbers, "left") + np.searchsorted(edges, numbers, "right")
            return np.where(np.isnan(numbers), -1, at)

        return place, 2 * len(edges) + 1

    return bins


def category_bins(reference: pd.Series) -> tuple[Callable[[pd.Series], np.ndarray], int]:
    """One bin for each category of the reference, and a last one for those it never had."""
    import numpy as np

    names = {name: code for code, name in enumerate(sorted(reference.dropna().unique()))}

    def place(values: pd.Series) -> np.ndarray:
        codes = values.map(names).to_numpy(dtype="float64")
        codes = np.where(np.isnan(codes), len(names), codes)
        return np.where(values.isna(), -1, codes).astype("int64")

    return place, len(names) + 1


def missing_bins(_: pd.Series) -> tuple[Callable[[pd.Series], np.ndarray], int]:
    """There, or missing."""
    return lambda values: values.isna().to_numpy().astype("int64"), 2


STATISTICS = (
    Statistic("psi", 0.1, quantile_bins(20), stability, False, True),
    Statistic("category_psi", 0.1, category_bins, stability, True, False),
    Statistic("ks", 0.1, quantile_bins(200), kolmogorov_smirnov, False, True),
    Statistic("missing_rate", 0.02, missing_bins, change_of_last, True, True),
    Statistic("new_category_rate", 0.01, category_bins, change_of_last, True, False),
)


def seasonal_reference(
    reference: pd.DataFrame, current: pd.DataFrame, min_rows: int = MIN_ROWS
) -> pd.DataFrame:
    """The reference's rows of the hours and weekdays that the window has, weighted like it.

    Of the same calendar months where those are at least `min_rows`. Within each weekday and hour
    (UTC) rows are left out until no such cell is a larger share than in the window; a cell that the
    window lacks is left out. Where less than `min_rows` would stay, hours alone are matched, and
    then nothing.

    Args:
        reference, current: frames with `crossed_at`, UTC.
    """
    months = current["crossed_at"].dt.month.unique()
    same = reference[reference["crossed_at"].dt.month.isin(months)]
    if len(same) >= min_rows:
        reference = same
    for cells in (_weekday_and_hour, _hour):
        matched = _matched(reference, cells(reference), cells(current))
        if len(matched) >= min_rows:
            return matched
    return reference


def findings(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    window_days: int,
    calibrations: int = CALIBRATIONS,
    seed: int = SEED,
) -> tuple[Finding, ...]:
    """Every statistic of every column that both frames have, held to its threshold.

    The thresholds are calibrated together, by `calibrations` draws of `window_days` days of the
    reference against its other days. A threshold is the statistic's median over the draws plus so
    many times its distance to the 90th percentile that in 1 - `CALIBRATION_QUANTILE` of the draws
    ANY column would be beyond, times `MARGIN`; and at least a fifth of the default. With fewer
    than `MIN_BLOCKS` days, and where a draw has no number, it is the default.

    Source: the max statistic of Westfall and Young 1993.
    """
    import numpy as np
    import pandas as pd

    codes, names = pd.factorize(reference["crossed_at"].dt.floor("D"))
    rng = np.random.default_rng(seed)
    size = min(window_days, len(names) // 2)
    draws = np.zeros((calibrations, len(names)))
    for draw in draws:
        draw[rng.choice(len(names), size, replace=False)] = 1
    columns, values, drawn = [], [], []
    for column in tested_columns(reference, current):
        for statistic in STATISTICS:
            if not (statistic.is_for_text if column in CATEGORICAL else statistic.is_for_numbers):
                continue
            columns.append((column, statistic))
            values.append(statistic.measure(reference[column], current[column]))
            drawn.append(_resampled(statistic, reference[column], codes, len(names), draws))
    null = np.array(drawn, dtype="float64")
    thresholds, calibrated = _thresholds(null if len(names) >= MIN_BLOCKS else null[:, :0])
    return tuple(
        Finding(
            column,
            statistic.name,
            value,
            max(statistic.threshold / 5, float(limit)) if known else statistic.threshold,
            bool(known),
        )
        for (column, statistic), value, limit, known in zip(
            columns, values, thresholds, calibrated, strict=True
        )
    )


def _resampled(
    statistic: Statistic, column: pd.Series, days: np.ndarray, day_count: int, draws: np.ndarray
) -> list[float | None]:
    """The statistic of each draw of days against the days that it leaves."""
    import numpy as np

    place, size = statistic.bins(column)
    bins = place(column)
    there = bins >= 0
    by_day = np.zeros((day_count, size))
    np.add.at(by_day, (days[there], bins[there]), 1)
    inside = draws @ by_day
    rest = by_day.sum(axis=0) - inside
    return [statistic.compare(a, b) for a, b in zip(rest, inside, strict=True)]


def _thresholds(null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds of statistics (rows) over draws (columns), and which of them are calibrated."""
    import numpy as np

    known = np.isfinite(null).all(axis=1) & (null.shape[1] > 0)
    result = np.full(len(null), np.nan)
    if not known.any():
        return result, known
    seen = null[known]
    middle = np.median(seen, axis=1)
    spread = np.quantile(seen, 0.9, axis=1) - middle
    moves = spread > 0
    furthest = ((seen[moves] - middle[moves, None]) / spread[moves, None]).max(axis=0, initial=0)
    times = MARGIN * np.quantile(furthest, CALIBRATION_QUANTILE)
    result[known] = middle + times * spread
    return result, known


def compare_windows(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    window_days: int,
    min_rows: int = MIN_ROWS,
    classify: bool = True,
) -> Drift:
    """All of it: a seasonally matched reference, each column's findings, and the score.

    Args:
        reference, current: canonical arrivals, and `predicted_transit_min` where it is known.
        window_days: how long `current` is.
        classify: also the domain classifier, which takes seconds and no part in the score.
    """
    matched = seasonal_reference(reference, current, min_rows)
    for name, rows in (("window", current), ("reference", matched)):
        if len(rows) < min_rows:
            text = f"too few rows: {len(rows)} in the {name}, and {min_rows} are needed"
            return Drift(len(current), len(matched), None, None, (), text)
    auc = None
    if classify:
        sample = matched.sample(min(len(matched), MAX_REFERENCE_ROWS), random_state=SEED)
        columns = [n for n in NUMERIC if n not in SEASONAL and n in sample and n in current]
        auc = domain_auc(sample, current, columns)
    found = findings(matched, current, window_days=window_days)
    return Drift(len(current), len(matched), drift_score(found), auc, found)


def tested_columns(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Features (but for the season's own), the prediction and the label, where both have them."""
    wanted = (*CATEGORICAL, *(n for n in NUMERIC if n not in SEASONAL), PREDICTION, LABEL)
    return [name for name in wanted if name in reference and name in current]


def domain_auc(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: list[str],
    *,
    folds: int = FOLDS,
    seed: int = SEED,
) -> float | None:
    """How well a classifier tells the window's rows from the reference's: area under the curve.

    Cross-validated with the days (UTC) as groups: rows of one day share their weather, so a
    classifier that is asked about a day it has seen finds drift where there is none. 0.5 is
    "not at all". None where a side has fewer days than folds, or no column has a value.

    Args:
        columns: numeric features.

    Source: Lopez-Paz and Oquab 2017 (classifier two-sample test).
    """
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    from skyops_assets.arrivals.learning.fit import one_thread

    both = pd.concat([reference, current], ignore_index=True)
    columns = [name for name in columns if both[name].notna().any()]
    is_current = np.arange(len(both)) >= len(reference)
    days = both["crossed_at"].dt.floor("D")
    if not columns or min(days[is_current].nunique(), days[~is_current].nunique()) < folds:
        return None
    groups = pd.factorize(days)[0] * 2 + is_current
    values = both[columns].to_numpy(dtype="float64")
    scores = np.zeros(len(both))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with one_thread():
        for learn, ask in splitter.split(values, is_current, groups):
            model = HistGradientBoostingClassifier(
                max_iter=30,
                learning_rate=0.15,
                max_leaf_nodes=8,
                min_samples_leaf=40,
                early_stopping=False,
                class_weight="balanced",
                random_state=seed,
            )
            model.fit(values[learn], is_current[learn])
            scores[ask] = model.predict_proba(values[ask])[:, 1]
    return float(roc_auc_score(is_current, scores))


def drift_score(found: Sequence[Finding]) -> float | None:
    """Share of the groups of features with one beyond its threshold; None where none was tested."""
    tested = [f for f in found if f.value is not None]
    groups = [[f.is_beyond for f in tested if f.column in columns] for columns in GROUPS.values()]
    groups = [group for group in groups if group]
    return sum(map(any, groups)) / len(groups) if groups else None


def _count(bins: np.ndarray, size: int) -> np.ndarray:
    import numpy as np

    return np.bincount(bins[bins >= 0], minlength=size).astype("float64")


def _hour(frame: pd.DataFrame) -> pd.Series:
    return frame["crossed_at"].dt.hour


def _weekday_and_hour(frame: pd.DataFrame) -> pd.Series:
    return frame["crossed_at"].dt.day_of_week * 24 + frame["crossed_at"].dt.hour


def _matched(reference: pd.DataFrame, cells: pd.Series, wanted: pd.Series) -> pd.DataFrame:
    """As many rows as possible, at random, in the shares that `wanted` has."""
    have, want = cells.value_counts(), wanted.value_counts()
    want = want[want.index.isin(have.index)]
    if not len(want):
        return reference.iloc[:0]
    # The scarcest cells would decide alone; a tenth of the window may fall short of its share.
    scale = float((have.reindex(want.index) / want).sort_values().iloc[len(want) // 10])
    take = (want * scale).clip(upper=have.reindex(want.index)).round().astype(int)
    shuffled = cells.sample(frac=1, random_state=SEED)
    rank = shuffled.groupby(shuffled).cumcount()
    keep = rank < shuffled.map(take).fillna(0)
    return reference.loc[keep[keep].index.sort_values()]
