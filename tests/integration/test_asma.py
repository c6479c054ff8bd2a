"""Additional ASMA time of every arrival of the history, against a second implementation in pandas.

The second one reads the files itself, counts in whole seconds, and takes the percentile from its
definition. It shares nothing with the SQL but the list of arrivals that were loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.sources.history import load, source
from skyops_assets.transform.dbt import build_arguments
from skyops_assets.warehouse.connection import Warehouse

pytestmark = [pytest.mark.mirror, pytest.mark.xdist_group("dbt")]

Dbt = Callable[..., tuple[int, str]]
RINGS = (40, 50, 100)
GROUP = ["ring_nm", "sector", "RWY"]


@pytest.fixture(scope="module")
def months(shared_warehouse: Warehouse, dbt: Dbt) -> Iterator[Warehouse]:
    """The three months of LSZH, loaded and measured, dbt's tests of the data included."""
    settings = Settings(data_mirror=Path(os.environ["SKYOPS_DATA_MIRROR"]))
    assert settings.data_mirror
    reference.replace_reference(
        shared_warehouse, "raw.airports", "airportsdata", reference.airports()
    )
    for path in sorted((settings.data_mirror / "arrivals").glob("LSZH-*")):
        file = source.history_file("LSZH", date.fromisoformat(path.name[5:15]))
        load.load_file(shared_warehouse, file, settings)
    code, said = dbt(*build_arguments())
    assert code == 0, said
    yield shared_warehouse


def frame(warehouse: Warehouse, statement: str) -> pd.DataFrame:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        assert cursor.description
        return pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description])


@pytest.fixture(scope="module")
def expected(months: Warehouse) -> pd.DataFrame:
    """One row an arrival and ring, computed from the files."""
    folder = Path(os.environ["SKYOPS_DATA_MIRROR"]) / "arrivals"
    files = [pd.read_csv(path, dtype={"RWY": "string"}) for path in sorted(folder.glob("LSZH-*"))]
    loaded = set(frame(months, "select uid from raw.arrivals_history")["uid"])
    wide = pd.concat(files).drop_duplicates("UID")
    # Of two rows with one UID the loader keeps the first good one; none of these is bad.
    wide = wide[wide["UID"].isin(loaded)]
    assert len(wide) == len(loaded) == 24_873
    rings = [
        wide[["UID", "RWY", "THR_TIME"]].assign(
            ring_nm=ring, crossed=wide[f"C{ring}_TIME"], bearing=wide[f"C{ring}_BRG"]
        )
        for ring in RINGS
    ]
    rows = pd.concat(rings).dropna(subset="crossed").reset_index(drop=True)
    landed = pd.to_datetime(rows["THR_TIME"])
    rows["transit_s"] = (landed - pd.to_datetime(rows["crossed"])).dt.total_seconds().astype(int)
    rows["sector"] = np.array(["N", "NE", "E", "SE", "S", "SW", "W", "NW", "N"])[
        np.searchsorted(np.arange(22.5, 360, 45), rows["bearing"], side="right")
    ]
    rows["month"] = landed.dt.strftime("%Y-%m")
    minutes = landed.dt.tz_convert("Europe/Zurich").dt.hour * 60 + landed.dt.minute
    rows["reason"] = np.select(
        [rows["transit_s"] > 7200, (minutes >= 22 * 60) | (minutes < 7 * 60)],
        ["transit_over_120_min", "night_landing"], "",
    )  # fmt: skip
    return with_references(rows)


def fifth_percentile(seconds: np.ndarray) -> float:
    """By hand: the value at rank 0.05 (n - 1), on the line between its neighbours."""
    ordered = np.sort(seconds)
    whole, twentieths = divmod(len(ordered) - 1, 20)
    below, above = ordered[whole], ordered[min(whole + 1, len(ordered) - 1)]
    return float(below + (above - below) * twentieths / 20)


