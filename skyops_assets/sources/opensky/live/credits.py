"""OpenSky's credits: what a response costs, how often to ask, and what is left of the day.

Belongs here: boxes and their cost, the polling interval (all pure), and the budget in
``raw.opensky_credits`` that every process spends from. Does not: asking (`client`).
Costs and budgets: https://openskynetwork.github.io/opensky-api/rest.html#api-credit-usage.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.opensky.live.failures import QuotaExceeded

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from skyops_assets.settings import Settings
    from skyops_assets.warehouse.connection import Warehouse


ANONYMOUS = "anonymous"
ANONYMOUS_CREDITS = 400
STANDARD_CREDITS = 4_000
FEEDER_CREDITS = 8_000
"""Credits a UTC day. A feeder, who sends data to OpenSky, sets SKYOPS_OPENSKY_DAILY_CREDITS."""

ANONYMOUS_FLOOR_S = 10.0
STANDARD_FLOOR_S = 5.0
"""OpenSky's time resolution: asking more often brings the same response again."""


def daily_credits(*, is_anonymous: bool, override: int | None = None) -> int:
    """Credits of a UTC day: the setting if there is one, else what OpenSky gives the account."""
    if override is not None:
        return override
    return ANONYMOUS_CREDITS if is_anonymous else STANDARD_CREDITS


def floor_s(*, is_anonymous: bool) -> float:
    """Seconds between two rounds below which OpenSky has nothing new."""
    return ANONYMOUS_FLOOR_S if is_anonymous else STANDARD_FLOOR_S


def polling_interval_s(
    remaining: int, seconds_left: float, cost_per_round: int, floor: float
) -> float:
    """Seconds until the next round, so that the credits last until the day ends (UTC).

    Args:
        remaining: credits left today.
        seconds_left: seconds left of the UTC day.
        cost_per_round: credits of one response for every box.
        floor: the shortest interval, seconds.

    Returns:
        ``seconds_left`` shared out over the rounds that can be paid, at least the floor; with
        less than one round left, what is left of the day.

    Raises:
        SkyOpsError: the cost or the floor is not above 0.
    """
    if cost_per_round <= 0 or floor <= 0:
        raise SkyOpsError(
            f"No interval for {cost_per_round} credits a round and a floor of {floor} s: "
            "both must be above 0."
        )
    rounds = remaining // cost_per_round
    if rounds <= 0:
        return max(seconds_left, floor)
    return max(floor, seconds_left / rounds)


def seconds_left_of_day(at: datetime) -> float:
    """Seconds from a moment (with a time zone) to the next UTC midnight."""
    if at.tzinfo is None:
        raise SkyOpsError(f"{at} has no time zone, so its UTC day is unknown.")
    offset = at.utcoffset() or timedelta(0)
    in_utc = at.replace(tzinfo=None) - offset
    midnight = datetime.combine(in_utc.date() + timedelta(days=1), datetime.min.time())
    return (midnight - in_utc).total_seconds()


