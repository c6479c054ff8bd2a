"""How often the alert of a component rings: in undisturbed years, and after its rate has tripled.

That SQL follows the same rule is in tests/integration/test_reliability.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.alert_rule import alerts, rolled

YEARS = 4000
BEFORE = 63
"""Weeks that a series needs before the first that is judged."""


def drawn(monthly: float, weeks: int, factor: float = 1.0, seed: int = 7) -> np.ndarray:
    """Weekly counts of as many series as YEARS, of so many events a month (four weeks)."""
    means = np.full(BEFORE + weeks, monthly / 4)
    means[BEFORE:] *= factor
    return np.random.default_rng(seed).poisson(means, (YEARS, BEFORE + weeks))


@pytest.mark.parametrize("monthly", [0.05, 0.25, 0.5, 1, 2, 3, 5, 10, 50, 200])
def test_it_rings_in_at_most_two_of_a_hundred_undisturbed_years(monthly: float) -> None:
    share = alerts(drawn(monthly, 52), np.ones(1)).any(axis=1).mean()
    # Three standard errors of the simulation at 2 %.
    assert share <= 0.02 + 3 * np.sqrt(0.02 * 0.98 / YEARS), share


@pytest.mark.parametrize("monthly", [3, 5, 10, 50])
def test_it_rings_within_three_months_of_a_tripled_rate(monthly: float) -> None:
    """From three events a month on; fewer cannot show it so soon, whatever the rule."""
    share = alerts(drawn(monthly, 13, factor=3), np.ones(1)).any(axis=1).mean()
    assert share >= 0.8, share


@pytest.mark.parametrize(("monthly", "least"), [(1, 0.4), (2, 0.75)])
def test_with_fewer_events_it_takes_half_a_year(monthly: float, least: float) -> None:
    share = alerts(drawn(monthly, 26, factor=3), np.ones(1)).any(axis=1).mean()
    assert share >= least, share


@pytest.mark.parametrize("monthly", [0.5, 3, 10])
def test_hours_that_come_and_go_are_no_alert(monthly: float) -> None:
    """A fleet that flies four times as much in summer has four times the events."""
    hours = 1 + 0.6 * np.sin(np.arange(BEFORE + 52) * 2 * np.pi / 52)
    counts = np.random.default_rng(7).poisson(monthly / 4 * hours, (YEARS, BEFORE + 52))
    assert alerts(counts, hours).any(axis=1).mean() <= 0.025


def test_two_months_above_three_deviations_alone_ring_too_often_for_few_events() -> None:
    """Why the rule asks for more: with one event in four months every sixth year would ring."""
    counts = drawn(0.25, 52)
    week = np.arange(BEFORE, counts.shape[1])
    months = rolled(counts, 4)
    before = np.stack([months[:, week - 12 - 4 * month] for month in range(13)])
    level = before.mean(axis=0) + 3 * before.std(axis=0, ddof=1)
    bare = np.minimum(months[:, week], months[:, week - 4]) > level
    assert bare.any(axis=1).mean() > 0.1
