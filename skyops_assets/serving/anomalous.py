"""Flights that are unlike the others, with what makes each strange."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query, Request, Response
from psycopg.sql import SQL
from pydantic import BaseModel, Field

from skyops_assets.serving.examples import ANOMALOUS_FLIGHT
from skyops_assets.serving.pages import Filter, Key, page
from skyops_assets.serving.reads import (
    AnAirport,
    From,
    Of,
    Paged,
    To,
    listed,
    lists,
    upper,
    within,
)
from skyops_assets.serving.rows import Rows

router = lists()
FLIGHTS = SQL("""(
    select
        scores.*,
        flights.callsign,
        flights.airline,
        flights.typecode,
        flights.departure_airport,
        flights.arrival_airport
    from metrics.flight_anomaly_scores as scores
    inner join metrics.fct_flights as flights
        on scores.icao24 = flights.icao24 and scores.flight_id = flights.flight_id
    where scores.anomaly_score is not null
) as listed""")


class Reason(BaseModel):
    """A shape of the flight without which it would be less strange."""

    shape: str = Field(description="A column of `features.flight_shapes`.")
    value: float
    usual: float = Field(description="Median of the flights it was compared with.")
    part: float = Field(
        description="By how much the score would fall if the flight had the usual value."
    )
    words: str


class AnomalousFlight(BaseModel):
    """A flight that is over, and how far it is from the others."""

    flight_id: str
    icao24: str = Field(description="The aircraft's 24-bit address, in hexadecimal.")
    callsign: str | None
    airline: str | None
    typecode: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    departure_airport: str | None
    arrival_airport: str | None
    anomaly_score: float = Field(
        description="Mean of the two models' scores: 0 is the middle of the flights, 1 Tukey's "
        "outer fence."
    )
    isolation_score: float = Field(description="Isolation Forest.")
    cluster_score: float = Field(description="DBSCAN: distance to its nearest core, in reaches.")
    is_anomalous: bool = Field(description="Whether the score is 1 or more.")
    reasons: list[Reason] | None = Field(
        description="Strongest first; null unless the flight is among the most anomalous."
    )
    judged_at: datetime


@router.get(
    "/anomalous-flights",
    response_model=Rows[AnomalousFlight],
    responses=listed(ANOMALOUS_FLIGHT),
)
async def anomalous_flights(
    request: Request,
    *,
    asked: Paged,
    of: Of,
    since: From = None,
    until: To = None,
    airport: AnAirport = None,
    min_score: Annotated[
        float, Query(ge=0, le=1000, description="Minimum score; from 1 on a flight is anomalous.")
    ] = 1,
) -> Response:
    """Anomalous flights, by time last heard; `airport` matches departure or arrival."""
    return await page(
        request,
        AnomalousFlight,
        FLIGHTS,
        Key("last_seen_at", ("flight_id",)),
        asked=asked,
        filters={
            **within("last_seen_at", since, until),
            **of,
            "airport": Filter(
                SQL("%(airport)s in (departure_airport, arrival_airport)"), upper(airport)
            ),
            "min_score": Filter(SQL("anomaly_score >= %(min_score)s"), min_score),
        },
    )