def with_references(rows: pd.DataFrame) -> pd.DataFrame:
    """Each month against the twelve that end with it."""
    rows["reference_s"] = np.nan
    periods = pd.PeriodIndex(rows["month"], freq="M")
    counted = rows["reason"] == ""
    for month in periods.unique():
        window = rows[counted & (periods <= month) & (periods > month - 12)]
        for key, group in window.groupby(GROUP):
            found = fifth_percentile(group["transit_s"].to_numpy())
            if (group["transit_s"] <= found).sum() >= 20:
                same = (rows[GROUP] == list(key)).all(axis=1)
                rows.loc[counted & (periods == month) & same, "reference_s"] = found
    rows["additional_s"] = rows["transit_s"] - rows["reference_s"]
    return rows


def test_every_arrival_equals_the_second_implementation_to_the_second(
    months: Warehouse, expected: pd.DataFrame
) -> None:
    found = frame(
        months,
        "select flight_id, ring_nm, sector as sector_found, coalesce(exclusion_reason, '') "
        "as reason_found, transit_min, reference_min, additional_min from metrics.fct_arrivals",
    )
    both = expected.merge(
        found, "outer", left_on=["UID", "ring_nm"], right_on=["flight_id", "ring_nm"],
        indicator="side", validate="one_to_one",
    )  # fmt: skip
    assert (both["side"] == "both").all()
    assert len(both) == 24_873 + 24_823 + 24_435
    assert (both["sector"] == both["sector_found"]).all()
    assert (both["reason"] == both["reason_found"]).all()
    for name in ("transit", "reference", "additional"):
        ours, theirs = both[f"{name}_min"].astype(float) * 60, both[f"{name}_s"]
        assert (ours.isna() == theirs.isna()).all()
        assert (ours - theirs).abs().max() < 1
    # The comparison is not one of empty columns.
    assert both["additional_min"].notna().sum() > 50_000
    assert set(both["reason"]) == {"", "night_landing"}


@pytest.mark.parametrize(
    ("table", "period", "form"),
    [("asma_monthly", "month", "%Y-%m"), ("asma_daily", "day", "%Y-%m-%d")],
)
def test_the_aggregates_equal_those_of_the_second_implementation(
    months: Warehouse, expected: pd.DataFrame, table: str, period: str, form: str
) -> None:
    found = frame(months, f"select * from metrics.{table}")
    found["period"] = pd.to_datetime(found[period]).dt.strftime(form)
    assert set(found["source"]) == {"history"}
    found = found.set_index(["ring_nm", "period"]).sort_index()

    rows = expected.assign(period=pd.to_datetime(expected["THR_TIME"]).dt.strftime(form))
    for name in ("transit", "reference", "additional"):
        rows[name] = rows[f"{name}_s"].where(rows["reason"] == "") / 60
    groups = rows.groupby(["ring_nm", "period"])
    wanted = pd.DataFrame(
        {
            "arrival_count": groups.size(),
            "excluded_night_count": groups["reason"].agg(lambda one: (one != "").sum()),
            "counted_count": groups["transit"].count(),
            "with_reference_count": groups["additional"].count(),
            "without_reference_share": 1 - groups["additional"].count() / groups["transit"].count(),
            "mean_transit_min": groups["transit"].mean(),
            "p90_transit_min": groups["transit"].quantile(0.9),
            "mean_reference_min": groups["reference"].mean(),
            "mean_additional_min": groups["additional"].mean(),
            "p90_additional_min": groups["additional"].quantile(0.9),
        }
    )
    assert list(found.index) == list(wanted.index)
    pd.testing.assert_frame_equal(
        found[wanted.columns].astype(float), wanted.astype(float),
        check_exact=False, rtol=0, atol=1e-6,
    )  # fmt: skip


def test_the_monthly_level_is_plausible_beside_the_published_one(months: Warehouse) -> None:
    """EUROCONTROL: 2.45 minutes at LSZH in 2017, by the older method, which gives about 1 less."""
    found = frame(
        months,
        "select to_char(month, 'YYYY-MM') as month, mean_additional_min, without_reference_share "
        "from metrics.asma_monthly where ring_nm = 40",
    )
    level = dict(zip(found["month"], found["mean_additional_min"], strict=True))
    assert set(level) == {"2019-03", "2019-05", "2020-03"}
    assert all(2.45 < minutes < 2 * 2.45 for minutes in level.values())
    # Half of that month was the first lockdown.
    assert level["2020-03"] < min(level["2019-03"], level["2019-05"]) - 1
    assert (found["without_reference_share"] < 0.2).all()
