"""What models of sensor readings are worth on units that they have not learned from.

Belongs here: who is learned from, who is tried, errors, the bootstrap. Does not: fitting
(`models`), what follows (`gate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyops_assets.policies import ReliabilityPolicy
from skyops_assets.reliability import gate, readings
from skyops_assets.reliability.interval import arrays, ranks
from skyops_assets.reliability.models import (
    BOOSTING,
    FOREST,
    Aged,
    Band,
    limit_of,
    remaining_model,
    unseen,
    within_model,
)
from skyops_assets.reliability.readings import Fleet
from skyops_assets.reliability.survival import can_be_fitted, fit_weibull

if TYPE_CHECKING:
    import numpy as np

    from skyops_assets.reliability.readings import Unit

AGE, FIXED = "age alone", "fixed interval"
FOLDS = 3
RESAMPLES = 1000


@dataclass(frozen=True)
class Score:
    """What one model is worth on units that it has not learned from: `ml.outlook_evaluations`."""

    question: str
    model: str
    how: str
    train_units: int
    test_units: int
    test_rows: int
    train_failures: int
    test_failures: int
    rmse: float | None = None
    mae: float | None = None
    coverage: float | None = None
    within_cycles: int | None = None
    brier: float | None = None
    confusion: tuple[int, int, int, int] | None = None
    limit: float | None = None
    used_life_share: float | None = None
    failed_share: float | None = None
    naive_used_life_share: float | None = None
    skill: float | None = None
    skill_low: float | None = None
    skill_high: float | None = None

    def shares(self) -> dict[str, float | None]:
        """Accuracy, precision, recall and F1 of the confusion matrix; None where undefined."""
        if self.confusion is None:
            return dict.fromkeys(("accuracy", "precision_share", "recall_share", "f1"))
        right, wrong, missed, quiet = self.confusion

        def share(part: int, whole: int) -> float | None:
            return part / whole if whole else None

        return {
            "accuracy": share(right + quiet, sum(self.confusion)),
            "precision_share": share(right, right + wrong),
            "recall_share": share(right, right + missed),
            "f1": share(2 * right, 2 * right + wrong + missed),
        }


@dataclass(frozen=True)
class Split:
    """Which units are learned from, and on which readings of which others it is tried."""

    train: list[Unit]
    test: list[Unit]
    tried: np.ndarray
    how: str

    def counts(self) -> dict[str, Any]:
        """The part of a score that is the same for every model."""
        return {
            "how": self.how,
            "train_units": len(self.train),
            "test_units": len(self.test),
            "train_failures": sum(unit.is_failed for unit in self.train),
            "test_failures": sum(unit.is_failed for unit in self.test),
        }


def split_units(fleet: Fleet) -> Split:
    """Half of the units and, where days are known, the time before the other half's readings."""
    import numpy as np

    places = ranks([unit.name for unit in fleet.units])
    train, test = (
        [unit for unit, place in zip(fleet.units, places, strict=True) if place % 2 == half]
        for half in (0, 1)
    )
    if not fleet.is_dated:
        tried = np.ones(sum(len(unit.cycles) for unit in test), bool)
        return Split(train, test, tried, "by unit; the days of the readings are not known")
    ends = sorted(unit.days[-1] for unit in fleet.units if unit.days and unit.is_failed)
    cut = ends[len(ends) // 2] if ends else max(unit.days[-1] for unit in fleet.units if unit.days)
    train = [known for unit in train if (known := unit.known_by(cut))]
    test = [unit for unit in test if unit.days and unit.days[-1] > cut]
    tried = np.array([day > cut for unit in test for day in unit.days or ()], bool)
    return Split(train, test, tried, f"by unit, and by time at {cut:%Y-%m-%d}")


def try_remaining(split: Split, policy: ReliabilityPolicy) -> list[Score]:
    """Scores of remaining life by age and by readings, and of the limit beside the interval."""
    import numpy as np

    cap = policy.longest_life_cycles
    truth = readings.remaining(split.test, cap)
    last = np.concatenate([unit.cycles == unit.last for unit in split.test])
    rows = split.tried & np.isfinite(truth) & ~last
    aged = Aged(split.train)
    naive = aged.remaining(_ages(split.test), cap)
    model = remaining_model(split.train, policy)
    predicted = model(split.test)
    apart = unseen(split.train, policy, FOLDS)
    band = Band(apart, readings.remaining(split.train, cap))
    low, high = band.around(predicted)
    whose = readings.owners(split.test)
    errors = [(values - truth)[rows] ** 2 for values in (naive, predicted)]
    skill = skill_of(errors[1], errors[0], whose[rows])
    counts = split.counts()
    scores = [
        Score(
            gate.REMAINING,
            name,
            test_rows=int(rows.sum()),
            rmse=float(np.sqrt(error.mean())) if len(error) else None,
            mae=float(np.sqrt(error).mean()) if len(error) else None,
            **counts,
            **more,
        )
        for name, error, more in (
            (AGE, errors[0], {}),
            (
                BOOSTING,
                errors[1],
                {
                    **skill,
                    "coverage": float(((truth >= low) & (truth <= high))[rows].mean())
                    if rows.any()
                    else None,
                },
            ),
        )
    ]
    limit = limit_of(split.train, apart, policy)
    used, failed = _removals(split, predicted <= limit)
    interval = _fixed(split.train, policy)
    ages = _ages(split.test)
    fixed_used, fixed_failed = (
        _removals(split, ages >= interval) if interval is not None else (None, None)
    )
    together = {"test_rows": int(rows.sum()), **counts}
    return [
        *scores,
        Score(
            gate.LIMIT,
            BOOSTING,
            limit=limit,
            used_life_share=used,
            failed_share=failed,
            naive_used_life_share=fixed_used,
            **together,
        ),
        Score(
            gate.LIMIT,
            FIXED,
            limit=interval,
            used_life_share=fixed_used,
            failed_share=fixed_failed,
            **together,
        ),
    ]


def try_within(split: Split, policy: ReliabilityPolicy) -> list[Score]:
    """Scores of a failure within N cycles: by age alone, gradient boosting, random forest."""
    import numpy as np

    cycles = policy.fails_within_cycles
    truth = readings.fails_within(split.test, cycles)
    last = np.concatenate([unit.cycles == unit.last for unit in split.test])
    rows = split.tried & np.isfinite(truth) & ~last
    whose = readings.owners(split.test)[rows]
    ages = _ages(split.test)
    given = {
        AGE: Aged(split.train).fails_within(ages, cycles),
        **{
            name: within_model(split.train, name, policy)(split.test) for name in (BOOSTING, FOREST)
        },
    }
    naive = (given[AGE] - truth)[rows] ** 2
    scores = []
    for name, values in given.items():
        error = (values - truth)[rows] ** 2
        scores.append(
            Score(
                gate.WITHIN,
                name,
                test_rows=int(rows.sum()),
                within_cycles=cycles,
                brier=float(error.mean()) if len(error) else None,
                confusion=_confusion(truth[rows] > 0, values[rows] >= 0.5),
                **split.counts(),
                **({} if name == AGE else skill_of(error, naive, whose)),
            )
        )
    return scores


def skill_of(error: np.ndarray, naive: np.ndarray, whose: np.ndarray) -> dict[str, Any]:
    """1 - error / naive error, with its 95 % interval by a bootstrap over units, paired."""
    import numpy as np

    if not len(error) or not naive.sum():
        return {}
    _, unit = np.unique(whose, return_inverse=True)
    sums = np.stack([np.bincount(unit, one) for one in (error, naive)])
    size = sums.shape[1]
    draws = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), size=RESAMPLES)
    ours, theirs = (draws @ one for one in sums)
    drawn = 1 - ours[theirs > 0] / theirs[theirs > 0]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {
        "skill": float(1 - error.sum() / naive.sum()),
        "skill_low": float(low),
        "skill_high": float(high),
    }


