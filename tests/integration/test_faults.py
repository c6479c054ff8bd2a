"""Faults through the warehouse: made-up responses and tables whose every value says what it means.

The oracle shares no code with the reader: a generated value comes with what should be stored for
it, or with `BAD`.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from skyops_assets.quality.reconciliation import accounts
from skyops_assets.sources.opensky.loading.files import load_file
from skyops_assets.sources.opensky.loading.malformed_responses import keep_malformed_response
from skyops_assets.sources.opensky.loading.replay import replay_rejected
from skyops_assets.sources.opensky.loading.states import load_states
from skyops_assets.sources.opensky.reading.rest import SOURCE, MalformedResponse, read_response
from skyops_assets.warehouse.bulk import Batch
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.states import is_nearer

Meant = list[tuple[Any, Any]]
"""Values as they are sent, each with what it means."""
BAD = object()
AT = 1_767_225_602
"""The time of every response: two seconds into 2026, so that rows lie on two days."""
FEW = settings(
    max_examples=25,
    # `query` and `tmp_path` are fixtures of each test, and hold nothing between examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def at(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


# What can be sent for a field, and what it means

TIMES: Meant = [
    *((AT - i, at(AT - i)) for i in range(4)),
    (str(AT - 1), at(AT - 1)),
    (AT - 0.5, at(AT - 0.5)),
    ("2026-01-01T00:00:01Z", at(AT - 1)),
    ("2025-12-31 23:59:59.250", at(AT - 2.75)),
    ("2026-01-01T01:00:02+01:00", at(AT)),
    (AT + 5, at(AT + 5)),
    *((odd, BAD) for odd in (
        AT + 6, AT + 3600, AT * 1000, -AT, 0, True, "noon", "now", "today", 10**400, math.inf,
        [AT], {}, "\0", "2026-02-30",
    )),
]  # fmt: skip
NOTHING: Meant = [(None, None), (math.nan, None), ("", None), ("NaN", None)]
NO_NUMBERS: Meant = [
    (odd, BAD) for odd in ("fast", "1,5", "0x1f", True, [1], [[]], {"a": 1}, "1\0", "\ud800")
]
NO_TEXTS: Meant = [
    (odd, BAD) for odd in (7, 0.5, True, ["A"], {}, math.nan, math.inf, "A\0", "\ud800", 10**30)
]


def numbers(low: float, high: float) -> Meant:
    return [
        (low, low), (high, high), (str(low), low), (f" {high} ", high), *NOTHING, *NO_NUMBERS,
        *((odd, BAD) for odd in (low - 0.5, high + 0.5, math.inf, -math.inf, 10**400, -(10**400))),
    ]  # fmt: skip


FLAGS: Meant = [
    (True, True), (False, False), (1, True), (0, False), (1.0, True), ("true", True), ("f", False),
    (math.nan, None), (None, None),
    *((odd, BAD) for odd in ("maybe", 2, 0.5, [], {}, -1, math.inf, 10**400)),
]  # fmt: skip
CODES: Meant = [
    (0, 0), (3, 3), ("2", 2), (2.0, 2), (32_767, 32_767), *NOTHING, *NO_NUMBERS,
    *((odd, BAD) for odd in (1.5, -1, 32_768, math.inf)),
]  # fmt: skip
CONTROLS = "\x01\x7f\u200b\t\u2028"
OTHERS: dict[str, Meant] = {
    "icao24": [
        ("39de4f", "39de4f"), (" 39DE4F ", "39de4f"), ("000001", "000001"), *NO_TEXTS,
        *((odd, BAD) for odd in (None, "", "39de4", "39de4fa", "39de4g", "39de\n4", 400_000)),
    ],
    "callsign": [
        ("AFR1    ", "AFR1"), ("        ", None), ("1234", "1234"), (None, None), ('],["', '],["'),
        (f"A{CONTROLS}B", f"A{CONTROLS}B"), *NO_TEXTS,
    ],
    "origin_country": [("Côte d'Ivoire", "Côte d'Ivoire"), (None, None), *NO_TEXTS],
    "time_position": [*TIMES, *((none, BAD) for none, _ in NOTHING)],
    "last_contact": [*TIMES, *TIMES[:4] * 2, *NOTHING],
    "baro_altitude": numbers(-1_500, 30_480),
    "on_ground": FLAGS,
    "velocity": numbers(0, 700),
    "true_track": numbers(0, 360),
    "vertical_rate": numbers(-150, 150),
    "sensors": [(None, None), ([1, 2], None), ({"][": "],["}, None), ("\0", None)],
    "geo_altitude": numbers(-1_500, 30_480),
    "squawk": [
        ("7700", "7700"), (None, None), (21, "0021"), (7777.0, "7777"), (math.nan, None),
        *((odd, BAD) for odd in (7778, -1, 1.5, True, [7700], "7\0", math.inf, 10**400)),
    ],
    "spi": FLAGS,
    "position_source": CODES,
    "category": CODES,
}  # fmt: skip
PLACES: list[tuple[Any, Any, Any]] = [
    (2.5, 49.0, (2.5, 49.0)), ("2.5", " -49 ", (2.5, -49.0)), (-180, 90, (-180.0, 90.0)),
    (0, 49.5, (0.0, 49.5)), (100, 0.0, (100.0, 0.0)),
    *((longitude, latitude, BAD) for longitude, latitude in (
        (0, 0), ("0.0", 0.0), (1.36, 103.99), (49, -122), (181, 49), (100, 91), (2.5, -90.5),
        (None, 49), (2.5, None), (math.nan, 49), (2.5, "nan"), (math.inf, 49), (2.5, 10**400),
        (True, 49), (2.5, "north"), ([2.5], 49), (2.5, {}),
    )),
]  # fmt: skip
USUAL: dict[str, tuple[Any, Any]] = {
    "icao24": ("39de4f", "39de4f"), "callsign": ("TVF70CT ", "TVF70CT"),
    "origin_country": ("France", "France"), "time_position": (AT - 1, at(AT - 1)),
    "last_contact": (AT, at(AT)), "longitude": (11.7731, 11.7731), "latitude": (47.8681, 47.8681),
    "baro_altitude": (11833.86, 11833.86), "on_ground": (False, False),
    "velocity": (240.56, 240.56), "true_track": (87, 87.0), "vertical_rate": (-5.2, -5.2),
    "sensors": (None, None), "geo_altitude": (11567.16, 11567.16), "squawk": ("0021", "0021"),
    "spi": (False, False), "position_source": (0, 0), "category": (3, 3),
}  # fmt: skip


@st.composite
def one_row(draw: st.DrawFn) -> tuple[Any, Any]:
    """An element of ``states``, and the stored row by field, or BAD."""
    fields = dict(USUAL)
    for name in draw(st.lists(st.sampled_from(list(OTHERS)), max_size=4)):
        fields[name] = draw(st.sampled_from(OTHERS[name]))
    # Some are of a few aircraft and times, so that rows meet.
    if draw(st.booleans()):
        fields["time_position"] = draw(st.sampled_from(TIMES[:10]))
        fields["last_contact"] = draw(st.sampled_from([*TIMES[:4], (None, None)]))
        fields["squawk"] = draw(st.sampled_from([(f"000{i}", f"000{i}") for i in range(6)]))
    if draw(st.integers(0, 3)) == 0:
        longitude, latitude, place = draw(st.sampled_from(PLACES))
        meant = (BAD, BAD) if place is BAD else place
        fields |= {"longitude": (longitude, meant[0]), "latitude": (latitude, meant[1])}
    size = draw(st.sampled_from([17, 18]))
    if size == 17:
        fields["category"] = (None, None)
    sent = [value for value, _ in fields.values()][:size]
    stored = {name: meaning for name, (_, meaning) in fields.items() if name != "sensors"}
    return sent, BAD if BAD in stored.values() else stored


MISSHAPEN = st.sampled_from(
    [None, 5, True, "],[", "", {}, {"body": "x"}, [], [[]], list(range(16)), [None] * 19, math.nan]
).map(lambda odd: (odd, BAD))
ROWS = st.lists(st.one_of(*[one_row()] * 9, MISSHAPEN), max_size=14)


@st.composite
def body_of(draw: st.DrawFn, sent: list[Any]) -> bytes:
    """The bytes of a response, in one of the ways that servers write them."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")]))
    states = None if not sent and draw(st.booleans()) else sent
    body = json.dumps({"time": AT, "states": states}, separators=separators).encode()
    return draw(st.sampled_from([bytes, gzip.compress, lambda plain: b"\xef\xbb\xbf" + plain]))(
        body
    )


