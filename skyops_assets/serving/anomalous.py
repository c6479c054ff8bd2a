"""Anomalous flights, with the reasons."""

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
    """A shape that raises the flight's score."""

    shape: str = Field(description="A column of `features.flight_shapes`.")
    value: float
    usual: float = Field(description="Median of the compared flights.")
    part: float = Field(
        description="Share by which the score would fall if the flight had the usual value."
    )
    words: str


class AnomalousFlight(BaseModel):
    """A finished flight, and its distance from the others."""

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
        description="Mean of the two models' scores: 0 is the median flight, 1 Tukey's outer fence."
    )
    isolation_score: float = Field(description="Score of the Isolation Forest.")
    cluster_score: float = Field(
        description="Score of DBSCAN: distance to the nearest core over eps."
    )
    is_anomalous: bool = Field(description="Whether the score is 1 or more.")
    reasons: list[Reason] | None = Field(
        description="Strongest first; null if the score is not among the highest."
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
