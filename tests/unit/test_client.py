"""The OpenSky client against a real server on loopback, faults and secrets included."""

from __future__ import annotations

import json
import logging
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import load_settings
from skyops_assets.simulate.fake_faults import FAULTS
from skyops_assets.simulate.fake_opensky import FakeOpenSky, Running, running
from skyops_assets.simulate.fake_states import Replay, Snapshots
from skyops_assets.sources.opensky.live.boxes import BoundingBox
from skyops_assets.sources.opensky.live.client import OpenSkyClient, Response, _remaining
from skyops_assets.sources.opensky.live.credits import Reservation
from skyops_assets.sources.opensky.live.failures import (
    LONGEST_WAIT_S,
    UNKNOWN_WAIT_S,
    PermanentFailure,
    QuotaExceeded,
    TransientFailure,
    of_status,
    of_token_status,
    retry_after_s,
)
from skyops_assets.sources.opensky.reading.recordings import DEMO_START
from skyops_assets.warehouse.connection import ServerUnreachable
from tests.support.states import GOOD, recording, seconds, state

SECRET = "zQclientsecretQz"
PARIS = BoundingBox(48, 1, 50, 4)
START = int(DEMO_START.timestamp())
RECORDING = recording(
    *seconds(60),
    *seconds(60, icao24="4b1817", latitude_deg=40.0, callsign=None),
    state(icao24="bad"),
)


class Spending:
    """A budget that only notes what it is told."""

    def __init__(self, limit: int = 1_000) -> None:
        self.limit = limit
        self.spent = 0
        self.requests = 0
        self.told: list[int | None] = []
        self.blocked: list[float] = []

    def reserve(self, cost: int) -> Reservation:
        if self.spent + cost > self.limit:
            raise QuotaExceeded("nothing left", 60)
        self.spent += cost
        self.requests += 1
        return Reservation(self.requests, self.limit - self.spent)

    def settle(self, reservation: Reservation, remaining: int | None) -> None:
        assert reservation.request_id == self.requests
        self.told.append(remaining)

    def block(self, seconds: float) -> None:
        self.blocked.append(seconds)


