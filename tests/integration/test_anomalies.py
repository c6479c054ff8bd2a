"""Anomalies, alerts and countries: over Paris with injected flights, of which some rows come late.

The windows are compared with a second implementation, in pandas, from the positions on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from skyops_assets.sources import reference
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    demo_recording,
    read_recording,
)
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt
from validation import anomalies
from validation.anomalies import Injected, Told

pytestmark = [pytest.mark.xdist_group("anomalies"), pytest.mark.usefixtures("manifest")]

KNOT_MPS = 1852 / 3600
FLAGS = {"speed": "is_fast", "altitude": "is_high", "vertical_rate": "is_steep"}

Sky = tuple[Warehouse, list[Injected]]


@pytest.fixture(scope="module")
def sky(databases: Databases, dbt_of: Callable[[Warehouse], Dbt]) -> Iterator[Sky]:
    """A warehouse with both, fed in two parts; rows of the first part come with the second."""
    luck = random.Random(5)
    warehouse = databases.new()
    airports = reference.airports()
    near = airports.filter(pc.less(pc.abs(pc.subtract(airports["latitude_deg"], 49.0)), 3.6))
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", near)
    made, rows = anomalies.inject(5, each=25, decoys=10)
    sources = {
        "injected": anomalies.recording(rows).states,
        "paris": read_recording(demo_recording(), DEMO_START, DEMO_END).states,
    }
    for part in (1, 2):
        for name, states in sources.items():
            addresses = pc.unique(states["icao24"]).to_pylist()
            first = set(random.Random(name).sample(addresses, len(addresses) // 3))
            luck.seed(name)
            is_first = [
                icao24 in first and luck.random() < 0.9 for icao24 in states["icao24"].to_pylist()
            ]
            chosen = states.filter(pa.array([one == (part == 1) for one in is_first]))
            load_states(warehouse, Recording(name, chosen, chosen))
        dbt_of(warehouse)("run")
    yield warehouse, made
    databases.drop(warehouse)


def frame(query: Query, warehouse: Warehouse, table: str) -> pd.DataFrame:
    """The rows of a table."""
    schema, name = table.split(".")
    columns = query(
        warehouse,
        "select column_name from information_schema.columns where table_schema = %s "
        "and table_name = %s order by ordinal_position",
        schema, name,
    )  # fmt: skip
    return pd.DataFrame(
        query(warehouse, f"select * from {table}"), columns=[column for (column,) in columns]
    )


@pytest.fixture(scope="module")
def minutes(sky: Sky, databases: Databases) -> pd.DataFrame:
    """Each flight's minutes: its last position, and whether any value in it is abnormal."""
    warehouse, _ = sky
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select flight_id, icao24, positioned_at, latitude_deg, longitude_deg, altitude_m, "
            "ground_speed_mps, phase, position_status, position_age_s, "
            "coalesce(ground_speed_mps, masked_ground_speed_mps), "
            "coalesce(altitude_m, masked_altitude_m), "
            "coalesce(vertical_rate_mps, masked_vertical_rate_mps) "
            "from intermediate.int_positions__phased"
        )
        found = pd.DataFrame(
            cursor.fetchall(),
            columns=["flight_id", "icao24", "at", "latitude_deg", "longitude_deg", "altitude_m",
                     "speed_mps", "phase", "status", "age_s", "sent_speed", "sent_altitude",
                     "sent_rate"],
        )  # fmt: skip
        cursor.execute("select first_address, last_address, country from "
                       "staging.stg_reference__address_blocks")  # fmt: skip
        blocks = [(int(first, 16), int(last, 16), name) for first, last, name in cursor]
    found = found[found["age_s"].astype(float) <= 60].sort_values("at")
    for column in ("sent_speed", "sent_altitude", "sent_rate", "altitude_m", "speed_mps"):
        found[column] = found[column].astype(float)
    own = found["status"] != "stale"
    found["is_fast"] = own & (found["sent_speed"] > 700 * KNOT_MPS)
    found["is_high"] = own & (found["sent_altitude"] > 18288)
    found["is_steep"] = own & (found["sent_rate"].abs() > 30.48)
    found["fresh"] = found["status"] == "fresh"
    found["minute"] = found["at"].dt.floor("min")
    groups = found.groupby(["flight_id", "minute"])
    last = groups.tail(1).set_index(["flight_id", "minute"])
    for name in (*FLAGS.values(), "fresh"):
        last[name] = groups[name].sum()

    def country(icao24: str) -> str | None:
        number = int(icao24[:6], 16)
        return next((name for low, high, name in blocks if low <= number <= high), None)

    known = {icao24: country(icao24) for icao24 in last["icao24"].unique()}
    last["country"] = last["icao24"].map(known)
    return last.reset_index()


