"""The operator's folder or bucket: which files of a kind are there, and their rows.

Belongs here: finding files, unpacking, and rows as CSV, JSON and Excel have them. Does not: what
a row's values mean (`judge`).
"""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.csv_tables import csv_rows
from skyops_assets.sources.operator.kinds import Kind
from skyops_assets.sources.operator.mapping import FILE, Mapped
from skyops_assets.sources.text import BROKEN, decompressed_bytes

if TYPE_CHECKING:
    from pyarrow import fs

ENDINGS = (
    ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods",
)  # fmt: skip
"""Of files that are read, each also with .gz; others, such as a README, are left."""
_JSON = (".json", ".jsonl", ".ndjson")
_GZIP, _ZIP, _OLE = b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""How gzip, and the newer and the older files of Excel begin."""
TORN = "the line cannot be taken apart"


class Input(NamedTuple):
    """One file: its path below the folder, which is its rows' source, and the whole path."""

    name: str
    path: str


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        number: from 1, without a header; lines that cannot be taken apart are not counted.
        values: as the file has them, by its names.
        reason: why it is no row at all, or None.
    """

    number: int
    values: dict[str, Any]
    reason: str | None = None


@dataclass(frozen=True)
class Folder:
    """A folder or a bucket's prefix.

    Attributes:
        place: as the setting names it.
    """

    system: fs.FileSystem
    root: str
    place: str

    def inputs(self, kind: Kind) -> list[Input]:
        """The kind's files by name: those in the folder of its name, and one beside it.

        Raises:
            SkyOpsError: the place is not there, or does not answer.
        """
        from pyarrow import fs

        try:
            found = self.system.get_file_info(fs.FileSelector(self.root, recursive=True))
        except FileNotFoundError:
            raise SkyOpsError(
                f"SKYOPS_OPERATOR_DATA names {self.place}, which does not exist. Create it, or "
                "correct the setting."
            ) from None
        except OSError as error:
            raise SkyOpsError(self._unreachable(error)) from None
        names = [
            one.path[len(self.root) :].lstrip("/") for one in found if one.type == fs.FileType.File
        ]
        return [Input(one, f"{self.root}/{one}") for one in sorted(names) if _is_of(one, kind)]

    def read(self, path: str) -> bytes | None:
        """A file's bytes; None if there is none."""
        try:
            with self.system.open_input_file(path) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SkyOpsError(self._unreachable(error)) from None

    def columns(self) -> bytes:
        """What ``columns.toml`` holds; nothing where there is none."""
        return self.read(f"{self.root}/{FILE}") or b""

    def _unreachable(self, error: OSError) -> str:
        said = " ".join(str(error.strerror or error).split())[:300]
        return (
            f"SKYOPS_OPERATOR_DATA names {self.place}, which cannot be read: {said}. Check the "
            "setting and the rights" + (" (AWS_*)." if "://" in self.place else ".")
        )


def open_folder(place: str) -> Folder:
    """The operator's folder; nothing is asked of it yet.

    Args:
        place: a path, or ``s3://bucket/prefix``, for which AWS' own variables hold keys, region and
            address.
    """
    from pyarrow import fs

    if not place.startswith("s3://"):
        return Folder(fs.LocalFileSystem(), place.rstrip("/"), place)
    # Arrow takes AWS' variables by itself, but for the server's address.
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    system = fs.S3FileSystem(
        endpoint_override=address,
        connect_timeout=5,
        request_timeout=30,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),
    )
    return Folder(system, place.removeprefix("s3://").rstrip("/"), place)


def _is_of(name: str, kind: Kind) -> bool:
    """Whether a file is of a kind: ``parts.csv.gz``, or any in the folder ``parts``."""
    path = PurePosixPath(name)
    # Hidden files, and what Excel writes beside an open one.
    if any(part.startswith((".", "~$")) for part in path.parts):
        return False
    if len(path.parts) == 1:
        return path.name.lower().split(".")[0] == kind.name and "." in path.name
    return path.parts[0].lower() == kind.name


def is_readable(name: str) -> bool:
    """Whether a file's name says that it is CSV, JSON or Excel."""
    return name.lower().removesuffix(".gz").endswith(ENDINGS)


