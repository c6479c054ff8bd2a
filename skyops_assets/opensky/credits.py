"""OpenSky's credits: what an answer costs, how often to ask, and what is left of the day.

Belongs here: boxes and their cost, the polling interval (all pure), and the budget in
``raw.opensky_credits`` that every process spends from. Does not: asking (`client`).
Costs and budgets: https://openskynetwork.github.io/opensky-api/rest.html#api-credit-usage.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from skyops_assets.errors import SkyOpsError
from skyops_assets.opensky.failures import QuotaExceeded

if TYPE_CHECKING:
    from skyops_assets.settings import Settings
    from skyops_assets.warehouse.server import Warehouse

ANONYMOUS = "anonymous"
ANONYMOUS_CREDITS = 400
STANDARD_CREDITS = 4_000
FEEDER_CREDITS = 8_000
"""Credits a UTC day. A feeder, who sends data to OpenSky, sets SKYOPS_OPENSKY_DAILY_CREDITS."""

ANONYMOUS_FLOOR_S = 10.0
STANDARD_FLOOR_S = 5.0
"""OpenSky's time resolution: asking more often brings the same answer again."""

WORLD_COST = 4
_COSTS = ((25.0, 1), (100.0, 2), (400.0, 3))

NM_PER_DEGREE = 59.7
"""A degree of latitude is nowhere shorter than 59.705 NM (WGS84, at the equator), so a box from
this is never too small, by the ellipsoid or by the sphere that SkyOps measures rings on."""

_EXACT_BOXES = 6
"""The search tries 3 to the power of their number: 0.6 s for 10 boxes, a few ms for 6."""


@dataclass(frozen=True, order=True)
class BoundingBox:
    """A box in degrees, WGS84, that does not cross the date line.

    Raises:
        SkyOpsError: a corner is no place on earth, or the corners are swapped.
    """

    min_latitude_deg: float
    min_longitude_deg: float
    max_latitude_deg: float
    max_longitude_deg: float

    def __post_init__(self) -> None:
        _check_range("latitude", self.min_latitude_deg, self.max_latitude_deg, 90)
        _check_range("longitude", self.min_longitude_deg, self.max_longitude_deg, 180)

    @property
    def area_deg2(self) -> float:
        """Height times width in square degrees: the measure that OpenSky charges by."""
        return (self.max_latitude_deg - self.min_latitude_deg) * (
            self.max_longitude_deg - self.min_longitude_deg
        )

    def contains(self, latitude_deg: float, longitude_deg: float) -> bool:
        """Whether a position lies in the box, its edges included."""
        return (
            self.min_latitude_deg <= latitude_deg <= self.max_latitude_deg
            and self.min_longitude_deg <= longitude_deg <= self.max_longitude_deg
        )

    def union(self, other: BoundingBox) -> BoundingBox:
        """The smallest box that holds both."""
        return BoundingBox(
            min(self.min_latitude_deg, other.min_latitude_deg),
            min(self.min_longitude_deg, other.min_longitude_deg),
            max(self.max_latitude_deg, other.max_latitude_deg),
            max(self.max_longitude_deg, other.max_longitude_deg),
        )


def _check_range(name: str, low: float, high: float, limit: float) -> None:
    # Written so that NaN fails too.
    if not -limit <= low <= high <= limit:
        raise SkyOpsError(
            f"A box cannot reach from {name} {low} to {high}: give the smaller first, both within "
            f"-{limit} to {limit}; a box over the date line is two boxes."
        )


def cost_of(box: BoundingBox | None) -> int:
    """Credits that one answer of ``/states/all`` costs: 1 to 4; None is the whole world.

    Source: <= 25 square degrees 1, <= 100 2, <= 400 3, more 4 (OpenSky's REST documentation).
    """
    if box is None:
        return WORLD_COST
    for area_deg2, cost in _COSTS:
        if box.area_deg2 <= area_deg2:
            return cost
    return WORLD_COST


