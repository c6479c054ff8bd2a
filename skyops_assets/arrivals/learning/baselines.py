"""The naive answers a model has to beat, each fitted and asked like a model.

Belongs here: rules that a person could apply with a notepad. Does not: anything learned by an
optimiser (`train`), or the choice of the best one (`evaluate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

from skyops_assets.arrivals.features import LABEL

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

PREFIX = "baseline:"
"""Baselines are named ``baseline:<name>`` wherever they stand beside models."""


class Baseline(Protocol):
    """`fit` on canonical arrivals, then `predict` minutes; NaN where it has no answer."""

    name: str

    def fit(self, train: pd.DataFrame) -> Self:
        """Learn from canonical arrivals; none at all is fine."""
        ...

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Minutes per row of canonical crossings or arrivals, NaN where there is no answer."""
        ...


class AirportMedian:
    """The median transit of the airport in training; none for an airport not seen."""

    name = "airport_median"

    def fit(self, train: pd.DataFrame) -> Self:
        """Take the median per airport."""
        self._medians = train.groupby("airport")[LABEL].median().to_dict()
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The median of the airport."""
        return frame["airport"].map(self._medians).to_numpy(dtype="float64")


class SectorMedian:
    """The median transit of airport and entry sector; the airport's for a sector not seen."""

    name = "sector_median"

    def fit(self, train: pd.DataFrame) -> Self:
        """Take the medians per airport and sector."""
        self._airport = AirportMedian().fit(train)
        self._medians = train.groupby(["airport", "sector"])[LABEL].median().to_dict()
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The median of airport and sector, or of the airport."""
        import numpy as np

        pairs = zip(frame["airport"], frame["sector"], strict=True)
        own = np.array([self._medians.get(pair, np.nan) for pair in pairs], dtype="float64")
        return np.where(np.isnan(own), self._airport.predict(frame), own)


class LastLanded:
    """The transit of the last aircraft landed before the crossing; else the sector median."""

    name = "last_landed"

    def fit(self, train: pd.DataFrame) -> Self:
        """Take the medians to fall back on."""
        self._sector = SectorMedian().fit(train)
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The last transit known at the crossing, or a median."""
        import numpy as np

        last = frame["last_transit_min"].to_numpy(dtype="float64")
        return np.where(np.isnan(last), self._sector.predict(frame), last)


class DistanceSpeed:
    """The ring's radius at the ground speed of the crossing, straight in. Needs no training."""

    name = "distance_speed"

    def fit(self, train: pd.DataFrame) -> Self:  # noqa: ARG002 - as every baseline is asked
        """Learn nothing."""
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The time for the radius; NaN where the speed is missing or zero."""
        import numpy as np

        from skyops_assets.units import NAUTICAL_MILE_M

        speed = frame["ground_speed_mps"].to_numpy(dtype="float64")
        metres = frame["ring_nm"].to_numpy(dtype="float64") * NAUTICAL_MILE_M
        return metres / np.where(speed > 0, speed, np.nan) / 60


BASELINES: tuple[type[Baseline], ...] = (SectorMedian, AirportMedian, LastLanded, DistanceSpeed)
"""In the order in which a tie is decided."""

UNTRAINED = DistanceSpeed.name
"""The baseline in force while none was measured: the only one that needs no data of ours."""


def answers(train: pd.DataFrame, asked: pd.DataFrame) -> dict[str, np.ndarray]:
    """What every baseline, fitted on `train`, says of `asked`: its prefixed name -> minutes."""
    return {PREFIX + name: one.predict(asked) for name, one in fit_baselines(train).items()}


def fit_baselines(train: pd.DataFrame) -> dict[str, Baseline]:
    """Every baseline fitted on the training rows (zero rows are fine), by name."""
    return {kind.name: kind().fit(train) for kind in BASELINES}


def medians(train: pd.DataFrame) -> dict[str, Any]:
    """What the baselines know of the training rows, as JSON can hold it, for `answer`."""
    by_sector = train.groupby(["airport", "sector"])[LABEL].median()
    return {
        "airport": train.groupby("airport")[LABEL].median().to_dict(),
        "sector": {
            airport: by_sector[airport].to_dict()
            for airport in by_sector.index.get_level_values(0).unique()
        },
    }


def answer(
    name: str, known: Mapping[str, Any], row: Mapping[str, Any], ring_nm: int
) -> float | None:
    """What the baseline `name` says of one row, without pandas; None where it has no answer.

    Args:
        known: the result of `medians`; empty is enough for `DistanceSpeed`.
        row: feature -> value.
    """
    from skyops_assets.units import NAUTICAL_MILE_M

    if name == DistanceSpeed.name:
        speed = row.get("ground_speed_mps") or 0
        return ring_nm * NAUTICAL_MILE_M / speed / 60 if speed > 0 else None
    airport = row.get("airport")
    median: float | None = known["airport"].get(airport)
    if name == AirportMedian.name:
        return median
    last: float | None = row.get("last_transit_min")
    if name == LastLanded.name and last is not None:
        return last
    own: float | None = known["sector"].get(airport, {}).get(row.get("sector"))
    return median if own is None else own
