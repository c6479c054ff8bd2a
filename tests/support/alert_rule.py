"""The alert rule of component_reliability_weekly a second time, vectorised, to simulate it."""

from __future__ import annotations

import numpy as np

ALERT_SD = 3.25


def rolled(values: np.ndarray, weeks: int) -> np.ndarray:
    """Sums over so many weeks, by their last one; the first have fewer."""
    sums = np.cumsum(values, axis=1, dtype=float)
    sums[:, weeks:] -= sums[:, :-weeks].copy()
    return sums


def alerts(counts: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Whether it rings, for each series (a row of `counts`) and each week from the 64th on.

    Args:
        counts: events of each week.
        hours: hours of each week, of one series or of each.
    """
    hours = np.broadcast_to(hours, counts.shape)
    week = np.arange(63, counts.shape[1])
    in_4, flown_4 = rolled(counts, 4), rolled(hours, 4)
    rate = 1000 * in_4 / flown_4
    before = np.stack([rate[:, week - 12 - 4 * month] for month in range(13)])
    level = before.mean(axis=0) + 3 * before.std(axis=0, ddof=1)
    base, flown_base = rolled(counts, 52)[:, week - 12], rolled(hours, 52)[:, week - 12]

    def excess(weeks: int) -> np.ndarray:
        ratio = rolled(hours, weeks)[:, week] / flown_base
        found = np.sqrt(rolled(counts, weeks)[:, week] + 0.375)
        return 2 * (found - np.sqrt(ratio * (base + 0.375))) / np.sqrt(1 + ratio)

    both = np.minimum(rate[:, week], rate[:, week - 4]) > level
    return (both & (excess(8) >= ALERT_SD)) | (excess(12) >= ALERT_SD)
