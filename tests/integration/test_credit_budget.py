"""The credit budget on a real Postgres: shared by processes, never overspent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import SecretStr
from states import recording, seconds

from skyops_assets.opensky.client import OpenSkyClient
from skyops_assets.opensky.credits import (
    BoundingBox,
    CreditBudget,
    CreditState,
    account_name,
    block,
    correct,
    read_credits,
    reserve,
)
from skyops_assets.opensky.failures import QuotaExceeded, TransientFailure
from skyops_assets.opensky.fake import FakeOpenSky, Replay, running
from skyops_assets.settings import Settings
from skyops_assets.warehouse.server import Warehouse

Query = Callable[..., list[tuple[Any, ...]]]
PROCESS = """
import sys
from sqlalchemy.engine import make_url
from skyops_assets.opensky.credits import reserve
from skyops_assets.opensky.failures import QuotaExceeded
from skyops_assets.warehouse.server import Warehouse
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


def test_credits_are_spent_until_they_are_not_there(
    shared_warehouse: Warehouse, account: str
) -> None:
    assert reserve(shared_warehouse, account, 4, 10) == 6
    assert reserve(shared_warehouse, account, 4, 10) == 2
    with pytest.raises(QuotaExceeded, match="4 credits are needed and 2 of 10 are left") as caught:
        reserve(shared_warehouse, account, 4, 10)
    assert 0 < caught.value.retry_after_s <= 86_400
    assert reserve(shared_warehouse, account, 2, 10) == 0
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
    assert reserve(shared_warehouse, account, 1, 10) == 9


def test_the_servers_word_counts_only_downward(shared_warehouse: Warehouse, account: str) -> None:
    def spent() -> int:
        return read_credits(shared_warehouse, account, 100).spent

    correct(shared_warehouse, account, 100, 100)
    assert spent() == 0
    correct(shared_warehouse, account, 70, 100)
    assert spent() == 30
    correct(shared_warehouse, account, 90, 100)
    assert spent() == 30
    correct(shared_warehouse, account, 5_000, 100)
    assert spent() == 30
    correct(shared_warehouse, account, 0, 100)
    assert spent() == 100


def test_yesterdays_word_does_not_take_todays_credits(
    shared_warehouse: Warehouse, account: str
) -> None:
    correct(shared_warehouse, account, 0, 100, age_s=86_400)
    assert reserve(shared_warehouse, account, 4, 100) == 96
    correct(shared_warehouse, account, 0, 100, age_s=86_400)
    assert read_credits(shared_warehouse, account, 100).spent == 4


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
    assert reserve(shared_warehouse, account, 1, 10) == 9


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


actions = some.lists(
    some.one_of(
        some.tuples(some.just("reserve"), some.integers(1, 9)),
        some.tuples(some.just("correct"), some.integers(0, 60)),
    ),
    max_size=12,
)


@settings(max_examples=25)
@given(some.integers(0, 50), actions)
def test_whatever_happens_no_more_is_spent_than_there_is(
    shared_warehouse: Warehouse, limit: int, actions: list[tuple[str, int]]
) -> None:
    with shared_warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("delete from raw.opensky_credits")
    spent = granted = 0
    for kind, value in actions:
        if kind == "correct":
            correct(shared_warehouse, "any", value, limit)
            spent = max(spent, limit - value)
        elif spent + value <= limit:
            assert reserve(shared_warehouse, "any", value, limit) == limit - spent - value
            spent, granted = spent + value, granted + value
        else:
            with pytest.raises(QuotaExceeded):
                reserve(shared_warehouse, "any", value, limit)
        assert read_credits(shared_warehouse, "any", limit).spent == spent <= max(limit, 0)
    assert granted <= limit


def test_the_settings_name_the_budget_and_its_account_by_a_hash(
    shared_warehouse: Warehouse, account: str
) -> None:
    budget = CreditBudget.from_settings(
        Settings(opensky_client_id="someone", opensky_daily_credits=8_000), shared_warehouse
    )
    assert budget.reserve(4) == 7_996
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
        answers = 0
        secret = SecretStr("anything")
        with OpenSkyClient(url, token_url, "me", secret, budget=budget, sleep=_at_once) as client:
            while True:
                try:
                    client.states(BoundingBox(48, 1, 50, 4))
                except TransientFailure:
                    continue
                except QuotaExceeded:
                    return answers
                answers += 1

    with running(fake) as server, ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(ask_on, server.url, server.token_url) for _ in range(2)]
        answers = sum(one.result(timeout=60) for one in clients)
    asked = fake.accounts.asked_credits
    assert asked.total() == budget.read().spent == 60
    assert fake.accounts.by_status["200"] == answers == fake.accounts.charged_credits.total()
    assert 0 < answers < 60
    assert "429" not in fake.accounts.by_status


def _at_once(_: float) -> None:
    """No pause."""
