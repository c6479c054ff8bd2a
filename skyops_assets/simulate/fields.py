"""The fields of the simulation: eight airports from 11 ft below the sea to 7,838 ft above it.

Belongs here: their runways, as OurAirports (public domain) has them, so that the warehouse's
reference rows describe the same concrete. Position and elevation come from `airportsdata`.
"""

from __future__ import annotations

from dataclasses import dataclass

from skyops_assets.errors import SkyOpsError
from skyops_assets.simulate.geometry import Floats, bearing_deg, distance_m, unit
from skyops_assets.units import FOOT_M

# Each runway from one end to the other: name, latitude, longitude, elevation in feet.
_RUNWAYS: dict[str, tuple[tuple[tuple[str, float, float, int], ...], ...]] = {
    "EHAM": (
        (("18R", 52.362701, 4.711929, -13), ("36L", 52.328602, 4.708840, -12)),
        (("18C", 52.331402, 4.740030, -13), ("36C", 52.301800, 4.737500, -12)),
    ),
    "LFPG": (
        (("09L", 49.024700, 2.524890, 378), ("27R", 49.026699, 2.561690, 392)),
        (("08L", 48.995701, 2.552740, 338), ("26R", 48.998798, 2.610180, 318)),
    ),
    "LSZH": (
        (("14", 47.483101, 8.534730, 1402), ("32", 47.461300, 8.564460, 1402)),
        (("16", 47.475601, 8.535950, 1390), ("34", 47.445400, 8.556730, 1388)),
    ),
    "LEMD": (
        (("14L", 40.494900, -3.557870, 1942), ("32R", 40.470001, -3.532580, 1876)),
        (("18R", 40.531799, -3.574850, 1998), ("36L", 40.492599, -3.574630, 1985)),
    ),
    "KDEN": (
        (("16R", 39.895802, -104.695999, 5319), ("34L", 39.851898, -104.696999, 5324)),
        (("17R", 39.861198, -104.660004, 5374), ("35L", 39.828300, -104.661003, 5431)),
    ),
    "KABQ": ((("08", 35.044300, -106.622002, 5315), ("26", 35.044102, -106.575996, 5355)),),
    "KASE": ((("15", 39.232200, -106.873200, 7680), ("33", 39.211600, -106.863300, 7820)),),
    "MMMX": (
        (("05L", 19.427601, -99.090500, 7309), ("23R", 19.445700, -99.058197, 7311)),
        (("05R", 19.427000, -99.085800, 7316), ("23L", 19.444901, -99.053902, 7295)),
    ),
}
AIRPORTS = tuple(_RUNWAYS)


@dataclass(frozen=True)
class RunwayEnd:
    """A runway in the direction from one of its ends: where it is landed on and taken off from."""

    name: str
    threshold: Floats
    course_deg: float
    length_m: float
    elevation_m: float
    far_elevation_m: float


@dataclass(frozen=True)
class Field:
    """An airport: `directions` holds, for each way of using it, the runway ends in use."""

    icao: str
    place: Floats
    elevation_m: float
    directions: tuple[tuple[RunwayEnd, ...], tuple[RunwayEnd, ...]]


def fields(codes: tuple[str, ...] = AIRPORTS) -> list[Field]:
    """The airports of these ICAO codes.

    Raises:
        SkyOpsError: one of them is not known here, or none is named.
    """
    import airportsdata

    if not codes or (unknown := [code for code in codes if code not in _RUNWAYS]):
        named = ", ".join(unknown) if codes else "no airport"
        raise SkyOpsError(
            f"skyops simulate knows no runway of {named}; name some of {', '.join(AIRPORTS)}."
        )
    known = airportsdata.load("ICAO")
    return [
        Field(
            code,
            unit(known[code]["lat"], known[code]["lon"]),
            known[code]["elevation"] * FOOT_M,
            (
                tuple(_end(one, other) for one, other in _RUNWAYS[code]),
                tuple(_end(other, one) for one, other in _RUNWAYS[code]),
            ),
        )
        for code in dict.fromkeys(codes)
    ]


def _end(near: tuple[str, float, float, int], far: tuple[str, float, float, int]) -> RunwayEnd:
    start, end = unit(*near[1:3]), unit(*far[1:3])
    return RunwayEnd(
        near[0],
        start,
        bearing_deg(start, end),
        float(distance_m(start, end)),
        near[3] * FOOT_M,
        far[3] * FOOT_M,
    )