# What the warehouse should hold

COLUMNS = (
    "icao24", "callsign", "origin_country", "time_position", "last_contact", "longitude_deg",
    "latitude_deg", "baro_altitude_m", "is_on_ground", "velocity_mps", "true_track_deg",
    "vertical_rate_mps", "geo_altitude_m", "squawk", "is_spi", "position_source", "category",
)  # fmt: skip
STORED = f"select {', '.join(COLUMNS)} from raw.opensky_states order by icao24, time_position"
KEPT = "raw.rejected_states"
REJECTED = f"select payload::text, reason from {KEPT} order by 1"
ALL = "select s::text from raw.opensky_states as s order by 1"


def shown(value: Any) -> Any:
    """A value as Postgres' JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return value.replace("\0", "\\u0000").replace("\ud800", "\\ud800")
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {shown(name): shown(item) for name, item in value.items()}
    return value


def as_text(value: Any) -> str:
    return json.dumps(shown(value), sort_keys=True)


class Model:
    """What the tables hold after loads."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, Any], dict[str, Any]] = {}
        self.rejected: set[str] = set()

    def load(self, rows: list[tuple[Any, Any]]) -> tuple[int, int, int]:
        """Loaded, duplicate and rejected rows."""
        before = len(self.rows), len(self.rejected)
        for sent, stored in rows:
            if stored is BAD:
                self.rejected.add(as_text(sent))
                continue
            key = stored["icao24"], stored["time_position"]
            there = self.rows.get(key)
            contact = stored["last_contact"]
            if there is None or is_nearer(key[1], contact, there["last_contact"]):
                self.rows[key] = stored
        loaded, rejected = len(self.rows) - before[0], len(self.rejected) - before[1]
        return loaded, len(rows) - loaded - rejected, rejected

    def is_what(self, warehouse: Warehouse, query: Query) -> None:
        """Compare with the warehouse."""
        stored = [tuple(self.rows[key].values()) for key in sorted(self.rows)]
        assert query(warehouse, STORED) == stored
        kept = query(warehouse, "select payload, reason from " + KEPT)
        assert sorted(as_text(payload) for payload, _ in kept) == sorted(self.rejected)
        assert all(reason for _, reason in kept)
        assert accounts(warehouse).is_balanced


