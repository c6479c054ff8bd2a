"""No feature knows what came later: cut the raw data, and features from before are equal.

The cut is a moment at which aircraft cross a ring. Live that is now, so there they have the
features of their crossings.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from skyops_assets.settings import Settings
from skyops_assets.simulate.flights import Plan
from skyops_assets.simulate.reception import Quality
from skyops_assets.simulate.write import Layout, simulate, write
from skyops_assets.sources import reference
from skyops_assets.sources.history import load, source
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.recording import Recording, by_source
from skyops_assets.sources.opensky.reading.recordings import (
    DEMO_END,
    DEMO_START,
    demo_recording,
    iter_recording,
    read_recording,
)
from skyops_assets.sources.weather import load as weather
from skyops_assets.transform.dbt import lay_parsed
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, short_dir
from tests.support.dbt import Dbt
from tests.support.reports import reports

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.xdist_group("dbt"),
    pytest.mark.usefixtures("manifest"),
]

CUTS = 2
DAYS = [date(2019, 3, day) for day in range(4, 8)]
RINGS = (40, 50, 100)
WATCHED = ("LFPG", "LFPO", "LFPB", "LFOB", "LFPV", "LSZH")
METAR_DELAY = timedelta(minutes=10)
HISTORY_START = datetime(2019, 3, 4, tzinfo=UTC)
LIVE_ONLY = ["icao24", "distance_nm", "entered_at"]

LEAKS = {
    "landings": ("landings", "landings.known_at <= crossings.crossed_at"),
    "transits": ("recent_transits", "arrivals.known_at <= crossings.crossed_at"),
    "entries": ("entries", "entered.known_at <= crossings.crossed_at"),
    "go-arounds": ("surroundings", "seen.crossed_at >= go_arounds.known_at"),
    "holdings": ("surroundings", "seen.crossed_at >= holding.through_at"),
    "weather": ("weather", "reports.known_at <= crossings.crossed_at"),
}
"""Families of features, and the conditions without which they would know what came later."""


@dataclass(frozen=True)
class Built:
    """A warehouse with features, the SQL of each family of them, and where it was cut."""

    warehouse: Warehouse
    families: dict[str, str]
    cut_at: datetime
    history_cut_at: datetime


def query(warehouse: Warehouse, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def simulated(folder: Path) -> pa.Table:
    """A day at Zurich laid upon the demo's three hours: enough go-arounds and holdings.

    Each three hours' aircraft have addresses of their own; every fourth second is kept.
    """
    plan = Plan(15, datetime(2021, 10, 7, tzinfo=UTC), 1, ("LSZH",))
    made = simulate(plan, flights=60, layout=Layout.traffic, quality=Quality())
    write(folder, made, plan)
    [found] = by_source(
        iter_recording(folder / "recording", plan.start, plan.start + timedelta(days=2))
    )
    start, length = int(DEMO_START.timestamp()), int((DEMO_END - DEMO_START).total_seconds())
    times = found.states["time_position"].cast(pa.timestamp("s", "UTC")).cast(pa.int64())
    parts, rest = np.divmod(times.to_numpy() - int(plan.start.timestamp()), length)
    addresses = [
        f"{part:x}{address[1:]}"
        for part, address in zip(parts, found.states["icao24"].to_pylist(), strict=True)
    ]
    states = found.states
    for name, values in (
        ("time_position", pa.array((start + rest) * 1_000_000)),
        ("icao24", pa.array(addresses)),
    ):
        place = states.schema.get_field_index(name)
        states = states.set_column(
            place, states.schema.field(place), values.cast(states.schema.field(place).type)
        )
    return states.filter(pa.array(rest % 4 == 0)).sort_by("time_position")


def load_history(warehouse: Warehouse, mirror: Path) -> None:
    for day in DAYS:
        load.load_file(warehouse, source.history_file("LSZH", day), Settings(data_mirror=mirror))


def forget_history(warehouse: Warehouse, cut: datetime, luck: random.Random) -> None:
    """What was not known at the cut goes: later crossings, and when those under way will land.

    The source has only flights that landed, so one under way stays, with another landing.
    """
    query(warehouse, "delete from raw.arrivals_history where least("
          + ", ".join(f"ring_{ring}nm_crossed_at" for ring in RINGS) + ") >= %s", cut)  # fmt: skip
    for ring in RINGS:
        query(
            warehouse,
            f"update raw.arrivals_history set ring_{ring}nm_crossed_at = null "
            f"where ring_{ring}nm_crossed_at >= %s",
            cut,
        )
    query(
        warehouse,
        "update raw.arrivals_history set landed_at = %s + random() * interval '1 hour', "
        "runway = %s where landed_at >= %s",
        cut, luck.choice(("14", "28", None)), cut,
    )  # fmt: skip


def load_metars(
    warehouse: Warehouse, cut_at: datetime | None, history_cut_at: datetime | None
) -> None:
    """A report of each airport every five minutes, those that had been sent at a cut."""
    days = [(DEMO_START.date(), airport, cut_at) for airport in WATCHED]
    days += [(day, "LSZH", history_cut_at) for day in DAYS]
    for day, airport, cut in days:
        rows = [
            row
            for at, row in reports(airport, day, every_min=5)
            if cut is None or at + METAR_DELAY <= cut
        ]
        weather.load_rows(warehouse, rows, airport, day, source="test")


def busiest_moments(warehouse: Warehouse, luck: random.Random) -> list[datetime]:
    """In each part of the recording one of the seconds in which most crossings became known."""
    found = []
    for part in range(CUTS):
        start, end = (
            DEMO_START + (DEMO_END - DEMO_START) * (0.3 + 0.65 * (part + n) / CUTS) for n in (0, 1)
        )
        rows = query(
            warehouse,
            "select known_at, count(*) from features.crossing_features "
            "where is_inbound and source = 'positions' and known_at >= %s and known_at < %s "
            "group by known_at order by 1",
            start, end,
        )  # fmt: skip
        most = max(count for _, count in rows)
        found.append(luck.choice([known_at for known_at, count in rows if count == most]))
    return found


@pytest.fixture(scope="module")
def built(
    databases: Databases, dbt_of: Callable[[Warehouse], Dbt], manifest: Path
) -> Iterator[tuple[Warehouse, list[Built], dict[str, str]]]:
    """The warehouse with all data, those with cut data, and the first one's SQL of each family."""
    luck = random.Random(23)
    folder, mirror = short_dir(), Path(os.environ["SKYOPS_DATA_MIRROR"])
    sources = {
        "paris": read_recording(demo_recording(), DEMO_START, DEMO_END).states,
        "synthetic:seed-15": simulated(folder / "simulated"),
    }
    rows = reference.airports()
    near = rows.filter(
        pc.and_(
            pc.less(pc.abs(pc.subtract(rows["latitude_deg"], 48.5)), 4.0),
            pc.less(pc.abs(pc.subtract(rows["longitude_deg"], 5.0)), 6.5),
        )
    )
    made: list[Warehouse] = []

    def build(
        cut_at: datetime | None, history_cut_at: datetime | None
    ) -> tuple[Warehouse, dict[str, str]]:
        warehouse = databases.new()
        made.append(warehouse)
        reference.replace_reference(warehouse, "raw.airports", "airportsdata", near)
        for name, states in sources.items():
            known = states
            if cut_at:
                known = states.filter(pc.less_equal(states["time_position"], pa.scalar(cut_at)))
            load_states(warehouse, Recording(name, known, known))
        load_history(warehouse, mirror)
        load_metars(warehouse, cut_at, history_cut_at)
        if history_cut_at:
            forget_history(warehouse, history_cut_at, luck)
        target = folder / str(len(made))
        target.mkdir()
        lay_parsed(target, warehouse.url.database)
        dbt_of(warehouse)("run", "--target-path", str(target))
        families = {
            path.stem.removeprefix("int_crossings__"): path.read_text()
            for name in ("int_crossings__*", "landing_probabilities")
            for path in target.rglob(f"compiled/**/{name}.sql")
        }
        return warehouse, families

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKYOPS_WATCH_AIRPORTS", ",".join(WATCHED))
        whole, families = build(None, None)
        cut_ones = []
        for cut_at in busiest_moments(whole, luck):
            # The two sources lie years apart: each is cut at a moment of its own.
            history_cut_at = HISTORY_START + timedelta(hours=luck.uniform(8, 90))
            cut_ones.append(Built(*build(cut_at, history_cut_at), cut_at, history_cut_at))
    yield whole, cut_ones, families
    for warehouse in made:
        databases.drop(warehouse)
    shutil.rmtree(folder, ignore_errors=True)


