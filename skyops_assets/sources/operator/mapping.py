"""What a file's columns are called and how its values are written: ``columns.toml``.

Belongs here: the file, the mappings that come with SkyOps, and which of them is a file's. Does not:
reading a value by it (`values`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from skyops_assets.errors import SkyOpsError
from skyops_assets.sources.operator.kinds import Kind

FILE = "columns.toml"
SHIPPED = Path(__file__).with_name("mappings")
AIRPORT_ZONE = "airport"


@dataclass(frozen=True)
class Mapped:
    """How a file is written. Everything has a default: a file with our own names needs none.

    Attributes:
        files: patterns of file names that it counts for; without one it counts for all.
        columns: the file's names by ours; several for readings.
        constants: values by our names that the file does not have.
        codes: by our name which of the file's values are true and false; ``*`` is any other.
        missing: what else stands for a missing value, such as UNKNOWN.
        times: forms of dates and times, in the signs of Python's strptime, besides ISO 8601.
        zone: of times without an offset: a name such as Europe/Paris, or `AIRPORT_ZONE`.
        decimal: the sign before a number's fraction.
        prefixes: by our name what the file leaves out in front.
        designators: ICAO's designators by IATA's.
        header: names of the columns, where the file has none.
        delimiter: between columns, where the file has no header; a blank stands for any number.
        encoding: of a text that is neither UTF-8 nor UTF-16.
        sheet: of a spreadsheet; without one the first.
        fails_at_end: whether the last row of each unit is its failure.
        optional: of our names those whose column came with SkyOps, and may be missing in the file.
    """

    files: tuple[str, ...] = ()
    columns: dict[str, str | list[str]] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    zone: str = "UTC"
    decimal: str = "."
    prefixes: dict[str, str] = field(default_factory=dict)
    designators: dict[str, str] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    delimiter: str = ","
    encoding: str | None = None
    sheet: str | None = None
    fails_at_end: bool = False
    optional: frozenset[str] = frozenset()


_NAMES = {one.name: one for one in fields(Mapped) if one.name != "optional"}
_LISTS = ("files", "missing", "times", "header")
_TABLES = ("columns", "constants", "codes", "prefixes", "designators")


def read_mappings(text: bytes, kind: Kind) -> list[Mapped]:
    """What a ``columns.toml`` says of a kind; nothing where it says nothing.

    Raises:
        SkyOpsError: it is no TOML, or says what nobody understands.
    """
    try:
        told = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SkyOpsError(f"{FILE} cannot be read: {error}. Correct it.") from None
    entries = told.get(kind.name, [])
    entries = entries if isinstance(entries, list) else [entries]
    return [one for entry in entries for one in _entries(entry, kind)]


def mapping_of(name: str, mappings: list[Mapped]) -> Mapped | None:
    """The first that counts for a file; None where there are some and none does."""
    if not mappings:
        return Mapped()
    return next(
        (
            one
            for one in mappings
            if not one.files or any(fnmatch(name.lower(), form.lower()) for form in one.files)
        ),
        None,
    )


def _entries(entry: Any, kind: Kind) -> list[Mapped]:
    where = f"{FILE}, [{kind.name}]"
    if not isinstance(entry, dict):
        raise SkyOpsError(f"{where} is not a table: {entry!r}. Correct it.")
    own = dict(entry)
    like = own.pop("like", None)
    if like is None:
        return [_mapped(own, kind, where)]
    known = {path.stem: path for path in SHIPPED.glob("*.toml")}
    if like not in known:
        raise SkyOpsError(
            f"{where}: like is {like!r}; SkyOps has {', '.join(sorted(known))}. Correct it."
        )
    shipped = tomllib.loads(known[like].read_text()).get(kind.name)
    if shipped is None:
        raise SkyOpsError(f"{where}: {like} is not a mapping of {kind.noun}. Correct it.")
    bases = shipped if isinstance(shipped, list) else [shipped]
    named = _table(own, "columns", where)
    return [
        _mapped(_over(one, own), kind, where, frozenset(one.get("columns", {})) - frozenset(named))
        for one in bases
    ]


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A mapping with what another says instead; tables are joined."""
    return base | {
        name: {**base.get(name, {}), **value} if isinstance(value, dict) else value
        for name, value in own.items()
    }


def _mapped(
    told: dict[str, Any], kind: Kind, where: str, optional: frozenset[str] = frozenset()
) -> Mapped:
    if unknown := [name for name in told if name not in _NAMES]:
        raise SkyOpsError(
            f"{where} has {unknown[0]!r}, which is unknown; the names are like, "
            f"{', '.join(_NAMES)}. Correct it."
        )
    ours = [column.name for column in kind.columns]
    for table in ("columns", "constants", "codes", "prefixes"):
        for name in _table(told, table, where):
            if name not in ours:
                raise SkyOpsError(
                    f"{where}: {table} names {name!r}; {kind.noun} have {', '.join(ours)}. "
                    "Correct it."
                )
    for name in _LISTS:
        if name in told:
            value = told[name] if isinstance(told[name], list) else [told[name]]
            if not all(isinstance(one, str) for one in value):
                raise SkyOpsError(f"{where}: {name} is not a text or list of texts. Correct it.")
            told = {**told, name: tuple(value)}
    _check(told, where)
    return Mapped(**told, optional=optional)


def _table(told: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    value = told.get(name, {})
    if not isinstance(value, dict):
        raise SkyOpsError(f"{where}: {name} is not a table. Correct it.")
    return value


def _check(told: dict[str, Any], where: str) -> None:
    """Values that can be wrong for every row are told of once."""
    _table(told, "designators", where)
    zone = told.get("zone", "UTC")
    if zone != AIRPORT_ZONE:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            raise SkyOpsError(
                f"{where}: zone is {zone!r}, which is not a time zone such as Europe/Paris. "
                f'Correct it, or write "{AIRPORT_ZONE}" for the zone of each airport.'
            ) from None
    try:
        "".encode(told.get("encoding") or "utf-8")
    except (LookupError, TypeError):
        raise SkyOpsError(
            f"{where}: encoding is {told['encoding']!r}, which is none. Correct it."
        ) from None
    for name, codes in told.get("codes", {}).items():
        if (
            not isinstance(codes, dict)
            or not set(codes) <= {"true", "false"}
            or not all(isinstance(one, list) for one in codes.values())
        ):
            raise SkyOpsError(
                f"{where}: codes of {name} are not lists named true and false. Correct it."
            )