def forget_all(warehouse: Warehouse, query: Query) -> None:
    query(warehouse, "truncate raw.opensky_states, raw.rejected_states, raw.ingest_batches cascade")


def counts(batch: Batch) -> tuple[int, int, int]:
    assert batch.read_rows == batch.loaded_rows + batch.duplicate_rows + batch.rejected_rows
    return batch.loaded_rows, batch.duplicate_rows, batch.rejected_rows


@FEW
@given(st.data())
def test_every_row_of_every_answer_is_stored_or_kept_with_a_reason(
    shared_warehouse: Warehouse, query: Query, data: st.DataObject
) -> None:
    forget_all(shared_warehouse, query)
    model = Model()
    for rows in data.draw(st.lists(ROWS, min_size=1, max_size=3)):
        body = data.draw(body_of([sent for sent, _ in rows]))
        assert counts(load_states(shared_warehouse, read_response(body))) == model.load(rows)
        model.is_what(shared_warehouse, query)
    before = query(shared_warehouse, ALL)
    again = counts(load_states(shared_warehouse, read_response(body)))
    assert again == (0, len(rows), 0)
    # Nothing was fixed: what was bad is bad, read again from its payload alone.
    found = replay_rejected(shared_warehouse)
    assert (found.left_rows, found.loaded_rows) == (len(model.rejected), 0)
    assert query(shared_warehouse, ALL) == before
    model.is_what(shared_warehouse, query)


@FEW
@given(ROWS, st.data())
def test_rows_in_any_answers_in_any_order_make_the_same_table(
    shared_warehouse: Warehouse, query: Query, rows: list[tuple[Any, Any]], data: st.DataObject
) -> None:
    """Of two rows with one contact the first stays, so there are none here."""
    unlike = {
        ("bad", as_text(sent)) if stored is BAD
        else tuple(stored[name] for name in ("icao24", "time_position", "last_contact")): (
            sent, stored,
        )
        for sent, stored in rows
    }  # fmt: skip
    whole = [sent for sent, _ in unlike.values()]
    assume(len(whole) > 1)
    found = []
    for parts in ([whole], cut(data, whole)):
        forget_all(shared_warehouse, query)
        for part in parts:
            load_states(shared_warehouse, read_response(data.draw(body_of(part))))
        found.append((query(shared_warehouse, STORED), query(shared_warehouse, REJECTED)))
        assert accounts(shared_warehouse).is_balanced
    assert found[0] == found[1]


def cut(data: st.DataObject, rows: list[Any]) -> list[list[Any]]:
    """The rows in another order, over up to four responses."""
    mixed = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    ends = [0, *cuts, len(rows)]
    return [mixed[start:end] for start, end in pairwise(ends)]


