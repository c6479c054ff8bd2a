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
WORDS = {
    "expect_table_row_count_to_be_between": "the number of rows is {limits}",
    "expect_column_values_to_match_regex": "{column} has the form {regex}",
    "expect_column_values_to_not_be_null": "{column} is not null",
    "expect_compound_columns_to_be_unique": "no two rows have the same {columns}",
    "expect_column_values_to_be_in_set": "{column} is {values}",
    "expect_column_values_to_not_be_in_set": "{column} is not {values}",
    "expect_column_pair_values_a_to_be_greater_than_b": "{column_A} is greater than {column_B}",
    "expect_column_values_to_be_between": "{column} is {limits}",
    "expect_column_median_to_be_between": "the median of {column} is {limits}",
    "expect_column_stdev_to_be_between": "the standard deviation of {column} is {limits}",
}
"""Each kind of expectation that a suite has, for a person; nulls are judged by one kind alone."""


@dataclass(frozen=True)
class Expected:
    """One expectation's outcome: what, whether it holds, how many rows break it, samples.

    One that asks for more rows than there are (`min_rows` in its file) is met and not judged. One
    that does not block (`blocks` in its file) tests what the world sends, and is only told.
    `words` say it to a person, `expectation` names it.
    """

    expectation: str
    is_met: bool
    unexpected_rows: int | None
    samples: list[Any]
    advice: str
    is_judged: bool = True
    blocks: bool = True
    words: str = ""


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
        settings: name the store; the page is where `skyops up` serves it, beside the dbt docs.

    Raises:
        SkyOpsError: as `validate`.
    """
    store = open_store(settings)
    rows = 0
    parts: list[list[Expected]] = []
    for frame in frames:
        rows += len(frame)
        parts.append(validate(frame, suite_name))
    outcomes = merged(parts)
    data_docs.write(store, suite_name, _suite(suite_name)["meta"]["what"], rows, outcomes)
    return Validation(rows, outcomes, suite_name, store.address(data_docs.name(suite_name)))


def validate(frame: pd.DataFrame, suite_name: str) -> list[Expected]:
    """Check a frame against ``suites/<suite_name>.json``.

    Returns:
        The outcomes in the order of their names.

    Raises:
        SkyOpsError: there is no such suite, or an expectation cannot be evaluated
            (a missing column, for one).
    """
    import great_expectations as gx

    definition = _suite(suite_name)
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
            words=in_words(i["type"], i["kwargs"]),
        )
        for i in too_few
    ]
    return sorted(outcomes, key=lambda outcome: outcome.expectation)


def _suite(name: str) -> dict[str, Any]:
    path = SUITES / f"{name}.json"
    if not path.is_file():
        raise SkyOpsError(f"There is no suite {name!r} in {SUITES}")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


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
        else [one for one in found.get("partial_unexpected_list") or () if str(one) != "nan"][
            :SAMPLES
        ],
        advice=str((config.meta or {}).get("advice", "")),
        blocks=bool((config.meta or {}).get("blocks", True)),
        words=in_words(config.type, config.kwargs),
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


def in_words(kind: str, kwargs: dict[str, Any]) -> str:
    """An expectation as a person says it: ``latitude_deg is from -90 to 90``."""
    low, high = (
        None if kwargs.get(name) is None else format(kwargs[name], ".12g")
        for name in ("min_value", "max_value")
    )
    limits = f"from {low} to {high}"
    if low is None or high is None:
        limits = f"at most {high}" if low is None else f"at least {low}"
    said = WORDS[kind].format(**{
        **kwargs,
        "limits": limits,
        "columns": ", ".join(kwargs.get("column_list", ())),
        "values": " or ".join(map(str, kwargs.get("value_set", ()))),
    })  # fmt: skip
    if "mostly" in kwargs:
        said += f", in {100 * kwargs['mostly']:g} % of the rows or more"
    return said


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