def boxes_around(
    latitude_deg: float, longitude_deg: float, radius_nm: float
) -> tuple[BoundingBox, ...]:
    """The boxes that hold every place within a distance of a point.

    Args:
        latitude_deg: degrees north.
        longitude_deg: degrees east.
        radius_nm: nautical miles, above 0.

    Returns:
        One box, or two where they meet at the date line. Near a pole it spans all longitudes.

    Raises:
        SkyOpsError: the point is no place on earth, or the radius is none.
    """
    if not (-90 <= latitude_deg <= 90 and -180 <= longitude_deg <= 180):
        raise SkyOpsError(f"{latitude_deg}, {longitude_deg} is no place on earth (degrees).")
    if not 0 < radius_nm <= 5_400:
        raise SkyOpsError(f"A radius of {radius_nm} NM makes no box: give 0 to 5400 NM.")
    reach = radius_nm / NM_PER_DEGREE
    south, north = max(latitude_deg - reach, -90.0), min(latitude_deg + reach, 90.0)
    if abs(latitude_deg) + reach >= 90:
        return (BoundingBox(south, -180.0, north, 180.0),)
    # The easternmost point of a circle on a sphere lies at asin(sin r / cos latitude).
    sine = math.sin(math.radians(reach)) / math.cos(math.radians(latitude_deg))
    width = math.degrees(math.asin(min(sine, 1.0)))
    west, east = longitude_deg - width, longitude_deg + width
    if west < -180:
        return (
            BoundingBox(south, -180.0, north, east),
            BoundingBox(south, west + 360, north, 180.0),
        )
    if east > 180:
        return (
            BoundingBox(south, -180.0, north, east - 360),
            BoundingBox(south, west, north, 180.0),
        )
    return (BoundingBox(south, west, north, east),)


def watch_boxes(places: Iterable[tuple[float, float]], radius_nm: float) -> tuple[BoundingBox, ...]:
    """The cheapest boxes that hold every place within a distance of any of the airports.

    Args:
        places: (latitude, longitude) of each airport in degrees.
        radius_nm: the largest ring, in nautical miles.
    """
    found = [box for place in places for box in boxes_around(*place, radius_nm)]
    return merge_boxes(found)


def merge_boxes(boxes: Sequence[BoundingBox]) -> tuple[BoundingBox, ...]:
    """The cheapest set of boxes that holds all of these.

    At equal cost fewer answers win, but not by a box above 400 square degrees: the world for
    four credits is 10,000 aircraft of which four small boxes hold a few.

    Returns:
        The boxes, sorted. The cheapest there is for up to 6 boxes (of all ways to group them);
        above, boxes are first joined in pairs wherever the joint box costs no more.
    """
    remaining = sorted(set(boxes))
    while len(remaining) > _EXACT_BOXES:
        pairs = [
            (cost_of(one.union(other)) - cost_of(one) - cost_of(other), one, other)
            for i, one in enumerate(remaining)
            for other in remaining[i + 1 :]
        ]
        gain, one, other = min(pairs)
        if gain > 0:
            # More than six boxes that do not join cost more than the one of everything.
            everything = remaining[0]
            for box in remaining:
                everything = everything.union(box)
            return (everything,)
        # In this order: where one box holds the other, the union is one of the two.
        remaining = sorted(({*remaining} - {one, other}) | {one.union(other)})
    return _cheapest(tuple(remaining))


def _cheapest(boxes: tuple[BoundingBox, ...]) -> tuple[BoundingBox, ...]:
    """The best of all partitions, by dynamic programming over subsets."""

    def price(group: tuple[BoundingBox, ...]) -> tuple[int, bool, int, float]:
        costs = [cost_of(box) for box in group]
        area = sum(box.area_deg2 for box in group)
        return sum(costs), WORLD_COST in costs, len(group), area

    @cache
    def joint(members: int) -> BoundingBox:
        chosen = [box for i, box in enumerate(boxes) if members >> i & 1]
        whole = chosen[0]
        for box in chosen[1:]:
            whole = whole.union(box)
        return whole

    @cache
    def best(left: int) -> tuple[BoundingBox, ...]:
        if not left:
            return ()
        first = left & -left
        others = left ^ first
        options, some = [], others
        while True:
            options.append((joint(first | some), *best(others ^ some)))
            if not some:
                break
            some = (some - 1) & others
        return min(options, key=price)

    return tuple(sorted(best((1 << len(boxes)) - 1)))


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
        cost_per_round: credits of one answer for every box.
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
            "both are above 0."
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