@FEW
@given(ROWS, ROWS, st.data())
def test_an_answer_that_is_replayed_is_as_one_that_is_loaded(
    shared_warehouse: Warehouse,
    query: Query,
    first: list[tuple[Any, Any]],
    kept: list[tuple[Any, Any]],
    data: st.DataObject,
) -> None:
    forget_all(shared_warehouse, query)
    model = Model()
    load_states(shared_warehouse, read_response(data.draw(body_of([sent for sent, _ in first]))))
    model.load(first)
    looked_at = len(model.rejected) + 1
    body = data.draw(body_of([sent for sent, _ in kept]))
    keep_malformed_response(shared_warehouse, body, "a reason since fixed", SOURCE)
    expected = model.load(kept)
    found = replay_rejected(shared_warehouse)
    assert (found.loaded_rows, found.duplicate_rows, found.rejected_rows) == expected
    assert (found.responses, found.response_rows, found.left_rows) == (1, len(kept), looked_at - 1)
    model.is_what(shared_warehouse, query)
    assert accounts(shared_warehouse).read_rows == len(first) + len(kept)


def broken(body: bytes) -> st.SearchStrategy[bytes]:
    """A response with damage."""
    packed = gzip.compress(body, mtime=0)

    def flip(place: int) -> bytes:
        at_byte = place % len(packed)
        return packed[:at_byte] + bytes([packed[at_byte] ^ 0x5A]) + packed[at_byte + 1 :]

    return st.one_of(
        st.integers(0, len(body)).map(lambda end: body[:end]),
        st.integers(0, len(packed)).map(lambda end: packed[:end]),
        st.integers(0, 10**6).map(flip),
        st.sampled_from([
            b"<html>503</html>", b"\n<!doctype html>", b"null", b"[]", b"{}", b"\0\0", b"\xff\xfe",
            b'{"time": "now", "states": []}', b'{"time": true, "states": []}',
            b'{"time": 1e999, "states": null}', b'{"time": %d, "states": "x"}' % AT,
            b'{"time": %d, "states": 0}' % AT, b'{"time": [%d], "states": []}' % AT,
            b'{"time": %d, "states": [%s]}' % (AT, b"[" * 990 + b"]" * 990),
            b"[" * 100_000, b'{"time": 1, "states": [' + b"9" * 5000 + b"]}",
            b'{"time": %d, "states": [["\\u0000", "\x01"' % AT,
        ]),
        st.binary(max_size=40),
    )  # fmt: skip


@FEW
@given(ROWS, st.data())
def test_a_damaged_answer_is_loaded_or_kept_whole_and_nothing_else_happens(
    shared_warehouse: Warehouse, query: Query, rows: list[tuple[Any, Any]], data: st.DataObject
) -> None:
    forget_all(shared_warehouse, query)
    body = data.draw(broken(json.dumps({"time": AT, "states": [s for s, _ in rows]}).encode()))

    def load() -> Batch:
        try:
            response = read_response(body)
        except MalformedResponse as error:
            made = keep_malformed_response(shared_warehouse, body, error.reason, SOURCE)
            [(kept, reason)] = query(shared_warehouse, "select payload, reason from " + KEPT)
            assert reason == error.reason
            text = kept.get("body")
            assert body == (
                base64.b64decode(kept["body_base64"]) if text is None else text.encode()
            )
            return made
        return load_states(shared_warehouse, response)

    made = load()
    tables = [query(shared_warehouse, statement) for statement in (ALL, REJECTED)]
    assert len(tables[0]) + len(tables[1]) == made.loaded_rows + made.rejected_rows
    assert counts(load()) == (0, made.read_rows, 0)
    replay_rejected(shared_warehouse)
    assert [query(shared_warehouse, statement) for statement in (ALL, REJECTED)] == tables
    assert accounts(shared_warehouse).is_balanced


@pytest.mark.parametrize("field", ["sensors", "callsign", "velocity", "spi", "time_position"])
def test_a_row_that_nests_deep_is_kept_beside_good_ones(
    warehouse: Warehouse, query: Query, field: str
) -> None:
    row = {name: value for name, (value, _) in USUAL.items()}
    odd = {**row, "icao24": "X", field: "deep"}
    body = json.dumps({"time": AT, "states": [list(row.values()), list(odd.values())]})
    body = body.replace('"deep"', "[" * 600 + "]" * 600)
    assert counts(load_states(warehouse, read_response(body.encode()))) == (1, 0, 1)
    [(payload,)] = query(warehouse, "select payload::text from raw.rejected_states")
    assert "[" * 100 in payload
    assert accounts(warehouse).is_balanced


