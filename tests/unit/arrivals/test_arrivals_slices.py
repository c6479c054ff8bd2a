"""Who is in which part, and how parts are measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skyops_assets.arrivals.evaluation import metrics, report
from skyops_assets.arrivals.evaluation.slices import Slice, slices
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import synthetic


def parts(test: pd.DataFrame, train: pd.DataFrame | None = None) -> dict[str, np.ndarray]:
    found = slices(synthetic(100) if train is None else train, test)
    return {f"{part.kind}: {part.name}": part.rows for part in found}


def test_airports_and_sectors_share_out_all_rows() -> None:
    test = synthetic(60)
    found = parts(test)
    for kind in ("airport", "sector"):
        rows = [mask for name, mask in found.items() if name.startswith(f"{kind}: ")]
        assert np.array_equal(np.sum(rows, axis=0), np.ones(60))
    north = test.query("airport == 'LFPG' and sector == 'N'").index
    assert list(np.flatnonzero(found["sector: LFPG N"])) == list(north)


def test_night_is_by_local_time_and_an_unknown_hour_is_neither() -> None:
    test = synthetic(6).assign(local_hour=[21.9, 22.0, 0.0, 6.9, 7.0, np.nan])
    found = parts(test)
    assert list(found["time of day: night"]) == [False, True, True, True, False, False]
    assert list(found["time of day: day"]) == [True, False, False, False, True, False]


def test_peak_is_the_airports_own_busiest_quarter() -> None:
    train = synthetic(4).assign(
        airport=["A", "A", "B", "B"], entries_60min_count=[1.0, 5.0, 40.0, 60.0]
    )
    test = synthetic(4).assign(airport=["A", "A", "B", "C"], entries_60min_count=[4, 3, 4, 9])
    found = parts(test, train)
    assert list(found["traffic: peak"]) == [True, False, False, False]
    assert list(found["traffic: off-peak"]) == [False, True, True, False]


def test_a_runway_change_lasts_an_hour_and_a_parallel_runway_is_none() -> None:
    degrees = np.radians([340, 10, 10, 160, 160, 160, np.nan])
    at = pd.Timestamp("2021-10-07T12:00Z") + pd.to_timedelta([0, 10, 20, 30, 90, 91, 92], "min")
    test = synthetic(7).assign(
        airport="A",
        crossed_at=at,
        runway_in_use_sin=np.sin(degrees),
        runway_in_use_cos=np.cos(degrees),
    )
    found = parts(test)
    assert list(found["runway: changed"]) == [False, False, False, True, True, False, False]
    assert list(found["runway: as before"]) == [True, True, True, False, False, True, False]


def test_additional_time_is_over_the_training_rows_fifth_percentile() -> None:
    train = synthetic(41).assign(airport="A", sector=["N"] * 21 + ["E"] * 19 + ["S"])
    train["transit_min"] = [10.0] * 21 + [20.0] * 20
    test = synthetic(4).assign(airport=["A", "A", "A", "B"], sector=["N", "N", "E", "N"])
    test["transit_min"] = [11.9, 20.0, 12.0, 12.0]
    found = parts(test, train)
    # East has too few rows for its own reference and takes the airport's; B has none.
    assert list(found["additional time: under 2 min"]) == [True, False, False, False]
    assert list(found["additional time: 2 to 5 min"]) == [False, False, True, False]
    assert list(found["additional time: 10 min or more"]) == [False, True, False, False]
    gated = {part.kind: part.is_gated for part in slices(train, test)}
    assert not gated["additional time"] and gated["sector"]


def test_a_slice_is_measured_on_its_own_rows_that_the_champion_has_not_seen() -> None:
    test = synthetic(50, hours=5)
    truth = test["transit_min"].to_numpy()
    half = Slice("x", "second half", np.arange(50) >= 25)
    early = Slice("x", "seen before", np.arange(50) < 10)
    given = (test, {"b": truth + 4}, ("new", truth + np.where(half.rows, 3, 0)))
    through = test["crossed_at"].iloc[29].to_pydatetime()
    found = metrics.evaluate(*given, ("old", truth + 2), through, slices=[half, early])
    (part,) = found.slices
    assert (part.comparison.rows, part.comparison.reference) == (20, "old")
    assert part.comparison.skill == pytest.approx(-0.5)
    assert part.champion_mae_min == pytest.approx(2)
    assert part.baseline_mae_min == pytest.approx(4)
    alone = metrics.evaluate(*given, slices=[half])
    assert alone.slices[0].comparison.skill == pytest.approx(0.25)
    assert alone.slices[0].champion_mae_min is None
    text = report.slices_markdown(alone)
    assert text and "| x | second half | 25 | 3.00 | - | 4.00 | +25.0% |" in text
    assert report.slices_markdown(metrics.evaluate(*given)) is None


def test_coverage_and_width_of_intervals() -> None:
    test = synthetic(4)
    truth = test["transit_min"].to_numpy()
    bounds = (truth - np.array([1, 1, 1, -1]), truth + 3)
    found = metrics.evaluate(test, {"b": truth + 1}, ("new", truth), intervals=bounds)
    own = found.score("challenger")
    assert own is not None
    assert (own.interval_coverage, own.interval_width_min) == (0.75, pytest.approx(3.5))
    assert "75.0% of the arrivals lie within" in report.evaluation_markdown(found)
    with pytest.raises(SkyOpsError, match="4 of 4 prediction intervals have low above high"):
        metrics.evaluate(test, {}, ("new", truth), intervals=(truth + 1, truth))
    assert metrics.measure_interval(np.empty(0), np.empty(0), np.empty(0)) == (None, None)


def test_shares_within_a_minute_and_two() -> None:
    found = metrics.measure(np.zeros(4), np.array([1.0, -1.5, 2.0, 2.1]))
    assert (found.within_1min_share, found.within_2min_share) == (0.25, 0.75)


def test_extreme_delays_are_those_of_more_than_an_hour_where_there_are_schedules() -> None:
    test = synthetic(4).assign(airport=["A", "A", "B", "B"], flight_id=["1", "2", "1", "3"])
    delays = pd.Series(
        [61.0, 60.0, 90.0],
        pd.MultiIndex.from_tuples([("A", "1"), ("A", "2"), ("C", "3")]),
    )
    kinds = {(part.kind, part.name): part for part in slices(synthetic(100), test, delays)}
    late, other = kinds["schedule", "extreme delay"], kinds["schedule", "no extreme delay"]
    assert list(late.rows) == [True, False, False, False]
    assert list(other.rows) == [False, True, False, False]
    assert not late.is_gated
    assert "schedule" not in {part.kind for part in slices(synthetic(100), test)}