class World:
    """Servers and clients of one test."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.pauses: list[float] = []
        self.server: Running

    def serve(self, **options: Any) -> FakeOpenSky:
        # It stands still but for `advance`, so that every response is known.
        fake = FakeOpenSky(Replay(RECORDING), **{"speed": 0, "client_secret": SECRET, **options})
        self.server = self.stack.enter_context(running(fake))
        return fake

    def client(self, *, is_anonymous: bool = False, **options: Any) -> OpenSkyClient:
        account = () if is_anonymous else ("me", SecretStr(SECRET))
        return self.stack.enter_context(
            OpenSkyClient(
                self.server.url,
                self.server.token_url,
                *account,
                **{"sleep": self.pauses.append, "timeout_s": 5, **options},
            )
        )


@pytest.fixture
def world() -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack)


def rows(response: Response) -> list[list[Any]]:
    return json.loads(response.body)["states"]


def test_an_answer_is_the_raw_body_with_what_it_cost(world: World) -> None:
    fake = world.serve()
    fake.advance(30)
    before = datetime.now(UTC)
    response = world.client().states(PARIS)
    assert before <= response.received_at <= datetime.now(UTC)
    assert (response.status, response.cost, response.rate_limit_remaining) == (200, 1, 3_999)
    assert response.content_type.startswith("application/json")
    body = json.loads(response.body)
    assert body["time"] == START + 30
    (row,) = body["states"]
    assert len(row) == 18
    assert (row[0], row[1], row[3], row[5], row[6]) == (
        GOOD["icao24"], "DLH9CK  ", START + 30, GOOD["longitude_deg"], GOOD["latitude_deg"]
    )  # fmt: skip


def test_an_answer_outlives_a_budget_that_cannot_note_it(world: World) -> None:
    """A warehouse that goes away between the response and its note costs no position."""

    class Gone(Spending):
        def settle(self, *_: object) -> None:
            raise ServerUnreachable("gone")

    world.serve()
    assert rows(world.client(budget=Gone()).states(PARIS))


def test_box_addresses_time_and_category_are_asked_for(world: World) -> None:
    fake = world.serve()
    client = world.client()
    fake.advance(30)
    assert {row[0] for row in rows(client.states())} == {"3c6444", "4b1817"}
    assert [row[0] for row in rows(client.states(icao24=["4B1817"]))] == ["4b1817"]
    assert json.loads(client.states(PARIS, icao24=["4b1817"]).body)["states"] is None
    assert {len(row) for row in rows(client.states(extended=False))} == {17}
    earlier = client.states(PARIS, time=DEMO_START + timedelta(seconds=10))
    assert json.loads(earlier.body)["time"] == START + 10
    assert fake.accounts.asked_credits.total() == 4 + 4 + 1 + 4 + 1


def test_an_earlier_time_is_not_asked_for_in_vain(world: World) -> None:
    fake = world.serve()
    fake.advance(2 * 3_600)
    with pytest.raises(PermanentFailure, match="at most one hour in the past"):
        world.client().states(PARIS, time=DEMO_START)
    with pytest.raises(SkyOpsError, match="only with an account"):
        world.client(is_anonymous=True).states(time=DEMO_START)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"icao24": ["xyz"]}, "'xyz' is not an icao24"),
        ({"icao24": "3c6444"}, "is a list of addresses"),
        ({"time": datetime(2026, 1, 1)}, "has no time zone"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(
    world: World, arguments: dict[str, Any], said: str
) -> None:
    fake = world.serve()
    with pytest.raises(SkyOpsError, match=said):
        world.client().states(**arguments)
    assert not fake.accounts.requests


def test_without_an_account_it_asks_anonymously(world: World) -> None:
    fake = world.serve()
    response = world.client(is_anonymous=True).states(PARIS)
    assert response.rate_limit_remaining == 399
    assert fake.accounts.tokens == 0
    assert fake.accounts.requests == {"anonymous": 1}


@pytest.mark.parametrize("fault", ["500", "503", "reset"])
def test_what_passes_is_tried_again_after_a_pause(world: World, fault: str) -> None:
    fake = world.serve()
    fake.demand(fault, times=2)
    spending = Spending()
    assert world.client(budget=spending).states(PARIS).status == 200
    assert len(world.pauses) == 2
    assert all(0 <= pause <= 20 for pause in world.pauses)
    assert fake.accounts.by_fault == {fault: 2}
    assert spending.spent == fake.accounts.asked_credits.total() == 3


@pytest.mark.parametrize("fault", ["500", "503", "reset"])
def test_trying_again_ends(world: World, fault: str) -> None:
    fake = world.serve()
    fake.demand(fault, times=10)
    with pytest.raises(TransientFailure, match="If this persists"):
        world.client().states(PARIS)
    assert fake.accounts.requests.total() == 4
    assert len(world.pauses) == 3


def test_a_slow_answer_ends_at_the_timeout(world: World) -> None:
    fake = world.serve(slow_s=30)
    fake.demand("slow")
    with pytest.raises(TransientFailure, match="SKYOPS_OPENSKY_TIMEOUT_S"):
        world.client(timeout_s=0.2, attempts=1).states(PARIS)


def test_a_server_that_is_not_there_is_a_fault_that_may_pass(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = OpenSkyClient(f"{url}/api", f"{url}/token", sleep=world.pauses.append)
        with client, pytest.raises(TransientFailure, match="SKYOPS_OPENSKY_URL"):
            client.states(PARIS)
        paid = OpenSkyClient(f"{url}/api", f"{url}/token", "me", SecretStr(SECRET), attempts=1)
        with paid, pytest.raises(TransientFailure, match="SKYOPS_OPENSKY_TOKEN_URL"):
            paid.states(PARIS)


@pytest.mark.parametrize("fault", ["truncated", "html", "null-states", "nan"])
def test_a_body_with_status_200_is_handed_on_whatever_it_holds(world: World, fault: str) -> None:
    fake = world.serve()
    fake.demand(fault)
    assert world.client().states(PARIS).body
    assert fake.accounts.requests.total() == 1


def test_a_429_stops_all_requests_until_the_wait_is_over(world: World) -> None:
    fake = world.serve()
    fake.ask_to_wait(120)
    fake.demand("429")
    spending = Spending()
    client = world.client(budget=spending)
    with pytest.raises(QuotaExceeded) as caught:
        client.states(PARIS)
    assert caught.value.retry_after_s == 120
    assert spending.blocked == [120]
    with pytest.raises(QuotaExceeded, match="asked SkyOps to wait") as again:
        client.states(PARIS)
    assert 100 < again.value.retry_after_s <= 120
    assert fake.accounts.requests.total() == 1
    assert not world.pauses


def test_after_the_wait_it_asks_again(world: World) -> None:
    fake = world.serve()
    fake.ask_to_wait(0)
    fake.demand("429")
    client = world.client()
    with pytest.raises(QuotaExceeded):
        client.states(PARIS)
    assert client.states(PARIS).status == 200


def test_the_servers_credits_end(world: World) -> None:
    fake = world.serve(daily_credits=5)
    client = world.client()
    assert client.states().rate_limit_remaining == 1
    with pytest.raises(QuotaExceeded, match="fewer or smaller boxes"):
        client.states()
    assert fake.accounts.charged_credits.total() == 4


def test_without_credits_of_its_own_it_sends_nothing(world: World) -> None:
    fake = world.serve()
    spending = Spending(limit=5)
    client = world.client(budget=spending)
    client.states()
    assert spending.told == [3_996]
    with pytest.raises(QuotaExceeded, match="nothing left"):
        client.states()
    assert fake.accounts.requests.total() == 1


def test_one_token_serves_many_requests(world: World) -> None:
    fake = world.serve()
    client = world.client()
    for _ in range(5):
        client.states(PARIS)
    assert fake.accounts.tokens == 1


def test_a_token_is_renewed_before_it_is_stale(world: World) -> None:
    fake = world.serve()
    client = world.client()
    client.states(PARIS)
    assert 1_700 < client._renew_at - time.monotonic() <= 1_740
    client._renew_at = 0
    client.states(PARIS)
    assert fake.accounts.tokens == 2
    assert fake.accounts.by_status == {"200": 2}


def test_a_stale_token_is_replaced_once(world: World) -> None:
    fake = world.serve()
    spending = Spending()
    client = world.client(budget=spending)
    client.states(PARIS)
    fake.expire_tokens()
    assert client.states(PARIS).status == 200
    assert fake.accounts.tokens == 2
    assert fake.accounts.by_status == {"200": 2, "401": 1}
    assert spending.spent == fake.accounts.asked_credits.total() == 3
    assert not world.pauses


def test_a_fresh_token_that_is_refused_is_the_end(world: World) -> None:
    fake = world.serve()
    fake.demand("401", times=5)
    with pytest.raises(PermanentFailure, match="even a fresh token"):
        world.client().states(PARIS)
    assert fake.accounts.requests.total() == 2


def test_a_wrong_secret_is_said_to_be_wrong(world: World) -> None:
    fake = world.serve(client_secret="another")
    with pytest.raises(PermanentFailure, match="SKYOPS_OPENSKY_CLIENT_SECRET"):
        world.client().states(PARIS)
    assert not fake.accounts.requests


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (201, TransientFailure, "usually passes"),
        (204, TransientFailure, "usually passes"),
        (206, TransientFailure, "usually passes"),
        (301, PermanentFailure, "does not say where. Correct SKYOPS_OPENSKY_URL"),
        (302, PermanentFailure, "SKYOPS_OPENSKY_URL"),
        (304, PermanentFailure, "SKYOPS_OPENSKY_URL"),
        (400, PermanentFailure, "one hour in the past"),
        (401, PermanentFailure, "SKYOPS_OPENSKY_CLIENT_ID"),
        (403, PermanentFailure, "has no access"),
        (404, PermanentFailure, "SKYOPS_OPENSKY_URL"),
        (418, PermanentFailure, "will not help"),
        (408, TransientFailure, "usually passes"),
        (429, QuotaExceeded, "asks to wait 60 s"),
        (500, TransientFailure, "usually passes"),
        (504, TransientFailure, "usually passes"),
    ],
)
def test_each_status_has_one_class(status: int, kind: type[SkyOpsError], said: str) -> None:
    failure = of_status(status, {}, asked="a box", is_anonymous=True)
    assert type(failure) is kind
    assert said in str(failure)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, type(None)), (204, TransientFailure), (308, PermanentFailure), (401, PermanentFailure),
     (404, PermanentFailure), (503, TransientFailure), (429, QuotaExceeded)],
)  # fmt: skip
def test_the_token_servers_status_is_classed_too(status: int, kind: type) -> None:
    assert type(of_token_status(status, {}, "https://auth.example/token")) is kind


ASKED = "https://old.example/api/states/all?lamin=48"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://new.example/v2/states/all?lamin=48",
         "it moved to https://new.example/v2/states/all. Set SKYOPS_OPENSKY_URL=https://new.example/v2"),
        ("/v2/states/all", "Set SKYOPS_OPENSKY_URL=https://old.example/v2"),
        ("//[::1]:81/v2/states/all", "Set SKYOPS_OPENSKY_URL=https://[::1]:81/v2"),
        ("https://me:zQsecretQz@new.example/login?token=zQsecretQz#zQsecretQz",
         "it moved to https://new.example/login, which is not an address of the API"),
        (ASKED, "the requested address"),
        ("", "does not say where"),
        ("javascript:alert(1)", "does not say where"),
        ("https://[broken/states/all", "does not say where"),
        ("https://new.example:port/states/all", "does not say where"),
        ("https://new.example/\x1b[2J/states/all", "does not say where"),
        ("https://new.example/" + "x" * 9_999, "does not say where"),
    ],
)  # fmt: skip
def test_a_redirect_says_where_to_and_what_to_do_and_no_secret(location: str, said: str) -> None:
    headers = {"Location": location}
    failure = of_status(301, headers, asked="a box", is_anonymous=True, url=ASKED)
    assert isinstance(failure, PermanentFailure) and failure.is_sent_elsewhere
    assert said in str(failure)
    assert "zQsecretQz" not in str(failure)
    assert len(str(failure)) < 400


def test_a_token_server_that_moved_says_where_to() -> None:
    headers = {"Location": "https://new.example/token"}
    failure = of_token_status(308, headers, "https://auth.example/token")
    assert isinstance(failure, PermanentFailure) and failure.is_sent_elsewhere
    assert "Set SKYOPS_OPENSKY_TOKEN_URL=https://new.example/token" in str(failure)


def test_a_real_redirect_is_not_followed_and_named(world: World) -> None:
    fake = world.serve()
    fake.demand("301")
    with pytest.raises(PermanentFailure, match="Set SKYOPS_OPENSKY_URL=https://moved"):
        world.client().states(PARIS)
    assert fake.accounts.requests.total() == 1


@pytest.mark.parametrize(
    ("word", "heard"),
    [("17", 17), ("0", 0), ("-3", 0), ("", None), ("many", None), ("3.5", None), ("1_000", None),
     ("\u0661", None), ("9" * 30, None), ("nan", None)],
)  # fmt: skip
def test_the_servers_word_is_read_with_care(word: str, heard: int | None) -> None:
    assert _remaining({"X-Rate-Limit-Remaining": word}) == heard
    assert _remaining({}) is None


def test_a_request_ends_in_the_books_unless_the_server_may_be_at_it_still(world: World) -> None:
    fake = world.serve(slow_s=30)
    spending = Spending()
    client = world.client(budget=spending, timeout_s=0.2)
    fake.demand("503")
    fake.demand("reset")
    fake.demand("204")
    client.states(PARIS)
    assert spending.told == [None, None, None, 3_999]
    fake.demand("slow", times=4)
    with pytest.raises(TransientFailure, match="in time") as caught:
        client.states(PARIS)
    assert caught.value.is_too_late
    assert (spending.requests, len(spending.told)) == (8, 4)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"X-Rate-Limit-Retry-After-Seconds": "17"}, 17),
        ({"Retry-After": "5"}, 5),
        ({"X-Rate-Limit-Retry-After-Seconds": "soon", "Retry-After": "5"}, 5),
        ({"X-Rate-Limit-Retry-After-Seconds": "-1"}, UNKNOWN_WAIT_S),
        ({"X-Rate-Limit-Retry-After-Seconds": "nan"}, UNKNOWN_WAIT_S),
        ({"X-Rate-Limit-Retry-After-Seconds": "1e99"}, LONGEST_WAIT_S),
        ({}, UNKNOWN_WAIT_S),
    ],
)
def test_a_wait_is_read_with_care(headers: dict[str, str], wait_s: float) -> None:
    assert retry_after_s(headers) == wait_s


def shown(error: BaseException) -> str:
    """All that a traceback, a log or a debugger's first look says of an error and its causes."""
    parts = [*traceback.format_exception(error)]
    seen: BaseException | None = error
    while seen is not None:
        parts += [repr(seen), str(seen), repr(vars(seen))]
        assert not hasattr(seen, "request"), "httpx's error holds the request and its token"
        seen = seen.__cause__ or seen.__context__
    return "".join(parts)


