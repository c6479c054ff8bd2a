"""How well arrivals are predicted: Zurich, each ring, learned from the past of the history only.

`skyops exec -- python -m validation.arrivals` loads the three months of LSZH into a database of its
own, runs dbt, and trains with the production recipe on `features.arrival_features`. Each period is
scored on all arrivals with a transit of 3 to 90 minutes, night included, one row a flight.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.storage import Row, scratch, show
from benchmarks.transform import dbt, load_reference
from skyops_assets.arrivals.features import RING_NM, RINGS_NM

if TYPE_CHECKING:
    import pandas as pd

    from skyops_assets.arrivals.evaluation.metrics import Evaluation
    from skyops_assets.warehouse.connection import Warehouse

TRAINED_ROWS = 50_000
TRAINING_LIMIT_S = 10
ASKED = 500
ANSWER_LIMIT_MS = 20


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """What is scored, [`start`, `end`): learned is only what landed before it."""

    name: str
    start: datetime
    end: datetime
    bars_min: dict[int, float]
    """The error to stay below, by ring."""


PERIODS = (
    Period("last week of 2019-03", _day(2019, 3, 25), _day(2019, 4, 1), {40: 1.86, 100: 2.40}),
    Period("2019-05", _day(2019, 5, 1), _day(2019, 6, 1), {40: 2.20, 100: 2.80}),
    Period("2020-03", _day(2020, 3, 1), _day(2020, 4, 1), {40: 1.67, 100: 2.15}),
)


def load_history(warehouse: Warehouse) -> None:
    """Zurich's days of the three months that the tables in the docs are of."""
    from skyops_assets.settings import load_settings
    from skyops_assets.sources.history import load, source

    for name in sorted(source.pins()):
        if not name.startswith(("LSZH-2019", "LSZH-2020-03")):
            continue
        file = source.history_file(name[:4], date.fromisoformat(name[5:15]))
        load.load_file(warehouse, file, load_settings())


def evaluate_period(
    rows: pd.DataFrame, period: Period
) -> tuple[Evaluation, tuple[float, float], tuple[float, float], dict[str, float]]:
    """Train on what landed before the period; its MAE with interval, and what carries it.

    Args:
        rows: `features.usable_arrivals`.

    Returns:
        The evaluation; the 95 % interval of the MAE in minutes (bootstrap over blocks as for
        skill); the share of arrivals within their 90 % prediction interval, and its mean width in
        minutes; and by how many minutes the MAE rises when a group of features is permuted.
    """
    import numpy as np
    import pandas as pd

    from skyops_assets.arrivals.evaluation import metrics
    from skyops_assets.arrivals.learning import baselines, fit, split

    known = rows[rows["crossed_at"] < pd.Timestamp(period.end)].reset_index(drop=True)
    parts = split.split_at(known, period.start)
    model = fit.fit(parts.train)
    minutes = fit.predict(model, parts.test)
    answers = baselines.answers(parts.train, parts.test)
    result = metrics.evaluate(parts.test, answers, challenger=("model", minutes))
    actual = parts.test[metrics.LABEL].to_numpy()
    # Against a reference that is one minute off everywhere, skill is 1 - MAE: the same draws.
    off = metrics.compare(
        actual, minutes, actual + np.ones_like(actual), parts.test["crossed_at"], "one minute off"
    )
    assert off.low is not None and off.high is not None
    importance = metrics.group_importance(lambda frame: fit.predict(model, frame), parts.test)
    bounds = fit.predict_interval(model, parts.test)
    assert bounds is not None
    covered = float(np.mean((bounds[0] <= actual) & (actual <= bounds[1])))
    held = covered, float(np.mean(bounds[1] - bounds[0]))
    return result, (1 - off.high, 1 - off.low), held, importance


def rows_of(warehouse: Warehouse, ring_nm: int) -> pd.DataFrame:
    """The arrivals of the history through a ring, to learn from and to be scored on."""
    from skyops_assets.arrivals import features
    from skyops_assets.arrivals.store import inputs

    rows, _ = features.usable_arrivals(inputs.read_arrivals(warehouse, ring_nm))
    return rows


