"""Scores the newest flights, stores the scores, and reports the highest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyops_assets.anomalous import models, plots, store
from skyops_assets.anomalous.shapes import NAMES
from skyops_assets.reporting.markdown import table
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import records

if TYPE_CHECKING:
    import pandas as pd

MOST_JUDGED = 50_000
"""More than fly over Europe in a day. Older flights keep their scores."""
MOST_FITTED = 5_000
"""DBSCAN holds all pairs within its reach: with 5,000 flights 0.13 GB, and 2.5 s."""
LEAST_FITTED = 100
"""With fewer flights, a handful decides where the fence is, far beyond the upper quartile."""
MOST_EXPLAINED = 500
SHOWN, DRAWN = 10, 6


@dataclass(frozen=True)
class Look:
    """The result of scoring the flights.

    Attributes:
        flights: number of the newest finished flights.
        judged: how many of them have a score.
        unjudged: how many have none, by reason.
        changed: number of new or different rows.
        sentence: the result for a person.
        highest: Markdown table of the highest scores; None without scores.
        picture: PNG of tracks with the highest scores; None without scores or stored positions.
    """

    flights: int
    judged: int
    anomalous: int
    anomalous_per_1000: float | None
    unjudged: dict[str, int]
    changed: int
    clusters: int | None
    sentence: str
    highest: str | None
    picture: bytes | None


def score_flights(warehouse: Warehouse) -> Look:
    """Fit both models to the newest flights, and score them."""
    flights = store.read_shapes(warehouse, MOST_JUDGED)
    judged = flights[flights["unjudged_reason"].isna()]
    if len(judged) < LEAST_FITTED:
        return _too_few(warehouse, flights, len(judged))
    fitted_to = judged.sample(min(MOST_FITTED, len(judged)), random_state=models.SEED).sort_index()
    fitted = models.fit(fitted_to)
    scored = judged.join(models.scores(fitted, judged))
    ordered = scored.sort_values("anomaly_score", ascending=False, kind="stable")
    anomalous = int(scored["is_anomalous"].sum())
    verb = "is" if anomalous == 1 else "are"
    explained = ordered.head(max(SHOWN, min(anomalous, MOST_EXPLAINED)))
    why = dict(zip(explained.index, models.reasons(fitted, explained), strict=True))
    rows = flights.join(scored[["isolation_score", "cluster_score", "anomaly_score"]])
    rows["is_anomalous"] = scored["is_anomalous"].reindex(rows.index).astype(object)
    rows["unknown_shapes"] = _unknown(rows)
    rows["fitted_flights"] = fitted.flights
    rows["fitted_from_at"] = fitted_to["last_seen_at"].min()
    rows["fitted_through_at"] = fitted_to["last_seen_at"].max()
    changed = store.save(warehouse, rows.drop(columns=["callsign", *NAMES]), why)
    highest = [
        {**row, "reasons": why[index]}
        for index, row in zip(explained.index, records(explained), strict=True)
    ][:SHOWN]
    return Look(
        flights=len(flights),
        judged=len(judged),
        anomalous=anomalous,
        anomalous_per_1000=1_000 * anomalous / len(judged),
        unjudged=_counted(flights),
        changed=changed,
        clusters=fitted.clusters,
        sentence=f"{anomalous} of {len(judged):,} flights {verb} anomalous.",
        highest=_table(highest),
        picture=_picture(warehouse, highest[:DRAWN]),
    )


def _too_few(warehouse: Warehouse, flights: pd.DataFrame, judged: int) -> Look:
    """Score nothing. Earlier scores stay, except for flights that no longer exist."""
    store.save(warehouse, flights.head(0)[[*store.KEY]], {})
    return Look(
        flights=len(flights),
        judged=0,
        anomalous=0,
        anomalous_per_1000=None,
        unjudged=_counted(flights),
        changed=0,
        clusters=None,
        sentence=f"Nothing was scored: {judged} finished flights have enough reception, and at "
        f"least {LEAST_FITTED} are needed.",
        highest=None,
        picture=None,
    )


def _counted(flights: pd.DataFrame) -> dict[str, int]:
    return {str(name): int(n) for name, n in flights["unjudged_reason"].value_counts().items()}


def _unknown(rows: pd.DataFrame) -> Any:
    """List the unknown shapes of each judged flight."""
    import numpy as np

    found = np.full(len(rows), None, dtype=object)
    unknown = rows[list(NAMES)].isna().to_numpy()
    for place in np.flatnonzero(rows["unjudged_reason"].isna()):
        found[place] = [
            name for name, is_unknown in zip(NAMES, unknown[place], strict=True) if is_unknown
        ]
    return found


def _table(highest: list[dict[str, Any]]) -> str:
    return table(
        ["score", "callsign", "icao24", "last received (UTC)", "reasons"],
        [
            [
                f"{row['anomaly_score']:.2f}",
                row["callsign"] or "-",
                row["icao24"],
                f"{row['last_seen_at']:%Y-%m-%d %H:%M}",
                "; ".join(one["words"] for one in row["reasons"]) or "no single shape",
            ]
            for row in highest
        ],
    )


def _picture(warehouse: Warehouse, highest: list[dict[str, Any]]) -> bytes | None:
    """Draw the tracks of those flights whose positions are still stored."""
    ways = [
        (
            f"{row['callsign'] or row['icao24']}: {row['anomaly_score']:.1f}",
            store.read_way(warehouse, row["icao24"], row["flight_id"]),
        )
        for row in highest
    ]
    kept = [(title, way) for title, way in ways if len(way)]
    return plots.ways(kept) if kept else None