def test_neither_secret_nor_token_is_shown_anywhere(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "skyops"):
        # Other libraries quieten them, or switch all loggers off.
        caplog.set_level(logging.DEBUG, name)
        logging.getLogger(name).disabled = False
    fake = world.serve(slow_s=30)
    client = world.client(attempts=1, timeout_s=0.5)
    texts = [repr(client), str(client), repr(client.states(PARIS))]
    for fault in FAULTS:
        # A 401 is met with a fresh token; to fail it has to come twice.
        fake.demand(fault, times=2 if fault == "401" else 1)
        try:
            texts.append(repr(client.states(PARIS)))
        except SkyOpsError as error:
            texts.append(shown(error))
            client._blocked_until = 0
    wrong = world.client(attempts=1)
    fake._client_secret = "another"
    with pytest.raises(PermanentFailure) as refused:
        wrong.states(PARIS)
    texts += [shown(refused.value), repr(vars(client))]
    logged = [record.getMessage() + repr(record.args) for record in caplog.records]
    assert any("/states/all" in line for line in logged), "the log was watched"
    everything = "".join([*texts, *logged])
    given = list(fake._tokens)
    assert len(given) == 2
    for hidden in (SECRET, *given):
        assert hidden not in everything


@pytest.mark.parametrize(
    ("url", "token_url", "said"),
    [
        ("http://opensky.example/api", "https://auth.example/t", "SKYOPS_OPENSKY_URL is"),
        ("https://opensky.example/api", "http://auth.example/t", "SKYOPS_OPENSKY_TOKEN_URL is"),
    ],
)
def test_a_secret_is_not_sent_in_the_clear(url: str, token_url: str, said: str) -> None:
    with pytest.raises(SkyOpsError, match=said):
        OpenSkyClient(url, token_url, "me", SecretStr(SECRET))
    OpenSkyClient(url, token_url).close()