# A table


ALTITUDES: Meant = [
    (4000, 1219.2), ("4000", 1219.2), (4000.0, 1219.2), *NOTHING, *NO_NUMBERS, (124_200, BAD),
    (math.inf, BAD),
]  # fmt: skip
TABLE: dict[str, tuple[str, Meant]] = {
    "icao24": ("icao24", OTHERS["icao24"]),
    "callsign": ("callsign", OTHERS["callsign"]),
    "altitude": ("baro_altitude_m", ALTITUDES),
    "groundspeed": ("velocity_mps", [(180, 92.6), (0, 0.0), (1400, BAD), *NOTHING, *NO_NUMBERS]),
    "track": (
        "true_track_deg",
        [(-90, 270.0), (360, 360.0), (-181, BAD), (361, BAD), *NOTHING, *NO_NUMBERS],
    ),
    "onground": ("is_on_ground", FLAGS),
    "squawk": ("squawk", OTHERS["squawk"]),
}


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[dict[str, Any], Any]]:
    """Rows of a `traffic`-style table that lacks some columns, and what is stored of each."""
    optional = draw(st.sets(st.sampled_from([name for name in TABLE if name != "icao24"])))
    rows = []
    for second in range(draw(st.integers(1, 10))):
        time = AT - 60 + second
        sent: dict[str, Any] = {"timestamp": time * 1000, "latitude": 49.0, "longitude": 2.5}
        sent |= {"icao24": "3c6444", "n": second}
        stored: dict[str, Any] = dict.fromkeys(["icao24", *(c for c, _ in TABLE.values())])
        stored |= {"icao24": "3c6444", "time_position": at(time)}
        faults = draw(st.sets(st.sampled_from(sorted({"icao24", *optional})), max_size=3))
        for name in sorted(faults):
            column, meant = TABLE[name]
            sent[name], stored[column] = draw(st.sampled_from(meant))
        if draw(st.integers(0, 5)) == 0:
            sent["longitude"], sent["latitude"], place = draw(st.sampled_from(PLACES))
            stored["place"] = place
        is_bad = BAD in stored.values()
        place = stored.pop("place", (2.5, 49.0))
        rows.append((sent, BAD if is_bad else {**stored, "place": place}))
    return rows


@FEW
@given(tables())
def test_every_row_of_a_table_is_stored_or_kept_with_a_reason(
    shared_warehouse: Warehouse,
    query: Query,
    tmp_path: Path,
    rows: list[tuple[dict[str, Any], Any]],
) -> None:
    forget_all(shared_warehouse, query)
    path = tmp_path / "some.json"
    path.write_text(json.dumps([sent for sent, _ in rows]))
    made = load_file(shared_warehouse, path)
    bad = [sent for sent, stored in rows if stored is BAD]
    good = [stored for _, stored in rows if stored is not BAD]
    assert made.error is None
    assert (made.read_rows, made.rejected_rows) == (len(rows), len(bad))
    assert (made.loaded_rows, made.duplicate_rows) == (len(good), 0)
    found = query(
        shared_warehouse,
        "select icao24, callsign, baro_altitude_m, velocity_mps, true_track_deg, is_on_ground, "
        "squawk, time_position, longitude_deg, latitude_deg from raw.opensky_states "
        "order by time_position",
    )
    expected = [(*list(one.values())[:-1], *one["place"]) for one in good]
    assert [rounded(row) for row in found] == [rounded(row) for row in expected]
    kept = query(
        shared_warehouse,
        "select payload, reason from raw.rejected_states order by (payload ->> 'n')::numeric",
    )
    names = {name for sent, _ in rows for name in sent}
    assert [payload for payload, _ in kept] == [
        {name: shown(sent.get(name)) for name in names} for sent in bad
    ]
    assert all(reason for _, reason in kept)
    again = load_file(shared_warehouse, path)
    assert (again.loaded_rows, again.duplicate_rows, again.rejected_rows) == (0, len(rows), 0)
    assert replay_rejected(shared_warehouse).left_rows == len(bad)
    assert accounts(shared_warehouse).is_balanced


def rounded(row: tuple[Any, ...]) -> list[Any]:
    """Numbers without the last digits: a unit may be converted in another order."""
    return [round(value, 9) if isinstance(value, float) else value for value in row]
