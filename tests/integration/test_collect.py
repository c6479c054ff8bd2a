"""The live feed against a real server on loopback and a real Postgres."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from skyops_assets.quality.reconciliation import accounts
from skyops_assets.settings import Settings, load_settings
from skyops_assets.simulate.fake_faults import FAULTS
from skyops_assets.simulate.fake_opensky import FakeOpenSky, Running, running
from skyops_assets.simulate.fake_states import Replay, replay_of
from skyops_assets.sources.opensky.live import collect, poll
from skyops_assets.sources.opensky.live.boxes import BoundingBox
from skyops_assets.sources.opensky.live.client import OpenSkyClient, Response
from skyops_assets.sources.opensky.live.collect import Collector, Report, describe
from skyops_assets.sources.opensky.live.credits import CreditBudget, account_name
from skyops_assets.sources.opensky.live.failures import PermanentFailure
from skyops_assets.sources.opensky.live.poll import poll_once, watched_boxes, what_is_missed
from skyops_assets.sources.opensky.live.spool import Spool
from skyops_assets.warehouse.connection import ServerUnreachable, Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support.databases import Query
from tests.support.states import recording, seconds

SECRET = "zQclientsecretQz"
PARIS = (BoundingBox(47, 0, 51, 6),)
PLENTY = 1_000_000
STORED = "select icao24, extract(epoch from time_position)::int from raw.opensky_states"


@pytest.fixture(scope="module")
def paris() -> Replay:
    """The demo's recording, to be replayed."""
    return replay_of(None)


def a_few() -> Replay:
    return Replay(recording(*seconds(600), *seconds(600, icao24="4b1817")))


class Stepping:
    """A feed whose recorded time moves on by ten seconds after each round; stops at the end."""

    def __init__(
        self, client: OpenSkyClient, fake: FakeOpenSky, rounds: int, stop: threading.Event
    ) -> None:
        self.client, self.fake, self.left, self.stop = client, fake, rounds, stop

    def states(self, box: BoundingBox | None = None) -> Response:
        try:
            return self.client.states(box)
        finally:
            self.fake.advance(10)
            self.left -= 1
            if self.left <= 0:
                self.stop.set()


@contextmanager
def client_of(
    server: Running, warehouse: Warehouse, **options: Any
) -> Iterator[tuple[OpenSkyClient, CreditBudget]]:
    budget = CreditBudget(warehouse, account_name("me"), PLENTY)
    with OpenSkyClient(
        server.url, server.token_url, "me", SecretStr(SECRET), budget=budget,
        sleep=lambda _: None, **options,
    ) as client:  # fmt: skip
        yield client, budget


def collector(warehouse: Warehouse, feed: Any, **options: Any) -> Collector:
    said: list[str] = []
    made = Collector(
        warehouse,
        feed,
        PARIS,
        **{
            "credits": CreditBudget(warehouse, account_name("me"), PLENTY),
            "shortest_s": 0.001,
            "report": lambda _: None,
            "say": said.append,
            **options,
        },
    )
    made.said = said  # type: ignore[attr-defined]
    return made


def stored(warehouse: Warehouse, query: Query) -> list[tuple[str, int]]:
    return [(str(a), int(t)) for a, t in query(warehouse, STORED)]


