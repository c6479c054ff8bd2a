"""Tables of text: the one way from a file's bytes to rows of values, whatever they will mean.

Belongs here: unpacking and decoding, lines, quotes, a header's columns, and what a missing value
looks like. Does not: which columns there must be, and what a value means (the reader of each kind
of file; `reading.columns` for numbers, flags and times).

Damage stays in its line: a line that cannot be taken apart is a `MalformedLine`, and the lines
around it are read. A byte that is no UTF-8 stays in its value, which only a reader of that column
minds.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from skyops_assets.sources.text import (
    BROKEN,
    LONGEST_LINE,
    MalformedLine,
    decompressed,
    line_blocks,
    pieces,
)

if TYPE_CHECKING:
    import pyarrow as pa


_SPELT = ("null", "nan", "-nan", "none", "na", "n/a", "#n/a", "#na", "<na>", "nat")
MISSING = frozenset(
    ["", r"\N", "-", "--", "."]
    + [form for word in _SPELT for form in (word, word.upper(), word.capitalize())]
    + ["NaN", "-NaN", "NaT"]
)
"""How a missing value is spelt: by pandas and numpy, Trino and SQL, Python, R (NA), Excel (#N/A),
Postgres (\\N), SAS (.) and people (-). In every column alike: a callsign of NA would be one letter
pair without a number, which no flight has, while a file from R has thousands of it."""

NEARLY_ALL = 0.9
"""A file of whose rows so large a share is rejected is read wrongly, or written so."""


DELIMITERS = ",;\t|"
NO_PAIR = "the quotes of the line do not pair"


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        names: of its columns; one without a name is called ``unnamed_`` and its number.
        unnamed: how many columns at the end have no name. Lines may leave them out.
    """

    names: tuple[str, ...]
    unnamed: int
    delimiter: str
    quote: str
    ending: bytes


def dialect(head: bytes) -> Dialect:
    """How a CSV file is written, from its first piece.

    Columns that only the first row of data has count as unnamed where that row has nothing in
    them: some writers end each row with a delimiter, but not the header.
    """
    ending = b"\n" if b"\n" in head or b"\r" not in head else b"\r"
    lines = [line for line in re.split(rb"\r\n|\r|\n", head.lstrip(), maxsplit=2) if line]
    first = lines[0].decode("utf-8", "backslashreplace") if lines else ""
    quote = "'" if first.startswith("'") else '"'

    def fields(line: str, sign: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=sign, quotechar=quote), [])
        except csv.Error:
            return []

    headers = [fields(first, sign) for sign in DELIMITERS]
    names, delimiter = max(zip(headers, DELIMITERS, strict=True), key=lambda one: len(one[0]))
    names = [name.strip() for name in names]
    if len(lines) > 1:
        row = fields(lines[1].decode("latin-1"), delimiter)
        if len(row) > len(names) and not any(row[len(names) :]):
            names += [""] * (len(row) - len(names))
    unnamed = next((i for i, name in enumerate(reversed(names)) if name), len(names))
    named = [name or f"unnamed_{number}" for number, name in enumerate(names, start=1)]
    return Dialect(tuple(named), unnamed, delimiter, quote, ending)


def csv_tables(
    parts: Iterable[bytes], form: Dialect
) -> Iterator[tuple[pa.Table, list[MalformedLine]]]:
    """The rows after the header, some megabytes at once: the columns, and torn lines.

    A column is text, or bytes where a value is no UTF-8.

    Arrow takes the lines apart where it can be trusted with them; a block whose quotes are not
    plainly in order is looked at line by line first, for Arrow reads on over lines to the next
    quote, and then knows of none of the lines between.

    Args:
        parts: the file's `pieces`, from its beginning.

    Raises:
        OSError, EOFError, zlib.error: the file breaks off; after the rows before.
    """
    left, is_header = b"", True
    broken: Exception | None = None
    blocks = line_blocks(parts, form.ending)
    while True:
        try:
            block = next(blocks)
        except StopIteration:
            break
        except BROKEN as error:
            broken = error
            break
        if form.ending == b"\r":
            block = block.replace(b"\r", b"\n")
        if is_header:
            block = block.lstrip()
            if not block:
                continue
            block, is_header = block.partition(b"\n")[2], False
        found, left = _csv_block(left + block, form, is_last=False)
        yield found
    if left:
        yield _csv_block(left, form, is_last=True)[0]
    if broken is not None:
        raise broken


