"""Files that SkyOps keeps beside its tables, in a folder or a bucket: `SKYOPS_STORE`.

Belongs here: writing, reading, listing and removing a file of either kind, and how a bucket is
reached. Does not: which files there are (`arrivals.store.training`, `monitoring.report`,
`quality.data_docs`, MLflow), moving them all (`operations.moving`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from skyops_assets.errors import SkyOpsError
from skyops_assets.files import replacing
from skyops_assets.settings import Settings

if TYPE_CHECKING:
    from pyarrow import fs

S3 = "s3://"
CONNECT_S, REQUEST_S, ATTEMPTS = 5, 30, 3
"""A bucket that is away is given up after 15 to 20 s."""
TRAINING, REPORTS, DOCS, MLFLOW, COMPUTE_LOGS = (
    "training", "reports", "docs", "mlflow", "compute_logs",
)  # fmt: skip
"""Folders of the store."""
DOCS_PAGE = f"{DOCS}/index.html"
"""The dbt docs."""


@dataclass(frozen=True)
class File:
    """A file of a store: its name below the root, bytes, and when it was written."""

    name: str
    size: int
    modified_at: datetime


@dataclass(frozen=True)
class Store:
    """Files below a root, each of which is there whole or not at all.

    Attributes:
        place: a path, or ``s3://bucket/prefix``, without a slash at its end.
    """

    system: fs.FileSystem
    place: str

    @property
    def is_local(self) -> bool:
        """Whether the files are those of this machine."""
        return not self.place.startswith(S3)

    def address(self, name: str) -> str:
        """Where a file is, for people and other programs."""
        return f"{self.place}/{name}"

    def below(self, name: str) -> Store:
        """The store whose root is a folder of this one."""
        return Store(self.system, self.address(name))

    def read(self, name: str) -> bytes | None:
        """What a file holds; None if there is none."""
        with suppress(FileNotFoundError, NotADirectoryError), self.open(name) as file:
            return file.read()
        return None

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file to read, in parts or whole; only what is read is fetched.

        Raises:
            FileNotFoundError: there is none.
        """
        with self.system.open_input_file(self._path(name)) as file:
            yield cast(BinaryIO, file)

    def find(self, name: str) -> File | None:
        """A file's size and time; None if there is none."""
        from pyarrow import fs

        info = self.system.get_file_info(self._path(name))
        return File(name, info.size, info.mtime) if info.type == fs.FileType.File else None

    def write(self, name: str, content: bytes) -> None:
        """Put a file there, in the place of an earlier one."""
        with self.writing(name) as part:
            part.write_bytes(content)

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A file of this machine to write, which takes its place in the store once it is whole."""
        if self.is_local:
            with replacing(Path(self._path(name))) as part:
                yield part
            return
        with tempfile.TemporaryDirectory(prefix="skyops-store-") as folder:
            part = Path(folder) / Path(name).name
            yield part
            # An object appears when its upload is complete.
            with (
                part.open("rb") as file,
                self.system.open_output_stream(self._path(name)) as stream,
            ):
                shutil.copyfileobj(file, stream, 2**20)

    def delete(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        with suppress(FileNotFoundError):
            self.system.delete_file(self._path(name))

    def files(self, below: str = "") -> list[File]:
        """All files below a folder of the store, by name; none where it is not there.

        Raises:
            OSError: the store does not answer.
        """
        from pyarrow import fs

        found = self.system.get_file_info(
            fs.FileSelector(self._path(below), allow_not_found=True, recursive=True)
        )
        start = len(self._path("")) + 1
        return sorted(
            (
                File(one.path[start:], one.size, one.mtime)
                for one in found
                if one.type == fs.FileType.File
            ),
            key=lambda file: file.name,
        )

    def sha256(self, name: str) -> str:
        """The hash of a file, as it is read back.

        Raises:
            FileNotFoundError: there is none.
        """
        digest = hashlib.sha256()
        with self.open(name) as file:
            while part := file.read(2**20):
                digest.update(part)
        return digest.hexdigest()

    def _path(self, name: str) -> str:
        root = self.place.removeprefix(S3)
        return f"{root}/{name}" if name else root


def copy_file(source: Store, goal: Store, file: File) -> None:
    """Have a file in another store under the same name, in the place of an earlier one.

    In a folder it keeps its time, by which files grow too old to be kept; a bucket has its own.

    Raises:
        FileNotFoundError: there is none any more.
    """
    with source.open(file.name) as original, goal.writing(file.name) as part:
        with part.open("wb") as copy:
            shutil.copyfileobj(original, copy, 2**20)
        written = file.modified_at.timestamp()
        os.utime(part, (written, written))


def open_store(settings: Settings) -> Store:
    """The store of the settings; nothing is asked of it yet."""
    return open_place(settings.store_root)


def open_place(
    place: str,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    key: str | None = None,
    secret: str | None = None,
) -> Store:
    """A folder by its path or ``file://`` address, or ``s3://bucket/prefix``; it need not be there.

    Args:
        endpoint: the server's address; this, the region and the keys are AWS' own variables where
            they are not given.

    Raises:
        SkyOpsError: it is another kind of address.
    """
    from pyarrow import fs

    if place.startswith("file://"):
        place = unquote(urlsplit(place).path)
    if not place.startswith(S3):
        if "://" in place:
            raise SkyOpsError(f"{place!r} is neither a folder nor s3://bucket/prefix.")
        return Store(fs.LocalFileSystem(), str(Path(place).expanduser().absolute()))
    system = fs.S3FileSystem(
        access_key=key,
        secret_key=secret,
        region=region,
        # Arrow takes AWS' other variables by itself.
        endpoint_override=endpoint
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL"),
        connect_timeout=CONNECT_S,
        request_timeout=REQUEST_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
    return Store(system, place.rstrip("/"))
