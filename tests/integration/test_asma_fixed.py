"""Additional ASMA time against a fixed year, equal to a second implementation in pandas."""

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
from skyops_assets.warehouse.connection import Warehouse

pytestmark = [pytest.mark.mirror, pytest.mark.xdist_group("dbt")]

Dbt = Callable[..., tuple[int, str]]
CUTS = [0, 50, 115, 195, 265, 340, 360]
CLASSES = {"A333": "H", "A320": "MJ", "DH8D": "MT", "C510": "LJ", "PC12": "LT", None: None}
"""Types that the test gives to the airframes, and the classes that they are of."""


def frame(warehouse: Warehouse, statement: str) -> pd.DataFrame:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        assert cursor.description
        return pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description])


def execute(warehouse: Warehouse, statement: str, *values: Any) -> None:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        connection.commit()


def typed(icao24: str) -> str | None:
    """A type for an airframe, the same each time; one in six has none."""
    return list(CLASSES)[int(icao24, 16) % len(CLASSES)]


def built(dbt: Dbt, *arguments: str) -> None:
    code, said = dbt("run", "--select", "+asma_fixed_monthly", *arguments)
    assert code == 0, said


@pytest.fixture(scope="module")
def months(shared_warehouse: Warehouse, dbt: Dbt) -> Iterator[Warehouse]:
    """Three months of LSZH but for their last days, with types; then the last days, late."""
    settings = Settings(data_mirror=Path(os.environ["SKYOPS_DATA_MIRROR"]))
    reference.replace_reference(
        shared_warehouse, "raw.airports", "airportsdata", reference.airports()
    )
    days = sorted(
        date.fromisoformat(path.name[5:15])
        for path in (Path(os.environ["SKYOPS_DATA_MIRROR"]) / "arrivals").glob("LSZH-*")
    )
    late = [day for day in days if day.day > 20]
    for day in days:
        if day not in late:
            load.load_file(shared_warehouse, source.history_file("LSZH", day), settings)
    built(dbt)
    for day in late:
        load.load_file(shared_warehouse, source.history_file("LSZH", day), settings)
    airframes = frame(shared_warehouse, "select distinct icao24 from raw.arrivals_history")
    kinds = [typed(icao24) for icao24 in airframes["icao24"]]
    execute(
        shared_warehouse,
        "insert into raw.aircraft (icao24, typecode, icao_type_description, source, batch_id) "
        "select icao24, typecode, case when typecode in ('DH8D', 'PC12') then 'L2T' "
        "when typecode is not null then 'L2J' end, 'test', (select max(batch_id) "
        "from raw.ingest_batches) from unnest(%s, %s) as given (icao24, typecode)",
        list(airframes["icao24"]), kinds,
    )  # fmt: skip
    built(dbt)
    yield shared_warehouse


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


def expected(rows: pd.DataFrame, year: int) -> pd.DataFrame:
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


def compared(warehouse: Warehouse, rows: pd.DataFrame, table: str, period: str) -> None:
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


def test_days_and_months_equal_the_second_implementation(
    months: Warehouse, arrivals: pd.DataFrame
) -> None:
    rows = expected(arrivals, 2019)
    assert rows["unimpeded"].notna().mean() > 0.95
    compared(months, rows, "asma_fixed_daily", "day")
    compared(months, rows, "asma_fixed_monthly", "month")
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
    built(dbt, "--full-refresh")
    assert contents(months) == before


def test_another_reference_year_makes_all_anew(
    months: Warehouse, arrivals: pd.DataFrame, dbt: Dbt
) -> None:
    built(dbt, "--vars", "asma_reference_year: 2020")
    compared(months, expected(arrivals, 2020), "asma_fixed_daily", "day")
    years = frame(months, "select distinct year, basis from metrics.asma_fixed_references")
    assert years.to_numpy().tolist() == [[2020, "31 of 366 days of 2020, 2020-03-01 to 2020-03-31"]]