def rows_before(warehouse: Warehouse, relation: str, cut_at: datetime) -> list[tuple[Any, ...]]:
    return query(
        warehouse,
        f"select to_jsonb(t)::text from {relation} as t where known_at <= %s order by 1",
        cut_at,
    )


Whole = tuple[Warehouse, list[Built], dict[str, str]]


def test_features_from_before_a_cut_equal_those_from_all_data(built: Whole) -> None:
    whole, cut_ones, _ = built
    for one in cut_ones:
        for name, cut_at, least in (
            ("positions", one.cut_at, 50),
            ("history", one.history_cut_at, 200),
        ):
            of_source = f"(select * from features.crossing_features where source = '{name}')"
            found, expected = (rows_before(w, of_source, cut_at) for w in (one.warehouse, whole))
            assert len(found) > least, (name, cut_at)
            assert found == expected, (name, cut_at)
            [(told,)] = query(one.warehouse, f"select count(wind_east_mps) from {of_source} as t")
            assert told > least, (name, cut_at)
    for count in ("holdings_30min_count", "go_arounds_30min_count"):
        seen = f"select count(*) from features.crossing_features where {count} > 0"
        assert sum(query(one.warehouse, seen)[0][0] for one in cut_ones) > 10, count


@pytest.mark.parametrize("leak", LEAKS)
def test_a_feature_that_knows_what_came_later_is_found(built: Whole, leak: str) -> None:
    whole, cut_ones, whole_families = built
    family, condition = LEAKS[leak]

    def rows(warehouse: Warehouse, sql: str, cut_at: datetime) -> list[tuple[Any, ...]]:
        assert sql.count(condition) == 1
        leaking = f"""(
            select family.*, crossings.known_at from ({sql.replace(condition, "true")}) as family
            inner join features.crossing_features as crossings using (crossing_id)
            where crossings.source = 'positions' and not family.is_live
        )"""
        return rows_before(warehouse, leaking, cut_at)

    assert any(
        rows(one.warehouse, one.families[family], one.cut_at)
        != rows(whole, whole_families[family], one.cut_at)
        for one in cut_ones
    )


