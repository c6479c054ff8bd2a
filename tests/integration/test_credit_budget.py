"""The credit budget on a real Postgres: shared by processes, never overspent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import SecretStr

from skyops_assets.settings import Settings
from skyops_assets.simulate.fake_opensky import FakeOpenSky, running
from skyops_assets.simulate.fake_states import Replay
from skyops_assets.sources.opensky.live.boxes import BoundingBox
from skyops_assets.sources.opensky.live.client import OpenSkyClient
from skyops_assets.sources.opensky.live.credits import (
    CreditBudget,
    CreditState,
    account_name,
    block,
    booked,
    read_credits,
    reserve,
    settle,
)
from skyops_assets.sources.opensky.live.failures import QuotaExceeded, TransientFailure
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.states import recording, seconds

PROCESS = """
import sys
from sqlalchemy.engine import make_url
from skyops_assets.sources.opensky.live.credits import reserve
from skyops_assets.sources.opensky.live.failures import QuotaExceeded
from skyops_assets.warehouse.connection import Warehouse
warehouse = Warehouse(make_url(sys.argv[1]), True)
spent = 0
while True:
    try:
        reserve(warehouse, "shared", 3, 100)
    except QuotaExceeded:
        break
    spent += 3
print(spent)
"""


@pytest.fixture
def account(shared_warehouse: Warehouse, query: Query) -> Iterator[str]:
    yield "one"
    query(shared_warehouse, "delete from raw.opensky_credits")
    query(shared_warehouse, "delete from raw.opensky_requests")


def test_credits_are_spent_until_they_are_not_there(
    shared_warehouse: Warehouse, account: str
) -> None:
    assert reserve(shared_warehouse, account, 4, 10).remaining == 6
    assert reserve(shared_warehouse, account, 4, 10).remaining == 2
    with pytest.raises(QuotaExceeded, match="4 credits are needed and 2 of 10 are left") as caught:
        reserve(shared_warehouse, account, 4, 10)
    assert 0 < caught.value.retry_after_s <= 86_400
    assert reserve(shared_warehouse, account, 2, 10).remaining == 0
    assert read_credits(shared_warehouse, account, 10).remaining == 0
    assert read_credits(shared_warehouse, "another", 10).remaining == 10


def test_the_first_request_of_a_day_cannot_overspend_either(
    shared_warehouse: Warehouse, account: str
) -> None:
    with pytest.raises(QuotaExceeded):
        reserve(shared_warehouse, account, 4, 3)
    assert read_credits(shared_warehouse, account, 3).spent == 0


def test_a_new_day_has_new_credits(shared_warehouse: Warehouse, account: str, query: Query) -> None:
    reserve(shared_warehouse, account, 10, 10)
    query(shared_warehouse, "update raw.opensky_credits set utc_day = utc_day - 1")
    assert reserve(shared_warehouse, account, 1, 10).remaining == 9


class Books:
    """An account's books with a limit of 100, for requests of one credit."""

    def __init__(self, warehouse: Warehouse, account: str, limit: int = 100) -> None:
        self.warehouse, self.account, self.limit = warehouse, account, limit

    def send(self, longest_s: float = 90) -> int:
        return reserve(self.warehouse, self.account, 1, self.limit, longest_s).request_id

    def end(self, request: int, remaining: int | None = None) -> None:
        settle(self.warehouse, self.account, request, remaining, self.limit)

    @property
    def spent(self) -> int:
        return read_credits(self.warehouse, self.account, self.limit).spent


@pytest.fixture
def books(shared_warehouse: Warehouse, account: str) -> Books:
    return Books(shared_warehouse, account)


def test_after_an_outage_the_servers_word_gives_back_what_was_not_charged(books: Books) -> None:
    for _ in range(32):
        books.end(books.send())
    assert books.spent == 32
    books.end(books.send(), 99)
    assert books.spent == 1
    # And takes what somebody else has spent of the account.
    books.end(books.send(), 70)
    assert books.spent == 30
    books.end(books.send(), 0)
    assert books.spent == 100


def test_while_another_request_is_under_way_the_word_only_tightens(books: Books) -> None:
    for _ in range(9):
        books.end(books.send())
    first, second = books.send(), books.send()
    assert books.spent == 11
    # The first one's word may lack the second, and the other way round.
    books.end(first, 99)
    assert books.spent == 11
    books.end(second, 98)
    assert books.spent == 11
    third = books.send()
    books.end(third, 60)
    assert books.spent == 40


