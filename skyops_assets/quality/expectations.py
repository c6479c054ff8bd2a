"""Run a suite of expectations on a frame and say what was found.

Belongs here: the bridge to Great Expectations. Does not: the expectations themselves
(`suites/*.json`) and what a failure blocks (``defs/``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError
from skyops_assets.quality import data_docs
from skyops_assets.reporting.markdown import table
from skyops_assets.settings import Settings
from skyops_assets.store import open_store

if TYPE_CHECKING:
    import pandas as pd

SUITES = Path(__file__).parent / "suites"
SAMPLES = 3


@dataclass(frozen=True)
class Expected:
    """One expectation's outcome: what, whether it holds, how many rows break it, samples.

    One that asks for more rows than there are (`min_rows` in its file) is met and not judged. One
    that does not block (`blocks` in its file) tests what the world sends, and is only told.
    """

    expectation: str
    is_met: bool
    unexpected_rows: int | None
    samples: list[Any]
    advice: str
    is_judged: bool = True
    blocks: bool = True


@dataclass(frozen=True)
class Validation:
    """A suite's outcomes on all parts of the rows, and where the page is that shows them."""

    rows: int
    outcomes: list[Expected]
    suite_name: str
    page: str

    @property
    def problem(self) -> str | None:
        """What is broken and blocks, and what to do, or None."""
        return self._said(blocks=True)

    @property
    def notice(self) -> str | None:
        """What is unusual and may be true, and what to look at, or None."""
        return self._said(blocks=False)

    def _said(self, *, blocks: bool) -> str | None:
        broken = [one for one in self.outcomes if not one.is_met and one.blocks == blocks]
        return "; ".join(f"{item.expectation}: {item.advice}" for item in broken) or None


def validate_parts(
    frames: Iterable[pd.DataFrame], suite_name: str, settings: Settings
) -> Validation:
    """Check the parts of some rows, at least one, and write their Data Docs.

    Args:
        settings: name the store; the page is where `skyops up` serves it, beside the dbt docs. Of
            several parts the first that breaks something has the page.

    Raises:
        SkyOpsError: as `validate`.
    """
    store = open_store(settings)
    rows, is_shown = 0, False
    parts: list[list[Expected]] = []
    for frame in frames:
        rows += len(frame)
        is_first = not parts
        outcomes, result = _validated(frame, suite_name)
        parts.append(outcomes)
        is_broken = not all(item.is_met for item in outcomes)
        if is_first or (is_broken and not is_shown):
            is_shown = is_broken
            data_docs.write(store, suite_name, result, [i.advice for i in outcomes if not i.is_met])
    return Validation(rows, merged(parts), suite_name, store.address(data_docs.name(suite_name)))


def validate(frame: pd.DataFrame, suite_name: str) -> list[Expected]:
    """Check a frame against ``suites/<suite_name>.json``.

    Returns:
        The outcomes in the order of their names.

    Raises:
        SkyOpsError: there is no such suite, or an expectation cannot be evaluated
            (a missing column, for one).
    """
    return _validated(frame, suite_name)[0]


def _validated(frame: pd.DataFrame, suite_name: str) -> tuple[list[Expected], Any]:
    """The outcomes, and Great Expectations' own result."""
    import great_expectations as gx

    path = SUITES / f"{suite_name}.json"
    if not path.is_file():
        raise SkyOpsError(f"There is no suite {suite_name!r} in {SUITES}")
    definition = json.loads(path.read_text())
    expectations = definition["expectations"]
    judged = [i for i in expectations if len(frame) >= i["meta"].get("min_rows", 0)]
    too_few = [i for i in expectations if i not in judged]
    suite = gx.ExpectationSuite(name=definition["name"], expectations=judged)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    batch = (
        context.data_sources.add_pandas("frame")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
        .get_batch(batch_parameters={"dataframe": frame})
    )
    result = batch.validate(suite)
    outcomes = [_outcome(one) for one in result.results] + [
        Expected(
            _name(i["type"], i["kwargs"]),
            True,
            None,
            [],
            i["meta"]["advice"],
            is_judged=False,
            blocks=i["meta"].get("blocks", True),
        )
        for i in too_few
    ]
    return sorted(outcomes, key=lambda outcome: outcome.expectation), result


def merged(parts: Sequence[Sequence[Expected]]) -> list[Expected]:
    """The outcomes of one suite on several parts of the rows as one: met where all meet it."""
    return [
        replace(
            found[0],
            is_met=all(one.is_met for one in found),
            is_judged=any(one.is_judged for one in found),
            unexpected_rows=None
            if found[0].unexpected_rows is None
            else sum(one.unexpected_rows or 0 for one in found),
            samples=[sample for one in found for sample in one.samples][:SAMPLES],
        )
        for found in zip(*parts, strict=True)
    ]


def _outcome(result: Any) -> Expected:
    config = result.expectation_config
    name = _name(config.type, config.kwargs)
    if failure := _failure(result.exception_info or {}):
        raise SkyOpsError(f"{name} cannot be evaluated: {failure}")
    found = result.result or {}
    return Expected(
        expectation=name,
        is_met=bool(result.success),
        unexpected_rows=found.get("unexpected_count"),
        samples=[]
        if "null" in config.type
        else list(found.get("partial_unexpected_list") or [])[:SAMPLES],
        advice=str((config.meta or {}).get("advice", "")),
        blocks=bool((config.meta or {}).get("blocks", True)),
    )


def _failure(info: dict[str, Any]) -> str | None:
    """What Great Expectations could not compute; it tells it at the top or once per metric."""
    for part in (info, *(value for value in info.values() if isinstance(value, dict))):
        if part.get("raised_exception"):
            return str(part.get("exception_message"))
    return None


def _name(kind: str, kwargs: dict[str, Any]) -> str:
    pair = [kwargs[name] for name in ("column_A", "column_B") if name in kwargs]
    column = kwargs.get("column") or ", ".join(kwargs.get("column_list", pair))
    limits = [f"{k}={kwargs[k]}" for k in ("min_value", "max_value", "mostly") if k in kwargs]
    return " ".join(part for part in (kind.removeprefix("expect_"), column, *limits) if part)


def report(outcomes: list[Expected]) -> str:
    """The outcomes as a Markdown table, broken ones first."""
    rows = []
    for item in sorted(outcomes, key=lambda outcome: outcome.is_met):
        samples = ", ".join(map(str, item.samples))
        count = "" if item.unexpected_rows is None else item.unexpected_rows
        advice = "" if item.is_met else item.advice
        met = ("yes" if item.is_judged else "too few rows") if item.is_met else "**no**"
        met += "" if item.is_met or item.blocks else ", and does not block"
        rows.append((item.expectation, met, count, samples, advice))
    return table(("expectation", "met", "rows against it", "samples", "what to do"), rows)
