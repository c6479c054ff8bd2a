"""The two models: an Isolation Forest and DBSCAN, fitted to flights as they are, without labels.

Neither model gets a share of anomalous flights. Each gives a flight a number that grows with its
distance from the others: 0 for the median and 1 for Tukey's outer fence, three interquartile ranges
above the upper quartile of the flights to which the model was fitted. If the numbers were normally
distributed, one in a million would lie beyond it. If all flights are alike, none is anomalous; if a
hundred are unlike the rest, a hundred are.

Belongs here: fitting, scoring, the reasons. Does not: choosing flights, storing the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyops_assets.anomalous.shapes import SHAPES, Shape, as_stored, compared

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SEED = 28
TREES = 300
SAMPLES = 1_024
"""Flights from which a tree is grown. With 256, the usual number, a diversion among simulated
airliners ranked 81st of 1,000, with 1,024 33rd: it is rare, and not far off in any single value."""
NEIGHBOURS = 10
"""This many flights within reach make one of DBSCAN's cores, so a dozen similar ones are a kind of
flight. With 5, five diversions were a kind; with 20 and 30 the order hardly changed."""
FURTHEST = 10.0
"""In interquartile ranges: a value further out counts as this."""
FENCE_IQR = 3.0
MAX_REASONS = 3
"""Reasons given for a flight."""
LEAST_PART = 0.05
"""Share of the score that a reason accounts for, at least."""


@dataclass(frozen=True)
class Fitted:
    """Both models, and the flights to which they were fitted.

    Attributes:
        reach: DBSCAN's eps: a flight further than this from every core belongs to none.
        usual: the median of each shape, in the form in which it is compared.
    """

    scaler: Any
    forest: Any
    cores: Any
    reach: float
    middle: float
    fence: float
    usual: np.ndarray
    clusters: int
    flights: int


def fit(flights: pd.DataFrame) -> Fitted:
    """Fit both models to flights; the same rows in the same order give the same models."""
    import numpy as np
    from sklearn.cluster import DBSCAN
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import RobustScaler

    values = compared(flights)
    # A shape that is unknown for all flights is not compared.
    values[:, np.isnan(values).all(axis=0)] = 0.0
    scaler = RobustScaler().fit(values)
    scaled = _scaled(scaler, values)
    forest = IsolationForest(
        n_estimators=TREES, max_samples=min(SAMPLES, len(scaled)), random_state=SEED
    ).fit(scaled)
    isolation = -forest.score_samples(scaled)
    distances, _ = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(scaled).kneighbors(scaled)
    # If all flights are alike, the fence is at 0.
    reach = max(_fence(distances[:, -1]), 1e-6)
    clustered = DBSCAN(eps=reach, min_samples=NEIGHBOURS).fit(scaled)
    cores = NearestNeighbors(n_neighbors=1).fit(clustered.components_)
    middle = float(np.median(isolation))
    return Fitted(
        scaler,
        forest,
        cores,
        reach,
        middle,
        max(_fence(isolation), middle + 1e-6),
        scaler.center_,
        int(clustered.labels_.max()) + 1,
        len(flights),
    )


def scores(fitted: Fitted, flights: pd.DataFrame) -> pd.DataFrame:
    """Score each flight.

    Returns:
        By the index of `flights`: `isolation_score`; `cluster_score`, the distance to DBSCAN's
        nearest core divided by its reach; `anomaly_score`, the mean of both, so that a flight
        that is usual for one model must be far out for the other; `is_anomalous`, whether the
        mean is 1 or more.
    """
    import pandas as pd

    isolation, cluster = _both(fitted, _scaled(fitted.scaler, compared(flights)))
    score = (isolation + cluster) / 2
    return pd.DataFrame(
        {
            "isolation_score": isolation,
            "cluster_score": cluster,
            "anomaly_score": score,
            "is_anomalous": score >= 1,
        },
        index=flights.index,
    )


def reasons(fitted: Fitted, flights: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """Give the reasons for each score: the shapes that raise it, strongest first.

    A reason's `part` is the share by which the score would fall if the flight had the usual value
    of that shape; `words` is for people: "5.0 full circles (usually 0.3)".
    """
    import numpy as np

    scaled = _scaled(fitted.scaler, compared(flights))
    # The first block is unchanged; in each other block one shape has its usual value.
    tried = np.repeat(scaled[None], len(SHAPES) + 1, axis=0)
    for place in range(len(SHAPES)):
        tried[place + 1, :, place] = 0.0
    score = np.mean(_both(fitted, tried.reshape(-1, len(SHAPES))), axis=0).reshape(tried.shape[:2])
    parts = ((score[0] - score[1:]) / np.maximum(score[0], 1e-9)).T
    found = []
    for row, part in zip(flights.to_dict("records"), parts, strict=True):
        foremost = [
            n for n in np.argsort(-part, kind="stable")[:MAX_REASONS] if part[n] > LEAST_PART
        ]
        found.append(
            [
                _reason(
                    SHAPES[n],
                    float(row[SHAPES[n].name]),
                    as_stored(SHAPES[n], fitted.usual[n]),
                    float(part[n]),
                )
                for n in foremost
            ]
        )
    return found


def _reason(shape: Shape, value: float, usual: float, part: float) -> dict[str, Any]:
    has, has_usually = (f"{one:,.{shape.digits}f}" for one in (value, usual))
    return {
        "shape": shape.name,
        "value": round(value, 4),
        "usual": round(usual, 4),
        "part": round(part, 3),
        "words": f"{shape.words.format(has)} (usually {has_usually})",
    }


def _scaled(scaler: Any, values: np.ndarray) -> np.ndarray:
    """In interquartile ranges from the median; unknown values are at the median."""
    import numpy as np

    scaled = np.nan_to_num(scaler.transform(values), nan=0.0)
    return np.clip(scaled, -FURTHEST, FURTHEST)


def _both(fitted: Fitted, scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    isolation = -fitted.forest.score_samples(scaled)
    distances, _ = fitted.cores.kneighbors(scaled)
    return (
        (isolation - fitted.middle) / (fitted.fence - fitted.middle),
        distances[:, 0] / fitted.reach,
    )


def _fence(values: np.ndarray) -> float:
    """Tukey's outer fence (Exploratory Data Analysis, 1977): values beyond it are far out."""
    import numpy as np

    lower, upper = np.percentile(values, [25, 75])
    return float(upper + FENCE_IQR * (upper - lower))
