"""Whether a model's answers make sense to one who knows traffic, whatever its error.

Belongs here: what is asked of a model by changing its features or its labels. Does not: how much
of it is too much (`gate.policy`), the size of its error (`metrics`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import IDENTIFIERS, LABEL, SEED
from skyops_assets.arrivals.learning import baselines, fit
from skyops_assets.arrivals.learning.recipes import Recipe

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FASTEST_KT = 320
FAST_WITHIN_NM = 40
FASTEST_OUTSIDE_KT = 500
"""Ground speeds straight in that no arrival keeps up, within 40 NM and further out: 7.5 minutes
from 40 NM, 14.7 from 100. Of 24,645 arrivals at Zurich 0.1 % took less than 17.3 from there."""
MAX_ROWS = 2000
MAX_SHUFFLED_ROWS = 5000
"""More rows learn no more from labels that say nothing."""


@dataclass(frozen=True)
class Direction:
    """`names`, each larger by `step`: the predictions are to go up (`sign` 1) or down (-1)."""

    what: str
    names: tuple[str, ...]
    step: float
    sign: int


DIRECTIONS = (
    Direction(
        "three more aircraft on the way in", ("unlanded_count", "inbound_inside_count"), 3, 1
    ),
    Direction(
        "the last arrivals took three minutes more",
        (
            "last_transit_min",
            "mean_last3_transit_min",
            "mean_last5_transit_min",
            "mean_last10_transit_min",
            "mean_last20_transit_min",
        ),
        3,
        1,
    ),
    Direction("30 m/s faster on the way in", ("ground_speed_mps", "near_leg_mps"), 30, -1),
)
"""What physics says whatever the airport. Height is not among them: in a queue those kept high
wait, elsewhere the low ones come from near."""


@dataclass(frozen=True)
class SanityReport:
    """What was found on the test rows.

    Attributes:
        identifiers: features that name a flight.
        leading_group: the feature group whose permutation costs most; None with too few rows.
        wrong_way_min: per direction, by how many minutes the mean prediction goes the wrong
            way; negative is the right way, None where no test row knows the feature.
        impossible_share: predictions below `fastest_min`.
        shuffled_skill: skill against the airport median of the same recipe fitted on labels
            that were shuffled among the arrivals of each airport; None where it cannot be fitted.
    """

    identifiers: tuple[str, ...]
    leading_group: str | None
    wrong_way_min: dict[str, float | None]
    impossible_share: float | None
    shuffled_skill: float | None


def run_sanity_checks(
    predict: Callable[[pd.DataFrame], np.ndarray],
    features: tuple[str, ...],
    *,
    importance: dict[str, float],
    train_rows: pd.DataFrame,
    test_rows: pd.DataFrame,
    recipe: Recipe,
) -> SanityReport:
    """Ask the model all of it.

    Args:
        predict: canonical frame -> minutes.
        features: what the model was given.
        importance: `metrics.group_importance`, the largest first.
        train_rows, test_rows: canonical arrivals, as the model was fitted and judged on.
    """
    sample = test_rows
    if len(test_rows) > MAX_ROWS:
        sample = test_rows.sample(MAX_ROWS, random_state=SEED)
    return SanityReport(
        tuple(sorted(IDENTIFIERS & set(features))),
        next(iter(importance), None),
        {d.what: wrong_way_min(predict, sample, d) for d in DIRECTIONS},
        impossible_share(predict(test_rows), test_rows),
        shuffled_skill(train_rows, test_rows, recipe),
    )


def wrong_way_min(
    predict: Callable[[pd.DataFrame], np.ndarray], frame: pd.DataFrame, direction: Direction
) -> float | None:
    """Partial dependence: the mean change of the prediction, as `Logic.wrong_way_min`."""
    names = list(direction.names)
    known = frame[frame[names].notna().any(axis=1)]
    if not len(known):
        return None
    # Null stays null: adding to it gives null again.
    moved = known.assign(**{name: known[name] + direction.step for name in names})
    return -direction.sign * float((predict(moved) - predict(known)).mean())


def impossible_share(minutes: np.ndarray, frame: pd.DataFrame) -> float | None:
    """The share of predictions faster than `fastest_min`; None with no rows."""
    if not len(frame):
        return None
    return float((minutes < frame["ring_nm"].map(fastest_min).to_numpy()).mean())


def fastest_min(ring_nm: int) -> float:
    """Minutes from a ring straight in, faster than anything that lands."""
    inside = min(ring_nm, FAST_WITHIN_NM)
    return 60 * (inside / FASTEST_KT + (ring_nm - inside) / FASTEST_OUTSIDE_KT)


def shuffled_skill(
    train_rows: pd.DataFrame, test_rows: pd.DataFrame, recipe: Recipe
) -> float | None:
    """As `Logic.shuffled_skill`; above chance, the fit knows labels that it was not given."""
    import numpy as np

    if len(train_rows) < recipe.min_fit_rows or not len(test_rows):
        return None
    median = baselines.AirportMedian().fit(train_rows).predict(test_rows)
    known = np.isfinite(median)
    actual = test_rows[LABEL].to_numpy()
    if not known.any() or (below := float(np.abs(median - actual)[known].mean())) == 0:
        return None
    rows = train_rows
    if len(rows) > MAX_SHUFFLED_ROWS:
        rows = rows.sample(MAX_SHUFFLED_ROWS, random_state=SEED)
    rng = np.random.default_rng(SEED)
    mixed = rows.groupby("airport")[LABEL].transform(rng.permutation)
    minutes = fit.predict(fit.fit(rows.assign(**{LABEL: mixed}), recipe), test_rows)
    return 1 - float(np.abs(minutes - actual)[known].mean()) / below
