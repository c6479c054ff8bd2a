"""Reads what the model loop starts from: arrivals, crossings, landings and flights.

Belongs here: rows of `features` and `metrics` in their canonical form. Does not: what was learned
from them (`training`, `versions`) or said about them (`predictions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import (
    ARRIVALS_TABLE,
    CROSSINGS_TABLE,
    KEY,
    PROVISIONAL,
    arrival_columns,
    canonical_arrivals,
    canonical_crossings,
    crossing_columns,
    text_columns,
)
from skyops_assets.arrivals.store import corrections
from skyops_assets.errors import SkyOpsError
from skyops_assets.warehouse.bulk import read_arrow
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all, fetch_one, moment_condition, timestamp

if TYPE_CHECKING:
    import pandas as pd


FLIGHTS_TABLE = "metrics.fct_flights"
MOVEMENTS_TABLE = "metrics.fct_movements"
PROBABILITIES_TABLE = "features.landing_probabilities"
SCHEDULES_TABLE = "intermediate.int_reliability__schedules_matched"
HISTORY_ARRIVALS_TABLE = "metrics.fct_arrivals"
POSITIONS, HISTORY = "positions", "history"
UNTESTED = """(
    (select coalesce(bool_or(is_whole_pending), false) from audit.transform_state)
    or exists (
        select from audit.pending_hours
        where changed_hour_at = date_trunc('hour', t.crossed_at, 'UTC')
    )
)"""
"""Whether a row `t` waits for the tests of the build that made it (docs/transform.md)."""
PROBABILITIES_AT_ONCE = 10_000
HISTORY_DAYS = 31
"""So much of the open history a predictor that was never trained predicts: nothing of it is in
sample, and years of it would tell no more."""


def read_arrivals(
    warehouse: Warehouse,
    ring_nm: int,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    airports: Sequence[str] = (),
    as_of: datetime | None = None,
    with_simulated: bool = False,
) -> pd.DataFrame:
    """Canonical rows of ``features.arrival_features`` for one ring that dbt's tests have passed.

    Without those that a person left out, and with the landings that one has put right.

    Args:
        since, until: only those that crossed at or after it, and before it.
        airports: only theirs; none means all.
        as_of: only those that landed before it.
        with_simulated: also flights with any simulated position (SKYOPS_LEARN_FROM_SIMULATED).
    """
    condition = f"ring_nm = {ring_nm:d}" + moment_condition("landed_at", as_of)
    condition += moment_condition("crossed_at", since, ">=")
    condition += moment_condition("crossed_at", until) + _observed(with_simulated)
    condition += f" and not {UNTESTED} and not {corrections.LEFT_OUT}"
    values: tuple[str, ...] = ()
    if airports:
        condition += " and airport::text = any(string_to_array($1, ','))"
        values = (",".join(airports),)
    rows = _read(warehouse, ARRIVALS_TABLE, arrival_columns(), condition, values)
    return canonical_arrivals(corrections.put_right(warehouse, rows))


def untested_arrivals(warehouse: Warehouse, ring_nm: int, *, as_of: datetime | None = None) -> int:
    """How many arrivals of one ring wait for dbt's tests: no model learns from them until then."""
    row = fetch_one(
        warehouse,
        f"select count(*) as arrivals from {ARRIVALS_TABLE} t"  # noqa: S608
        f" where ring_nm = {ring_nm:d} and {UNTESTED}" + moment_condition("landed_at", as_of),
        {},
    )
    return row["arrivals"] if row else 0


def arrivals_left_out(warehouse: Warehouse, ring_nm: int, *, as_of: datetime | None = None) -> int:
    """How many arrivals of one ring a person left out."""
    row = fetch_one(
        warehouse,
        f"select count(*) as arrivals from {ARRIVALS_TABLE} t"  # noqa: S608
        f" where ring_nm = {ring_nm:d} and {corrections.LEFT_OUT}"
        + moment_condition("landed_at", as_of),
        {},
    )
    return row["arrivals"] if row else 0


