"""What the service is asked, against what its champion has learned from: drift, range, outcome.

Belongs here: reading `ml.service_predictions` of a window and comparing it. Does not: asking for a
retraining. Who asks may ask anything; that says nothing of the traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import CATEGORICAL, FEATURES, LABEL, NUMERIC, PROVISIONAL
from skyops_assets.monitoring import drift
from skyops_assets.monitoring.policy import RetrainPolicy
from skyops_assets.monitoring.skill import MIN_ROWS
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import fetch_all, fetch_one

if TYPE_CHECKING:
    import pandas as pd

DAYS = 7
MOST_ROWS = 5_000
"""The newest of the window: more say nothing else, and a year of them would not fit."""

MOST_OUTSIDE = 0.1
"""Of the records may have a value beyond all that was learned: of arrivals drawn as the 3,000 that
were learned 3 % have one, in any of 50 columns."""

NEWEST = """
select asked_at, crossed_at, transit_min, features from ml.service_predictions
where ring_nm = %(ring_nm)s and asked_at >= %(since)s and asked_at < %(until)s
order by asked_at desc limit %(most)s
"""
# One who asks again and again of the same crossing is counted once.
OUTCOMES = f"""
with once as (
    select distinct on (flight_id, airport, model_name, model_version)
        flight_id, airport, transit_min
    from ml.service_predictions
    where ring_nm = %(ring_nm)s and asked_at >= %(since)s and asked_at < %(until)s
        and flight_id is not null and transit_min is not null
    order by flight_id, airport, model_name, model_version, asked_at desc
)

select
    count(*) as landed,
    avg(abs(once.transit_min - arrived.{LABEL}::float8)) as mae_min,
    avg(once.transit_min - arrived.{LABEL}::float8) as bias_min
from once
inner join features.arrival_features as arrived
    on arrived.flight_id::text = once.flight_id and arrived.airport::text = once.airport
    and arrived.ring_nm = %(ring_nm)s
where arrived.label_quality::text <> '{PROVISIONAL}'
"""  # noqa: S608


@dataclass(frozen=True)
class Asked:
    """What was asked in a window.

    Attributes:
        rows: records, at most `MOST_ROWS`.
        drift_score, drifted: as the champion's own window has them; None with too few rows.
        outside: feature -> the share of records with a value that no learned arrival reached.
        outside_share: of records with any such value.
        landed, mae_min, bias_min: of those that named a flight, whose landing is known.
        too_few: why nothing is said of drift and range; then they are empty.
    """

    start_at: datetime
    end_at: datetime
    rows: int
    drift_score: float | None
    drifted: tuple[str, ...]
    outside: dict[str, float]
    outside_share: float | None
    landed: int
    mae_min: float | None
    bias_min: float | None
    too_few: str | None

    def as_json(self) -> dict[str, Any]:
        """For the log."""
        return {
            **asdict(self),
            "start_at": self.start_at.isoformat(),
            "end_at": self.end_at.isoformat(),
        }


def measure(
    warehouse: Warehouse, ring_nm: int, past: pd.DataFrame | None, *, as_of: datetime | None
) -> Asked:
    """What was asked of a ring's model in the week until `as_of`, or until now.

    Args:
        past: canonical arrivals that the champion has learned from; None where there are none.
    """
    until = as_of or datetime.now(UTC)
    since = until - timedelta(days=DAYS)
    window = {"ring_nm": ring_nm, "since": since, "until": until, "most": MOST_ROWS}
    rows = fetch_all(warehouse, NEWEST, window)
    outcome = fetch_one(warehouse, OUTCOMES, window) or {}
    too_few = found = share = None
    outside: dict[str, float] = {}
    if past is None:
        too_few = "there is no champion, or its training set is gone"
    elif len(rows) < MIN_ROWS:
        too_few = f"too few records: {len(rows)} of {MIN_ROWS} needed"
    else:
        current = _frame(rows)
        found = drift.compare_windows(past, current, window_days=DAYS, classify=False)
        too_few = found.too_few
        outside, share = _outside(past, current)
    return Asked(
        since,
        until,
        len(rows),
        found.score if found else None,
        found.columns if found else (),
        outside,
        share,
        outcome.get("landed", 0),
        outcome.get("mae_min"),
        outcome.get("bias_min"),
        too_few,
    )


def is_strange(asked: Mapping[str, Any], rules: RetrainPolicy) -> str | None:
    """In what the records of a row of the log are not as those learned; None where they are.

    Args:
        asked: what `Asked.as_json` gave, or nothing.
    """
    share, score = asked.get("outside_share"), asked.get("drift_score")
    if share is not None and share > MOST_OUTSIDE:
        worst = ", ".join(list(asked["outside"])[:3])
        return (
            f"{share:.0%} of {asked['rows']:,} records have a value outside the range of the "
            f"training set, in {worst}"
        )
    if score is not None and score > rules.max_drift_score:
        return f"The records differ from the training set in {', '.join(asked['drifted'][:3])}"
    return None


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame([row["features"] for row in rows], columns=list(FEATURES))
    frame = frame.astype({name: "float64" for name in NUMERIC})
    frame = frame.astype({name: object for name in CATEGORICAL})
    frame = frame.where(frame.notna(), None).astype({name: "float64" for name in NUMERIC})
    frame["crossed_at"] = pd.to_datetime([row["crossed_at"] for row in rows], utc=True)
    frame[drift.PREDICTION] = pd.Series([row["transit_min"] for row in rows], dtype="float64")
    return frame


def _outside(past: pd.DataFrame, current: pd.DataFrame) -> tuple[dict[str, float], float]:
    """The share of records outside of what was learned, by feature, and at any."""
    import pandas as pd

    strange = pd.DataFrame(False, index=current.index, columns=list(FEATURES))
    for name in FEATURES:
        there, asked = past[name].dropna(), current[name]
        if not len(there):
            continue  # No tree asks for it.
        if name in CATEGORICAL:
            strange[name] = asked.notna() & ~asked.isin(there.unique())
        else:
            strange[name] = (asked < there.min()) | (asked > there.max())
    shares = strange.mean().sort_values(ascending=False)
    return (
        {str(name): float(share) for name, share in shares.items() if share > 0},
        float(strange.any(axis=1).mean()),
    )
