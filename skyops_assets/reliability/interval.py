"""The interval of one component: estimated, and tried on what came later.

Belongs here: which lives a fit may see and on which it is tried, pure. Does not: the models
(`survival`), whether the interval is recommended (`gate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import md5
from math import ceil, log
from typing import TYPE_CHECKING

from skyops_assets.policies import ReliabilityPolicy
from skyops_assets.reliability.lives import Component, Life
from skyops_assets.reliability.survival import (
    Fit,
    KaplanMeier,
    Weibull,
    can_be_fitted,
    fit_weibull,
    kaplan_meier,
)

if TYPE_CHECKING:
    import numpy as np

WINDOWS = 3
"""So many times a backtest fits anew: at half of the failures, and at thirds of the rest."""


@dataclass(frozen=True)
class Trial:
    """What happened to units after a fit that did not know it.

    Attributes:
        how: how the units were kept from the fit, in words.
        lives: how much was tried, in whole lives up to the interval.
        failed: failures before the interval.
        expected: failures that the fits expected in just these stretches of life. Given the fit
            failures are a Poisson number of this mean, however lives were cut off.
        chance: of as many failures or more, if the fits were right.
    """

    how: str
    lives: float
    failed: int
    expected: float
    chance: float


@dataclass(frozen=True)
class Estimate:
    """All that is known of a component's life.

    Attributes:
        fit: None where all failures were at one age.
        reached: lives that went on beyond the interval.
        trial: None where nothing could be tried, and why.
    """

    scope: str
    name: str
    measure: str
    failures: int
    has_survivors: bool
    curve: KaplanMeier
    fit: Fit | None
    reached: int
    trial: Trial | None
    untried_because: str | None = None


def estimate(component: Component, policy: ReliabilityPolicy) -> Estimate:
    """Fit a component with at least one failure, and try its interval."""
    ages, failed = arrays(component.lives)
    fit = None
    if component.failures >= policy.min_failures and can_be_fitted(ages, failed):
        fit = fit_weibull(ages, failed, policy.target_survival)
    trial = problem = None
    if fit is not None and component.scope != "chapter":
        trial, problem = _try(component.lives, policy)
    return Estimate(
        scope=component.scope,
        name=component.name,
        measure=component.measure,
        failures=component.failures,
        has_survivors=component.has_survivors,
        curve=kaplan_meier(ages, failed),
        fit=fit,
        reached=int((ages > fit.interval).sum()) if fit else 0,
        trial=trial,
        untried_because=problem,
    )


def arrays(lives: Sequence[Life]) -> tuple[np.ndarray, np.ndarray]:
    """Ages, and which of them are failures."""
    import numpy as np

    return (
        np.array([life.age for life in lives], float),
        np.array([life.is_failure for life in lives], bool),
    )


def known_by(lives: Sequence[Life], day: date) -> list[Life]:
    """Lives as they were known at the end of a day: those that ended later still ran."""
    known = []
    for life in lives:
        if life.ended_on is not None and life.ended_on <= day:
            known.append(life)
        elif life.started_on is not None and life.started_on < day:
            known.append(Life(_age_at(life, day), False, life.started_on, day))
    return [life for life in known if life.age > 0]


def ranks(names: Sequence[str]) -> list[int]:
    """A place for each unit, by the hash of its name: as good as drawn, and always the same."""

    def drawn(i: int) -> tuple[bytes, str]:
        return md5(names[i].encode(), usedforsecurity=False).digest(), names[i]

    found = [0] * len(names)
    for rank, i in enumerate(sorted(range(len(names)), key=drawn)):
        found[i] = rank
    return found


def _try(lives: Sequence[Life], policy: ReliabilityPolicy) -> tuple[Trial | None, str | None]:
    """Forward in time where the days are known, else on the other half of the lives."""
    dated = [life for life in lives if life.ended_on is not None]
    if dated:
        return _forward(dated, policy)
    places = ranks([life.unit for life in lives])
    parts = [
        [life for life, place in zip(lives, places, strict=True) if place % 2 == half]
        for half in (0, 1)
    ]
    stretches: list[tuple[Weibull, float, list[tuple[float, float, bool]]]] = []
    for known, others in (parts, parts[::-1]):
        fitted = _interval(known, policy)
        if fitted is None:
            return None, f"a half of the lives has fewer than {policy.min_failures} failures"
        tried = [(0.0, life.age, life.is_failure) for life in others]
        stretches.append((*fitted, tried))
    return _sum("Fitted on one half of the units, on the other", stretches, policy), None


def _forward(lives: Sequence[Life], policy: ReliabilityPolicy) -> tuple[Trial | None, str | None]:
    ends = sorted(life.ended_on for life in lives if life.is_failure and life.ended_on)
    first = max(policy.min_failures, ceil(len(ends) / 2))
    if first >= len(ends):
        return None, (
            f"there are {len(ends)} failures of known date, and a fit needs {policy.min_failures} "
            "before the ones for testing"
        )
    cuts = sorted({ends[first - 1 + (len(ends) - first) * i // WINDOWS] for i in range(WINDOWS)})
    stretches = []
    for cut, until in zip(cuts, [*cuts[1:], date.max], strict=True):
        fitted = _interval(known_by(lives, cut), policy)
        if fitted is not None:
            stretches.append((*fitted, list(_after(lives, cut, until))))
    if not stretches:
        return None, f"no day before the last failures has {policy.min_failures} known ones"
    through = ", ".join(f"{cut:%Y-%m-%d}" for cut in cuts)
    return _sum(f"Fitted on what was known on {through},", stretches, policy), None


def _after(lives: Sequence[Life], cut: date, until: date) -> list[tuple[float, float, bool]]:
    """Ages between which each life went on within two days, and whether it failed then."""
    found = []
    for life in lives:
        started, ended = life.started_on, life.ended_on
        if started is None or ended is None or ended <= cut or started >= until:
            continue
        begin = _age_at(life, max(started, cut))
        end = life.age if ended <= until else _age_at(life, until)
        found.append((begin, end, life.is_failure and ended <= until))
    return found


def _interval(lives: Sequence[Life], policy: ReliabilityPolicy) -> tuple[Weibull, float] | None:
    """The model of these lives and its interval; None where they are too few."""
    ages, failed = arrays(lives)
    if failed.sum() < policy.min_failures or not can_be_fitted(ages, failed):
        return None
    fit = fit_weibull(ages, failed, policy.target_survival, resamples=1)
    return fit.chosen, fit.interval


def _sum(
    how: str,
    stretches: Sequence[tuple[Weibull, float, Sequence[tuple[float, float, bool]]]],
    policy: ReliabilityPolicy,
) -> Trial:
    import numpy as np
    from scipy import stats

    failed, expected = 0, 0.0
    for model, interval, tried in stretches:
        if not tried:
            continue
        begin, end, is_failure = (np.array(part) for part in zip(*tried, strict=True))
        failed += int((is_failure & (end < interval) & (end > begin)).sum())
        cut = model.hazard(np.minimum(end, interval)) - model.hazard(np.minimum(begin, interval))
        expected += float(cut.sum())
    lives = expected / -log(policy.target_survival)
    chance = float(stats.poisson.sf(failed - 1, expected)) if expected else float(failed == 0)
    return Trial(how, lives, failed, expected, chance)


def _age_at(life: Life, day: date) -> float:
    """A life's age at a day within it."""
    if life.started_on is None or life.ended_on is None or day <= life.started_on:
        return 0.0
    return life.age * min((day - life.started_on) / (life.ended_on - life.started_on), 1.0)