def areas(row: pd.Series, watched: pd.DataFrame) -> list[str]:
    """The watched airports within 100 NM, else the cell."""
    phi, phis = np.radians(row["latitude_deg"]), np.radians(watched["latitude_deg"])
    apart = np.radians(watched["longitude_deg"] - row["longitude_deg"])
    cosine = np.sin(phi) * np.sin(phis) + np.cos(phi) * np.cos(phis) * np.cos(apart)
    near = np.arccos(np.clip(cosine, -1, 1)) * 6371008.8 <= 100 * 1852
    if near.any():
        return list(watched["airport"][near])
    south, west = (int(np.floor(row[name])) for name in ("latitude_deg", "longitude_deg"))
    return [f"{'NS'[south < 0]}{abs(south):02d}{'EW'[west < 0]}{abs(west):03d}"]


def test_windows_are_those_of_brute_force(sky: Sky, minutes: pd.DataFrame, query: Query) -> None:
    warehouse, _ = sky
    watched = frame(query, warehouse, "intermediate.int_airports__watched")
    expected = {}
    starts = pd.date_range(
        minutes["minute"].min() - timedelta(minutes=4), minutes["minute"].max(), freq="min"
    )
    minutes["areas"] = [areas(row, watched) for _, row in minutes.iterrows()]
    for start in starts:
        within = minutes[
            (minutes["minute"] >= start) & (minutes["minute"] < start + timedelta(minutes=5))
        ]
        seen: dict[tuple[str, str], dict[str, list[bool]]] = {}
        for row in within.itertuples():
            scopes = [("area", name) for name in row.areas]
            scopes += [("country", row.country)] if row.country else []
            for scope in scopes:
                flags = seen.setdefault(scope, {}).setdefault(row.icao24, [False] * 3)
                for n, name in enumerate(FLAGS.values()):
                    flags[n] |= bool(getattr(row, name))
        for (scope, name), aircraft in seen.items():
            count, abnormal = len(aircraft), sum(any(flags) for flags in aircraft.values())
            expected[start, scope, name] = (
                start + timedelta(minutes=5),
                count,
                *(sum(flags[n] for flags in aircraft.values()) for n in range(3)),
                abnormal,
                abnormal / count if count >= 5 else None,
                abnormal * 10 >= count if count >= 5 else None,
            )
    found = {
        row[:3]: row[3:]
        for row in query(
            warehouse,
            "select window_started_at, scope, scope_name, window_ended_at, aircraft_count, "
            "abnormal_speed_count, abnormal_altitude_count, abnormal_vertical_rate_count, "
            "abnormal_count, abnormal_share, is_critical from metrics.anomaly_alerts_5m",
        )
    }
    assert len(found) > 3000
    assert found == expected
    critical = [row[-1] for row in found.values()]
    assert min(critical.count(one) for one in (True, False, None)) > 50


def test_countries_are_those_of_brute_force(sky: Sky, minutes: pd.DataFrame, query: Query) -> None:
    warehouse, _ = sky
    events = frame(query, warehouse, "metrics.fct_anomalies")
    minutes["hour_at"] = minutes["minute"].dt.floor("h")
    minutes["country"] = minutes["country"].fillna("unknown")
    flown = minutes.where(minutes["phase"] != "GROUND")
    groups = minutes.groupby(["hour_at", "country"])
    air = flown.groupby(["hour_at", "country"])
    expected = pd.DataFrame(
        {
            "position_count": groups["fresh"].sum(),
            "aircraft_count": groups["icao24"].nunique(),
            "mean_altitude_m": air["altitude_m"].mean(),
            "mean_ground_speed_mps": air["speed_mps"].mean(),
            "max_ground_speed_mps": air["speed_mps"].max(),
            "speed_minute_count": air["speed_mps"].count(),
            "anomaly_count": events.groupby(
                [events["started_at"].dt.floor("h"), events["country"].fillna("unknown")]
            ).size().rename_axis(["hour_at", "country"]),
        }
    )  # fmt: skip
    counts = ["speed_minute_count", "anomaly_count"]
    expected[counts] = expected[counts].fillna(0).astype(int)
    found = frame(query, warehouse, "metrics.country_hourly").set_index(["hour_at", "country"])
    found = found.sort_index().astype(expected.dtypes.to_dict())
    pd.testing.assert_frame_equal(found, expected, atol=0.006, check_index_type=False)
    assert expected["anomaly_count"].sum() == len(events)
    speeds = flown.groupby("country")["speed_mps"].agg(["count", "mean", "max"])
    told = frame(query, warehouse, "metrics.speed_by_country").set_index("country").sort_index()
    named = told[["speed_minute_count", "mean_ground_speed_mps", "max_ground_speed_mps"]]
    named.columns = speeds.columns
    pd.testing.assert_frame_equal(
        named.astype(float), speeds[speeds["count"] > 0].astype(float), atol=0.006
    )


