"""What /v1/predict is asked and answers: the records' fields are those of the table of features."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired, Required

from psycopg.sql import SQL, Identifier
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    with_config,
)
from typing_extensions import TypedDict  # Pydantic wants it until Python 3.12.

from skyops_assets.arrivals.feature_table import COUNT, TABLE, TEXT, Feature
from skyops_assets.arrivals.features import RING_NM, RINGS_NM

MOST_RECORDS = 1000
POSITION = frozenset({"lat", "lon", "latitude", "longitude", "latitude_deg", "longitude_deg"})
NO_FREE_POSITION = (
    "A position alone is not enough for a prediction: the models predict from the crossing of an "
    "airport's 100 or 40 NM ring and the traffic there. Give the features of a crossing, or in "
    "`aircraft` the address of an aircraft that SkyOps follows."
)

FEATURE_COLUMNS = SQL(", ").join(
    SQL("crossings.{0}::{1} as {0}").format(
        Identifier(one.name), SQL("text" if one.type == TEXT else "double precision")
    )
    for one in TABLE
    if one.group
)
"""Of features.crossing_features, which is called ``crossings``."""

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_AIRPORT = Annotated[str, Field(pattern="^[A-Z0-9]{4}$", description="ICAO code of the airport.")]
_ICAO24 = Annotated[
    str, Field(pattern="^[0-9a-f]{6}$", description="Address of the aircraft, six hex digits.")
]
_RING: Any = Literal[RINGS_NM]
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def _text_of_time(value: Any) -> Any:
    """A number, even as text, would be taken as seconds since 1970, which nobody means."""
    if not isinstance(value, str) or value.replace(".", "").lstrip("+-").isdecimal():
        raise ValueError("a time looks like 2021-10-07T12:00:00Z")
    return value


_TIME = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text_of_time)]


def _field(feature: Feature) -> Any:
    if feature.name == "airport":
        return Required[_AIRPORT]
    if feature.type == TEXT:
        kind: Any = Literal[feature.takes]
        about = Field(description=feature.meaning)
    else:
        assert feature.takes
        low, high = feature.takes
        kind = float
        # Pandas writes a count that may be missing as 4.0.
        whole = 1 if feature.type == COUNT else None
        about = Field(description=feature.meaning, ge=low, le=high, multiple_of=whole)
    return NotRequired[Annotated[kind, about] | None]


Record = with_config(_STRICT)(
    TypedDict(  # type: ignore[operator]
        "Record",
        {
            **{one.name: _field(one) for one in TABLE if one.group},
            "crossed_at": NotRequired[
                Annotated[
                    _TIME | None,
                    Field(
                        description="When the ring was crossed, with a time zone, in this century; "
                        "unset: now.",
                        json_schema_extra={"pattern": "^20"},
                    ),
                ]
            ],
            "icao24": NotRequired[_ICAO24 | None],
            "flight_id": NotRequired[
                Annotated[
                    str,
                    Field(
                        pattern="^[A-Za-z0-9_-]{1,64}$",
                        description="SkyOps' flight id; with it, the landing gives the "
                        "prediction's error.",
                    ),
                ]
                | None
            ],
        },
        total=False,
    )
)
"""One aircraft that crosses a ring: what the model may know. What is missing is unknown."""


@with_config(_STRICT)
class Aircraft(TypedDict):
    """An aircraft that SkyOps follows, by its address."""

    icao24: _ICAO24
    airport: NotRequired[_AIRPORT]


@with_config(_STRICT)
class Question(TypedDict):
    """Records of features, or aircraft that SkyOps follows: one of the two."""

    records: NotRequired[Annotated[list[Record], Field(min_length=1, max_length=MOST_RECORDS)]]  # type: ignore[valid-type]
    aircraft: NotRequired[Annotated[list[Aircraft], Field(min_length=1, max_length=MOST_RECORDS)]]
    ring_nm: NotRequired[
        Annotated[
            _RING,
            Field(
                description=f"Ring that is crossed; each ring has its own model. Unset: {RING_NM}."
            ),
        ]
    ]
    version: NotRequired[
        Annotated[
            str,
            Field(
                pattern="^[0-9]{1,9}$",
                description="A version of the ring's model; unset: the champion.",
            ),
        ]
    ]


question: TypeAdapter[Any] = TypeAdapter(Question)


class Predicted(BaseModel):
    """What is said of one record."""

    id: str = Field(description="Of /v1/predictions/{id}.")
    airport: str
    icao24: str | None
    flight_id: str | None
    crossed_at: datetime = Field(description="When the ring is crossed (UTC).")
    transit_min: float | None = Field(
        description="Minutes from the ring to the runway; null if a baseline has no prediction."
    )
    low_min: float | None = Field(
        description="Lower end of the 90 % interval; null if the version "
        "has none, and for a baseline."
    )
    high_min: float | None = Field(
        description="Upper end of the 90 % interval; null if the version has none, and for a "
        "baseline."
    )
    landing_at: datetime | None = Field(description="crossed_at plus transit_min (UTC).")


class Answer(BaseModel):
    """Predictions, in the order of what was asked, and what made them."""

    ring_nm: int
    model: str = Field(description="Without a champion, the present baseline: baseline:NAME.")
    version: str = Field(
        description="Version of the model; for a baseline, the training run it comes from."
    )
    is_champion: bool
    predictions: list[Predicted]


EXAMPLE_RECORD = {
    "airport": "LFPO",
    "crossed_at": "2021-10-07T13:17:39Z",
    "sector": "SW",
    "bearing_sin": -0.819,
    "bearing_cos": -0.574,
    "altitude_m": 3048.0,
    "ground_speed_mps": 135.8,
    "near_leg_mps": 145.3,
    "inbound_inside_count": 4,
    "entries_15min_count": 6,
    "landings_15min_count": 5,
    "last_transit_min": 11.4,
    "last_transit_age_min": 2.5,
    "local_hour": 15.29,
    "local_weekday": 4,
}
EXAMPLE_ANSWER = {
    "ring_nm": 40,
    "model": "arrival-transit-40nm",
    "version": "3",
    "is_champion": True,
    "predictions": [
        {
            "id": "019a1c3e-8f2b-7c4d-9e5f-0a1b2c3d4e5f",
            "airport": "LFPO",
            "icao24": None,
            "flight_id": None,
            "crossed_at": "2021-10-07T13:17:39Z",
            "transit_min": 11.66,
            "low_min": 9.9,
            "high_min": 14.8,
            "landing_at": "2021-10-07T13:29:18.600000Z",
        }
    ],
}


def body_schema() -> dict[str, Any]:
    """The request's schema with nothing outside of it: FastAPI knows only what it parses itself."""
    schema = question.json_schema()
    parts = schema.pop("$defs", {})

    def whole(part: Any) -> Any:
        if isinstance(part, list):
            return [whole(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return whole(parts[part["$ref"].rsplit("/", 1)[-1]])
        return {name: whole(one) for name, one in part.items()}

    found: dict[str, Any] = whole(schema)
    # Nothing else says that it is one of the two.
    return {**found, "oneOf": [{"required": ["records"]}, {"required": ["aircraft"]}]}
