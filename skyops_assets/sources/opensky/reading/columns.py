"""Columns of any kind, read as the kinds that a state vector has.

Belongs here: how a number, a text, a flag or a time may be written, and the reason that a value
which is none of these gets. Does not: which column means what (`formats`, `rest`), and what a
readable value may be (`schema`).

A value that cannot be read becomes null and its row gets a reason; nothing here raises over a
value, and none changes how the rows beside it are read. Whole columns are converted at once; only a
column that mixes kinds is read value by value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyops_assets.sources.csv_tables import MISSING, is_bytes
from skyops_assets.sources.opensky.schema import STATE_VECTOR, UTC_TIME

Values = Any
"""A column: an Arrow array, chunked or not, a sequence of Python values, or None for none."""

NUMBER = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
WITH_COMMA = r"^\s*-?([0-9]+,[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?\s*$"
"""A number with a decimal comma; 35,000 is one as well."""
TRUE, FALSE = ("true", "t", "1"), ("false", "f", "0")
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Nobody recorded ADS-B outside; milliseconds taken for seconds, or the reverse, land there."""

NULLABLE = pa.schema([field.with_nullable(True) for field in STATE_VECTOR])


class Reader:
    """Converts the columns of one table and collects why rows could not be read.

    Args:
        rows: the number of rows; every column has as many values.
        degrees: columns of degrees. Where a row has a comma in one of them, it writes decimals
            with a comma, and its other numbers are read so. Elsewhere a comma is refused: an
            altitude of 35,000 may be thirty-five thousand.
    """

    def __init__(self, rows: int, degrees: Sequence[Values] = ()) -> None:
        self.rows = rows
        self._reasons = pa.nulls(rows, pa.string())
        self._none = pa.repeat(False, rows)
        self._commas = self._none
        for values in degrees:
            self._commas = pc.or_(self._commas, self._with_comma(values))
        self._has_commas = bool(pc.any(self._commas).as_py())

    @property
    def problems(self) -> pa.ChunkedArray | None:
        """The first reason of each row, null for a readable one; None where all were."""
        if self._reasons.null_count == self.rows:
            return None
        return pa.chunked_array([self._reasons])

    def reject(self, mask: pa.Array, reason: str) -> None:
        """Give a reason to the rows of a mask that have none yet; null is false."""
        if pc.any(mask).as_py():
            bad = pc.and_(pc.fill_null(mask, False), pc.is_null(self._reasons))
            self._reasons = pc.if_else(bad, reason, self._reasons)

    def number(self, name: str, values: Values, factor: float | None = None) -> pa.Array:
        """Numbers (float64), times ``factor``. NaN is null; an infinity stays one."""
        found, bad = self._numbers(values)
        self.reject(bad, f"{name} is not a number")
        return found if factor is None else pc.multiply(found, factor)

    def code(self, name: str, values: Values) -> pa.Array:
        """Whole numbers (int16) of a code list."""
        found, bad = self._numbers(values)
        outside = pc.or_(pc.less(found, 0), pc.greater(found, 32_767))
        broken = pc.or_(outside, pc.not_equal(found, pc.floor(found)))
        self.reject(pc.or_kleene(bad, broken), f"{name} is not a code")
        return pc.if_else(pc.fill_null(broken, True), None, found).cast(pa.int16())

    def text(self, name: str, values: Values) -> pa.Array:
        """Text without the blanks around it; blank text is null.

        A number is no text: the zeros before it may be lost.
        """
        found, bad = self._texts(values)
        self.reject(bad, f"{name} is not text")
        return found

    def squawk(self, name: str, values: Values) -> pa.Array:
        """Squawks as text of four digits: of a number, the zeros in front are certain."""
        values = self._arrow(values)
        if isinstance(values, list):
            is_number = [type(value) in (int, float) for value in values]
            pairs = list(zip(values, is_number, strict=True))
            numbers = self._padded(name, [value if is_one else None for value, is_one in pairs])
            texts = self.text(name, [None if is_one else value for value, is_one in pairs])
            return pc.coalesce(numbers, texts)
        return self._padded(name, values) if _is_number(values.type) else self.text(name, values)

    def flag(self, name: str, values: Values) -> pa.Array:
        """Booleans; true, t and 1, false, f and 0 count as such."""
        values = self._arrow(values)
        bad: pa.Array
        if isinstance(values, list):
            found, bad = _each(values, _as_flag, pa.bool_())
        elif pa.types.is_boolean(values.type):
            return values
        elif _is_number(values.type):
            numbers, _ = self._numbers(values)
            found = pc.equal(numbers, 1)
            bad = pc.and_(pc.not_equal(numbers, 0), pc.not_equal(numbers, 1))
            found = pc.if_else(bad, None, found)
        elif pa.types.is_string(values.type):
            texts, unfit = self._texts(values)
            lower = pc.utf8_lower(texts)
            yes = pc.is_in(lower, pa.array(TRUE))
            no = pc.is_in(lower, pa.array(FALSE))
            known = pc.or_(yes, no)
            found = pc.if_else(known, yes, None)
            bad = pc.or_(unfit, pc.and_(pc.is_valid(texts), pc.invert(known)))
        else:
            found, bad = pa.nulls(self.rows, pa.bool_()), pc.is_valid(values)
        self.reject(bad, f"{name} is neither true nor false")
        return found

    def time(self, name: str, values: Values, *, is_seconds: bool = True) -> pa.Array:
        """Times in UTC (microseconds): epoch, timestamps, or text of either (ISO 8601).

        Args:
            is_seconds: whether a number counts seconds since 1970; else its size tells whether it
                counts seconds, milli-, micro- or nanoseconds, which no year from 1990 to 2099
                leaves in doubt.
        """
        values = self._arrow(values)
        if isinstance(values, list):
            values = pa.array([_spelt(value) for value in values], pa.string())
        if pa.types.is_temporal(values.type):
            found, bad = _from_temporal(values)
        elif pa.types.is_string(values.type):
            texts, unfit = self._texts(values)
            if _may_hold(texts, b","):
                # A fraction of a second; both signs are ISO 8601.
                texts = pc.replace_substring_regex(
                    texts, "^(-?[0-9]{9,}|.*:[0-9]{2}),([0-9])", r"\1.\2"
                )
            numeric = pc.fill_null(pc.match_substring_regex(texts, NUMBER), False)
            found, bad = self._epoch(pc.if_else(numeric, texts, None), is_seconds)
            bad = pc.or_(bad, unfit)
            if not pc.all(pc.or_(numeric, pc.is_null(texts))).as_py():
                iso = _from_iso(pc.if_else(numeric, None, texts))
                found = pc.coalesce(found, iso)
                broken = pc.and_(pc.is_valid(texts), pc.invert(numeric))
                bad = pc.or_(bad, pc.and_(broken, pc.is_null(iso)))
        else:
            found, bad = self._epoch(values, is_seconds)
        outside = pc.or_(
            pc.less(found, pa.scalar(EARLIEST, UTC_TIME)),
            pc.greater_equal(found, pa.scalar(LATEST, UTC_TIME)),
        )
        unit = "epoch seconds" if is_seconds else "epoch in s, ms, us or ns,"
        self.reject(
            pc.or_(bad, pc.fill_null(outside, False)),
            f"{name} is not a time from 1990 to 2099 ({unit} or ISO 8601)",
        )
        return pc.if_else(outside, None, found)

    def no_later(self, name: str, times: pa.Array, limit: Any, than: str) -> pa.Array:
        """Null the times later than ``limit`` (a time, or an array of them), with a reason.

        A time that cannot be belongs to no hour; kept, no load of any hour would meet its row.
        """
        limit = limit.cast(UTC_TIME) if isinstance(limit, pa.Array) else pa.scalar(limit, UTC_TIME)
        late = pc.fill_null(pc.greater(times, limit), False)
        self.reject(late, f"{name} is later than {than}")
        return pc.if_else(late, None, times)

    def states(self, found: dict[str, pa.Array]) -> pa.Table:
        """The columns as state vectors; what the source does not have is null."""
        return pa.table(
            {
                field.name: found[field.name].cast(field.type)
                if field.name in found
                else pa.nulls(self.rows, field.type)
                for field in NULLABLE
            },
            schema=NULLABLE,
        )

    def _padded(self, name: str, values: Values) -> pa.Array:
        """Numbers as squawks."""
        numbers, _ = self._numbers(values)
        broken = pc.or_(pc.less(numbers, 0), pc.greater(numbers, 7777))
        broken = pc.or_(broken, pc.not_equal(numbers, pc.floor(numbers)))
        self.reject(broken, f"{name} is not a squawk")
        whole = pc.if_else(pc.fill_null(broken, True), None, numbers).cast(pa.int64())
        return pc.utf8_lpad(whole.cast(pa.string()), 4, "0")

    def _arrow(self, values: Values) -> pa.Array | list[Any]:
        """One Arrow array of a plain type; a list where the values have no common one."""
        if values is None:
            return pa.nulls(self.rows)
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if not isinstance(values, pa.Array):
            arrow = common_kind(values)
            if arrow is None:
                return list(values)
            values = arrow
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if is_bytes(values.type):
            # Text, by the writers that know no other kind of it.
            try:
                return values.cast(pa.binary()).cast(pa.string())
            except pa.ArrowInvalid:
                # Half characters, which are no text: so the one value is refused.
                return [
                    None if value is None else value.decode("utf-8", "surrogateescape")
                    for value in values.to_pylist()
                ]
        if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
            values = values.cast(pa.string())
        return values

    def _with_comma(self, values: Values) -> pa.Array:
        """Where a value is a number with a decimal comma."""
        values = self._arrow(values)
        if isinstance(values, list):
            return pa.array(
                [isinstance(value, str) and bool(re.match(WITH_COMMA, value)) for value in values],
                pa.bool_(),
            )
        if not (pa.types.is_string(values.type) and _may_hold(values, b",")):
            return self._none
        return pc.fill_null(pc.match_substring_regex(values, WITH_COMMA), False)

    def _numbers(self, values: Values) -> tuple[pa.Array, pa.Array]:
        """Numbers, and where a value is none."""
        values = self._arrow(values)
        if isinstance(values, list):
            if self._has_commas:
                pairs = zip(values, self._commas.to_pylist(), strict=True)
                values = [_pointed(value) if is_one else value for value, is_one in pairs]
            return _each(values, _as_number, pa.float64())
        if pa.types.is_null(values.type):
            return values.cast(pa.float64()), self._none
        if _is_number(values.type):
            found = values.cast(pa.float64(), safe=False)
            return pc.if_else(pc.is_nan(found), None, found), self._none
        if pa.types.is_string(values.type):
            texts, unfit = self._texts(values)
            if self._has_commas:
                is_one = pc.and_(self._commas, pc.match_substring_regex(texts, WITH_COMMA))
                pointed = pc.replace_substring(texts, ",", ".")
                texts = pc.if_else(pc.fill_null(is_one, False), pointed, texts)
            fits = pc.match_substring_regex(texts, NUMBER)
            found = pc.if_else(fits, texts, None).cast(pa.float64())
            return found, pc.or_(unfit, pc.fill_null(pc.invert(fits), False))
        return pa.nulls(self.rows, pa.float64()), pc.is_valid(values)

    def _texts(self, values: Values) -> tuple[pa.Array, pa.Array]:
        """Texts without blanks around them, and where a value is none."""
        values = self._arrow(values)
        if isinstance(values, list):
            return _each(values, _as_text, pa.string())
        if not pa.types.is_string(values.type):
            return pa.nulls(self.rows, pa.string()), pc.is_valid(values)
        # Postgres takes no NUL in a text: one such row would fail the load of all.
        unfit = self._none
        if _may_hold(values, b"\0"):
            unfit = pc.fill_null(pc.match_substring(values, "\0"), False)
        trimmed = pc.utf8_trim_whitespace(values)
        dropped = pc.or_(unfit, pc.is_in(trimmed, _missing()))
        return pc.if_else(dropped, None, trimmed), unfit

    def _epoch(self, values: Values, is_seconds: bool) -> tuple[pa.Array, pa.Array]:
        numbers, bad = self._numbers(values)
        factor = 1e6 if is_seconds else _to_micros(numbers)
        micros = pc.round(pc.multiply(numbers, factor))
        # Beyond it lies nothing that a timestamp holds; it is refused as no time.
        beyond = pc.fill_null(pc.greater(pc.abs(micros), 2.0**62), False)
        found = pc.if_else(beyond, None, micros).cast(pa.int64(), safe=False).cast(UTC_TIME)
        return found, pc.or_(bad, beyond)


