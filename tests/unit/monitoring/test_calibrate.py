"""Disturbances that the alarms are tried on, and the trials themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from skyops_assets.backtest import alarm_calibration
from skyops_assets.backtest.alarm_calibration import ALTITUDE_BIAS_M, LONGER_WAY_MIN
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import synthetic

START = datetime(2021, 10, 10, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Three days to learn from, and 21 days of 160 arrivals on two runways."""
    frame = synthetic(3840, hours=24 * 24)
    is_west = frame["local_hour"] < 16
    frame["runway_in_use_sin"] = np.where(is_west, -1.0, 1.0)
    frame["runway_in_use_cos"] = 0.0
    return frame


def test_each_disturbance_changes_what_it_says_and_nothing_else(rows: pd.DataFrame) -> None:
    rng = np.random.default_rng(1)
    assert alarm_calibration.undisturbed(rows, rng) is rows
    closed = alarm_calibration.removed_runway(rows, rng)
    assert set(closed["runway_in_use_sin"]) == {1.0}
    is_west = rows["runway_in_use_sin"] == -1
    longer = closed["transit_min"] - rows["transit_min"]
    assert longer[is_west].to_numpy() == pytest.approx(LONGER_WAY_MIN)
    assert (longer[~is_west] == 0).all()
    high = alarm_calibration.altitude_bias(rows, rng)
    assert (high["altitude_m"] - rows["altitude_m"]).to_numpy() == pytest.approx(ALTITUDE_BIAS_M)
    assert high.drop(columns="altitude_m").equals(rows.drop(columns="altitude_m"))
    more = alarm_calibration.more_traffic(rows, rng)["inbound_inside_count"].sum()
    assert more / rows["inbound_inside_count"].sum() == pytest.approx(1.3, abs=0.02)


def test_trials_count_what_was_found(rows: pd.DataFrame) -> None:
    found = {
        one.disturbance: one
        for one in alarm_calibration.calibrate(
            rows, START, START + timedelta(days=21), false_alarm_trials=1, power_trials=1
        )
    }
    assert set(found) == set(alarm_calibration.DISTURBANCES)
    assert (found["undisturbed"].drift_windows, found["undisturbed"].found) == (0, 0)
    for name in set(found) - {"undisturbed", "altitude 300 ft too high"}:
        assert found[name].found == found[name].trials == 1, name
    assert "inbound_inside_count" in found["30 % more traffic"].columns


def test_a_short_period_and_a_single_runway_are_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(SkyOpsError, match="has 6 days with arrivals, and 21 are needed"):
        list(alarm_calibration.calibrate(rows, START, START + timedelta(days=5)))
    with pytest.raises(SkyOpsError, match="only one runway direction"):
        alarm_calibration.removed_runway(
            rows.assign(runway_in_use_sin=1.0), np.random.default_rng(1)
        )