def _csv_block(
    block: bytes, form: Dialect, *, is_last: bool
) -> tuple[tuple[pa.Table, list[MalformedLine]], bytes]:
    """The table and torn lines of a block, and what of it waits for the next one."""
    is_text = _is_utf8(block)
    if is_text and _is_plain(block, form):
        table, odd = _parse(block, form, is_text=True)
        lines, torn = _mended(odd, form)
        if lines:
            table = joined([table, _parse(b"\n".join(lines), form, is_text=True)[0]])
        return (table, torn), b""
    # Arrow cannot hand over a line with another number of fields that is no UTF-8 either.
    lines, torn, left = _line_by_line(block, form, is_last=is_last)
    return (_parse(b"\n".join(lines), form, is_text=is_text)[0], torn), left


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parse(block: bytes, form: Dialect, *, is_text: bool) -> tuple[pa.Table, list[bytes]]:
    """A block of records as columns, and the lines that have another number of fields."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    names = list(form.names)
    if not block:
        return pa.table({name: pa.array([], pa.string()) for name in names}), []
    kind = pa.string() if is_text else pa.binary()
    odd: list[bytes] = []

    def keep(row: pacsv.InvalidRow) -> str:
        odd.append(row.text.encode())
        return "skip"

    table = pacsv.read_csv(
        pa.BufferReader(block),
        pacsv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False),
        pacsv.ParseOptions(
            delimiter=form.delimiter,
            quote_char=form.quote,
            newlines_in_values=True,
            invalid_row_handler=keep,
        ),
        # No guessing of types: an address such as 1e1234 must not become a number.
        pacsv.ConvertOptions(column_types=dict.fromkeys(names, kind), strings_can_be_null=False),
    )
    if is_text:
        return table, odd
    return pa.table(dict(zip(names, map(decoded, table.columns), strict=True))), odd


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of text or bytes as text; as bytes where one value is no UTF-8.

    Another kind of column is given back as it is, and so is a dictionary of text.
    """
    import pyarrow as pa

    kind = column.type
    try:
        if pa.types.is_dictionary(kind) and is_textual(kind.value_type):
            for chunk in column.chunks:
                chunk.dictionary.cast(pa.binary()).cast(pa.string())
            return column
        return column.cast(pa.binary()).cast(pa.string()) if is_textual(kind) else column
    except pa.ArrowInvalid:
        decompressed = column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column
        return decompressed.cast(pa.binary())