def test_a_request_that_was_sent_and_ended_meanwhile_counts_as_well(books: Books) -> None:
    """The slow one's word is from before the quick one was charged."""
    books.end(books.send())
    slow = books.send()
    quick = books.send()
    books.end(quick, 97)
    assert books.spent == 3
    books.end(slow, 99)
    assert books.spent == 3
    early = books.send()
    late = books.send()
    books.end(early)
    # It was not alone when it was sent: the early one may have been charged after it.
    books.end(late, 99)
    assert books.spent == 5
    books.end(books.send(), 97)
    assert books.spent == 3


def test_what_a_killed_process_had_under_way_is_over_after_a_while(
    books: Books, shared_warehouse: Warehouse, query: Query
) -> None:
    lost = books.send()
    for _ in range(3):
        books.end(books.send(), 99)
    assert books.spent == 4
    query(shared_warehouse, "update raw.opensky_requests set ends_by = now()")
    books.end(books.send(), 98)
    assert books.spent == 2
    # It comes back to life: nobody listens, and it holds nobody up.
    books.end(lost, 0)
    books.end(books.send(), 97)
    assert books.spent == 3
    assert query(shared_warehouse, "select count(*) from raw.opensky_requests") == [(1,)]


def test_a_part_of_the_account_that_was_set_aside_is_not_exceeded(
    shared_warehouse: Warehouse, account: str
) -> None:
    """SKYOPS_OPENSKY_DAILY_CREDITS=10 of an account of 4,000: no word of 3,990 gives back ten."""
    books = Books(shared_warehouse, account, 10)
    for left in (3_999, 3_998, 3_997):
        books.end(books.send(), left)
    assert books.spent == 3
    for _ in range(4):
        books.end(books.send())
    books.end(books.send(), 3_996)
    assert books.spent == 4
    for left in range(3_995, 3_989, -1):
        books.end(books.send(), left)
    with pytest.raises(QuotaExceeded):
        books.send()


def test_a_word_of_yesterday_is_put_right_by_the_next(books: Books) -> None:
    """The server's midnight is a minute after ours."""
    books.end(books.send(), 5)
    assert books.spent == 95
    books.end(books.send(), 99)
    assert books.spent == 1


def test_a_word_that_stands_still_gives_nothing_back(books: Books) -> None:
    """A proxy repeats an old response: each request stays booked until the word moves."""
    books.end(books.send(), 90)
    assert books.spent == 10
    for _ in range(20):
        books.end(books.send(), 90)
    assert books.spent == 30
    books.end(books.send(), 69)
    assert books.spent == 31


@pytest.mark.parametrize(
    ("spent", "limit", "remaining", "heard", "then"),
    [
        (33, 400, 399, None, 1),
        (33, 400, 400, None, 0),
        (33, 400, 3_999, None, 33),
        (33, 400, 3_995, (1, 3_999), 5),
        (33, 400, 0, None, 400),
        # A limit that is set too high: the account has 400.
        (5, 4_000, 395, None, 3_605),
        (3_606, 4_000, 394, (3_605, 395), 3_606),
        (50, 400, 398, (399, 1), 2),
    ],
)
def test_the_books_after_a_word(
    spent: int, limit: int, remaining: int, heard: tuple[int, int] | None, then: int
) -> None:
    assert booked(spent, limit, remaining, heard, is_exact=True) == then
    # With others under way it only tightens.
    assert booked(spent, limit, remaining, heard, is_exact=False) == max(spent, limit - remaining)


def test_yesterdays_word_does_not_touch_todays_credits(
    books: Books, shared_warehouse: Warehouse, query: Query
) -> None:
    before = books.send()
    query(shared_warehouse, "update raw.opensky_credits set utc_day = utc_day - 1")
    query(shared_warehouse, "update raw.opensky_requests set sent_at = sent_at - interval '1 day'")
    # The server may charge it to the new day, and after this one.
    first = books.send()
    books.end(first, 100)
    assert books.spent == 1
    books.end(before, 0)
    assert books.spent == 1
    books.end(books.send(), 98)
    assert books.spent == 2


def test_a_wait_holds_for_every_process_and_over_midnight(
    shared_warehouse: Warehouse, account: str, query: Query
) -> None:
    block(shared_warehouse, account, 600)
    block(shared_warehouse, account, 5)
    for day in (0, 1):
        query(shared_warehouse, "update raw.opensky_credits set utc_day = utc_day - %s", day)
        with pytest.raises(QuotaExceeded, match="asked one to wait") as caught:
            reserve(shared_warehouse, account, 1, 10)
        assert 500 < caught.value.retry_after_s <= 600
    state = read_credits(shared_warehouse, account, 10)
    assert (state.spent, state.remaining) == (0, 10)
    assert state.interval_s(10, 5) >= 500
    query(shared_warehouse, "update raw.opensky_credits set blocked_until = now()")
    assert reserve(shared_warehouse, account, 1, 10).remaining == 9


