"""How often the gatekeeper's statistical rules are wrong, measured on one's own arrivals.

Belongs here: challengers of which one knows how good they are, put before the policy in force.
Does not: the rules (`gate.policy`). The other lights do not depend on luck and are taken as green.

A seed alone changes nothing in gradient boosting without subsampling, so the same recipe is fitted
on draws of the same past: 95 % of the rows, and as many rows with repetition (bootstrap). Each
draw is challenger to each other draw of its kind, so on average none is better. A draw does differ
from another for good, by chance of its rows: that is part of what the policy is to stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING

from skyops_assets.arrivals import features
from skyops_assets.arrivals.evaluation import metrics, slices
from skyops_assets.arrivals.evaluation.sanity import SanityReport
from skyops_assets.arrivals.features import SEED
from skyops_assets.arrivals.gate.evidence import Evidence, Probe, SliceGain
from skyops_assets.arrivals.gate.policy import PHYSICS, GatePolicy, decide
from skyops_assets.arrivals.learning import fit, split
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

DRAWS = 16
"""So many of a kind are 240 challengers."""
WINDOW_DAYS = 7
WINDOW_ROWS = 2000
TRUE_GAIN = 0.05
MAX_PROMOTED_EQUAL = 0.01
MIN_PROMOTED_BETTER = 0.8
TRUE_LOSS = 0.03
MAX_RENEWED_WORSE = 0.05
KINDS = ("95 % of the rows", "bootstrap")
_GREEN = {
    "probe": Probe(None, 1.0, 1.0, 200, 1.0, 1.0, True),
    "logic": SanityReport((), PHYSICS[0], {"any": 0.0}, 0.0, 0.0),
}


@dataclass(frozen=True)
class CalibrationResult:
    """One question and its answer: of `trials` so many were `promoted`.

    `most` or `least` is what the share is held to; neither means that it is only shown.
    """

    month: str
    kind: str
    what: str
    trials: int
    promoted: int
    most: float | None = None
    least: float | None = None

    @property
    def share(self) -> float:
        """Promoted among the trials."""
        return self.promoted / self.trials

    @property
    def is_held(self) -> bool:
        """Whether the share is within its limit."""
        too_many = self.most is not None and self.share > self.most
        return not too_many and (self.least is None or self.share >= self.least)


@dataclass(frozen=True)
class _Month:
    name: str
    parts: split.Split
    actual: np.ndarray
    slices: list[slices.Slice]


def months(rows: pd.DataFrame, policy: GatePolicy) -> list[str]:
    """The calendar months (``2019-05``) to judge in: two whole windows, enough known before."""
    known = rows["crossed_at"].dt.strftime("%Y-%m")
    days = rows["crossed_at"].dt.floor("D").groupby(known).nunique()
    before = known.value_counts().sort_index().cumsum().shift(fill_value=0)
    return [
        month
        for month in days.index
        if days[month] >= 2 * WINDOW_DAYS and before[month] >= policy.min_train_rows
    ]


def calibrate(
    rows: pd.DataFrame,
    *,
    policy: GatePolicy | None = None,
    recipe: fit.Recipe = fit.GRADIENT_BOOSTING_L1,
    draws: int = DRAWS,
    seed: int = SEED,
    only: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[CalibrationResult]:
    """Ask the policy about challengers as good, better and worse than their champion.

    For each month the draws learn from what landed before it. As good: windows of 7 days of the
    month. Better: the draw's errors all shrunk by one factor so that over the month it gains 5 %
    on the champion, in windows of 2,000 arrivals (of the month, if it has fewer than that); so
    the two keep differing from arrival to arrival as two fits do. Worse: by 3 %, the same way.

    Args:
        rows: `features.usable_arrivals` of one ring.
        draws: fits of a kind, and month.
        only: one month instead of all.
        progress: told what is being done.

    Raises:
        SkyOpsError: the arrivals give no month to judge in.
    """
    policy = policy or GatePolicy()
    names = [name for name in months(rows, policy) if only in (None, name)]
    if not names:
        raise SkyOpsError(
            f"{len(rows)} arrivals {f'and {only} ' if only else ''}give no calendar month with "
            f"{2 * WINDOW_DAYS} days of arrivals and {policy.min_train_rows} arrivals before it, "
            "so there is nothing to calibrate on. Load more: docs/arrivals_history.md."
        )
    lines = []
    for name in names:
        month = _month(rows, name)
        for number, kind in enumerate(KINDS):
            fits = []
            for draw in range(draws):
                progress(f"{name}, {kind}: fit {draw + 1} of {draws}")
                some = _draw(month.parts.train, kind, (seed, number, draw))
                fits.append(fit.predict(fit.fit(some, recipe), month.parts.test))
            progress(f"{name}, {kind}: {draws * (draws - 1)} challengers")
            lines += list(_ask(month, kind, fits, policy))
    return lines


def _month(rows: pd.DataFrame, name: str) -> _Month:
    import pandas as pd

    start = pd.Timestamp(f"{name}-01", tz="UTC")
    known = rows[rows["crossed_at"] < start + pd.offsets.MonthBegin(1)].reset_index(drop=True)
    parts = split.split_at(known, start.to_pydatetime())
    actual = parts.test[features.LABEL].to_numpy()
    return _Month(name, parts, actual, slices.slices(parts.train, parts.test))


def _draw(rows: pd.DataFrame, kind: str, seed: tuple[int, int, int]) -> pd.DataFrame:
    import numpy as np

    rng = np.random.default_rng(seed)
    size, repeat = (len(rows), True) if kind == "bootstrap" else (round(0.95 * len(rows)), False)
    return rows.iloc[np.sort(rng.choice(len(rows), size, replace=repeat))]


def _ask(
    month: _Month, kind: str, fits: list[np.ndarray], policy: GatePolicy
) -> Iterator[CalibrationResult]:
    weeks = [w for w in _weeks(month.parts.test) if w.sum() >= policy.min_test_rows]
    many = _thousands(len(month.actual))
    pairs = list(permutations(fits, 2))
    better = [(_with_gain(month, one, other, TRUE_GAIN), other) for one, other in pairs]
    worse = [(_with_gain(month, one, other, -TRUE_LOSS), other) for one, other in pairs]
    old = policy.renew_after_days
    for what, challengers, windows, age, held in (
        ("as good, weeks", pairs, weeks, 0.0, {"most": MAX_PROMOTED_EQUAL}),
        ("5 % better, 2,000 arrivals", better, many, 0.0, {"least": MIN_PROMOTED_BETTER}),
        ("as good, weeks, old champion", pairs, weeks, old, {}),
        ("3 % worse, weeks, old champion", worse, weeks, old, {"most": MAX_RENEWED_WORSE}),
    ):
        verdicts = [
            _is_promoted(month, one, other, window, age, policy)
            for one, other in challengers
            for window in windows
        ]
        if verdicts:
            yield CalibrationResult(month.name, kind, what, len(verdicts), sum(verdicts), **held)


def _weeks(test: pd.DataFrame) -> list[np.ndarray]:
    """Rows of each week that lies wholly within the days of `test`."""
    day = test["crossed_at"].dt.floor("D")
    week = ((day - day.min()).dt.days // WINDOW_DAYS).to_numpy()
    whole = (day.max() - day.min()).days + 1
    return [week == number for number in range(whole // WINDOW_DAYS)]


def _thousands(rows: int) -> list[np.ndarray]:
    import numpy as np

    place = np.arange(rows) // WINDOW_ROWS
    return [place == number for number in range(max(1, rows // WINDOW_ROWS))]


def _with_gain(month: _Month, one: np.ndarray, other: np.ndarray, gain: float) -> np.ndarray:
    import numpy as np

    error = one - month.actual
    wanted = (1 - gain) * np.abs(other - month.actual).mean()
    return np.asarray(month.actual + error * wanted / np.abs(error).mean())


def _is_promoted(  # noqa: PLR0917
    month: _Month,
    challenger: np.ndarray,
    champion: np.ndarray,
    window: np.ndarray,
    champion_age_days: float,
    policy: GatePolicy,
) -> bool:
    import numpy as np

    test = month.parts.test

    def compare(rows: np.ndarray) -> metrics.Comparison:
        given = (month.actual[rows], challenger[rows], champion[rows], test["crossed_at"][rows])
        return metrics.compare(*given, "the champion")

    found = compare(window)
    evidence = Evidence(
        challenger_version="2",
        untrained_reason=None,
        train_rows=len(month.parts.train),
        scored_share=1.0,
        scored_rows=found.rows,
        test_days=found.days,
        reference=found.reference,
        reference_mae_min=None,
        challenger_mae_min=None,
        gain=found.skill,
        gain_low=found.low,
        skill=1.0,  # That fits beat every baseline is not what is asked here.
        has_champion=True,
        is_reference_current=True,
        slices=(),
        champion_age_days=champion_age_days,
        newer_days=policy.min_newer_days,
        **_GREEN,  # type: ignore[arg-type]
    )
    if not decide(evidence, policy).is_promoted:
        return False  # No slice would make it better.
    distance = [np.abs(minutes - month.actual) for minutes in (challenger, champion)]
    parts = []
    for part in month.slices:
        rows = part.rows & window
        own, theirs = distance[0][rows].sum(), distance[1][rows].sum()
        # An interval takes milliseconds, and is looked at only where the gain is that bad.
        if part.is_gated and 1 - own / max(theirs, 1e-9) < -policy.max_slice_loss:
            inside = compare(rows)
            parts.append(SliceGain(part.name, inside.rows, inside.skill, inside.high))
    return decide(replace(evidence, slices=tuple(parts)), policy).is_promoted
