"""Flights, phases and airports against simulated flights, whose truth is known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from skyops_assets.simulate.fields import AIRPORTS
from skyops_assets.simulate.flights import Plan
from skyops_assets.simulate.reception import Quality
from skyops_assets.simulate.write import Layout, simulate, write
from skyops_assets.warehouse.connection import Warehouse
from validation import truth

pytestmark = pytest.mark.xdist_group("transform")


@pytest.mark.mirror
def test_simulated_flights_are_recovered(warehouse: Warehouse, tmp_path: Path) -> None:
    """The goals, at a seed of their own; a month ends on the first day."""
    plan = Plan(11, datetime(2024, 1, 31, tzinfo=UTC), 2, AIRPORTS)
    made = simulate(plan, flights=150, quality=Quality(), layout=Layout.traffic)
    write(tmp_path / "made", made, plan)
    truth.load(warehouse, tmp_path / "made" / "recording", made)
    truth.transform(warehouse, tmp_path)
    shares = {
        name: part / whole for name, (part, whole) in truth.scores(warehouse).items() if whole
    }
    assert shares["phase right, of fresh seconds"] >= 0.97, shares
    assert shares["flights recovered exactly"] >= 0.98, shares
    assert shares["flights wrongly merged"] <= 0.005, shares
    assert shares["airports answered, where the flight has one"] >= 0.6, shares
    assert shares["airports right, of those answered"] >= 0.994, shares
    count, median_s, ninth_s = truth.takeoff_errors_s(warehouse)
    assert count >= 40
    assert median_s <= 10, (count, median_s, ninth_s)
    assert ninth_s <= 20, (count, median_s, ninth_s)
    hours = truth.flown_hours(warehouse)
    assert hours.days >= 15, hours
    assert abs(hours.airborne_h / hours.true_h - 1) <= 0.01, hours
    assert hours.worst_share <= 0.03, hours
    # Paris is watched, and most of these flights are elsewhere.
    reasons = {
        side: {reason for (reason,) in truth.query(
            warehouse,
            f"select {side}_airport_reason from metrics.fct_flights where {side}_airport is null")}
        for side in ("departure", "arrival")
    }  # fmt: skip
    assert {"never_airborne", "out_of_area", "no_ground_contact"} <= reasons["departure"], reasons
    assert {"never_airborne", "out_of_area", "no_ground_contact"} <= reasons["arrival"], reasons
