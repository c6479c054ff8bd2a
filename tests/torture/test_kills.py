"""Kill -9 at random while positions come in: nothing is lost, nothing is stored twice.

`make test` runs it with a few kills, `make torture` with 200 each (`--long`).
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGTERM
from time import monotonic, sleep

import pytest

from skyops_assets.quality.reconciliation import accounts, stored_twice
from skyops_assets.simulate.fake_opensky import FakeOpenSky, Running, running
from skyops_assets.simulate.fake_states import Replay
from skyops_assets.sources.opensky.schema import STATE_VECTOR
from tests.support.databases import short_dir, stop_server
from tests.support.states import recording, seconds
from tests.torture.recordings import AIRCRAFT, Truth, write_all
from tests.torture.victims import PATIENCE_S, Arena, Command, Killer

pytestmark = [pytest.mark.xdist_group("torture"), pytest.mark.timeout(3600)]

LIVES = 10
"""Kills that one warehouse survives before the load may end and a new one begins."""
COLUMNS = ", ".join([*STATE_VECTOR.names, "source"])


@pytest.fixture(scope="module")
def arena(manifest: Path) -> Iterator[Arena]:
    home = short_dir()
    try:
        found = Arena(home)
        try:
            yield found
        finally:
            found.close()
    finally:
        stop_server(home / "postgres")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def say(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Callable[[str], None]:
    """Prints past pytest, where somebody watches."""

    def print_it(text: str) -> None:
        with capsys.disabled():
            print(f"\n{request.node.name}: {text}")

    return print_it


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    return 200 if request.config.getoption("--long") else 6


def content(arena: Arena) -> tuple[Counter[str], Counter[str]]:
    """Every stored and every rejected row as text, but for the number of its batch."""
    stored = arena.query(f"select row({COLUMNS})::text from raw.opensky_states")
    rejected = arena.query(
        "select row(target, source, payload, reason)::text from raw.rejected_states"
    )
    return Counter(row[0] for row in stored), Counter(row[0] for row in rejected)


def keys(arena: Arena) -> dict[tuple[str, str, int], float | None]:
    """The last contact of each stored key."""
    rows = arena.query(
        "select source, icao24, extract(epoch from time_position)::bigint, "
        "extract(epoch from last_contact)::float8 from raw.opensky_states"
    )
    return {row[:3]: row[3] for row in rows}


def assert_balanced(arena: Arena) -> None:
    unbalanced = (
        "select count(*) from raw.ingest_batches "
        "where read_rows <> loaded_rows + duplicate_rows + rejected_rows"
    )
    assert arena.query(unbalanced) == [(0,)]
    found = accounts(arena.warehouse)
    assert found.is_balanced, found
    first, last = arena.query(
        "select min(time_position), max(time_position) from raw.opensky_states"
    )[0]
    assert stored_twice(arena.warehouse, first, last) == 0


def assert_clear(said: str) -> None:
    """The command says in one sentence what is wrong and what to do."""
    assert "Error: " in said, said
    assert "Unexpected" not in said, said
    assert "Traceback" not in said, said


def assert_same(
    found: tuple[Counter[str], Counter[str]], expected: tuple[Counter[str], Counter[str]]
) -> None:
    for name, here, there in zip(("stored", "rejected"), found, expected, strict=True):
        lost, more = there - here, here - there
        assert not lost and not more, (
            f"{name}: {lost.total()} rows lost, {more.total()} too many or different, such as "
            f"{list(lost)[:3]} and {list(more)[:3]}"
        )


def test_a_load_that_is_killed_and_started_again_ends_as_one_that_was_not(
    arena: Arena, kills: int, say: Callable[[str], None], tmp_path: Path
) -> None:
    truth = write_all(tmp_path / "in", 300 if kills >= 100 else 80)
    load = ("load", str(tmp_path / "in"))

    arena.renew()
    durations = []
    for _ in range(2):
        began = monotonic()
        whole = arena.nursery.start(*load)
        assert whole.end() == 0, whole.said
        durations.append(monotonic() - began)
        if len(durations) == 1:
            expected = content(arena)
            assert_true(arena, truth, expected)
    assert_same(content(arena), expected)  # The same input twice changes no row.
    assert_balanced(arena)
    say(
        f"{expected[0].total()} rows; uninterrupted {durations[0]:.1f} s, "
        f"again {durations[1]:.1f} s"
    )

    killer = Killer(arena, seed=kills)
    while killer.kills < kills:
        arena.renew()
        for _ in range(LIVES):
            load_once(arena, killer, load, durations[1])
            if killer.kills >= kills:
                break
        last = arena.nursery.start(*load)
        assert last.end() == 0, last.said
        assert_same(content(arena), expected)
        assert arena.told() == truth.partitions
        assert_balanced(arena)
    say(killer.summary())
    # Kills that hit nobody at work would prove nothing.
    if kills >= 100:
        assert killer.at_work > kills / 2


def assert_true(arena: Arena, truth: Truth, expected: tuple[Counter[str], Counter[str]]) -> None:
    """What the uninterrupted load stored is what was written into the files."""
    assert keys(arena) == truth.stored
    assert expected[0].total() == len(truth.stored)
    assert expected[1].total() == truth.rejected
    assert arena.told() == truth.partitions


def load_once(arena: Arena, killer: Killer, load: tuple[str, str], longest_s: float) -> None:
    """Start a load, and kill at a random moment what it needs."""
    running = arena.nursery.start(*load)
    if running.ends_within(killer.random.uniform(0, longest_s)):
        assert running.code == 0, running.said
        return
    way = killer.strike(running)
    if way == "process":
        return
    if running.end() != 0:
        assert way is not None, running.said
        assert_clear(running.said)


PLENTY = 10_000_000
"""Credits that never slow a collector down."""
SPEED = 20
"""Recorded seconds in one second, so that each response is new."""


class Answers(set[tuple[str, int]]):
    """What the fake server delivered, also response by response."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[set[tuple[str, int]]] = []

    def __ior__(self, more: set[tuple[str, int]]) -> Answers:  # type: ignore[override]
        self.each.append(set(more))
        self.update(more)
        return self


