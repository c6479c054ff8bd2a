"""Data Docs: the page of a suite's last validation by Great Expectations.

Belongs here: where the page is, and its words. Does not: validating (`expectations`), the page's
form (`reporting.html`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from skyops_assets.reporting import html
from skyops_assets.store import DOCS, Store

if TYPE_CHECKING:
    from skyops_assets.quality.expectations import Expected

FOLDER = f"{DOCS}/data_docs"


def name(suite_name: str) -> str:
    """The name in the store of a suite's page; `skyops up` serves the folder ``docs`` above it."""
    return f"{FOLDER}/{suite_name}.html"


def suites(store: Store) -> list[str]:
    """The suites that have a page, by name.

    Raises:
        OSError: the store does not answer.
    """
    found = (PurePosixPath(file.name) for file in store.files(FOLDER))
    return [path.stem for path in found if path.suffix == ".html"]


def write(
    store: Store, suite_name: str, what: str, rows: int, outcomes: Sequence[Expected]
) -> None:
    """Write the page of one validation in the place of the one before.

    Args:
        what: of the suite: a sentence on what is tested, and what follows from it.
        rows: how many were tested.
    """
    subject, _, meaning = what.partition(". ")
    broken = [one for one in outcomes if not one.is_met]
    blocking = [one for one in broken if one.blocks]
    todo = "Nothing needs to be done."
    if blocking:
        todo = "The check is red and stops what would be computed from these rows; see below."
    elif broken:
        todo = "The check passes: the unusual values stop nothing. Have a look at them; see below."
    parts = [
        f"<h1>{escape(subject)}: data tests</h1>",
        html.verdict(_verdict(len(outcomes), broken, blocking), not blocking),
        f"<p>Great Expectations compared {rows:,} rows with {len(outcomes)} expectations, at "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {todo}</p>",
        f"<p>{escape(meaning)}</p>",
    ]
    if broken:
        lines = (f"<li>{escape(f'{one.words}: {one.advice}')}</li>" for one in broken)
        parts += ["<h2>What to do</h2>", f"<ul>{''.join(lines)}</ul>"]
    parts += [
        "<h2>All expectations</h2>",
        html.table(
            ("outcome", "expectation", "rows against it", "of them, for example"),
            [
                (_outcome(one), one.words, _count(one), ", ".join(map(str, one.samples)))
                for one in sorted(outcomes, key=lambda one: (one.is_met, not one.blocks))
            ],
        ),
    ]
    store.write(name(suite_name), html.page(f"{subject}: data tests", parts).encode())


def _verdict(count: int, broken: Sequence[Expected], blocking: Sequence[Expected]) -> str:
    if blocking:
        return f"Not met: {len(blocking)} of {count} expectations"
    return f"All that block are met; unusual: {len(broken)}" if broken else "All are met"


def _outcome(one: Expected) -> str:
    if one.is_met:
        return "met" if one.is_judged else "not judged: too few rows"
    return "NOT MET" if one.blocks else "unusual"


def _count(one: Expected) -> str:
    return "-" if one.unexpected_rows is None else f"{one.unexpected_rows:,}"
