"""Replay history forward in time with the code that runs live: what would have happened.

Belongs here: the clock, who is asked to retrain, and the outcome, in a database of its own.
Does not: predicting, monitoring, training, judging (`steps`: the very functions that the graph
calls, each told the moment up to which it may know), or the report (`report`).
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from skyops_assets.arrivals import features
from skyops_assets.arrivals.learning import fit
from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.steps import evaluate, predict, promote, train
from skyops_assets.arrivals.store import inputs, versions
from skyops_assets.errors import SkyOpsError
from skyops_assets.monitoring import monitor, policy
from skyops_assets.settings import Settings
from skyops_assets.warehouse.bulk import read_arrow
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.scratch import copy_table, scratch

if TYPE_CHECKING:
    import pandas as pd

AT = time(4, tzinfo=UTC)
"""When a day is closed: the hour of the schedules that monitor and retrain."""

TABLES = (
    "features.arrival_features",
    "features.crossing_features",
    "metrics.fct_arrivals",
    "metrics.fct_movements",
    "metrics.fct_flights",
    "metrics.runway_configuration_changes",
)
"""What the steps read. All else they write themselves, into the database of the replay."""


class Retrain(StrEnum):
    """Who asks for a new challenger."""

    POLICY = "policy"
    WEEKLY = "weekly"
    NEVER = "never"


@dataclass(frozen=True)
class Event:
    """What was decided on a day: by the monitor, and where it led to a training, on that.

    `at` is the moment up to which everything was known. Numbers are None where they could not be
    computed; `training_run_id` and what follows it where nothing was trained.
    """

    at: datetime
    champion: str | None
    window_rows: int
    skill: float | None
    skill_low: float | None
    mae_min: float | None
    drift_score: float | None
    verdict: str
    is_retrained: bool
    trigger: str | None
    reasons: str
    training_run_id: str | None = None
    train_rows: int | None = None
    is_promoted: bool | None = None
    gain: float | None = None
    gain_low: float | None = None
    decision: str | None = None


@dataclass(frozen=True)
class Replay:
    """What a replay did.

    `arrivals` has a row per usable arrival: the columns of `features.arrival_columns`, the
    `model_name` and `model_version` that predicted it as it crossed, and in minutes `predicted`,
    `baseline_transit_min` (the best baseline's) and `kept` (the first champion's, had it stayed;
    NaN before it was promoted).
    """

    ring_nm: int
    airports: tuple[str, ...]
    start: date
    end: date
    retrain: Retrain
    events: tuple[Event, ...]
    arrivals: pd.DataFrame


def replay(
    warehouse: Warehouse,
    settings: Settings,
    *,
    airports: Sequence[str],
    start: date,
    end: date,
    retrain: Retrain,
    ring_nm: int = features.RING_NM,
    on_day: Callable[[Event, int, int], None] = lambda *_: None,
) -> Replay:
    """Replay the arrivals from `start` through `end`, a day at a time.

    What crossed before `start` is known from the beginning and may be learned from. Each day at
    04:00 UTC what crossed since is predicted by what is in force, outcomes are joined, the monitor
    judges, and where `retrain` says so a challenger is trained and the gatekeeper decides. Days
    without arrivals are passed over. The warehouse itself is only read, and training sets and
    models are in a folder that is removed at the end.

    Args:
        airports: ICAO codes.
        on_day: told of each day's event, how many days are done, and of how many.

    Raises:
        SkyOpsError: there are no arrivals at these airports in that time.
    """
    airports = tuple(dict.fromkeys(airports))
    if not airports:
        raise SkyOpsError("No airport is named to replay; give ICAO codes, such as LSZH,LSGG.")
    if start > end:
        raise SkyOpsError(f"The replay ends on {end}, which is before its start on {start}.")
    with _replay_databases(warehouse, settings, airports, end, ring_nm) as (stage, own):
        days = _days(stage, start, end, ring_nm)
        if not days:
            raise SkyOpsError(
                f"There are no arrivals at {', '.join(airports)} from {start} to {end} at the "
                f"{ring_nm} NM ring. Load them first (skyops status counts what is there), and "
                "watch the airports (SKYOPS_WATCH_AIRPORTS)."
            )
        events = []
        for done, day in enumerate(days, start=1):
            event = _live_day(stage, own, datetime.combine(day, AT) + _DAY, retrain, ring_nm)
            events.append(event)
            on_day(event, done, len(days))
        rows = _predictions_as_issued(stage, start, end, ring_nm)
        promoted_at = next((event.at for event in events if event.is_promoted), None)
        rows["kept"] = _first_champion_predictions(stage, own, rows, promoted_at, ring_nm)
    return Replay(ring_nm, airports, start, end, retrain, tuple(events), rows)


_DAY = timedelta(days=1)


def _live_day(
    stage: Warehouse, settings: Settings, moment: datetime, retrain: Retrain, ring_nm: int
) -> Event:
    name = versions.model_name(ring_nm)
    champion = versions.champion(stage, name)
    predict.predict_crossings(
        stage, settings, ring_nm=ring_nm, as_of=moment, with_probability=False
    )
    predict.record_outcomes(stage, settings, ring_nm=ring_nm, as_of=moment)
    is_monday = moment.weekday() == 0
    seen = monitor.monitor_champion(
        stage,
        settings,
        ring_nm=ring_nm,
        as_of=moment,
        request=policy.SCHEDULE if is_monday and retrain is Retrain.POLICY else None,
        # Three seconds a day for a number that no decision reads.
        classify=False,
    )
    asked, trigger = seen.decision.should_retrain, seen.decision.trigger
    if retrain is Retrain.NEVER and champion:
        asked = False
    elif retrain is Retrain.WEEKLY:
        asked, trigger = is_monday, policy.SCHEDULE
    against = seen.window.against if seen.window else None
    event = Event(
        at=moment,
        champion=champion.label if champion else None,
        window_rows=seen.window.rows if seen.window else 0,
        skill=seen.skill,
        skill_low=against.low if against and seen.skill is not None else None,
        mae_min=seen.window.metrics.mae_min if seen.window else None,
        drift_score=seen.drift_score,
        verdict=seen.verdict,
        is_retrained=asked,
        trigger=trigger if asked else None,
        reasons=seen.decision.sentence,
    )
    if not asked:
        return event
    train.build_training_set(stage, settings, ring_nm=ring_nm, as_of=moment)
    trained = train.train_challenger(stage, settings, ring_nm=ring_nm)
    measured = evaluate.evaluate_challenger(stage, settings, ring_nm=ring_nm)
    decided = promote.decide_promotion(stage, settings, ring_nm=ring_nm)
    gain = measured.against_champion or measured.against_baseline
    return replace(
        event,
        training_run_id=trained.training_run_id,
        train_rows=trained.train_rows,
        is_promoted=decided.is_promoted,
        gain=gain.skill if gain else None,
        gain_low=gain.low if gain else None,
        decision=decided.sentence,
    )


@contextmanager
def _replay_databases(
    warehouse: Warehouse, settings: Settings, airports: Sequence[str], end: date, ring_nm: int
) -> Iterator[tuple[Warehouse, Settings]]:
    """The database of a replay with what the steps read, and settings that point to it."""
    # Another each time: MLflow remembers in which databases it made its tables.
    name = f"skyops_backtest_{secrets.token_hex(6)}"
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="backtest-", dir=settings.home) as folder:
        own = Settings(
            **settings.model_dump(
                exclude={"home", "store", "mlflow_database", "mlflow_artifacts", "model_store"}
            ),
            home=Path(folder),
            mlflow_database=f"{name}_mlflow",
            store=None,
            mlflow_artifacts=None,
            model_store=None,
        ).model_copy(update={"watch_airports": tuple(airports)})
        with scratch(warehouse, name, own.mlflow_database) as stage:
            for table in TABLES:
                condition = _condition(table)
                if table == features.ARRIVALS_TABLE and not settings.learn_from_simulated:
                    condition += " and is_simulated is not true"
                values = {"airports": list(airports), "end": f"{end}T24:00Z", "ring_nm": ring_nm}
                copy_table(warehouse, stage, table, condition, values)
            yield stage, own


def _condition(table: str) -> str:
    if table == "metrics.fct_flights":
        return "first_seen_at < %(end)s"
    condition = "airport = any(%(airports)s)"
    if table.startswith("features.") or table == "metrics.fct_arrivals":
        condition += " and ring_nm = %(ring_nm)s and crossed_at < %(end)s"
    return condition


def _days(stage: Warehouse, start: date, end: date, ring_nm: int) -> list[date]:
    """The days from `start` through `end` on which anything arrived."""
    with stage.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select distinct (crossed_at at time zone 'UTC')::date as day"  # noqa: S608
            f" from {features.ARRIVALS_TABLE} where ring_nm = %s order by day",
            (ring_nm,),
        )
        return [day for (day,) in cursor.fetchall() if start <= day <= end]


def _predictions_as_issued(stage: Warehouse, start: date, end: date, ring_nm: int) -> pd.DataFrame:
    """The arrivals with the first prediction that each got, features included."""
    # The stage has no others.
    rows, _ = features.usable_arrivals(inputs.read_arrivals(stage, ring_nm, with_simulated=True))
    first = read_arrow(
        stage,
        f"""
        select distinct on (flight_id, airport, ring_nm)
            flight_id, airport, ring_nm, model_name, model_version,
            predicted_transit_min as predicted, baseline, baseline_transit_min
        from ml.predictions
        where not is_in_sample and ring_nm = {ring_nm:d}
            and crossed_at >= $1::text::timestamptz and crossed_at < $2::text::timestamptz
        order by flight_id, airport, ring_nm, predicted_at
        """,  # noqa: S608
        (f"{start}T00:00Z", f"{end}T24:00Z"),
    ).to_pandas()
    return rows.merge(first, on=list(features.KEY)).reset_index(drop=True)


def _first_champion_predictions(
    stage: Warehouse,
    settings: Settings,
    rows: pd.DataFrame,
    promoted_at: datetime | None,
    ring_nm: int,
) -> pd.Series:
    """What the first champion would have said of all that crossed since it was promoted."""
    import pandas as pd

    kept = pd.Series(float("nan"), index=rows.index)
    if promoted_at is None:
        return kept
    change = versions.champion_changes(stage, versions.model_name(ring_nm))[0]
    first = versions.version_of_mlflow_run(stage, change.to_mlflow_run_id)
    assert first is not None
    client = registry.configure(stage, settings)
    model = registry.load(client, first.model_name, first.version, first.mlflow_run_id)
    since = rows["crossed_at"] >= pd.Timestamp(promoted_at)
    kept[since] = fit.predict(model, rows[since])
    return kept