def test_many_processes_at_once_spend_no_more_than_there_is(
    shared_warehouse: Warehouse, account: str
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, shared_warehouse.libpq()], stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    spent = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(spent) == 99 == read_credits(shared_warehouse, "shared", 100).spent


def test_many_threads_on_a_new_day_spend_no_more_than_there_is(
    shared_warehouse: Warehouse, account: str
) -> None:
    def one(_: int) -> int:
        try:
            reserve(shared_warehouse, account, 2, 15)
        except QuotaExceeded:
            return 0
        return 2

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(40))) == 14


steps = some.lists(
    some.tuples(some.integers(0, 3), some.sampled_from(["at once", "at the end", "never"])),
    max_size=40,
)


@settings(max_examples=40)
@given(some.integers(1, 30), steps)
def test_whatever_overlaps_no_more_is_charged_than_is_booked(
    shared_warehouse: Warehouse, limit: int, steps: list[tuple[int, str]]
) -> None:
    """Requests of four askers begin, are charged or not, and end, in any order."""
    with shared_warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("delete from raw.opensky_credits; delete from raw.opensky_requests")
    books, left = Books(shared_warehouse, "any", limit), limit
    under_way: dict[int, tuple[int, int | None, str]] = {}
    for asker, charged in steps:
        if asker in under_way:
            request, word, when = under_way.pop(asker)
            if when == "at the end":
                left -= 1
                word = left
            books.end(request, word)
        elif books.spent < limit:
            request, word = books.send(), None
            if charged == "at once":
                left -= 1
                word = left
            under_way[asker] = (request, word, charged)
        assert limit - left <= books.spent <= limit


def test_the_settings_name_the_budget_and_its_account_by_a_hash(
    shared_warehouse: Warehouse, account: str
) -> None:
    budget = CreditBudget.from_settings(
        Settings(
            opensky_client_id="someone", opensky_client_secret=SecretStr("s"),
            opensky_daily_credits=8_000,
        ),
        shared_warehouse,
    )  # fmt: skip
    assert budget.reserve(4).remaining == 7_996
    state = budget.read()
    assert isinstance(state, CreditState)
    assert state.account.startswith("client:") and "someone" not in state.account
    assert state.interval_s(4, 5) >= 5
    assert CreditBudget.from_settings(Settings(), shared_warehouse).limit == 400


def test_what_clients_spend_is_what_the_server_was_asked_for(
    shared_warehouse: Warehouse, account: str
) -> None:
    """Two clients of one account, faults on, until the day's credits are gone."""
    faults = ("500", "reset", "html", "truncated", "nan")
    fake = FakeOpenSky(
        Replay(recording(*seconds(30))), faults=faults, fault_rate=0.4, daily_credits=60
    )
    budget = CreditBudget(shared_warehouse, account_name("me"), 60)

    def ask_on(url: str, token_url: str) -> int:
        responses = 0
        secret = SecretStr("anything")
        with OpenSkyClient(url, token_url, "me", secret, budget=budget, sleep=_at_once) as client:
            while True:
                try:
                    client.states(BoundingBox(48, 1, 50, 4))
                except TransientFailure:
                    continue
                except QuotaExceeded:
                    return responses
                responses += 1

    with running(fake) as server, ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(ask_on, server.url, server.token_url) for _ in range(2)]
        responses = sum(one.result(timeout=60) for one in clients)
    # Some of what was not charged was given back, and no more than that: the server never refused.
    asked, charged = fake.accounts.asked_credits.total(), fake.accounts.charged_credits.total()
    assert charged <= budget.read().spent == 60 <= asked
    assert fake.accounts.by_status["200"] == responses == charged
    assert 0 < responses <= 60
    assert "429" not in fake.accounts.by_status


def test_an_outage_costs_nothing_once_it_is_over(shared_warehouse: Warehouse, account: str) -> None:
    """503 for eight rounds of four attempts, with an account of 4,000: 32 credits were booked."""
    fake = FakeOpenSky(Replay(recording(*seconds(30))))
    fake.demand("503", times=32)
    budget = CreditBudget(shared_warehouse, account_name("me"), 4_000)
    box = BoundingBox(48, 1, 50, 4)
    with (
        running(fake) as server,
        OpenSkyClient(server.url, server.token_url, "me", SecretStr("any"), budget=budget,
                      sleep=_at_once) as client,
    ):  # fmt: skip
        for _ in range(8):
            with pytest.raises(TransientFailure):
                client.states(box)
        assert budget.read().spent == 32
        response = client.states(box)
        assert response.rate_limit_remaining == 3_999 == budget.read().remaining


def _at_once(_: float) -> None:
    """No pause."""
