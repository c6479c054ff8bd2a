"""Cut arrivals into the past to learn from and the future to be judged on.

Belongs here: the cut, its windows, and the proof that nothing leaks. Does not: how many rows
a model or a promotion needs (`fit`, `gate.policy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from skyops_assets.arrivals.features import LABEL, MAX_TRANSIT_MIN, NUMERIC
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

TRAIN_SHARE = 0.7
ENOUGH_TEST_DAYS = 14
ENOUGH_TEST_ROWS = 2000
"""So many newest days and arrivals judge a challenger: what is older is learned from, for a model
that is judged on months knows nothing of them when it is promoted."""
MAX_EXPLAINED = 0.95
"""Share of the label's variance that one feature may explain. At LSZH the best explains 0.31."""
MIN_ROWS_TO_EXPLAIN = 50
MAX_ROWS_TO_EXPLAIN = 1000


@dataclass(frozen=True)
class Split:
    """Two frames of arrivals on either side of a moment, either of which may be empty.

    `train`: crossed and landed before `cut_at`. `test`: crossed at or after it.
    `embargoed_rows`: crossed before, landed after (the label was not known yet).
    `shared_flight_rows`: left out of `train` because the same flight is in `test`.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    cut_at: datetime | None
    embargoed_rows: int
    shared_flight_rows: int

    def __post_init__(self) -> None:
        check_no_leak(self.train, self.test, self.cut_at)

    @property
    def trained_from_at(self) -> datetime | None:
        """First crossing learned from."""
        return _bound(self.train, "crossed_at", "min")

    @property
    def trained_through_at(self) -> datetime | None:
        """Last landing learned from: nothing after it can have shaped the model."""
        return _bound(self.train, "landed_at", "max")

    @property
    def test_from_at(self) -> datetime | None:
        """First crossing judged on."""
        return _bound(self.test, "crossed_at", "min")

    @property
    def test_through_at(self) -> datetime | None:
        """Last crossing judged on."""
        return _bound(self.test, "crossed_at", "max")


def temporal_split(frame: pd.DataFrame, train_share: float = TRAIN_SHARE) -> Split:
    """Cut where `train_share` of the crossings lie before, by time and by flight.

    The cut is later where the rows after it would be more than `ENOUGH_TEST_DAYS` and
    `ENOUGH_TEST_ROWS`.

    Args:
        frame: canonical arrivals, each with label and landing.
        train_share: least share of crossings before the cut, between 0 and 1.

    With one row or none nothing can be cut: `train` takes the row and `test` stays empty.
    """
    if not 0 < train_share < 1:
        raise SkyOpsError(
            f"The share of training rows is {train_share}; it must lie between 0 and 1."
        )
    if len(frame) < 2:
        return Split(frame, frame.iloc[:0], None, 0, 0)
    times = frame["crossed_at"].sort_values(kind="stable")
    cut = times.iloc[min(max(round(len(times) * train_share), 1), len(times) - 1)]
    if len(times) > ENOUGH_TEST_ROWS:
        enough = min(
            times.iloc[-1] - timedelta(days=ENOUGH_TEST_DAYS), times.iloc[-ENOUGH_TEST_ROWS]
        )
        cut = max(cut, enough)
    return split_at(frame, cut)


def split_at(frame: pd.DataFrame, cut_at: datetime) -> Split:
    """The split at a given moment (UTC); see `Split` for what goes where."""
    is_test = frame["crossed_at"] >= cut_at
    is_known = frame["landed_at"] < cut_at
    is_shared = frame["flight_id"].isin(frame.loc[is_test, "flight_id"])
    is_train = ~is_test & is_known & ~is_shared
    return Split(
        train=frame[is_train].reset_index(drop=True),
        test=frame[is_test].reset_index(drop=True),
        cut_at=cut_at,
        embargoed_rows=int((~is_test & ~is_known).sum()),
        shared_flight_rows=int((~is_test & is_known & is_shared).sum()),
    )


def check_no_leak(train: pd.DataFrame, test: pd.DataFrame, cut_at: datetime | None) -> None:
    """Raise where the training rows know anything of the test rows.

    Raises:
        SkyOpsError: a flight is on both sides, a training row crossed or landed at or after
            the cut, a test row crossed before it, or a feature of the training rows as good as
            tells the landing.
    """
    check_no_answer(train)
    shared = sorted(set(train["flight_id"]) & set(test["flight_id"]))
    if shared:
        raise SkyOpsError(
            f"Leak: flight {shared[0]!r} is in the training and in the test rows "
            f"({len(shared)} such flights). Split by flight, not by row."
        )
    if cut_at is None:
        if len(train) and len(test):
            raise SkyOpsError(
                "Leak: no point in time separates the training rows from the test rows."
            )
        return
    for frame, column, is_wrong, words in (
        (train, "crossed_at", train["crossed_at"] >= cut_at, "a training row crossed"),
        (train, "landed_at", ~(train["landed_at"] < cut_at), "a training row landed"),
        (test, "crossed_at", ~(test["crossed_at"] >= cut_at), "a test row crossed"),
    ):
        if is_wrong.any():
            row = frame[is_wrong].iloc[0]
            raise SkyOpsError(
                f"Leak: {words} at {row[column]} (flight {row['flight_id']!r}), on the wrong side "
                f"of the cut at {cut_at} ({int(is_wrong.sum())} such rows)."
            )


def check_no_answer(frame: pd.DataFrame) -> None:
    """Raise where one feature, with the time of the crossing at most, gives the label away.

    A feature that knows the landing is the label up to a unit, or is it once the crossing's time
    is taken off. So each is fitted to the label by least squares, together with the crossing's
    time, its local hour and its hour in UTC, where neither turns midnight before the landing.
    Nothing is said of fewer than 50 rows, which five numbers fit well by chance.

    Raises:
        SkyOpsError: a feature explains more than 95 % of the label's variance.
    """
    import numpy as np

    hour = frame["crossed_at"].dt.hour + frame["crossed_at"].dt.minute / 60
    frame = frame.assign(
        utc_hour=hour,
        local_hour=frame["local_hour"].fillna(0),
        since=(frame["crossed_at"] - frame["crossed_at"].min()).dt.total_seconds() / 86400,
        one=1.0,
    )
    last = 24 - MAX_TRANSIT_MIN / 60
    rows = frame[(frame["utc_hour"] < last) & (frame["local_hour"] < last)]
    rows = rows.iloc[:: max(1, len(rows) // MAX_ROWS_TO_EXPLAIN)]
    label = rows[LABEL].to_numpy()
    clocks = rows[["one", "since", "utc_hour", "local_hour"]].to_numpy()
    for name in NUMERIC:
        known = rows[name].notna().to_numpy()
        values = rows.loc[known, name].to_numpy()
        spread = label[known].var() if len(values) else 0.0
        if len(values) < MIN_ROWS_TO_EXPLAIN or not np.ptp(values) or not spread:
            continue
        given = np.column_stack([clocks[known], (values - values.mean()) / values.std()])
        left = label[known] - given @ np.linalg.lstsq(given, label[known], rcond=None)[0]
        explained = 1 - float((left**2).mean()) / spread
        if explained > MAX_EXPLAINED:
            raise SkyOpsError(
                f"Leak: {name} explains {explained:.1%} of {LABEL} in {len(values)} training rows. "
                "No feature known at the crossing does: it knows the landing. Correct the model "
                "that computes it, or leave it out."
            )


def _bound(frame: pd.DataFrame, column: str, which: str) -> datetime | None:
    if not len(frame):
        return None
    moment: datetime = getattr(frame[column], which)().to_pydatetime()
    return moment
