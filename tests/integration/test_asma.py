"""Additional ASMA time of the history by both methods, against a second implementation in pandas.

The second one reads the files itself, counts in whole seconds, and takes the percentile from its
definition. It shares nothing with the SQL but the list of arrivals that were loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

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
LATE = date(2019, 5, 31)
OF_HISTORY = (
    "stg_history__arrivals int_arrivals__unioned int_arrivals__asma_eligibility "
    "int_asma__references fct_arrivals asma_daily asma_monthly "
)
OF_FIXED = "int_arrivals__asma_classed asma_fixed_references asma_fixed_daily asma_fixed_monthly"
CUTS = [0, 50, 115, 195, 265, 340, 360]
CLASSES = {"A333": "H", "A320": "MJ", "DH8D": "MT", "C510": "LJ", "PC12": "LT", None: None}
"""Types that the test gives to the airframes, and the classes that they are of."""
GROUP = ["ring_nm", "sector", "RWY"]


def typed(icao24: str) -> str | None:
    """A type for an airframe, the same each time; one in six has none."""
    return list(CLASSES)[int(icao24, 16) % len(CLASSES)]


def give_types(warehouse: Warehouse) -> None:
    airframes = list(frame(warehouse, "select distinct icao24 from raw.arrivals_history")["icao24"])
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into raw.aircraft (icao24, typecode, icao_type_description, source, batch_id) "
            "select icao24, typecode, case when typecode in ('DH8D', 'PC12') then 'L2T' "
            "when typecode is not null then 'L2J' end, 'test', (select max(batch_id) "
            "from raw.ingest_batches) from unnest(%s, %s) as given (icao24, typecode)",
            (airframes, [typed(icao24) for icao24 in airframes]),
        )
        connection.commit()


def run(dbt: Dbt, models: str, *arguments: str) -> None:
    code, said = dbt("run", "--select", *models.split(), *arguments)
    assert code == 0, said


@pytest.fixture(scope="module")
def months(shared_warehouse: Warehouse, dbt: Dbt) -> Iterator[Warehouse]:
    """The three months of LSZH, with dbt's tests of the data; one day and all types late."""
    settings = Settings(data_mirror=Path(os.environ["SKYOPS_DATA_MIRROR"]))
    assert settings.data_mirror
    reference.replace_reference(
        shared_warehouse, "raw.airports", "airportsdata", reference.airports()
    )
    days = [
        date.fromisoformat(path.name[5:15])
        for path in sorted((settings.data_mirror / "arrivals").glob("LSZH-*"))
    ]
    for day in days:
        if day != LATE:
            load.load_file(shared_warehouse, source.history_file("LSZH", day), settings)
    code, said = dbt(*build_arguments())
    assert code == 0, said
    load.load_file(shared_warehouse, source.history_file("LSZH", LATE), settings)
    give_types(shared_warehouse)
    run(dbt, OF_HISTORY + OF_FIXED)
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


@pytest.fixture(scope="module")
def arrivals(months: Warehouse) -> pd.DataFrame:
    """The arrivals from 40 NM, read from the files, nights among them."""
    folder = Path(os.environ["SKYOPS_DATA_MIRROR"]) / "arrivals"
    rows = pd.concat(
        pd.read_csv(path, dtype={"RWY": "string"}) for path in sorted(folder.glob("LSZH-*"))
    ).drop_duplicates("UID")
    loaded = frame(months, "select uid from raw.arrivals_history")["uid"]
    rows = rows[rows["UID"].isin(set(loaded))].dropna(subset="C40_TIME").reset_index(drop=True)
    landed = pd.to_datetime(rows["THR_TIME"])
    rows["transit"] = (landed - pd.to_datetime(rows["C40_TIME"])).dt.total_seconds() / 60
    rows["day"] = landed.dt.date
    rows["year"] = landed.dt.year
    rows["sector"] = pd.cut(rows["C40_BRG"], CUTS, labels=False)
    rows["class"] = [CLASSES[typed(uid[:6])] for uid in rows["UID"]]
    return rows


