"""What a row is: canonical form, its errors, and the fingerprint."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyops_assets.arrivals import features
from skyops_assets.errors import SkyOpsError
from tests.support.arrival_frames import raw_synthetic, synthetic


def test_no_identifier_and_no_label_is_a_feature() -> None:
    forbidden = features.IDENTIFIERS | {features.LABEL, "landed_at", "crossed_at", "label_quality"}
    assert not forbidden & set(features.FEATURES)


def test_every_feature_is_in_exactly_one_importance_group() -> None:
    grouped = [name for names in features.FEATURE_GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(features.FEATURES)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("mlflow", "sklearn", "matplotlib", "pandas", "dagster", "numpy")
    modules = "skyops_assets.arrivals, skyops_assets.arrivals.steps, skyops_assets.arrivals.store"
    code = f"import sys, {modules}; print([m for m in {heavy!r} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_fingerprint_ignores_the_order_of_rows_and_columns(seed: int) -> None:
    frame = raw_synthetic(30)
    rng = np.random.default_rng(seed)
    mixed = frame.sample(frac=1, random_state=rng)[list(rng.permutation(frame.columns))]
    assert features.fingerprint(features.canonical_arrivals(mixed), 40) == features.fingerprint(
        features.canonical_arrivals(frame), 40
    )


def test_fingerprint_is_stable_across_releases() -> None:
    frame = features.canonical_arrivals(raw_synthetic(2).assign(altitude_m=[1.0, None]))
    assert features.fingerprint(frame, 40) == FIXED


@pytest.mark.parametrize("column", ["altitude_m", "transit_min", "landed_at", "sector"])
def test_fingerprint_sees_every_change(column: str) -> None:
    frame = synthetic(30)
    other = frame.copy()
    value = other.loc[7, column]
    if column == "landed_at":
        other.loc[7, column] = value + timedelta(seconds=1)
    elif column == "sector":
        other.loc[7, column] = None
    else:
        other.loc[7, column] = value + 1e-5
    assert features.fingerprint(other, 40) != features.fingerprint(frame, 40)


def test_fingerprint_tells_empty_rings_and_shifted_nulls_apart() -> None:
    empty = synthetic(0)
    assert features.fingerprint(empty, 40) != features.fingerprint(empty, 100)
    first, second = (
        synthetic(2).assign(altitude_m=values) for values in ([1.0, np.nan], [np.nan, 1.0])
    )
    assert features.fingerprint(first, 40) != features.fingerprint(second, 40)


def test_a_sum_in_another_order_changes_no_fingerprint() -> None:
    frame = raw_synthetic(30)
    noisy = frame.assign(mean_last5_transit_min=0.1 + 0.2)
    exact = frame.assign(mean_last5_transit_min=0.3)
    marks = {features.fingerprint(features.canonical_arrivals(f), 40) for f in (noisy, exact)}
    assert len(marks) == 1


BAD = {
    "lacks the column sector": lambda f: f.drop(columns="sector"),
    "altitude_m must be a number": lambda f: f.assign(altitude_m="high"),
    "altitude_m is infinite": lambda f: f.assign(altitude_m=np.inf),
    "more than once": lambda f: pd.concat([f, f.iloc[:1]]),
    "crossed_at must be a time with a time zone": lambda f: f.assign(
        crossed_at=f["crossed_at"].dt.tz_localize(None)
    ),
    "crossed_at is null": lambda f: f.assign(crossed_at=f["crossed_at"].where(f.index > 0)),
    "sector is text": lambda f: f.assign(sector=3),
    "is_inbound must be true or false": lambda f: f.assign(is_inbound=None),
    "saw the future": lambda f: f.assign(last_transit_age_min=-1.0),
    "Correct the model that computes transit_min": lambda f: f.assign(
        landed_at=f["landed_at"] + timedelta(minutes=1)
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_frame_is_refused_with_its_reason(message: str) -> None:
    with pytest.raises(SkyOpsError, match=message):
        features.canonical_arrivals(BAD[message](raw_synthetic(5)))


def test_arrivals_without_label_or_with_an_impossible_one_are_left_out_and_counted() -> None:
    frame = synthetic(10)
    frame.loc[0, ["landed_at", "transit_min"]] = [pd.NaT, np.nan]
    frame.loc[1, "transit_min"] = 2.0
    frame.loc[2, "transit_min"] = 91.0
    frame.loc[3, "label_quality"] = "provisional"
    kept, excluded = features.usable_arrivals(frame)
    assert len(kept) == 6
    assert list(excluded.values()) == [1, 1, 2]


def test_how_fast_an_arrival_can_be_depends_on_its_ring() -> None:
    frame = features.canonical_arrivals(raw_synthetic(3))
    frame["landed_at"] = frame["crossed_at"] + pd.to_timedelta(6, unit="min")
    frame["transit_min"] = 6.0
    assert features.usable_arrivals(frame)[1]["transit outside 3 to 90 min"] == 0
    kept, excluded = features.usable_arrivals(frame.assign(ring_nm=100))
    assert (len(kept), excluded["transit outside 7.5 to 90 min"]) == (0, 3)


def test_postgres_numerics_and_integers_become_floats() -> None:
    from decimal import Decimal

    frame = features.canonical_arrivals(raw_synthetic(3).assign(altitude_m=Decimal("1.5")))
    assert frame["altitude_m"].dtype == "float64"
    assert frame["ring_nm"].dtype == "int64"


FIXED = "b62ac8d45a77e0942e16e2ca2899828d99cd14fa800fd8fbbdfd802ec99f5421"
