"""Reads bytes as text: compression, encodings, lines, and how a value is shown in a message.

Belongs here: bytes to lines. Does not: columns and quotes (`csv_tables`).
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

BROKEN = (OSError, EOFError, zlib.error)
"""What a file that cannot be read on raises: `OSError` also for a damaged gzip."""
BLOCK_BYTES = 1 << 19
"""Of a CSV file, taken apart at once: 2 MB take 1.4 times as long, out of the processor's cache."""
LONGEST_LINE = 1 << 20
"""Bytes of a line or of a quoted record over many lines; what is longer is no row."""
SHOWN = 10_000
"""Characters that are kept of a torn line: a power cut may leave a megabyte of NULs."""


_ENCODINGS = (
    # UTF-32 first: its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class MalformedLine(NamedTuple):
    """A line that cannot be taken apart, and why; at most `SHOWN` characters of it."""

    line: str
    reason: str

    @classmethod
    def of(cls, line: bytes, reason: str) -> MalformedLine:
        """A torn line; bytes that are no UTF-8 become half characters."""
        return cls(line[: 4 * SHOWN].decode("utf-8", "surrogateescape")[:SHOWN], reason)


def shown(path: Path) -> str:
    """A path as text that can be printed and stored, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@contextmanager
def decompressed(path: Path) -> Iterator[IO[bytes]]:
    """A file's text as UTF-8 without a byte order mark: unpacked from gzip, decoded from UTF-16.

    Raises:
        OSError: it cannot be opened, or is damaged; also while it is read, as are `BROKEN`.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if packed:
            with gzip.open(file) as unpacked:
                yield _decoded(unpacked)  # type: ignore[arg-type]
        else:
            yield _decoded(file)


def decompressed_bytes(body: bytes) -> IO[bytes]:
    """As `decompressed`, of bytes that are no gzip."""
    return _decoded(io.BytesIO(body))


def _decoded(file: IO[bytes]) -> IO[bytes]:
    mark = file.read(4)
    file.seek(0)
    if mark.startswith(codecs.BOM_UTF8):
        file.seek(len(codecs.BOM_UTF8))
        return file
    encoding = next((name for bom, name in _ENCODINGS if mark.startswith(bom)), None)
    return file if encoding is None else io.BufferedReader(_Decoded(file, encoding))


class _Decoded(io.RawIOBase):
    """A file of another encoding as UTF-8; half a character stays half a character."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and (piece := self._file.read1(1 << 16)):  # type: ignore[attr-defined]
            self._left = self._decoder.decode(piece).encode("utf-8", "surrogatepass")
        taken = self._left[: len(buffer)]
        self._left = self._left[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def pieces(file: IO[bytes], size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The file's bytes, so many at once; where it breaks off what came before is given first."""
    broken: Exception | None = None
    while broken is None:
        parts: list[bytes] = []
        length = 0
        try:
            # One `read` would lose what it had when it fails.
            while length < size and (part := file.read1(size - length)):  # type: ignore[attr-defined]
                parts.append(part)
                length += len(part)
        except BROKEN as error:
            broken = error
        if parts:
            yield b"".join(parts)
        elif broken is None:
            return
    raise broken


def line_blocks(parts: Iterable[bytes], ending: bytes = b"\n") -> Iterator[bytes]:
    """Of `pieces` the whole lines; the last line may lack its end.

    Where the file breaks off, the line that it tears is left out, and the error comes last. Of a
    line that is too long the beginning is given, as a line.
    """
    waiting, is_skipping = b"", False
    for piece in parts:
        if is_skipping:
            end = piece.find(ending) + 1
            if not end:
                continue
            is_skipping = False
            waiting = piece[end:]
        else:
            waiting += piece
        end = waiting.rfind(ending) + 1
        if end:
            yield waiting[:end]
            waiting = waiting[end:]
        if len(waiting) > LONGEST_LINE:
            yield waiting[:SHOWN] + ending
            waiting, is_skipping = b"", True
    if waiting:
        yield waiting