def test_of_collectors_that_are_killed_each_loses_at_most_the_answer_on_its_way(
    arena: Arena, kills: int, say: Callable[[str], None]
) -> None:
    rows = [row for icao24 in AIRCRAFT[:20] for row in seconds(600, icao24=icao24)]
    fake = FakeOpenSky(
        Replay(recording(*rows), resolution_s=1),
        speed=SPEED,
        # Those that come with status 200; the others make the client wait.
        faults=("html", "truncated", "nan", "duplicates", "swapped"),
        daily_credits=PLENTY,
    )
    responses = fake.accounts.delivered = Answers()
    arena.renew()
    killer = Killer(arena, seed=kills)
    with running(fake) as server:
        both = [start_collector(arena, server) for _ in range(2)]
        while killer.kills < kills:
            # Mostly somewhere within the work, at times at the start of it.
            if killer.random.random() < 0.8:
                wait_for(responses, 1, both, lambda: start_collector(arena, server))
            sleep(killer.random.uniform(0, 0.3))
            victim = killer.random.randrange(2)
            if killer.strike(both[victim]) == "process":
                both[victim] = start_collector(arena, server)
        wait_for(responses, 3, both, lambda: start_collector(arena, server))
        for one in both:
            # One that still starts would die of the signal.
            wait_until_it_began(one)
            one.signal(SIGTERM)
        for one in both:
            assert one.end() == 0, one.said
    deaths = sum(number for (way, _), number in killer.deaths.items() if way == "process")
    say(killer.summary())
    assert_collected(arena, responses, deaths, say)
    (spent,) = arena.query("select max(spent) from raw.opensky_credits")[0]
    charged = fake.accounts.charged_credits.total()
    assert charged <= spent <= charged + kills
    if kills >= 100:
        assert killer.at_work > kills / 2


def start_collector(arena: Arena, server: Running) -> Command:
    return arena.nursery.start(
        "collect",
        SKYOPS_OPENSKY_URL=server.url,
        SKYOPS_OPENSKY_TOKEN_URL=server.token_url,
        SKYOPS_OPENSKY_CLIENT_ID="me",
        SKYOPS_OPENSKY_CLIENT_SECRET="anything",
        SKYOPS_OPENSKY_DAILY_CREDITS=str(PLENTY),
        SKYOPS_COLLECT_INTERVAL_S=str(1 / SPEED),
        SKYOPS_WATCH_AIRPORTS="LFPG",
    )


def wait_for(
    responses: Answers, more: int, collectors: list[Command], start: Callable[[], Command]
) -> None:
    """Until so many responses more are delivered, and both collectors run.

    One whose warehouse was killed before it began ends with an error, and is started again.
    """
    wanted, until = len(responses.each) + more, monotonic() + PATIENCE_S
    while len(responses.each) < wanted or not all(one.is_alive for one in collectors):
        for number, one in enumerate(collectors):
            if not one.is_alive:
                assert "Collecting around" not in one.said, one.said
                assert_clear(one.said)
                collectors[number] = start()
        assert monotonic() < until, "\n".join(one.said for one in collectors)
        sleep(0.005)


def wait_until_it_began(one: Command) -> None:
    until = monotonic() + PATIENCE_S
    while "Collecting around" not in one.said:
        assert monotonic() < until, one.said
        sleep(0.005)


def assert_collected(
    arena: Arena, responses: Answers, deaths: int, say: Callable[[str], None]
) -> None:
    """All that was delivered is stored once, but for one response a killed process."""
    assert_balanced(arena)
    found = {(icao24, at) for _, icao24, at in keys(arena)}
    assert found <= responses
    lost = [one for one in responses.each if not one <= found]
    say(
        f"{len(responses.each)} responses, {len(responses)} positions; "
        f"{len(lost)} responses lost with {deaths} killed processes"
    )
    assert len(lost) <= deaths
    hours = {at // 3600 * 3600 for _, at in found}
    assert arena.told() <= {f"{datetime.fromtimestamp(hour, UTC):%Y-%m-%d-%H:%M}" for hour in hours}