@dataclass(frozen=True)
class CreditBudget:
    """An account's credits in the warehouse, for a client to spend from."""

    warehouse: Warehouse
    account: str
    limit: int

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
        )

    def reserve(self, cost: int) -> int:
        """See `reserve`."""
        return reserve(self.warehouse, self.account, cost, self.limit)

    def correct(self, remaining: int, age_s: float) -> None:
        """See `correct`."""
        correct(self.warehouse, self.account, remaining, self.limit, age_s)

    def block(self, seconds: float) -> None:
        """See `block`."""
        block(self.warehouse, self.account, seconds)

    def read(self) -> CreditState:
        """See `read_credits`."""
        return read_credits(self.warehouse, self.account, self.limit)


_TODAY = "(now() at time zone 'UTC')::date"


def reserve(warehouse: Warehouse, account: str, cost: int, limit: int) -> int:
    """Spend credits before asking; they count as spent whatever comes of it.

    One statement decides and writes, on the server's clock, so that any number of processes
    never spend more than the limit.

    Returns:
        The credits left today.

    Raises:
        QuotaExceeded: they are not there, or OpenSky asked to wait; nothing was spent.
        SkyOpsError: the cost is not above 0.
    """
    if cost <= 0:
        raise SkyOpsError(f"{cost} credits cannot be reserved: the cost is above 0.")
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"""
            insert into raw.opensky_credits as credits (utc_day, account, spent)
            select {_TODAY}, %(account)s, %(cost)s
            where %(cost)s <= %(limit)s and not exists (
                select from raw.opensky_credits
                where account = %(account)s and blocked_until > now()
            )
            on conflict (utc_day, account) do update
            set spent = credits.spent + excluded.spent, updated_at = now()
            where credits.spent + excluded.spent <= %(limit)s
                and coalesce(credits.blocked_until <= now(), true)
            returning spent
            """,
            {"account": account, "cost": cost, "limit": limit},
        )
        row = cursor.fetchone()
    if row is not None:
        return limit - int(row[0])
    state = read_credits(warehouse, account, limit)
    if state.blocked_s > 0:
        raise QuotaExceeded(
            f"OpenSky asked {account} to wait; {state.blocked_s:.0f} s of it are left.",
            state.blocked_s,
        )
    raise QuotaExceeded(
        f"{cost} credits are needed and {state.remaining} of {limit} are left today for {account}. "
        f"New ones come in {state.seconds_left:.0f} s, at midnight UTC; fewer or smaller boxes "
        "cost less, and SKYOPS_OPENSKY_DAILY_CREDITS tells SkyOps of a larger account.",
        state.seconds_left,
    )


def correct(
    warehouse: Warehouse, account: str, remaining: int, limit: int, age_s: float = 0.0
) -> None:
    """Take the server's word for what is left if it is less than we think; never if it is more.

    Args:
        remaining: what an answer's ``X-Rate-Limit-Remaining`` says. It does not know of requests
            on their way, so a larger number proves nothing.
        age_s: seconds since the request was sent. One from before midnight speaks of yesterday's
            credits and is not heard: it would take a whole new day away.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"""
            insert into raw.opensky_credits as credits (utc_day, account, spent)
            select {_TODAY}, %(account)s, %(spent)s
            where %(spent)s > 0 and {_TODAY} = (
                (now() - make_interval(secs => %(age_s)s)) at time zone 'UTC'
            )::date
            on conflict (utc_day, account) do update
            set spent = excluded.spent, updated_at = now()
            where credits.spent < excluded.spent
            """,
            {"account": account, "spent": limit - max(remaining, 0), "age_s": age_s},
        )


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
            """,
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
            """,
            (account,),
        )
        row = cursor.fetchone()
    assert row is not None
    day, at, spent, blocked_s = row
    return CreditState(
        day, account, limit, int(spent), seconds_left_of_day(at), max(float(blocked_s), 0.0)
    )