@pytest.mark.parametrize(
    ("given", "lacking"), [("ID", "SECRET"), ("SECRET", "ID")]
)  # fmt: skip
def test_half_an_account_is_none(monkeypatch: pytest.MonkeyPatch, given: str, lacking: str) -> None:
    monkeypatch.setenv(f"SKYOPS_OPENSKY_CLIENT_{given}", SECRET)
    with pytest.raises(SkyOpsError, match=f"CLIENT_{lacking} is not") as caught:
        OpenSkyClient.from_settings(load_settings())
    assert SECRET not in str(caught.value)


def test_the_settings_name_the_account(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.serve()
    for name, value in {
        "URL": world.server.url + "/",
        "TOKEN_URL": world.server.token_url,
        "CLIENT_ID": "me",
        "CLIENT_SECRET": SECRET,
    }.items():
        monkeypatch.setenv(f"SKYOPS_OPENSKY_{name}", value)
    settings = load_settings()
    assert SECRET not in repr(settings)
    with OpenSkyClient.from_settings(settings) as client:
        assert client.states(PARIS).rate_limit_remaining == 3_999


@pytest.mark.parametrize("source_shift", [None, 1_900_000_000])
def test_a_recording_starts_again_with_later_times(source_shift: int | None) -> None:
    source = Replay(RECORDING)
    fake = FakeOpenSky(source, speed=0, starts_at=source_shift)
    first = START if source_shift is None else source_shift
    at, now = fake.answer_at(first + 30)
    again, later = fake.answer_at(first + 30 + source.length)
    assert (at, again - at) == (first + 30, source.length)
    assert [row[3] for row in now] == [at, at]
    assert [row[3] - source.length for row in later] == [at, at]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda source: FakeOpenSky(source, faults=["rain"]), "no fault 'rain'"),
        (lambda source: FakeOpenSky(source, speed=-1), "speed of -1"),
        (lambda source: FakeOpenSky(source, fault_rate=2), "share of 2"),
        (lambda _: Snapshots.read(Path("/nonexistent")), "no recorded response"),
        (lambda _: Replay(recording(state(icao24="bad"))), "no positions to replay"),
    ],
)
def test_a_stand_in_that_makes_no_sense_is_refused(
    make: Callable[[Replay], object], said: str
) -> None:
    with pytest.raises(SkyOpsError, match=said):
        make(Replay(RECORDING))