def simulated_flights(
    warehouse: Warehouse, ring_nm: int, *, as_of: datetime | None = None
) -> frozenset[str]:
    """Flights with any simulated position that arrived through a ring; with `as_of` by then."""
    rows = fetch_all(
        warehouse,
        f"select distinct flight_id::text as flight_id from {ARRIVALS_TABLE}"  # noqa: S608
        f" where is_simulated and ring_nm = {ring_nm:d}" + moment_condition("landed_at", as_of),
        {},
    )
    return frozenset(row["flight_id"] for row in rows)


def read_unpredicted_crossings(
    warehouse: Warehouse,
    ring_nm: int,
    model_name: str,
    model_version: str,
    *,
    airports: Sequence[str],
    history_after: datetime | None,
    as_of: datetime | None = None,
    recent: timedelta | None = None,
) -> pd.DataFrame:
    """Canonical crossings that this version has not predicted.

    Each with its `source`, `icao24` and `callsign`: who flies it is for people, not for the model.

    Args:
        airports: whose crossings of the open history count; of our own all do.
        history_after: how far back the open history is read, exclusive; None reads the last
            `HISTORY_DAYS` of it.
        as_of: only crossings known by then.
        recent: only our own, and only those of so long before the newest.
    """
    condition = f"""ring_nm = {ring_nm:d} and not exists (
        select from ml.predictions p
        where p.flight_id = t.flight_id::text and p.airport = t.airport::text
            and p.ring_nm = {ring_nm:d}
            and p.model_name = $1 and p.model_version = $2
    ){moment_condition("known_at", as_of, "<=")}"""
    watched = f"source = '{HISTORY}' and airport::text = any(string_to_array($3, ','))"
    since = (
        timestamp(history_after)
        if history_after
        else f"""(
        select max(crossed_at) - interval '{HISTORY_DAYS} days' from {CROSSINGS_TABLE}
        where ring_nm = {ring_nm:d} and {watched}{moment_condition("known_at", as_of, "<=")}
    )"""  # noqa: S608
    )
    if recent:
        newest = f"(select max(crossed_at) from {CROSSINGS_TABLE} where source = '{POSITIONS}')"  # noqa: S608
        hours = recent.total_seconds() / 3600
        condition += f" and source = '{POSITIONS}'"
        condition += f" and crossed_at > {newest} - interval '{hours:g} hours'"
    else:
        condition += f" and (source = '{POSITIONS}' or {watched} and crossed_at > {since})"
    names = (model_name, model_version, ",".join(airports))
    columns = _columns(warehouse, FLIGHTS_TABLE)
    _require(FLIGHTS_TABLE, columns, ("flight_id", "icao24", "callsign"))
    frame = _read(
        warehouse,
        CROSSINGS_TABLE,
        (*crossing_columns(), "source"),
        condition,
        names,
        more=tuple(
            # A flight of the history is named icao24-callsign-date-number.
            f"""case when source = '{HISTORY}' then split_part(t.flight_id::text, '-', {place}) else
            (select f.{name} from {FLIGHTS_TABLE} f where f.flight_id = t.flight_id)
            end as {name}"""  # noqa: S608
            for place, name in ((1, "icao24"), (2, "callsign"))
        ),
    )
    beside = frame[[*KEY, "source", "icao24", "callsign"]]
    return canonical_crossings(frame).merge(beside, on=list(KEY), how="left")


