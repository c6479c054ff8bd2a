"""What of a flight is compared: columns of `features.flight_shapes`, made comparable."""

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
        words: what it is, for a person.
        log_from: from about here on its logarithm is compared: of counts and ways that are none in
            most flights, and a hundred in a few. Less than that is no difference. None: as it is.
        digits: with how many it is told.
    """

    name: str
    words: str
    log_from: float | None = None
    digits: int = 0


SHAPES = (
    Shape("direct_share", "of the way the great circle", digits=2),
    Shape("returned_km", "km flown back", log_from=5.0),
    Shape("made_good_mps", "m/s made good"),
    Shape("turned_deg", "degrees turned", log_from=30.0),
    Shape("circle_count", "full circles", log_from=1.0, digits=1),
    Shape("revisit_count", "times back where it had been", log_from=1.0),
    Shape("mean_height_m", "m high on average"),
    Shape("height_spread_m", "m spread of heights"),
    Shape("mean_speed_mps", "m/s on average"),
    Shape("speed_spread_mps", "m/s spread of speeds"),
    Shape("level_share", "of the time level", digits=2),
    Shape("low_min", "minutes low", log_from=1.0),
    Shape("undulation_m", "m up and down between climb and descent", log_from=100.0),
    Shape("discontinued_count", "go-arounds or touch-and-goes", log_from=1.0),
)
"""Whether its ends are known is not among them: that is the receivers' doing."""
NAMES = tuple(one.name for one in SHAPES)


def compared(flights: pd.DataFrame) -> np.ndarray:
    """The values as they are compared (flights, shapes); NaN where nothing is known."""
    import numpy as np

    values = flights[list(NAMES)].to_numpy(dtype="float64", na_value=np.nan, copy=True)
    for place, shape in enumerate(SHAPES):
        if shape.log_from is not None:
            values[:, place] = np.log1p(np.maximum(values[:, place], 0) / shape.log_from)
    return values


def as_told(shape: Shape, value: float) -> float:
    """A compared value as the column has it."""
    import numpy as np

    return float(value if shape.log_from is None else np.expm1(value) * shape.log_from)
