"""The shapes of flights that are compared: columns of `features.flight_shapes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Shape:
    """One column.

    Attributes:
        words: the value for people; `{}` is the number.
        log_from: compare the logarithm, in this unit: for counts and distances that are 0 in most
            flights and a hundred in a few. Less than this makes no difference. None: compare the
            value itself.
        digits: decimal places of the number.
    """

    name: str
    words: str
    log_from: float | None = None
    digits: int = 0


SHAPES = (
    Shape("direct_share", "direct distance {} of the distance flown", digits=2),
    Shape("returned_km", "{} km flown back", log_from=5.0),
    Shape("made_good_mps", "{} m/s made good"),
    Shape("turned_deg", "{} degrees turned", log_from=30.0),
    Shape("circle_count", "{} full circles", log_from=1.0, digits=1),
    Shape("revisit_count", "{} positions revisited", log_from=1.0),
    Shape("mean_height_m", "mean height {} m"),
    Shape("height_spread_m", "heights vary by {} m"),
    Shape("mean_speed_mps", "mean speed {} m/s"),
    Shape("speed_spread_mps", "speeds vary by {} m/s"),
    Shape("level_share", "level for {} of the time", digits=2),
    Shape("low_min", "{} minutes below 600 m", log_from=1.0),
    Shape("undulation_m", "{} m of additional climbs and descents", log_from=100.0),
    Shape("discontinued_count", "{} go-arounds or touch-and-goes", log_from=1.0),
)
"""Whether the ends are known is not among them: this depends on the receivers."""
NAMES = tuple(one.name for one in SHAPES)


def compared(flights: pd.DataFrame) -> np.ndarray:
    """The values in the form in which they are compared (flights, shapes); NaN if unknown."""
    import numpy as np

    values = flights[list(NAMES)].to_numpy(dtype="float64", na_value=np.nan, copy=True)
    for place, shape in enumerate(SHAPES):
        if shape.log_from is not None:
            values[:, place] = np.log1p(np.maximum(values[:, place], 0) / shape.log_from)
    return values


def as_stored(shape: Shape, value: float) -> float:
    """A compared value in the unit of its column."""
    import numpy as np

    return float(value if shape.log_from is None else np.expm1(value) * shape.log_from)