def landing_probabilities(warehouse: Warehouse, crossings: pd.DataFrame, ring_nm: int) -> pd.Series:
    """How likely each crossing's flight lands at its airport, in the crossings' order.

    NaN for those of the open history. What was told once, by whichever model's prediction, stays:
    only for the others it is counted.

    Args:
        crossings: flight_id and airport.
    """
    import pandas as pd

    _require(
        PROBABILITIES_TABLE,
        _columns(warehouse, PROBABILITIES_TABLE),
        ("flight_id", "airport", "ring_nm", "landing_probability"),
    )
    statement = f"""
        with asked as (
            select flights.flight_id, flights.airport, (
                select told.landing_probability from ml.predictions as told
                where told.flight_id = flights.flight_id and told.airport = flights.airport
                    and told.ring_nm = {ring_nm:d} and told.landing_probability is not null
                limit 1) as landing_probability
            from unnest(%(flights)s::text[], %(airports)s::text[]) as flights (flight_id, airport)
        )
        select flight_id, airport, landing_probability from asked
        where landing_probability is not null
        union all
        select asked.flight_id, asked.airport, counted.landing_probability
        from asked
        inner join {PROBABILITIES_TABLE} as counted
            on counted.flight_id = asked.flight_id and counted.airport = asked.airport
            and counted.ring_nm = {ring_nm:d}
        where asked.landing_probability is null
    """  # noqa: S608
    keys = ["flight_id", "airport"]
    names = [*keys, "landing_probability"]
    found = []
    for start in range(0, len(crossings), PROBABILITIES_AT_ONCE):
        part = crossings.iloc[start : start + PROBABILITIES_AT_ONCE]
        asked = {"flights": part["flight_id"].tolist(), "airports": part["airport"].tolist()}
        found += fetch_all(warehouse, statement, asked)
    told = pd.DataFrame(found, columns=names).astype({"landing_probability": "float64"})
    return crossings[keys].merge(told, on=keys, how="left").set_index(crossings.index)[names[-1]]


def arrivals_since(
    warehouse: Warehouse,
    ring_nm: int,
    since: datetime | None,
    as_of: datetime | None,
    *,
    with_simulated: bool = False,
) -> tuple[int, datetime | None]:
    """How many tested arrivals crossed after `since` (None: at all), and the last landing."""
    later = "true" if since is None else f"crossed_at > {timestamp(since)}"
    row = fetch_one(
        warehouse,
        f"select count(*) filter (where {later}) as arrivals, max(landed_at) as landed_at"  # noqa: S608
        f" from {ARRIVALS_TABLE} t where ring_nm = {ring_nm:d} and not {UNTESTED}"
        f" and label_quality <> '{PROVISIONAL}'"
        + moment_condition("landed_at", as_of)
        + _observed(with_simulated),
        {},
    )
    return (row["arrivals"], row["landed_at"]) if row else (0, None)


def runway_changes(
    warehouse: Warehouse, since: datetime, as_of: datetime | None
) -> list[dict[str, Any]]:
    """airport, changed_at, from_direction and to_direction since a moment, the oldest first."""
    return fetch_all(
        warehouse,
        "select airport, changed_at, from_direction, to_direction"  # noqa: S608
        " from metrics.runway_configuration_changes where true"
        + moment_condition("changed_at", since, ">=")
        + moment_condition("known_at", as_of, "<=")
        + " order by changed_at, airport",
        {},
    )


def read_landings(
    warehouse: Warehouse, source: str, ring_nm: int, *, as_of: datetime | None = None
) -> pd.DataFrame:
    """flight_id, airport and landed_at of every settled landing of a source.

    Our own are those of ``metrics.fct_movements``; a provisional landing, one that more data may
    still withdraw, leaves its outcome pending. The history's are those of its arrivals. With
    `as_of` only those known by then.
    """
    if source == HISTORY:
        table, landed_at = HISTORY_ARRIVALS_TABLE, "landed_at"
        condition = f"source = 'history' and ring_nm = {ring_nm:d}" + moment_condition(
            "landed_at", as_of
        )
        needed: tuple[str, ...] = ("flight_id", "airport", "ring_nm", "source", "landed_at")
    else:
        table, landed_at = MOVEMENTS_TABLE, "moved_at"
        condition = f"movement = 'landing' and label_quality <> '{PROVISIONAL}'"
        condition += moment_condition("known_at", as_of, "<=")
        needed = ("flight_id", "airport", "movement", "moved_at", "known_at", "label_quality")
    _require(table, _columns(warehouse, table), needed)
    landings = read_arrow(
        warehouse,
        "select flight_id::text as flight_id, airport::text as airport, "  # noqa: S608
        f"{landed_at}::timestamptz as landed_at from {table} where {condition}",
    ).to_pandas()
    return corrections.put_right(warehouse, landings)