def account_name(client_id: str | None) -> str:
    """The account as it is stored and shown: ``anonymous``, or a hash of the client's id."""
    if client_id is None:
        return ANONYMOUS
    return "client:" + hashlib.sha256(client_id.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CreditState:
    """An account's credits at a moment.

    Attributes:
        limit: credits of a whole day.
        spent: credits spent today.
        seconds_left: seconds until the UTC day ends.
        blocked_s: seconds that OpenSky asks to wait, 0 if it does not.
    """

    utc_day: date
    account: str
    limit: int
    spent: int
    seconds_left: float
    blocked_s: float

    @property
    def remaining(self) -> int:
        """Credits left today."""
        return max(self.limit - self.spent, 0)

    def interval_s(self, cost_per_round: int, floor: float) -> float:
        """Seconds until the next round: see `polling_interval_s`; at least what OpenSky asks."""
        own = polling_interval_s(self.remaining, self.seconds_left, cost_per_round, floor)
        return max(own, self.blocked_s)


LONGEST_REQUEST_S = 90.0
"""A request that nobody ended, as its process died or its response came too late, counts as under
way for so long: three times the usual timeout."""


class Reservation(NamedTuple):
    """Credits that a request has taken from the books before it is sent.

    Attributes:
        request_id: by which `settle` knows it.
        remaining: credits left today.
    """

    request_id: int
    remaining: int


@dataclass(frozen=True)
class CreditBudget:
    """An account's credits in the warehouse, for a client to spend from.

    Attributes:
        limit: credits of a whole day.
        longest_s: seconds for which a request that nobody ended counts as under way.
    """

    warehouse: Warehouse
    account: str
    limit: int
    longest_s: float = LONGEST_REQUEST_S

    @classmethod
    def from_settings(cls, settings: Settings, warehouse: Warehouse) -> CreditBudget:
        """The budget of the account that the settings name."""
        return cls(
            warehouse,
            account_name(settings.opensky_client_id),
            daily_credits(
                is_anonymous=settings.opensky_client_id is None,
                override=settings.opensky_daily_credits,
            ),
            3 * settings.opensky_timeout_s,
        )

    def reserve(self, cost: int) -> Reservation:
        """See `reserve`."""
        return reserve(self.warehouse, self.account, cost, self.limit, self.longest_s)

    def settle(self, reservation: Reservation, remaining: int | None) -> None:
        """See `settle`."""
        settle(self.warehouse, self.account, reservation.request_id, remaining, self.limit)

    def block(self, seconds: float) -> None:
        """See `block`."""
        block(self.warehouse, self.account, seconds)

    def read(self) -> CreditState:
        """See `read_credits`."""
        return read_credits(self.warehouse, self.account, self.limit)


_TODAY = "(now() at time zone 'UTC')::date"


def reserve(
    warehouse: Warehouse,
    account: str,
    cost: int,
    limit: int,
    longest_s: float = LONGEST_REQUEST_S,
) -> Reservation:
    """Spend credits before asking; they count as spent until the server's word says otherwise.

    One statement decides and writes, on the server's clock, so that any number of processes
    never spend more than the limit.

    Args:
        longest_s: seconds for which the request counts as under way if nobody settles it.

    Raises:
        QuotaExceeded: they are not there, or OpenSky asked to wait; nothing was spent.
        SkyOpsError: the cost is not above 0.
    """
    if cost <= 0:
        raise SkyOpsError(f"{cost} credits cannot be reserved: the cost must be above 0.")
    with warehouse.connect() as connection, connection.cursor() as cursor:
        _lock(cursor, account)
        cursor.execute(
            f"""
            insert into raw.opensky_credits as credits (utc_day, account, spent, daily_credits)
            select {_TODAY}, %(account)s, %(cost)s, %(limit)s
            where %(cost)s <= %(limit)s and not exists (
                select from raw.opensky_credits
                where account = %(account)s and blocked_until > now()
            )
            on conflict (utc_day, account) do update
            set
                spent = credits.spent + excluded.spent,
                daily_credits = excluded.daily_credits,
                updated_at = now()
            where credits.spent + excluded.spent <= %(limit)s
                and coalesce(credits.blocked_until <= now(), true)
            returning spent
            """,  # noqa: S608
            {"account": account, "cost": cost, "limit": limit},
        )
        row = cursor.fetchone()
        if row is not None:
            return Reservation(_begin(cursor, account, longest_s), limit - int(row[0]))
    state = read_credits(warehouse, account, limit)
    if state.blocked_s > 0:
        raise QuotaExceeded(
            f"OpenSky asked {account} to wait; {state.blocked_s:.0f} s of it are left.",
            state.blocked_s,
        )
    raise QuotaExceeded(
        f"{cost} credits are needed and {state.remaining} of {limit} are left today for {account}. "
        f"New ones come in {state.seconds_left:.0f} s, at midnight UTC; fewer or smaller boxes "
        "cost less, and SKYOPS_OPENSKY_DAILY_CREDITS sets the limit of a larger account.",
        state.seconds_left,
    )


def settle(
    warehouse: Warehouse, account: str, request_id: int, remaining: int | None, limit: int
) -> None:
    """Note that a request has ended, and hear what the server said is left: see `booked`.

    The word is exact where the request was the only one under way from its beginning to now: the
    server's count cannot lack another one then. It is not heard at all where the request was sent
    before midnight, of whose credits it speaks, or has long been given up.

    Args:
        remaining: the response's ``X-Rate-Limit-Remaining``; None where it has none, or no number.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        _lock(cursor, account)
        cursor.execute(
            f"""
            update raw.opensky_requests as ended set ended_at = now()
            where request_id = %s and ends_by > now()
            returning
                (sent_at at time zone 'UTC')::date = {_TODAY},
                is_alone and not exists (
                    select from raw.opensky_requests as later
                    where later.account = ended.account and later.request_id > ended.request_id
                )
            """,  # noqa: S608
            (request_id,),
        )
        row = cursor.fetchone()
        if row is None or remaining is None or not row[0]:
            return
        is_exact = bool(row[1])
        cursor.execute(
            "select spent, heard_spent, heard_remaining from raw.opensky_credits "  # noqa: S608
            f"where utc_day = {_TODAY} and account = %s",
            (account,),
        )
        spent, heard_spent, heard_remaining = cursor.fetchone() or (0, None, None)
        heard = None if heard_spent is None else (heard_spent, heard_remaining)
        spent = booked(spent, limit, remaining, heard, is_exact=is_exact)
        cursor.execute(
            f"""
            insert into raw.opensky_credits as credits
                (utc_day, account, spent, heard_spent, heard_remaining)
            values ({_TODAY}, %(account)s, %(spent)s, %(heard_spent)s, %(heard_remaining)s)
            on conflict (utc_day, account) do update
            set
                spent = excluded.spent,
                heard_spent = coalesce(excluded.heard_spent, credits.heard_spent),
                heard_remaining = coalesce(excluded.heard_remaining, credits.heard_remaining),
                updated_at = now()
            """,  # noqa: S608
            {
                "account": account,
                "spent": spent,
                "heard_spent": spent if is_exact and remaining != heard_remaining else None,
                "heard_remaining": remaining if is_exact else None,
            },
        )


def booked(
    spent: int, limit: int, remaining: int, heard: tuple[int, int] | None, *, is_exact: bool
) -> int:
    """Credits that are spent by the server's word for what remains.

    Where other requests were under way, the word may lack them: then it counts only if less is left
    than we think. Else it counts whatever we think, so that requests which got no response and were
    not charged are given back. What was charged since the word before is then their difference:
    the limit may be a part of the account's credits that the user set aside for SkyOps, and what is
    left of the whole account must not be taken for it.

    Args:
        spent: by the books, with all that is reserved.
        limit: credits of a whole day.
        remaining: the server's word.
        heard: spent and remaining as of the last exact word of the day.
        is_exact: nothing else was under way.
    """
    least = max(limit - remaining, 0)
    # The same word after a further request is an old one, such as a proxy's, or speaks of a request
    # that was not charged; which of the two the next word tells.
    if not is_exact or (heard is not None and remaining == heard[1]):
        return max(spent, least)
    if heard is not None:
        return max(heard[0] + heard[1] - remaining, least)
    return spent if remaining > limit else least


def _lock(cursor: Cursor, account: str) -> None:
    """Let an account's requests begin and end one after the other, each seeing those before."""
    cursor.execute(
        "select pg_advisory_xact_lock(hashtext('skyops.credits'), hashtext(%s))", (account,)
    )


def _begin(cursor: Cursor, account: str, longest_s: float) -> int:
    """Note a request that is about to be sent; those that are over are forgotten."""
    cursor.execute(
        "delete from raw.opensky_requests "
        "where account = %s and (ended_at is not null or ends_by <= now())",
        (account,),
    )
    cursor.execute(
        """
        insert into raw.opensky_requests (account, is_alone, ends_by)
        select
            %(account)s,
            not exists (select from raw.opensky_requests where account = %(account)s),
            now() + make_interval(secs => %(longest_s)s)
        returning request_id
        """,
        {"account": account, "longest_s": longest_s},
    )
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def block(warehouse: Warehouse, account: str, seconds: float) -> None:
    """Let no process ask for so many seconds; a longer wait that is noted already stays."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"""
            insert into raw.opensky_credits as credits (utc_day, account, spent, blocked_until)
            values ({_TODAY}, %(account)s, 0, now() + make_interval(secs => %(seconds)s))
            on conflict (utc_day, account) do update
            set blocked_until = greatest(credits.blocked_until, excluded.blocked_until),
                updated_at = now()
            """,  # noqa: S608
            {"account": account, "seconds": seconds},
        )


def read_credits(warehouse: Warehouse, account: str, limit: int) -> CreditState:
    """What an account has spent today, on the server's clock."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"""
            select
                {_TODAY},
                now(),
                coalesce(sum(spent) filter (where utc_day = {_TODAY}), 0),
                coalesce(extract(epoch from max(blocked_until) - now()), 0)
            from raw.opensky_credits
            where account = %s
            """,  # noqa: S608
            (account,),
        )
        row = cursor.fetchone()
    assert row is not None
    day, at, spent, blocked_s = row
    return CreditState(
        day, account, limit, int(spent), seconds_left_of_day(at), max(float(blocked_s), 0.0)
    )