def _removals(split: Split, is_off: np.ndarray) -> tuple[float | None, float | None]:
    """Share of life used, and of units that failed before they were taken off."""
    whose = readings.owners(split.test)
    used, failed = [], 0
    for i, unit in enumerate(split.test):
        if not unit.is_failed:
            continue
        off = unit.cycles[(is_off & split.tried)[whose == i]]
        if not len(off) or off[0] >= unit.last:
            failed += 1
            used.append(1.0)
        else:
            used.append(float(off[0]) / unit.last)
    return (sum(used) / len(used), failed / len(used)) if used else (None, None)


def _fixed(units: Sequence[Unit], policy: ReliabilityPolicy) -> float | None:
    ages, failed = arrays(Fleet("", list(units)).lives().lives)
    if not can_be_fitted(ages, failed):
        return None
    return fit_weibull(ages, failed, policy.target_survival, resamples=1).interval


def _ages(units: Sequence[Unit]) -> np.ndarray:
    import numpy as np

    return np.concatenate([unit.cycles for unit in units]).astype(float)


def _confusion(truth: np.ndarray, said: np.ndarray) -> tuple[int, int, int, int]:
    """True positives, false positives, false negatives, true negatives."""
    return (
        int((truth & said).sum()),
        int((~truth & said).sum()),
        int((truth & ~said).sum()),
        int((~truth & ~said).sum()),
    )
