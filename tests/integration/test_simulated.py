"""What the stand-in gives is simulated for ever: in responses, files, the spool, and for models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.arrivals.steps import train
from skyops_assets.arrivals.store import inputs
from skyops_assets.settings import Settings
from skyops_assets.simulate.fake_opensky import FakeOpenSky, running
from skyops_assets.simulate.fake_states import Replay, replay_of
from skyops_assets.sources import reference
from skyops_assets.sources.opensky import schema
from skyops_assets.sources.opensky.live.boxes import BoundingBox
from skyops_assets.sources.opensky.live.client import OpenSkyClient, Response
from skyops_assets.sources.opensky.live.poll import write_response
from skyops_assets.sources.opensky.live.spool import Spool
from skyops_assets.sources.opensky.loading import replay
from skyops_assets.sources.opensky.loading.files import load_file
from skyops_assets.sources.opensky.reading.rest import MalformedResponse, read_response
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.dbt import call_tested
from tests.support.states import recording, seconds, state

MARKED = "simulated:fake-opensky"
BOX = BoundingBox(45, -4, 53, 8)
SOURCES = "select source, count(*) from {} group by 1 order by 1"


@contextmanager
def asking(fake: FakeOpenSky, **options: Any) -> Iterator[OpenSkyClient]:
    with (
        running(fake) as server,
        OpenSkyClient(server.url, server.token_url, sleep=lambda _: None, **options) as client,
    ):
        yield client


def test_every_way_into_the_warehouse_keeps_the_mark(
    warehouse: Warehouse, query: Query, tmp_path: Path
) -> None:
    fake = FakeOpenSky(Replay(recording(*seconds(100))), speed=0)
    spool = Spool(tmp_path / "collected")
    with asking(fake, on_body=spool.keep) as client:
        write_response(warehouse, client.states(BOX))
        spool.drop()
        fake.advance(10)
        # What a killed collector leaves.
        client.states(BOX)
        [(left, at)] = Spool(tmp_path / "collected").left()
        write_response(warehouse, Response(left, at, 200, None, 1))
        fake.advance(10)
        # What a user saves, as it came or written anew.
        file = tmp_path / "response.json"
        file.write_bytes(client.states(BOX).body)
        load_file(warehouse, file)
        fake.advance(10)
        file.write_text(json.dumps(json.loads(client.states(BOX).body), indent=1, sort_keys=True))
        load_file(warehouse, file)
        fake.advance(10)
        # 17 fields, a spoilt row, and a response that is cut off.
        fake.demand("nan")
        write_response(warehouse, client.states(BOX, extended=False))
        fake.advance(10)
        fake.demand("truncated")
        write_response(warehouse, client.states(BOX))
    assert query(warehouse, SOURCES.format("raw.opensky_states")) == [(MARKED, 5)]
    assert query(warehouse, SOURCES.format("raw.rejected_states")) == [(MARKED, 2)]
    assert query(warehouse, "select distinct source from raw.ingest_batches") == [(MARKED,)]


def test_replayed_answers_of_others_are_marked_too(tmp_path: Path) -> None:
    from skyops_assets.simulate.fake_states import Snapshots

    (tmp_path / "one.json").write_text(json.dumps({"time": 1_700_000_000, "states": None}))
    with asking(FakeOpenSky(Snapshots.read(tmp_path), speed=0)) as client:
        assert read_response(client.states(BOX).body).source == MARKED


def test_rejected_rows_that_are_good_by_now_keep_the_mark(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeOpenSky(
        Replay(recording(state(), state(icao24="000001", velocity_mps=120))), speed=0
    )
    with asking(fake) as client:
        body = client.states(BOX).body
    with monkeypatch.context() as strict:
        strict.setitem(schema.LIMITS, "velocity_mps", (0, 100))
        write_response(warehouse, Response(body, datetime.now(UTC), 200, None, 1))
    assert query(warehouse, SOURCES.format("raw.rejected_states")) == [(MARKED, 1)]
    assert replay.replay_rejected(warehouse).loaded_rows == 1
    assert query(warehouse, SOURCES.format("raw.opensky_states")) == [(MARKED, 2)]


def test_opensky_itself_is_not_marked_and_a_strange_mark_is_one() -> None:
    def source_of(**more: Any) -> str:
        return read_response(
            json.dumps({"time": 1_700_000_000, "states": [], **more}).encode()
        ).source

    assert source_of() == source_of(simulated=False) == source_of(simulated=None) == "opensky:rest"
    assert source_of(simulated="my-lab") == "simulated:my-lab"
    for mark in (True, 1, "A Lab; drop table", "x" * 99, ["fake-opensky"], {"name": "x"}):
        assert source_of(simulated=mark) == "simulated:unnamed"
    with pytest.raises(MalformedResponse) as caught:
        read_response(b'{"simulated": "fake-opensky", "time": 17000')
    assert caught.value.source == MARKED


def test_no_model_learns_from_the_stand_in_unless_the_setting_says_so(
    warehouse: Warehouse,
    query: Query,
    dbt_of: Callable[[Warehouse], Callable[..., str]],
    home: Path,
) -> None:
    """Ninety minutes of Paris as the stand-in gives them, through the whole transform."""
    import pyarrow.compute as pc

    rows = reference.airports()
    near = pc.and_(
        pc.less(pc.abs(pc.subtract(rows["latitude_deg"], 49.0)), 3.0),
        pc.less(pc.abs(pc.subtract(rows["longitude_deg"], 2.5)), 3.0),
    )
    reference.replace_reference(warehouse, "raw.airports", "airportsdata", rows.filter(near))
    fake = FakeOpenSky(replay_of(None), speed=0, anonymous_credits=10_000)
    with asking(fake) as client:
        for _ in range(360):
            write_response(warehouse, client.states(BOX))
            fake.advance(15)
    assert [one for (one, _) in query(warehouse, SOURCES.format("raw.opensky_states"))] == [MARKED]
    dbt_of(warehouse)("run")
    arrivals = query(
        warehouse,
        "select is_simulated, count(*), count(distinct flight_id) from features.arrival_features "
        "where ring_nm = 40 group by 1",
    )
    [(is_simulated, count, flights)] = arrivals
    assert is_simulated
    assert count >= 10

    settings = Settings(home=home)
    # No model learns from what a run of the models alone has made.
    everything = settings.model_copy(update={"learn_from_simulated": True})
    untested = train.build_training_set(warehouse, everything)
    assert (untested.row_count, untested.excluded["not tested yet"]) == (0, count)
    assert inputs.arrivals_since(warehouse, 40, None, None, with_simulated=True)[0] == 0
    call_tested(warehouse)
    left_out = train.build_training_set(warehouse, settings)
    assert left_out.row_count == 0
    assert left_out.excluded["simulated flight"] == flights
    assert inputs.arrivals_since(warehouse, 40, None, None) == (0, None)
    learned = train.build_training_set(warehouse, everything)
    assert 0 < learned.row_count <= count
    assert "simulated flight" not in learned.excluded
    assert inputs.arrivals_since(warehouse, 40, None, None, with_simulated=True)[0] > 0