def test_two_stand_ins_do_not_share_a_port(world: World) -> None:
    world.serve()
    port = int(world.server.base.rsplit(":", 1)[1])
    with pytest.raises(SkyOpsError, match=f"Port {port}"), running(world.server.fake, port):
        pass


def test_random_faults_are_the_same_for_a_seed_and_lose_no_position(world: World) -> None:
    played = []
    faults = [name for name in FAULTS if name not in ("slow", "401", "429")]
    for _ in range(2):
        fake = world.serve(faults=faults, fault_rate=0.5, seed=7)
        spending = Spending(10_000)
        client = world.client(budget=spending, attempts=20)
        expected = set()
        for _ in range(6):
            for _ in range(20):
                client.states()
            expected |= {(row[0], row[3]) for row in fake.answer_at(fake.now)[1]}
            fake.advance(10)
        assert fake.accounts.delivered == expected
        assert spending.spent == fake.accounts.asked_credits.total()
        assert spending.spent > fake.accounts.charged_credits.total() > 0
        played.append(fake.accounts.by_fault)
    assert played[0] == played[1]
    assert set(played[0]) == set(faults)


def test_the_accounts_and_faults_are_reached_over_http(world: World) -> None:
    import httpx

    fake = world.serve()
    asked = httpx.post(f"{world.server.base}/fake/faults", params={"name": "html", "times": 1})
    assert asked.status_code == 204
    assert httpx.post(f"{world.server.base}/fake/faults?name=rain").status_code == 400
    assert b"<!doctype" in world.client().states(PARIS).body
    accounts = httpx.get(f"{world.server.base}/fake/accounts").json()
    assert accounts["by_fault"] == {"html": 1}
    assert accounts["charged_credits"] == dict(fake.accounts.charged_credits)
    assert httpx.get(f"{world.server.url}/states/all", params={"lamin": "x"}).status_code == 400


@pytest.mark.mirror
def test_the_three_real_answers_are_given_in_turn(world: World, mirror: Path) -> None:
    source = Snapshots.read(mirror / "opensky_rest")
    fake = FakeOpenSky(source, speed=0)
    counts = []
    with running(fake) as server, OpenSkyClient(server.url, server.token_url) as client:
        for step in (0, 96, 213):
            fake.advance(step)
            counts.append(len(rows(client.states())))
    assert counts == [10_722, 10_710, 10_672]
    assert sum(counts) == 32_104