@pytest.fixture
def told(sky: Sky) -> list[Told]:
    return anomalies.told(sky[0])


@pytest.mark.parametrize("kind", anomalies.KINDS)
def test_injected_anomalies_are_found(sky: Sky, told: list[Told], kind: str) -> None:
    _, made = sky
    part, whole = anomalies.found(made, told, kind, 1.2, 2.0)
    assert whole >= 12
    assert part >= 0.95 * whole
    events = [event for event in told if anomalies.kind_of(event[1]) == kind]
    assert len(anomalies.untrue(made, events)) <= 0.05 * len(events)
    # What is well below is none; a jump below the limit that leads back where it came from is.
    part, whole = anomalies.found(made, told, kind, 0, 0.9)
    assert kind == "implausible_jump" or part <= 1


def test_an_anomaly_is_of_the_flight_or_of_data(sky: Sky, told: list[Told]) -> None:
    """Of the flight what an aircraft can do and all values bear out."""
    _, made = sky
    classes: dict[tuple[str, bool], list[str]] = {}
    for one in made:
        # Near to what staging believes the noise decides.
        if one.kind in anomalies.KINDS and one.strength > (1.2 if one.is_believable else 1.8):
            its = [event for event in told if anomalies.is_of(event, one)]
            classes.setdefault((one.kind, one.is_believable), []).extend(c for _, _, c, _, _ in its)
    for kind in ("overspeed", "rapid_descent", "above_fl600"):
        assert set(classes[kind, False]) == {"data"}, kind
        assert classes[kind, True].count("flight") >= 0.95 * len(classes[kind, True]) > 0, kind
    assert set(classes["squawk", True]) == {"flight"}
    assert set(classes["implausible_jump", True]) == {"data"}
    assert set(classes["frozen_feed", True]) == {"signal"}


def test_what_the_recording_itself_has_is_known(sky: Sky, query: Query) -> None:
    """Looked at one by one in docs/validation.md."""
    warehouse, _ = sky
    assert query(
        warehouse,
        "select callsign, country, anomaly, anomaly_class, sample_count, round(strongest_value) "
        "from metrics.fct_anomalies where source = 'paris' order by started_at",
    ) == [
        ("ENT52YA", "Poland", "above_fl600", "data", 1, 29047),
        ("AWU707G", "Germany", "above_fl600", "data", 1, 19934),
        ("FHMAC", "France", "frozen_feed", "signal", 119, 119),
        ("FHMAC", "France", "frozen_feed", "signal", 169, 169),
        ("AFR13FQ", "France", "frozen_feed", "signal", 107, 107),
        ("AFR35YQ", "France", "implausible_jump", "data", 2, 3623),
    ]


@pytest.mark.mirror
def test_countries_are_those_that_opensky_sends(sky: Sky, mirror: Path, query: Query) -> None:
    sent = {
        state[0]: state[2]
        for path in (mirror / "opensky_rest").glob("*.json")
        for state in json.loads(path.read_text())["states"]
    }
    blocks = query(
        sky[0],
        "select int4range(('x' || first_address)::bit(24)::int, "
        "('x' || last_address)::bit(24)::int, '[]'), country "
        "from staging.stg_reference__address_blocks order by 1",
    )
    named = {
        "Türkiye": "Turkey", "Netherlands": "Kingdom of the Netherlands",
        "Czechia": "Czech Republic", "Iran": "Islamic Republic of Iran",
        "Libya": "Libyan Arab Jamahiriya",
    }  # fmt: skip
    different = {
        (icao24, country)
        for icao24, country in sent.items()
        if not any(int(icao24, 16) in block and named.get(name, name) == country
                   for block, name in blocks)
    }  # fmt: skip
    assert len(sent) > 11_000
    assert different == set()