def test_a_landing_is_as_likely_as_it_was_before_a_cut(built: Whole) -> None:
    """And it is not, if landings count that were not known yet."""
    whole, cut_ones, families = built
    condition = "movements.known_at <= crossings.crossed_at"
    leaks = 0
    for one in cut_ones:
        for is_leaking in (False, True):
            found, expected = (
                rows_before(
                    warehouse,
                    f"({sql.replace(condition, 'true') if is_leaking else sql})",
                    one.cut_at,
                )
                for warehouse, sql in (
                    (one.warehouse, one.families["landing_probabilities"]),
                    (whole, families["landing_probabilities"]),
                )
            )
            assert len(found) > 200
            if is_leaking:
                leaks += found != expected
            else:
                assert found == expected
    assert leaks


def test_a_live_aircraft_has_the_features_of_its_crossing(built: Whole) -> None:
    whole, cut_ones, _ = built
    statement = (
        "select to_jsonb(t) - %s::text[] from {} as t "
        "where known_at = %s and crossing_id = any(%s) order by crossing_id"
    )
    for one in cut_ones:
        crossed = [
            row[0]
            for row in query(
                whole,
                "select crossing_id from features.crossing_features "
                "where known_at = %s and is_inbound and source = 'positions' order by 1",
                one.cut_at,
            )
        ]
        assert crossed
        found, expected = (
            query(warehouse, statement.format(table), LIVE_ONLY, one.cut_at, crossed)
            for warehouse, table in (
                (one.warehouse, "features.live_arrivals"),
                (whole, "features.crossing_features"),
            )
        )
        assert found == expected
        assert len(found) == len(crossed)


def test_half_a_minute_later_it_is_still_close_to_its_crossing(built: Whole) -> None:
    """Now from its own fix. In 30 s an aircraft flies up to 4 NM and descends up to 450 m."""
    _, cut_ones, _ = built
    statement = """
        select
            extract(epoch from live.crossed_at - crossed.crossed_at),
            live.ring_nm - live.distance_nm,
            abs(live.bearing_deg - crossed.bearing_deg),
            abs(live.altitude_m - crossed.altitude_m),
            abs(live.entries_30min_count - crossed.entries_30min_count),
            abs(live.landings_30min_count - crossed.landings_30min_count),
            live.entered_at = crossed.crossed_at,
            live.wake is not distinct from crossed.wake
        from features.live_arrivals as live
        inner join features.crossing_features as crossed using (crossing_id)
        where crossed.known_at between live.known_at - interval '30 seconds' and live.known_at
            and crossed.known_at < live.known_at
            and abs(live.bearing_deg - crossed.bearing_deg) < 180
    """
    rows = [row for one in cut_ones for row in query(one.warehouse, statement)]
    assert len(rows) >= 3
    for age_s, inside_nm, bearing_deg, altitude_m, *counts, is_entry, is_wake in rows:
        assert 0 < age_s <= 60
        assert 0 < inside_nm < 5
        assert bearing_deg < 5
        assert altitude_m < 500
        assert max(counts) <= 3
        assert is_entry
        assert is_wake