def test_an_hour_with_every_fault_loses_no_position_and_no_credit(
    pointed: Warehouse,
    query: Query,
    paris: Replay,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import dagster as dg

    from skyops_assets.client import report_loaded

    instance = dg.DagsterInstance.ephemeral()
    monkeypatch.setattr("dagster.DagsterInstance.get", lambda: instance)
    monkeypatch.setattr(type(instance), "__exit__", lambda *_: None)
    caplog.set_level(logging.DEBUG)
    fake = FakeOpenSky(
        paris, speed=0, faults=FAULTS, fault_rate=0.4, seed=7, daily_credits=PLENTY,
        client_secret=SECRET, slow_s=0.6,
    )  # fmt: skip
    fake.ask_to_wait(0)
    stop, told, asked_at = threading.Event(), [], []

    def report(found: Report) -> None:
        told.append(found)
        report_loaded({hour: describe(found) for hour in found.rows}, "test", is_live=True)

    with running(fake) as server, client_of(server, pointed, timeout_s=0.3) as (client, _):
        asked_at.append(fake.now)
        feed = Stepping(client, fake, 360, stop)
        one = collector(pointed, feed, report=report)
        one.run(stop)
        assert fake.now - asked_at[0] == 3_600
    assert set(fake.accounts.by_fault) == set(FAULTS)

    # No position lost, none twice.
    found = stored(pointed, query)
    assert len(found) == len(set(found))
    assert set(found) == fake.accounts.delivered
    assert len(found) > 5_000
    # Every row and every bad response is accounted for.
    balance = accounts(pointed)
    assert balance.is_balanced
    whole = query(pointed, "select count(*) from raw.rejected_states where payload ? 'body'")
    assert whole[0][0] > 0
    assert sum(one.tally.loaded_rows for one in told) == len(found) == balance.loaded_rows
    assert sum(one.tally.rejected_rows for one in told) == balance.rejected_rows
    # Credits: booked is what was charged, and what was asked for since the server's last word.
    account = account_name("me")
    [(name, spent)] = query(pointed, "select account, spent from raw.opensky_credits")
    assert name == account
    assert fake.accounts.charged_credits[account] <= spent < fake.accounts.asked_credits[account]
    assert fake.accounts.charged_credits[account] > 200
    # The graph knows of the hour, and nothing anywhere holds a secret or a token.
    key = dg.AssetKey(["raw", "opensky_states"])
    events = instance.fetch_observations(key, limit=1_000).records
    assert {event.partition_key for event in events} >= {"2021-10-07-12:00"}
    tables = query(
        pointed,
        "select table_name from information_schema.tables where table_schema = 'raw' "
        "and table_type = 'BASE TABLE'",
    )
    dump = [query(pointed, f"select t::text from raw.{name} as t") for (name,) in tables]
    texts = [caplog.text, *one.said, *map(str, events), *map(str, told), str(dump), repr(client)]  # type: ignore[attr-defined]
    secrets = [SECRET, *fake.tokens]
    assert len(secrets) > 2
    assert not [secret for secret in secrets for text in texts if secret in text]


def test_a_second_collector_waits_and_takes_over(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(collect, "TROUBLE_PAUSE_S", 0.5)
    fake = FakeOpenSky(a_few(), speed=100, daily_credits=PLENTY)
    stop = threading.Event()
    with running(fake) as server, client_of(server, warehouse) as (client, _):
        asked: list[str] = []

        class Noted:
            def __init__(self, name: str) -> None:
                self.name = name

            def states(self, box: BoundingBox | None = None) -> Response:
                asked.append(self.name)
                return client.states(box)

        first = collector(warehouse, Noted("first"), shortest_s=0.05)
        second = collector(warehouse, Noted("second"), shortest_s=0.05)
        threads = [threading.Thread(target=first.run, args=[stop])]
        threads[0].start()
        wait_until(lambda: len(asked) > 2)
        threads.append(threading.Thread(target=second.run, args=[stop]))
        threads[1].start()
        wait_until(lambda: second.said)  # type: ignore[attr-defined]
        assert set(asked) == {"first"}
        # The first one's hold on the right ends, as if its machine were gone.
        query(
            warehouse,
            "select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid) "
            "where locktype = 'advisory' and granted and objid = "
            "(hashtext('skyops.collect')::bigint & 4294967295)::oid",
        )
        wait_until(lambda: "second" in asked)
        after = len(asked)
        wait_until(lambda: len(asked) > after + 3)
        assert set(asked[-2:]) == {"second"}
        stop.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
    assert "The warehouse failed" in first.said[0]  # type: ignore[attr-defined]
    found = stored(warehouse, query)
    assert len(found) == len(set(found)) > 0


def test_an_answer_in_hand_outlives_the_death_of_the_server(
    home: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "TROUBLE_PAUSE_S", 0.1)
    settings = Settings(home=home)
    warehouse = open_warehouse(settings)
    migrate(warehouse)
    fake = FakeOpenSky(a_few(), speed=0, daily_credits=PLENTY)
    stop = threading.Event()
    with running(fake) as server, client_of(server, warehouse) as (client, _):

        class Deadly(Stepping):
            def states(self, box: BoundingBox | None = None) -> Response:
                response = super().states(box)
                if self.left == 1:
                    pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
                    psutil.Process(pid).kill()
                return response

        feed = Deadly(client, fake, 3, stop)
        one = collector(warehouse, feed, revive=lambda: open_warehouse(settings))
        one.run(stop)
    assert set(stored(warehouse, query)) == fake.accounts.delivered
    assert len(fake.accounts.delivered) == 6
    assert "The warehouse failed" in one.said[0]  # type: ignore[attr-defined]


def test_a_collector_that_lost_its_place_stores_what_it_holds_before_it_waits(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections break while a response is written, and the other collector is faster."""
    stop, is_taken = threading.Event(), threading.Event()
    write, said = poll.write_response, []

    def take_over() -> None:
        with warehouse.connect(autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(hashtext(%s))", (collect.LOCK,))
            is_taken.set()
            stop.wait(60)

    rival = threading.Thread(target=take_over)

    def broken(*_: Any) -> None:
        monkeypatch.setattr(collect, "write_response", write)
        rival.start()
        raise ServerUnreachable("the connection was lost")

    def say(text: str) -> None:
        said.append(text)
        if text.startswith("Another collector is running"):
            stop.set()

    monkeypatch.setattr(collect, "write_response", broken)
    monkeypatch.setattr(collect, "TROUBLE_PAUSE_S", 0.01)
    fake = FakeOpenSky(a_few(), speed=0, daily_credits=PLENTY)
    with running(fake) as server, client_of(server, warehouse) as (client, _):
        one = collector(warehouse, client, say=say, revive=lambda: is_taken.wait(60))
        one.run(stop)
    rival.join(60)
    assert len(said) == 2
    assert len(fake.accounts.delivered) == 2
    assert set(stored(warehouse, query)) == fake.accounts.delivered


def test_what_a_killed_collector_had_in_hand_is_stored_by_the_next(
    warehouse: Warehouse, query: Query, tmp_path: Path
) -> None:
    folder = tmp_path / "collected"
    fake = FakeOpenSky(a_few(), speed=0, daily_credits=PLENTY)
    stop = threading.Event()
    with running(fake) as server:
        with client_of(server, warehouse, on_body=Spool(folder).keep) as (killed, _):
            killed.states(PARIS[0])
            fake.advance(10)
        [left] = folder.iterdir()
        assert left.suffix == ".answer"
        (folder / "1.0-1.part").write_bytes(b"half")
        # What is no response is kept too, but whole.
        (folder / "1.0-1.answer").write_bytes(b"<html>")
        spool = Spool(folder)
        with client_of(server, warehouse, on_body=spool.keep) as (client, _):
            told: list[Report] = []
            feed = Stepping(client, fake, 1, stop)
            collector(warehouse, feed, spool=spool, report=told.append).run(stop)
    assert set(stored(warehouse, query)) == fake.accounts.delivered
    assert len(fake.accounts.delivered) == 4
    assert not list(folder.iterdir())
    assert [(found.tally.responses, found.tally.malformed_responses) for found in told] == [(3, 1)]
    assert accounts(warehouse).is_balanced


def test_an_answer_with_a_value_that_postgres_does_not_take_is_kept_whole(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the reader had let it through.
    spoilt = recording(*seconds(2, callsign="NU\0L"), source="opensky:rest")
    monkeypatch.setattr(poll, "read_response", lambda _: spoilt)
    response = Response(b'{"time": 1}', datetime.now(UTC), 200, None, 1)
    written = poll.write_response(warehouse, response)
    assert written.error is not None
    assert "Postgres does not accept one of its values" in written.error
    assert query(warehouse, "select payload from raw.rejected_states") == [
        ({"body": '{"time": 1}'},)
    ]
    assert stored(warehouse, query) == []
    assert accounts(warehouse).is_balanced


def test_a_spool_that_cannot_be_written_costs_no_answer(
    warehouse: Warehouse, query: Query, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file")
    fake = FakeOpenSky(a_few(), speed=0, daily_credits=PLENTY)
    stop = threading.Event()
    with running(fake) as server, client_of(server, warehouse, on_body=spool.keep) as (client, _):
        collector(warehouse, Stepping(client, fake, 2, stop), spool=spool).run(stop)
    assert set(stored(warehouse, query)) == fake.accounts.delivered != set()


def test_what_opensky_refuses_from_the_start_ends_the_collector(warehouse: Warehouse) -> None:
    fake = FakeOpenSky(a_few(), speed=0, client_secret="another")
    with (
        running(fake) as server,
        client_of(server, warehouse) as (client, _),
        pytest.raises(PermanentFailure, match="SKYOPS_OPENSKY_CLIENT_ID"),
    ):
        collector(warehouse, client).run(threading.Event())


def test_what_is_refused_later_or_fails_is_asked_for_again(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "REFUSED_PAUSE_S", 0.05)
    fake = FakeOpenSky(a_few(), speed=0, daily_credits=PLENTY)
    stop = threading.Event()
    with running(fake) as server, client_of(server, warehouse, attempts=1) as (client, _):

        class Failing(Stepping):
            def states(self, box: BoundingBox | None = None) -> Response:
                # The second and third rounds: refused even with a fresh token, then down.
                if self.left == 4:
                    self.fake.demand("401", 2)
                if self.left == 3:
                    self.fake.demand("503")
                return super().states(box)

        one = collector(warehouse, Failing(client, fake, 5, stop))
        one.run(stop)
    assert [text.split(":")[0] for text in one.said] == [  # type: ignore[attr-defined]
        "OpenSky answered 401 to a box of 24.0 square degrees",
        "OpenSky answered 503 to a box of 24.0 square degrees",
    ]
    assert len(stored(warehouse, query)) == 2 * 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [("301", "Set SKYOPS_OPENSKY_URL=https://moved.example/api"), ("204", "usually passes")],
)
def test_a_strange_answer_later_costs_no_five_minutes(
    warehouse: Warehouse, query: Query, fault: str, said: str
) -> None:
    """A page of maintenance, a login of a network: it is asked again in the next round."""
    fake = FakeOpenSky(a_few(), speed=0, daily_credits=PLENTY)
    stop = threading.Event()
    with running(fake) as server, client_of(server, warehouse, attempts=1) as (client, budget):
        feed = Stepping(client, fake, 4, stop)
        one = collector(warehouse, feed)
        states, asked_at = feed.states, []

        def first_it_works(box: BoundingBox | None = None) -> Response:
            asked_at.append(time.monotonic())
            if len(asked_at) == 2:
                fake.demand(fault)
            return states(box)

        feed.states = first_it_works
        one.run(stop)
        assert budget.read().spent == fake.accounts.charged_credits[account_name("me")] == 3
    assert asked_at[2] - asked_at[1] < 60
    assert fake.accounts.by_status == {"200": 3, fault: 1}
    [line] = one.said  # type: ignore[attr-defined]
    assert said in line
    assert len(stored(warehouse, query)) == 2 * 3


def test_an_address_that_moved_from_the_start_ends_the_collector(warehouse: Warehouse) -> None:
    fake = FakeOpenSky(a_few(), speed=0, daily_credits=PLENTY)
    fake.demand("301")
    with (
        running(fake) as server,
        client_of(server, warehouse) as (client, _),
        pytest.raises(PermanentFailure, match="it moved to https://moved"),
    ):
        collector(warehouse, client).run(threading.Event())


def test_without_credits_nothing_is_asked(warehouse: Warehouse) -> None:
    fake = FakeOpenSky(a_few(), speed=0)
    stop = threading.Event()
    with running(fake) as server:
        budget = CreditBudget(warehouse, account_name("me"), 2)
        with OpenSkyClient(
            server.url, server.token_url, "me", SecretStr(SECRET), budget=budget
        ) as client:
            one = collector(warehouse, client, credits=budget)
            # After two rounds the third would be tomorrow's.
            thread = threading.Thread(target=one.run, args=[stop])
            thread.start()
            wait_until(lambda: fake.accounts.requests[account_name("me")] >= 1)
            assert budget.read().interval_s(1, 0.001) > 1
            budget.reserve(1)
            with pytest.raises(Exception, match="1 credits are needed and 0 of 2 are left"):
                poll = Stepping(client, fake, 9, threading.Event())
                poll.states(PARIS[0])
            stop.set()
            thread.join(10)
    assert fake.accounts.requests[account_name("me")] == 1


def test_a_report_that_fails_is_made_up_for(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "REPORT_EVERY_S", 0.0)
    told: list[Report] = []

    def report(found: Report) -> None:
        if not told and len(one.said) == 0:  # type: ignore[attr-defined]
            raise OSError("no Dagster")
        told.append(found)

    fake = FakeOpenSky(a_few(), speed=0, daily_credits=PLENTY)
    stop = threading.Event()
    with running(fake) as server, client_of(server, warehouse) as (client, _):
        one = collector(warehouse, Stepping(client, fake, 4, stop), report=report)
        one.run(stop)
    assert one.said == ["The report to Dagster failed; trying again: no Dagster"]  # type: ignore[attr-defined]
    assert sum(found.tally.loaded_rows for found in told) == 8
    assert [found.tally.responses for found in told] == [2, 1, 1]
    # An hour is told with what it holds, not with what came.
    hour = datetime(2021, 10, 7, 12, tzinfo=UTC)
    assert [dict(found.rows) for found in told] == [{hour: 4}, {hour: 6}, {hour: 8}]


def test_the_boxes_hold_everything_within_the_radius_of_the_watch_list() -> None:
    boxes = watched_boxes(Settings())
    # One credit: that is what the usual radius was chosen for.
    assert len(boxes) == 1
    assert 20 < boxes[0].area_deg2 <= 25
    with pytest.raises(Exception, match="SKYOPS_WATCH_AIRPORTS has unknown airport codes: ZZZZ"):
        watched_boxes(Settings(watch_airports=("LFPG", "ZZZZ")))


# As a process


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, pointed: Warehouse) -> Iterator[Running]:
    """A server that replays in the present, and this process's environment pointed at it."""
    now = int(time.time())
    fake = FakeOpenSky(a_few(), daily_credits=PLENTY, client_secret=SECRET, starts_at=now - 60)
    with running(fake) as server:
        for name, value in {
            "URL": server.url, "TOKEN_URL": server.token_url, "CLIENT_ID": "me",
            "CLIENT_SECRET": SECRET, "DAILY_CREDITS": str(PLENTY),
        }.items():  # fmt: skip
            monkeypatch.setenv(f"SKYOPS_OPENSKY_{name}", value)
        monkeypatch.setenv("SKYOPS_COLLECT_INTERVAL_S", "0.2")
        yield server


@pytest.mark.xdist_group("cli")
@pytest.mark.usefixtures("manifest")
def test_the_command_collects_tells_the_graph_and_stops_on_a_signal(
    live: Running, pointed: Warehouse, home: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    monkeypatch.delenv("SKYOPS_WAREHOUSE_URL")
    monkeypatch.setenv("SKYOPS_DATABASE_URL", pointed.libpq())
    process = subprocess.Popen(
        [sys.executable, "-m", "skyops_assets.cli", "collect"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ.copy(),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert lines[0].startswith("Collecting around LFPG, LFPO, LFPB, LFOB, LFPV as client:")
    assert " responses: " in lines[1]
    assert rest.splitlines()[-1] == "Stopped."
    assert process.returncode == 0
    assert SECRET not in "".join(lines) + rest
    assert set(stored(pointed, query)) == live.fake.accounts.delivered != set()
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with dg.DagsterInstance.get() as instance:
        raw = dg.AssetKey(["raw", "opensky_states"])
        [event, *_] = instance.fetch_observations(raw, limit=10).records
        # The checks of what was there before stay as they are.
        assert instance.get_latest_materialization_event(raw) is None
    found = event.event_log_entry.asset_observation
    assert found is not None
    assert found.metadata["loaded_by"].value == "skyops collect"
    newest = query(pointed, "select max(time_position) from raw.opensky_states")[0][0]
    assert found.metadata["newest_position_at"].value == newest.timestamp()
    left = PLENTY - live.fake.accounts.charged_credits[account_name("me")]
    # A round that brought nothing new is not told.
    assert left <= found.metadata["credits_left"].value < PLENTY
    assert found.metadata["dagster/partition_row_count"].value == len(stored(pointed, query))


@pytest.mark.xdist_group("checks")
def test_the_present_hour_is_materialised_from_a_live_answer(
    live: Running, pointed: Warehouse, query: Query, graph: Any
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.partitions import HOURS

    repository = graph.defs.get_repository_def()
    schedule = repository.get_schedule_def("poll_opensky")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance:
        before = datetime.now(UTC)
        context = dg.build_schedule_context(
            scheduled_execution_time=before, repository_def=repository
        )
        [request] = schedule.evaluate_tick(context).run_requests
        assert request.partition_key in {
            moment.replace(minute=0).strftime(HOURS.fmt) for moment in (before, datetime.now(UTC))
        }
        result = graph.defs.resolve_job_def("poll").execute_in_process(
            instance=instance, partition_key=request.partition_key
        )
        assert result.success
        [event, *_] = instance.fetch_materializations(
            dg.AssetKey(["raw", "opensky_states"]), limit=10
        ).records
    assert set(stored(pointed, query)) == live.fake.accounts.delivered != set()
    found = event.event_log_entry.asset_materialization
    assert found is not None
    assert found.metadata["credits_left"].value == PLENTY - 1
    assert found.metadata["loaded_rows"].value == 2


def test_one_round_tells_of_every_answer(live: Running, pointed: Warehouse) -> None:
    live.fake.demand("html")
    [written], credits = poll_once(load_settings(), pointed)
    assert written.error is not None
    assert "it is HTML" in written.error
    assert (written.batch.read_rows, written.batch.rejected_rows) == (1, 1)
    assert (credits.spent, written.hours) == (1, frozenset())


@pytest.mark.xdist_group("cli")
def test_the_stand_in_server_answers_as_a_command() -> None:
    import httpx

    process = subprocess.Popen(
        [sys.executable, "-m", "skyops_assets.cli", "fake-opensky", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        told: dict[str, str] = {}
        for line in iter(process.stdout.readline, ""):
            if line.startswith("export "):
                told.update(part.split("=", 1) for part in line.split()[1:])
            if line.startswith("The requests it received"):
                break
        settings = Settings(
            opensky_url=told["SKYOPS_OPENSKY_URL"],
            opensky_token_url=told["SKYOPS_OPENSKY_TOKEN_URL"],
            opensky_client_id=told["SKYOPS_OPENSKY_CLIENT_ID"],
            opensky_client_secret=SecretStr(told["SKYOPS_OPENSKY_CLIENT_SECRET"]),
        )
        with OpenSkyClient.from_settings(settings) as client:
            response = client.states(PARIS[0])
        assert response.rate_limit_remaining == 3_999
        asked = httpx.get(told["SKYOPS_OPENSKY_URL"].removesuffix("/api") + "/fake/accounts")
        assert asked.json()["by_status"] == {"200": 1}
    finally:
        process.terminate()
        process.wait(20)


def wait_until(is_so: Callable[[], Any]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, "it did not come about within 30 s"
        time.sleep(0.01)


def test_rounds_far_apart_say_what_they_miss() -> None:
    """400 credits are a round in 216 s, 4,000 one in 22 s."""
    note = what_is_missed(216)
    assert note is not None
    assert "216 s apart" in note and "go-arounds" in note and "docs/validation.md" in note
    assert what_is_missed(21.6) is None