def common_kind(values: Sequence[Any]) -> pa.Array | None:
    """Python values as an Arrow array; None where they have no common type."""
    try:
        found = pa.array(values)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):
        return None
    # Arrow takes a boolean among numbers for 0 or 1.
    return None if _is_number(found.type) and bool in set(map(type, values)) else found


@cache
def _missing() -> pa.Array:
    # Not at import: the first array that is made of Python values imports pandas.
    return pa.array(sorted(MISSING))


def _may_hold(texts: pa.Array, sign: bytes) -> bool:
    """Whether a sign may be in a column: to ask each value takes forty times as long."""
    data = texts.buffers()[2]
    return data is not None and sign in data.to_pybytes()


def _to_micros(numbers: pa.Array) -> float | pa.Array:
    """What makes microseconds of times since 1970 that are counted in s, ms, us or ns."""
    # 1990 is 6.3e8 s and 2100 is 4.1e9 s: between two units there is a factor of 150.
    limits, factors = [1e11, 1e14, 1e17], np.array([1e6, 1e3, 1.0, 1e-3])
    ends = pc.min_max(pc.abs(numbers))
    first, last = np.searchsorted(limits, [ends["min"].as_py() or 0, ends["max"].as_py() or 0])
    if first == last:
        return float(factors[first])
    size = np.abs(numbers.to_numpy(zero_copy_only=False))
    return pa.array(factors[np.searchsorted(limits, size)])


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _from_temporal(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        found = values.cast(pa.timestamp("us", getattr(values.type, "tz", None)), safe=False)
        # Arrow changes the zone of a moment without changing it; without a zone, it is UTC.
        return found.cast(UTC_TIME), pa.repeat(False, len(values))
    return pa.nulls(len(values), UTC_TIME), pc.is_valid(values)


def _from_iso(texts: pa.Array) -> pa.Array:
    """Texts as times; null where a text is none. Without a zone, it is UTC."""
    import pandas as pd

    # pandas takes "now" and "today" for times.
    is_iso = pc.match_substring_regex(texts, "^[0-9]{4}")
    plain = pc.replace_substring_regex(pc.if_else(is_iso, texts, None), " ?UTC$", "Z")
    parsed = pd.to_datetime(
        plain.to_pandas().astype(object), format="ISO8601", utc=True, errors="coerce"
    )
    moments = parsed.dt.tz_convert(None).to_numpy().astype("datetime64[us]")
    return pa.array(moments).cast(UTC_TIME)


def _each(
    values: list[Any], read: Callable[[Any], Any], kind: pa.DataType
) -> tuple[pa.Array, pa.Array]:
    """Read values one by one: the values, and where ``read`` raises ValueError."""
    found: list[Any] = []
    bad: list[bool] = []
    for value in values:
        try:
            found.append(read(value))
            bad.append(False)
        except ValueError:
            found.append(None)
            bad.append(True)
    return pa.array(found, kind), pa.array(bad, pa.bool_())


def _spelt(value: Any) -> str | None:
    """A value as text to be read again; what is no text stays no text that means anything."""
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def _pointed(value: Any) -> Any:
    """A number's text with its decimal comma as a point; anything else as it is."""
    is_one = isinstance(value, str) and re.match(WITH_COMMA, value)
    return value.replace(",", ".") if is_one else value


def _as_number(value: Any) -> float | None:
    if isinstance(value, str):
        text = _as_text(value)
        if text is None:
            return None
        if not re.match(NUMBER, text):
            raise ValueError(value)
        return float(text)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return None if math.isnan(number) else number


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(value)
    value.encode()  # A lone surrogate is no text; it raises UnicodeEncodeError, a ValueError.
    text = value.strip()
    return None if text in MISSING else text


def _as_flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value in (0, 1) else value
    text = _as_text(str(value) if isinstance(value, int) else value)
    if text is None:
        return None
    if text.lower() not in TRUE + FALSE:
        raise ValueError(value)
    return text.lower() in TRUE
