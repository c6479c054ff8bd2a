"""How likely a flight lands where it is said to: `features.landing_probabilities` against landings.

`skyops exec -- python -m validation.landing_probabilities` reads the warehouse, such as that of the
demo, and prints a table: the Brier score beside that of the nearest watched airport, and who of the
landed was on the board (`live.arrivals`) ten minutes before; also of the second half of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

RING_NM = 40
MINUTES_BEFORE = 10
SHOWN_FROM = 0.8

# Each crossing with whether the flight landed here after it, and whether this airport was the
# nearest watched one then: of flights that landed somewhere, or are over.
CROSSINGS = f"""
create temporary table crossings on commit drop as
select
    told.*,
    told.crossed_at >= middle.at as is_second_half,
    (landed.airport = told.airport)::integer as has_landed,
    (nearest.airport = told.airport)::integer as is_nearest,
    landed.airport as landed_airport,
    landed.moved_at
from features.landing_probabilities as told
inner join metrics.fct_ring_crossings as crossed using (crossing_id)
inner join metrics.fct_flights as flights on flights.flight_id = told.flight_id
cross join (
    select min(crossed_at) + (max(crossed_at) - min(crossed_at)) / 2 as at
    from metrics.fct_ring_crossings where ring_nm = {RING_NM}
) as middle
cross join lateral (
    select airport from intermediate.int_airports__watched
    order by power(latitude_deg - crossed.latitude_deg, 2)
        + power((longitude_deg - crossed.longitude_deg) * cosd(crossed.latitude_deg), 2)
    limit 1
) as nearest
left join lateral (
    select airport, moved_at from metrics.fct_movements
    where flight_id = told.flight_id and movement = 'landing' and moved_at > told.crossed_at
    order by moved_at limit 1
) as landed on true
where told.ring_nm = {RING_NM} and (landed.airport is not null or flights.status = 'lost')
"""
SCORES = """
select
    count(*),
    avg(has_landed)::float,
    avg(power(landing_probability - has_landed, 2)),
    avg(power(is_nearest - has_landed, 2))::float,
    avg(power(is_nearest * of_nearest.share - has_landed, 2)),
    avg(power(of_all.share - has_landed, 2))
from crossings
cross join (
    select avg(has_landed)::float as share from crossings where is_nearest = 1
) as of_nearest
cross join (select avg(has_landed)::float as share from crossings) as of_all
where {condition}
"""
BOARD = f"""
with answers as (
    select distinct on (flight_id)
        airport = landed_airport as is_right,
        landing_probability >= {SHOWN_FROM} as is_shown,
        is_second_half
    from crossings
    where known_at <= moved_at - interval '{MINUTES_BEFORE} minutes'
    order by flight_id, landing_probability desc
)
select count(*), count(*) filter (where is_shown), count(*) filter (where is_shown and is_right)
from answers where {{condition}}
"""


class Scores(NamedTuple):
    """Of some crossings: Brier scores, and the board ten minutes before those flights landed.

    Attributes:
        nearest: of saying 1 for the nearest watched airport, and 0 for the others.
        nearest_rate: of saying how often the nearest is right, and 0 for the others.
        rate: of saying how often a crossing's flight lands here, of each.
        landed, shown, right: flights that landed, those of them on a board, those on the right one.
    """

    crossings: int
    landed_share: float
    brier: float
    nearest: float
    nearest_rate: float
    rate: float
    landed: int
    shown: int
    right: int


def measure(warehouse: Warehouse) -> dict[str, Scores]:
    """The scores of all crossings, and of those in the second half of the time."""
    with warehouse.connect() as connection, connection.cursor() as cursor:

        def row(statement: str) -> tuple[Any, ...]:
            cursor.execute(statement)
            (found,) = cursor.fetchall()
            return tuple(found)

        cursor.execute(CROSSINGS)
        return {
            name: Scores(
                *row(SCORES.format(condition=condition)), *row(BOARD.format(condition=condition))
            )
            for name, condition in {"all": "true", "second half": "is_second_half"}.items()
        }


def _lines(scores: Scores) -> Iterator[tuple[str, str]]:
    yield "crossings", f"{scores.crossings}, of which {scores.landed_share:.0%} land here"
    yield "Brier score", f"{scores.brier:.3f}"
    yield "... nearest airport 1, others 0", f"{scores.nearest:.3f}"
    yield "... nearest airport its rate, others 0", f"{scores.nearest_rate:.3f}"
    yield "... the share that lands here, for each", f"{scores.rate:.3f}"
    shown, right = scores.shown / scores.landed, scores.right / max(scores.shown, 1)
    yield f"on a board {MINUTES_BEFORE} min before landing", f"{shown:.0%} of {scores.landed}"
    yield "... on the right one", f"{right:.1%}"


def main() -> None:
    from skyops_assets.settings import load_settings
    from skyops_assets.warehouse.connection import open_warehouse

    for name, scores in measure(open_warehouse(load_settings())).items():
        table = Table(name, "")
        for line in _lines(scores):
            table.add_row(*line)
        Console().print(table)


if __name__ == "__main__":
    main()