def read_flights(warehouse: Warehouse, *, as_of: datetime | None = None) -> pd.DataFrame:
    """flight_id and last_seen_at of every flight in ``metrics.fct_flights``, as seen by `as_of`."""
    columns = _columns(warehouse, FLIGHTS_TABLE)
    _require(FLIGHTS_TABLE, columns, ("flight_id", "last_seen_at"))
    last_seen_at, condition = "last_seen_at", "true"
    if as_of:
        _require(FLIGHTS_TABLE, columns, ("first_seen_at",))
        last_seen_at = f"least(last_seen_at, {timestamp(as_of)})"
        condition += moment_condition("first_seen_at", as_of, "<=")
    return read_arrow(
        warehouse,
        f"select flight_id::text as flight_id, {last_seen_at} as last_seen_at "  # noqa: S608
        f"from {FLIGHTS_TABLE} where {condition}",
    ).to_pandas()


def schedule_delays(warehouse: Warehouse) -> pd.Series | None:
    """Minutes by which arrivals came later than scheduled, by airport and flight_id.

    None where the operator has given no schedules, or none was matched with a landing.
    """
    query = "select 1 as one where to_regclass(%(name)s) is not null"
    if not fetch_all(warehouse, query, {"name": SCHEDULES_TABLE}):
        return None
    rows = read_arrow(
        warehouse,
        "select arrival_airport as airport, flight_id, max(arrival_delay_min) as delay_min "  # noqa: S608
        f"from {SCHEDULES_TABLE} where arrival_status = 'landed' group by 1, 2",
    ).to_pandas()
    return rows.set_index(["airport", "flight_id"])["delay_min"] if len(rows) else None


def _read(
    warehouse: Warehouse,
    table: str,
    columns: Sequence[str],
    condition: str,
    parameters: Sequence[str] = (),
    *,
    more: Sequence[str] = (),
) -> pd.DataFrame:
    _require(table, _columns(warehouse, table), columns)
    wanted = ", ".join((*(_cast(name) for name in columns), *more))
    query = f"select {wanted} from {table} t where {condition}"  # noqa: S608
    return read_arrow(warehouse, query, parameters).to_pandas()


def _columns(warehouse: Warehouse, table: str) -> set[str]:
    schema, name = table.split(".")
    rows = fetch_all(
        warehouse,
        "select column_name from information_schema.columns"
        " where table_schema = %(schema)s and table_name = %(name)s",
        {"schema": schema, "name": name},
    )
    if not rows:
        raise SkyOpsError(
            f"The table {table} does not exist yet; materialise the dbt models first."
        )
    return {row["column_name"] for row in rows}


def _require(table: str, present: Iterable[str], wanted: Sequence[str]) -> None:
    missing = sorted(set(wanted) - set(present))
    if missing:
        raise SkyOpsError(f"{table} lacks {', '.join(missing)}; rebuild it with dbt.")


def _cast(name: str) -> str:
    """The column in the type that the canonical frame wants; numeric would come as text."""
    if name in text_columns() or name == "source":
        return f"t.{name}::text as {name}"
    if name.endswith("_at"):
        return f"t.{name}::timestamptz as {name}"
    if name == "is_inbound":
        return f"t.{name}::boolean as {name}"
    return f"t.{name}::double precision as {name}"


def _observed(with_simulated: bool) -> str:
    """The condition that leaves out what nobody observed."""
    return "" if with_simulated else " and is_simulated is not true"