def with_fixed(rows: pd.DataFrame, year: int) -> pd.DataFrame:
    """The rows with their reference: of class, runway and sector, else of runway and sector."""
    base = rows[rows["year"] == year]

    def percentiles(keys: list[str]) -> dict[Any, float]:
        return {
            key: float(np.percentile(cell["transit"], 20))
            for key, cell in base.groupby(keys)
            if len(cell) >= 10
        }

    of_class, of_all = percentiles(["class", "RWY", "sector"]), percentiles(["RWY", "sector"])
    found = []
    for kind, runway, sector in zip(rows["class"], rows["RWY"], rows["sector"], strict=True):
        own = of_class.get((kind, runway, sector)) if kind else None
        every = None if pd.isna(runway) else of_all.get((runway, sector))
        found.append(own if own is not None else every)
    return rows.assign(unimpeded=pd.Series(found, index=rows.index, dtype=float))


def compare(warehouse: Warehouse, rows: pd.DataFrame, table: str, period: str) -> None:
    rows = rows[rows["unimpeded"].notna()].copy()
    rows["period"] = pd.to_datetime(rows["day"])
    if period == "month":
        rows["period"] = rows["period"].dt.to_period("M").dt.start_time
    groups = rows.groupby("period")
    wanted = pd.DataFrame(
        {
            "with_reference_count": groups.size(),
            "transit_min": groups["transit"].mean(),
            "unimpeded_min": groups["unimpeded"].mean(),
            "additional_min": groups["transit"].mean() - groups["unimpeded"].mean(),
        }
    )
    found = frame(warehouse, f"select * from metrics.{table} where additional_min is not null")
    found.index = pd.DatetimeIndex(pd.to_datetime(found[period]))
    found = found.sort_index()
    assert list(found.index) == list(wanted.index)
    for name in wanted:
        assert (found[name].astype(float) - wanted[name]).abs().max() < 0.001


def test_the_fixed_method_equals_the_second_implementation(
    months: Warehouse, arrivals: pd.DataFrame
) -> None:
    rows = with_fixed(arrivals, 2019)
    assert rows["unimpeded"].notna().mean() > 0.95
    compare(months, rows, "asma_fixed_daily", "day")
    compare(months, rows, "asma_fixed_monthly", "month")
    bases = frame(months, "select distinct basis from metrics.asma_fixed_references")["basis"]
    assert list(bases) == ["62 of 365 days of 2019, 2019-03-01 to 2019-05-31"]
    assert set(
        frame(months, "select aircraft_class from metrics.asma_fixed_references")["aircraft_class"]
    ) == {"H", "MJ", "MT", "LJ", "LT", "all"}
    shares = frame(months, "select class_reference_share from metrics.asma_fixed_monthly")
    assert (shares["class_reference_share"] > 0.6).all()
    assert (shares["class_reference_share"] < 0.9).all()


def contents(warehouse: Warehouse) -> list[Any]:
    return [
        frame(warehouse, f"select t::text from metrics.{table} as t order by 1")["t"].tolist()
        for table in ("asma_fixed_references", "asma_fixed_daily", "asma_fixed_monthly")
    ]


def test_late_rows_give_what_a_full_refresh_gives(months: Warehouse, dbt: Dbt) -> None:
    before = contents(months)
    run(dbt, OF_HISTORY + OF_FIXED, "--full-refresh")
    assert contents(months) == before


def test_another_reference_year_makes_all_anew(
    months: Warehouse, arrivals: pd.DataFrame, dbt: Dbt
) -> None:
    run(dbt, OF_FIXED, "--vars", "asma_reference_year: 2020")
    compare(months, with_fixed(arrivals, 2020), "asma_fixed_daily", "day")
    years = frame(
        months, "select distinct reference_year, basis from metrics.asma_fixed_references"
    )
    assert years.to_numpy().tolist() == [[2020, "31 of 366 days of 2020, 2020-03-01 to 2020-03-31"]]