def read_rows(name: str, body: bytes, mapped: Mapped) -> tuple[list[str], list[Row]]:
    """The names of a file's columns, and its rows in their order.

    Raises:
        SkyOpsError: it is damaged or none of the formats; the text says what to do.
    """
    try:
        if body.startswith(_GZIP):
            body = gzip.decompress(body)
        if not body.strip():
            raise SkyOpsError("is empty. Write it again with a header, or remove it")
        if body.startswith((_ZIP, _OLE)):
            return _excel(body, mapped)
        text = _text(body, mapped)
        if name.lower().removesuffix(".gz").endswith(_JSON):
            return _json(text)
        return _csv(text, mapped)
    except BROKEN as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise SkyOpsError(f"is damaged ({said}). Write it again") from None


def _text(body: bytes, mapped: Mapped) -> bytes:
    """As UTF-8 without a byte order mark."""
    if mapped.encoding:
        try:
            body = body.decode(mapped.encoding).encode()
        except UnicodeDecodeError:
            raise SkyOpsError(f"is not {mapped.encoding}. Correct its encoding in {FILE}") from None
    text = decompressed_bytes(body).read()
    if b"\0" in text[: 1 << 16]:
        raise SkyOpsError("is neither CSV, JSON nor Excel. Export it again as one of them")
    return text


def _csv(text: bytes, mapped: Mapped) -> tuple[list[str], list[Row]]:
    if mapped.header:
        sign = mapped.delimiter
        if not sign.strip(" "):
            sign = ","
            text = b"\n".join(b",".join(line.split()) for line in text.splitlines())
        text = sign.join(mapped.header).encode() + b"\n" + text
    names, rows = csv_rows(io.BytesIO(text))
    return names, list(_counted(rows, names))


def _counted(rows: Iterable[dict[str, Any]], names: list[str]) -> Iterator[Row]:
    number = 0
    for values in rows:
        if values.keys() == {"line"} and names != ["line"]:
            yield Row(0, values, TORN)
        elif None in values or None in values.values():
            found = sum(one is not None for one in values.values()) - (None in values)
            found += len(values.get(None, ()))  # type: ignore[call-overload]
            yield Row(0, values, f"the line has {found} fields instead of {len(names)}")
        elif any(value.strip() for value in values.values()):
            number += 1
            yield Row(number, values)


def _json(text: bytes) -> tuple[list[str], list[Row]]:
    """The rows of an array of objects, or of an object a line."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    found: list[tuple[Any, str | None]]
    if isinstance(whole, list):
        found = [
            (one, None) if isinstance(one, dict) else (one, "it is not an object") for one in whole
        ]
    elif whole is None or (isinstance(whole, dict) and b"\n" not in text.strip()):
        found = list(map(_line, filter(None, map(bytes.strip, text.splitlines()))))
        if all(reason for _, reason in found):
            raise SkyOpsError("is not JSON: neither an array nor an object a line. Write it again")
    else:
        raise SkyOpsError(
            "is not an array of objects and has no object a line. Write its rows as one of them"
        )
    names: dict[str, None] = {}
    rows: list[Row] = []
    for number, (one, reason) in enumerate(found, start=1):
        if reason is None:
            names.update(dict.fromkeys(one))
        rows.append(Row(number, one if isinstance(one, dict) else {"line": one}, reason))
    return list(names), rows


def _line(line: bytes) -> tuple[Any, str | None]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return line.decode("utf-8", "surrogateescape"), "the line is not JSON"
    return (found, None) if isinstance(found, dict) else (found, "it is not an object")


def _excel(body: bytes, mapped: Mapped) -> tuple[list[str], list[Row]]:
    """The rows of one sheet, after its first row that is not empty."""
    table = _sheet(body, mapped.sheet)
    if mapped.header:
        names = list(mapped.header)
    else:
        names = [
            str(name).strip() or f"unnamed_{number}"
            for number, name in enumerate(table[0] if table else [], start=1)
        ]
        table = table[1:]
    rows = (dict(zip(names, row, strict=False)) for row in table if any(one != "" for one in row))
    return names, [Row(number, row) for number, row in enumerate(rows, start=1)]


def _sheet(body: bytes, sheet: str | None) -> list[list[Any]]:
    import python_calamine as calamine

    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(body))
        if sheet is not None and sheet not in book.sheet_names:
            raise SkyOpsError(
                f"has no sheet {sheet!r} but {', '.join(book.sheet_names)}. Correct {FILE}"
            )
        found = book.get_sheet_by_index(0) if sheet is None else book.get_sheet_by_name(sheet)
        return list(found.to_python())
    except SkyOpsError:
        raise
    # Rust's panics are no Exception.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        said = " ".join(str(error).split())[:200]
        if isinstance(error, calamine.PasswordError):
            raise SkyOpsError("has a password. Save it without one") from None
        raise SkyOpsError(f"is a damaged Excel file ({said}). Save it again") from None