def is_textual(kind: pa.DataType) -> bool:
    """Whether a column holds text or bytes, which some writers take for text."""
    import pyarrow as pa

    return is_bytes(kind) or (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column's values are bytes, of one length or of any."""
    import pyarrow as pa

    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def joined(tables: list[pa.Table]) -> pa.Table:
    """Tables of one CSV file as one: a column that is bytes in one of them is so in all."""
    import pyarrow as pa

    if len({table.schema for table in tables}) > 1:
        odd = {field.name for table in tables for field in table.schema if is_bytes(field.type)}
        schema = pa.schema(
            [(name, pa.binary() if name in odd else pa.string()) for name in tables[0].column_names]
        )
        tables = [table.cast(schema) for table in tables]
    return pa.concat_tables(tables)


def _is_plain(block: bytes, form: Dialect) -> bool:
    """Whether every quoted field begins after a delimiter and ends before one, in its line."""
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return False
    quote = form.quote.encode()
    if quote not in block:
        return True
    import numpy as np

    signs = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    at = np.flatnonzero(signs == quote[0])
    # A quote that is doubled within a field ends one part of it and begins the next.
    is_edge = np.zeros(256, dtype=bool)
    is_edge[list(form.delimiter.encode() + b"\r\n" + quote)] = True
    if len(at) % 2 or not is_edge[signs[at[0::2] - 1]].all():
        return False
    if not is_edge[signs[at[1::2] + 1]].all():
        return False
    ends = np.flatnonzero(signs == ord("\n"))
    return not (np.searchsorted(at, ends) % 2).any()


def _line_by_line(
    block: bytes, form: Dialect, *, is_last: bool
) -> tuple[list[bytes], list[MalformedLine], bytes]:
    """The records that are in order, the torn lines, and what may go on in the next block."""
    quote, sign = form.quote.encode(), form.delimiter.encode()
    strict = _strict(form)
    lines = block.replace(b"\r\n", b"\n").split(b"\n")
    odd = [number for number, line in enumerate(lines) if line.count(quote) % 2]
    records: list[bytes] = []
    torn: list[MalformedLine] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line:
            continue
        if line.count(quote) % 2:
            # The quotes of a record pair, and do so first at its end.
            after = bisect_right(odd, number - 1)
            if after < len(odd):
                parts = lines[number - 1 : odd[after] + 1]
                if _is_one_record(parts, strict, form):
                    records.append(b"\n".join(parts))
                    number = odd[after] + 1
                    continue
            elif not is_last:
                rest = b"\n".join(lines[number - 1 :])
                if len(rest) <= LONGEST_LINE:
                    return records, torn, rest
            torn.append(MalformedLine.of(line, NO_PAIR))
            continue
        if quote not in line and b"\r" not in line and line.count(sign) == len(form.names) - 1:
            records.append(line)
            continue
        good, bad = _mended([line], form, strict)
        records += good
        torn += bad
    return records, torn, b""


def _strict(form: Dialect) -> re.Pattern[bytes]:
    """A record whose quotes are where they belong."""
    quote, sign = re.escape(form.quote), re.escape(form.delimiter)
    field = f"(?:{quote}[^{quote}]*(?:{quote}{quote}[^{quote}]*)*{quote}|[^{quote}{sign}\r\n]*)"
    return re.compile(f"{field}(?:{sign}{field})*".encode())


def _is_one_record(parts: list[bytes], strict: re.Pattern[bytes], form: Dialect) -> bool:
    """Whether lines are one record with line ends in its values, and not two stray quotes.

    Of stray quotes each line is a row of its own. A value with line ends may hold delimiters too,
    so a line that has as many as a row counts only where all lines together could be two rows.
    """
    sign = form.delimiter.encode()
    if sum(map(len, parts)) > LONGEST_LINE:
        return False
    counts = [part.count(sign) for part in parts]
    width = len(form.names)
    if width - 1 in counts and sum(counts) >= 2 * (width - 1):
        return False
    record = b"\n".join(parts)
    return strict.fullmatch(record) is not None and len(_fields(record, form) or ()) == width


def _fields(record: bytes, form: Dialect, *, is_spaced: bool = False) -> list[str] | None:
    """A record's fields, a character for each byte; None where it cannot be taken apart."""
    reader = csv.reader(
        [record.decode("latin-1")],
        delimiter=form.delimiter,
        quotechar=form.quote,
        strict=True,
        skipinitialspace=is_spaced,
    )
    try:
        return next(reader, [])
    except csv.Error:
        return None


def _mended(
    lines: Iterable[bytes], form: Dialect, strict: re.Pattern[bytes] | None = None
) -> tuple[list[bytes], list[MalformedLine]]:
    """Lines whose quotes pair, those that are rows as Arrow takes them, and the torn ones.

    A row may have empty fields beyond the last column, and may lack those that have no name.
    """
    width = len(form.names)
    good: list[bytes] = []
    torn: list[MalformedLine] = []
    for line in lines:
        is_strict = strict is None or strict.fullmatch(line) is not None
        # Before a quote a blank may stand, as in: 1, "a".
        fields = _fields(line, form, is_spaced=not is_strict)
        if fields is None:
            is_quoted = form.quote.encode() in line
            torn.append(
                MalformedLine.of(line, NO_PAIR if is_quoted else "a line end within the line")
            )
            continue
        found = len(fields)
        if is_strict and found == width:
            good.append(line)
            continue
        while len(fields) > width and not fields[-1].strip():
            fields.pop()
        if width - form.unnamed <= len(fields) < width:
            fields += [""] * (width - len(fields))
        if len(fields) == width:
            good.append(_record(fields, form))
        else:
            said = f"the line has {found} fields instead of {width - form.unnamed}"
            torn.append(MalformedLine.of(line, said))
    return good, torn


def _record(fields: list[str], form: Dialect) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=form.delimiter, quotechar=form.quote, lineterminator="").writerow(
        fields
    )
    return text.getvalue().encode("latin-1")


def csv_table(path: Path) -> tuple[pa.Table, list[MalformedLine]]:
    """A CSV file that fits in memory, whole.

    Raises:
        OSError, EOFError, zlib.error: it cannot be read to its end.
    """
    with decompressed(path) as file:
        parts = pieces(file)
        head = next(parts, b"")
        found = list(csv_tables(chain([head], parts), dialect(head)))
    return joined([table for table, _ in found]), [one for _, torn in found for one in torn]


def csv_rows(file: IO[bytes]) -> tuple[list[str], Iterator[dict[str, Any]]]:
    """The names of a CSV file's columns, and its rows as text, for files that are read by the row.

    A line with another number of fields is as `csv.DictReader` has it: what is too much is a list
    under None, what lacks is None. One that cannot be taken apart has the one key ``line``. Bytes
    that are no UTF-8 become half characters.
    """
    parts = pieces(file)
    head = next(parts, b"")
    form = dialect(head)
    names = list(form.names[: len(form.names) - form.unnamed])

    def rows() -> Iterator[dict[str, Any]]:
        for table, torn in csv_tables(chain([head], parts), form):
            for row in table.to_pylist():
                yield {name: _text(row[name]) for name in names}
            for one in torn:
                yield _torn_row(one, names, form)

    return names, rows()


def _torn_row(one: MalformedLine, names: list[str], form: Dialect) -> dict[str, Any]:
    line = one.line.encode("utf-8", "surrogateescape")
    fields = _fields(line, form)
    if fields is None or one.reason == NO_PAIR:
        return {"line": one.line}
    values = [field.encode("latin-1").decode("utf-8", "surrogateescape") for field in fields]
    row: dict[Any, Any] = {**dict.fromkeys(names), **dict(zip(names, values, strict=False))}
    return row | {None: values[len(names) :]} if len(values) > len(names) else row


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
