"""Run a suite of expectations on a frame and say what was found.

Belongs here: the bridge to Great Expectations. Does not: the expectations themselves
(`suites/*.json`) and what a failure blocks (``defs/``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import pandas as pd

SUITES = Path(__file__).parent / "suites"
SAMPLES = 3


@dataclass(frozen=True)
class Expected:
    """One expectation's outcome: what, whether it holds, how many rows break it, samples."""

    expectation: str
    is_met: bool
    unexpected_rows: int | None
    samples: list[Any]
    advice: str


def validate(frame: pd.DataFrame, suite_name: str) -> list[Expected]:
    """Check a frame against ``suites/<suite_name>.json``.

    Raises:
        SkyOpsError: there is no such suite, or an expectation cannot be evaluated
            (a missing column, for one).
    """
    import great_expectations as gx

    path = SUITES / f"{suite_name}.json"
    if not path.is_file():
        raise SkyOpsError(f"There is no suite {suite_name!r} in {SUITES}")
    definition = json.loads(path.read_text())
    suite = gx.ExpectationSuite(name=definition["name"], expectations=definition["expectations"])
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    batch = (
        context.data_sources.add_pandas("frame")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
        .get_batch(batch_parameters={"dataframe": frame})
    )
    return [_outcome(result) for result in batch.validate(suite).results]


def merged(parts: Sequence[Sequence[Expected]]) -> list[Expected]:
    """The outcomes of one suite on several parts of the rows as one: met where all meet it."""
    return [
        replace(
            found[0],
            is_met=all(one.is_met for one in found),
            unexpected_rows=None
            if found[0].unexpected_rows is None
            else sum(one.unexpected_rows or 0 for one in found),
            samples=[sample for one in found for sample in one.samples][:SAMPLES],
        )
        for found in zip(*parts, strict=True)
    ]


def _outcome(result: Any) -> Expected:
    config = result.expectation_config
    name = " ".join([config.type.removeprefix("expect_"), *_subject(config.kwargs)])
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
    )


def _failure(info: dict[str, Any]) -> str | None:
    """What Great Expectations could not compute; it tells it at the top or once per metric."""
    for part in (info, *(value for value in info.values() if isinstance(value, dict))):
        if part.get("raised_exception"):
            return str(part.get("exception_message"))
    return None


def _subject(kwargs: dict[str, Any]) -> list[str]:
    column = kwargs.get("column") or ", ".join(kwargs.get("column_list", []))
    limits = [f"{k}={kwargs[k]}" for k in ("min_value", "max_value", "mostly") if k in kwargs]
    return [part for part in (column, *limits) if part]


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def report(outcomes: list[Expected]) -> str:
    """The outcomes as a Markdown table, broken ones first."""
    lines = [
        "| expectation | met | rows against it | samples | what to do |",
        "|---|---|---|---|---|",
    ]
    for item in sorted(outcomes, key=lambda outcome: outcome.is_met):
        samples = ", ".join(_cell(sample) for sample in item.samples)
        count = "" if item.unexpected_rows is None else item.unexpected_rows
        advice = "" if item.is_met else item.advice
        met = "yes" if item.is_met else "**no**"
        lines.append(f"| {item.expectation} | {met} | {count} | {samples} | {advice} |")
    return "\n".join(lines)
