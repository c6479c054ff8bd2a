"""What the rows of a kind's files say: good rows, and the reasons of those that are none.

Belongs here: finding the columns, reading a row, and rules over several rows. Does not: files
(`files`), one value (`values`), the warehouse (`load`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.operator import values as read
from skyops_assets.sources.operator.files import Row
from skyops_assets.sources.operator.kinds import Column, Kind
from skyops_assets.sources.operator.mapping import FILE, Mapped
from skyops_assets.sources.operator.values import Known, Unreadable


@dataclass
class Judged:
    """One row of a file.

    Attributes:
        source: the file's name.
        values: by our names; None for a row that is rejected.
        reason: why it is rejected, or None.
        is_repeated: whether a later row has the same values, and counts.
    """

    source: str
    row: Row
    values: dict[str, Any] | None
    reason: str | None = None
    is_repeated: bool = False

    def reject(self, reason: str) -> None:
        """Take it out, with a reason."""
        self.values, self.reason = None, reason


@dataclass(frozen=True)
class Columns:
    """Where a file has our columns.

    Attributes:
        found: the file's name, or names of readings, by our name.
        exchanged: of our names those whose days and months a spreadsheet took for each other.
    """

    found: dict[str, str | list[str]]
    exchanged: frozenset[str]


def find_columns(names: Sequence[str], kind: Kind, mapped: Mapped) -> dict[str, str | list[str]]:
    """Where a file has our columns: under the mapping's name, else under our own, in any case.

    Raises:
        SkyOpsError: the mapping names a column that the file does not have, or one that every row
            needs is not there.
    """
    there = {name.strip().lower(): name for name in reversed(names)}
    found: dict[str, str | list[str]] = {}
    for column in kind.columns:
        theirs = mapped.columns.get(column.name)
        if column.name in mapped.constants:
            continue
        if theirs is None:
            if where := _own(column, there):
                found[column.name] = where
            continue
        wanted = theirs if isinstance(theirs, list) else [theirs]
        missing = [one for one in wanted if str(one).strip().lower() not in there]
        if missing and column.name not in mapped.optional:
            raise SkyOpsError(
                f"has no column {missing[0]!r}, which {FILE} names for {column.name}. "
                f"{_there(names)}"
            )
        if not missing:
            places = [there[one.strip().lower()] for one in wanted]
            found[column.name] = places if isinstance(theirs, list) else places[0]
    for column in kind.columns:
        if column.is_required and not (
            column.name in found
            or column.name in mapped.constants
            or (column.form == "callsign" and "flight_number" in found)
        ):
            raise SkyOpsError(f"has no column {column.name}. {_there(names)}")
    return found


def _there(names: Sequence[str]) -> str:
    shown = ", ".join(names)
    return (
        f"It has {shown[:300] or 'none'}{' ...' * (len(shown) > 300)}. Map the columns in {FILE}, "
        "or correct the file"
    )


def _own(column: Column, there: dict[str, str]) -> str | list[str] | None:
    """Our own name; of readings also ``sensor_1``, ``sensor_2`` and so on."""
    if column.name in there or column.form != "numbers":
        return there.get(column.name)
    single = column.name.removesuffix("s")
    numbered = [
        (int(name.removeprefix(f"{single}_")), real)
        for name, real in there.items()
        if name.startswith(f"{single}_") and name.removeprefix(f"{single}_").isdecimal()
    ]
    return [name for _, name in sorted(numbered)] or None


@dataclass(frozen=True)
class Reader:
    """Reads the rows of a file."""

    kind: Kind
    mapped: Mapped
    known: Known

    def judge(
        self, source: str, names: Sequence[str], rows: Sequence[Row]
    ) -> tuple[list[Judged], list[str]]:
        """Read a file's rows, each for itself, in their order.

        Returns:
            The rows, and what is to be known of the file besides.

        Raises:
            SkyOpsError: the file has not the columns.
        """
        found = find_columns(names, self.kind, self.mapped)
        exchanged, notes = self._exchanged(source, found, rows)
        columns = Columns(found, exchanged)
        judged = [self._judge(source, row, columns) for row in rows]
        if self.mapped.fails_at_end:
            _fail_at_end(judged)
        return judged, notes

    def _exchanged(
        self, source: str, found: Mapping[str, str | list[str]], rows: Sequence[Row]
    ) -> tuple[frozenset[str], list[str]]:
        """Our columns whose days and months a spreadsheet took for each other, and what to say."""
        names, notes = set(), []
        for column in self.kind.columns:
            where = found.get(column.name)
            if column.form not in ("date", "month", "time") or not isinstance(where, str):
                continue
            told = [row.values.get(where) for row in rows if row.reason is None]
            if self.mapped.times and read.exchanged_days(told, self.mapped):
                names.add(column.name)
                count = sum(not isinstance(one, str | None) for one in told)
                notes.append(
                    f"{source}: a spreadsheet took day and month of {count:,} dates in {where} for "
                    "each other; they are read as they were written."
                )
        return frozenset(names), notes

    def _judge(self, source: str, row: Row, columns: Columns) -> Judged:
        if row.reason is not None:
            return Judged(source, row, None, row.reason)
        try:
            values = self._values(row.values, columns)
        except Unreadable as error:
            return Judged(source, row, None, str(error))
        except OverflowError:
            return Judged(source, row, None, "a time is beyond what a calendar has")
        problem = self.kind.problem(values, self.known.today)
        return Judged(source, row, None if problem else values, problem)

    def _values(self, row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
        """A row's values by our names.

        Raises:
            Unreadable: one of them is none of its column's form, or is missing.
        """
        values: dict[str, Any] = {}
        for column in self.kind.columns:
            try:
                values[column.name] = self._value(row, column, columns)
            except Unreadable as error:
                raise Unreadable(f"{column.name}: {error}") from None
            except (ValueError, OverflowError):
                raise Unreadable(f"{column.name} cannot be read") from None
        if self.kind.name == "schedules":
            self._complete_flight(values)
        for column in self.kind.columns:
            if column.is_required and values[column.name] is None:
                raise Unreadable(f"{column.name} is missing")
        return values

    def _value(self, row: Mapping[str, Any], column: Column, columns: Columns) -> Any:
        told = self._told(row, column, columns)
        if read.is_missing(told, self.mapped):
            return [] if column.form == "numbers" else column.default
        if column.form == "airport":
            return read.airport_code(told, self.known)
        if column.form == "registration":
            return read.registration(told, self.mapped, column.name)
        return read.READERS[column.form](told, self.mapped)

    def _told(self, row: Mapping[str, Any], column: Column, columns: Columns) -> Any:
        """What the file says in a column, or the mapping for all of it."""
        if column.name in self.mapped.constants:
            return self.mapped.constants[column.name]
        where = columns.found.get(column.name)
        if where is None:
            return None
        if isinstance(where, list):
            return [row.get(one) for one in where]
        value = row.get(where)
        if column.name in columns.exchanged:
            value = read.exchanged(value)
        codes = self.mapped.codes.get(column.name)
        if codes is None or read.is_missing(value, self.mapped):
            return value
        text = read.text_of(value)
        for word, listed in codes.items():
            if text in listed:
                return word
        return next((word for word, listed in codes.items() if "*" in listed), value)

    def _complete_flight(self, values: dict[str, Any]) -> None:
        """The callsign of a flight number, and times in UTC."""
        if values["callsign"] is None and values["flight_number"] is not None:
            values["callsign"] = read.callsign(values["flight_number"], self.mapped)
        departs, arrives = values["scheduled_departure_at"], values["scheduled_arrival_at"]
        if None in (departs, arrives, values["departure_airport"], values["arrival_airport"]):
            return
        zone = read.zone_of(values["departure_airport"], self.mapped, self.known)
        departs_at = read.instant(departs, zone)
        zone = read.zone_of(values["arrival_airport"], self.mapped, self.known)
        values["scheduled_departure_at"] = departs_at
        values["scheduled_arrival_at"] = read.arrival_of(arrives, departs_at, zone)


def _fail_at_end(judged: Iterable[Judged]) -> None:
    last: dict[tuple[str, str], Judged] = {}
    for one in judged:
        if one.values is not None:
            unit = (one.values["fleet"], one.values["unit"])
            if unit not in last or one.values["cycle"] > last[unit].values["cycle"]:  # type: ignore[index]
                last[unit] = one
    for one in last.values():
        assert one.values is not None
        one.values["is_failed"] = True


def settle(kind: Kind, judged: Sequence[Judged]) -> list[Judged]:
    """Of rows that contradict each other, over all files: which count.

    Of rows with one key the last counts, in the order of the files' names; earlier ones with the
    same values are repeated, those with others are rejected. What then falls over time (an
    airframe's hours, say) is rejected too: the fewest rows, without which nothing falls.

    Returns:
        The rows that count.
    """
    counted: dict[tuple[Any, ...], Judged] = {}
    for one in reversed(judged):
        if one.values is None:
            continue
        key = tuple(one.values[name] for name in kind.key)
        later = counted.setdefault(key, one)
        if later is one:
            continue
        if later.values == one.values:
            one.is_repeated = True
        else:
            shown = ", ".join(f"{name} {value}" for name, value in zip(kind.key, key, strict=True))
            one.reject(
                f"row {later.row.number} of {later.source} contradicts {shown}, and is later"
            )
    for rule in _OVER_ROWS.get(kind.name, ()):
        rule([one for one in counted.values() if one.values is not None])
    return [one for one in reversed(counted.values()) if one.values is not None]


def _never_falls(name: str, group: tuple[str, ...], order: str) -> Callable[[list[Judged]], None]:
    """A rule: within a group the value never falls in this order."""

    def rule(rows: list[Judged]) -> None:
        def of(one: Judged, *names: str) -> tuple[Any, ...]:
            assert one.values is not None
            return tuple(one.values[each] for each in names)

        told = [one for one in rows if None not in of(one, name, order, *group)]
        told.sort(key=lambda one: of(one, *group, order, name))
        for key, members in groupby(told, key=lambda one: of(one, *group)):
            listed = list(members)
            kept = longest_rise([of(one, name)[0] for one in listed])
            for place in sorted(set(range(len(listed))) - set(kept)):
                one = listed[place]
                (value,), (at,) = of(one, name), of(one, order)
                one.reject(
                    f"{name} {value} at {order} {at} does not fit the other rows of "
                    f"{' '.join(map(str, key))}: it would fall"
                )

    return rule


def longest_rise(values: Sequence[Any]) -> list[int]:
    """The places of the longest subsequence that never falls."""
    ends: list[Any] = []
    places: list[int] = []
    before: list[int] = []
    for place, value in enumerate(values):
        length = bisect_right(ends, value)
        before.append(places[length - 1] if length else -1)
        if length == len(ends):
            ends.append(value)
            places.append(place)
        else:
            ends[length], places[length] = value, place
    return list(_back(places[-1] if places else -1, before))[::-1]


def _back(place: int, before: list[int]) -> Iterator[int]:
    while place >= 0:
        yield place
        place = before[place]


def _ends_with_failure(rows: list[Judged]) -> None:
    """A rule: after a unit has failed it has no readings."""
    failed: dict[tuple[str, str], int] = {}
    for one in rows:
        assert one.values is not None
        unit = (one.values["fleet"], one.values["unit"])
        if one.values["is_failed"]:
            failed[unit] = min(one.values["cycle"], failed.get(unit, one.values["cycle"]))
    for one in rows:
        assert one.values is not None
        unit = (one.values["fleet"], one.values["unit"])
        if one.values["cycle"] > failed.get(unit, one.values["cycle"]):
            one.reject(f"unit {unit[1]} of {unit[0]} failed before, at cycle {failed[unit]}")


_OVER_ROWS: dict[str, tuple[Callable[[list[Judged]], None], ...]] = {
    "maintenance_events": (
        _never_falls("airframe_hours", ("airframe",), "occurred_on"),
        _never_falls("airframe_cycles", ("airframe",), "occurred_on"),
    ),
    "sensor_readings": (
        _ends_with_failure,
        _never_falls("observed_on", ("fleet", "unit"), "cycle"),
    ),
}