def measure() -> Iterator[Row]:
    """Rows of the benchmark's table."""
    with tempfile.TemporaryDirectory() as folder, scratch() as warehouse:
        load_reference(warehouse)
        load_history(warehouse)
        watching = ("run", "--vars", "watch_airports: LSZH")
        run = dbt(warehouse, Path(folder), *watching)
        again = dbt(warehouse, Path(folder), *watching)
        spent, spent_again = (
            sum(s for node, s in one.nodes.items() if "crossing" in node) for one in (run, again)
        )
        yield (
            "features of the whole history",
            f"{spent:.1f} s of SQL",
            f"again, with nothing new: {spent_again:.2f} s",
            f"{spent_again / spent:.3f}",
        )
        rows = {ring_nm: rows_of(warehouse, ring_nm) for ring_nm in RINGS_NM}
    for ring_nm, of_ring in rows.items():
        for period in PERIODS:
            yield row_of(of_ring, period, ring_nm)
    yield from speed(rows[RING_NM])


def speed(rows: pd.DataFrame) -> Iterator[Row]:
    """How long the main recipe takes with its interval, and to answer for one arrival.

    Both use one thread, whose CPU time is what they take on a machine that is otherwise idle.
    """
    import numpy as np

    from skyops_assets.arrivals.learning import fit

    many = rows.sample(TRAINED_ROWS, replace=True, random_state=0).sort_values("crossed_at")
    many = many.assign(flight_id=[str(number) for number in range(len(many))])
    began = time.process_time()
    model = fit.fit(many.reset_index(drop=True))
    took_s = time.process_time() - began
    yield (
        f"training on {TRAINED_ROWS:,} arrivals, with the interval",
        f"{took_s:.1f} s of CPU",
        f"at most {TRAINING_LIMIT_S} s",
        f"{took_s / TRAINING_LIMIT_S:.2f}",
    )
    waits_ms = []
    for place in range(ASKED):
        began = time.process_time()
        fit.predict(model, many.iloc[[place]])
        waits_ms.append(1000 * (time.process_time() - began))
    p95_ms = float(np.percentile(waits_ms, 95))
    yield (
        "one prediction, 95 % of the cases",
        f"{p95_ms:.1f} ms of CPU",
        f"at most {ANSWER_LIMIT_MS} ms",
        f"{p95_ms / ANSWER_LIMIT_MS:.2f}",
    )


def row_of(rows: pd.DataFrame, period: Period, ring_nm: int) -> Row:
    """One period's row of the table; what carries it is printed."""
    result, (low, high), (covered, width), importance = evaluate_period(rows, period)
    own = result.score("challenger")
    assert own is not None and own.metrics.mae_min is not None and own.metrics.r2 is not None
    skill = own.against_baseline
    assert skill is not None and skill.skill is not None
    assert skill.low is not None and skill.high is not None
    best = next(score for score in result.scores if score.candidate == result.reference)
    assert best.metrics.mae_min is not None
    bar_min, what = period.bars_min[ring_nm], f"{ring_nm} NM, {period.name}"
    print(
        what,
        {group: round(minutes, 2) for group, minutes in importance.items()},
    )
    return (
        f"{what}: MAE of {result.scored_rows:,} of {result.test_rows:,} arrivals",
        f"{own.metrics.mae_min:.3f} min ({low:.3f} to {high:.3f}), R2 {own.metrics.r2:.2f}; "
        f"90 % interval holds {covered:.1%}, {width:.1f} min wide",
        f"at most {bar_min:.2f}; {best.candidate} {best.metrics.mae_min:.3f}, skill "
        f"{skill.skill:.3f} ({skill.low:.3f} to {skill.high:.3f}, {skill.blocks} {skill.block}s)",
        f"{own.metrics.mae_min / bar_min:.2f}",
    )


def main() -> None:
    """This table alone."""
    show(measure(), width=160)


if __name__ == "__main__":
    main()
