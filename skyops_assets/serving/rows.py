"""What a row of each list is: its columns, as the tables and views of the same name have them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, Field, WithJsonSchema

Row = TypeVar("Row", bound=BaseModel)
Local = Annotated[
    datetime | None,
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT[0-9:.]+$"}, {"type": "null"}]}
    ),
]
"""A time without a zone, which JSON Schema has no format for."""


class Rows(BaseModel, Generic[Row]):
    """Rows, and where the next ones are."""

    data: list[Row]
    next: str | None = Field(None, description="Address of the next page; null on the last.")


class Board(Rows[Row], Generic[Row]):
    """Rows of one airport as they are now."""

    airport: str
    timezone: str = Field(description="IANA name, for the times that end in `_local`.")


class Flight(BaseModel):
    """A flight: where it left and where it arrived, as far as that can be told."""

    flight_id: str
    icao24: str = Field(description="The aircraft's 24-bit address, in hexadecimal.")
    callsign: str | None
    airline: str | None = Field(description="ICAO designator of the airline in its callsign.")
    typecode: str | None = Field(description="ICAO type designator, if the aircraft is known.")
    first_seen_at: datetime
    last_seen_at: datetime
    departure_airport: str | None
    departure_airport_reason: str
    departed_at: datetime | None
    arrival_airport: str | None
    arrival_airport_reason: str
    arrived_at: datetime | None
    max_height_m: float | None
    position_count: int
    status: str


class Movement(BaseModel):
    """A landing, take-off, go-around or touch-and-go."""

    movement_id: str
    flight_id: str
    icao24: str
    callsign: str | None
    airline: str | None
    typecode: str | None
    airport: str
    movement: str
    moved_at: datetime
    runway_direction: str | None
    runway: str | None
    runway_reason: str | None
    track_deg: float | None
    method: str
    label_quality: str


class Anomaly(BaseModel):
    """An event that is strange in the data, the signal or the flight, with its evidence."""

    anomaly: str
    anomaly_class: str
    icao24: str
    flight_id: str
    callsign: str | None
    airline: str | None
    typecode: str | None
    country: str | None
    started_at: datetime
    ended_at: datetime
    sample_count: int
    strongest_value: float | None
    threshold: float | None
    unit: str | None
    latitude_deg: float | None
    longitude_deg: float | None
    altitude_m: float | None
    source: str


class AirportHour(BaseModel):
    """An hour (UTC) at an airport."""

    airport: str
    hour_at: datetime
    arrival_count: int
    departure_count: int
    go_around_count: int
    throughput_count: int
    mean_transit_min: float | None = Field(description="From the 40 NM ring to landing.")
    p90_transit_min: float | None


class Flown(BaseModel):
    """What was flown in a day or month (UTC)."""

    period_on: date = Field(description="The day, or the first of the month.")
    flight_count: int = Field(description="Flights that left the ground: the cycles.")
    airborne_h: float = Field(
        description="Known hours in the air; a lower bound if coverage is below 1."
    )
    block_h: float | None = Field(
        description="Block hours; null unless both ends of every flight were seen."
    )
    utilisation_share: float = Field(description="Hours in the air divided by the hours with data.")
    mean_cruise_height_m: float | None = Field(description="Barometric.")
    mean_cruise_speed_mps: float | None = Field(description="Over ground.")
    heard_h: float
    perhaps_airborne_h: float = Field(
        description="Hours in the air or possibly in the air unheard."
    )
    coverage_share: float = Field(description="heard_h divided by perhaps_airborne_h.")


class FleetAirframe(Flown):
    """An airframe's day or month."""

    icao24: str
    registration: str | None
    typecode: str | None
    airline: str | None = Field(description="Airline it flew for most.")
    airline_name: str | None = Field(description="Name, for the larger airlines.")


class FleetType(Flown):
    """The day or month of all airframes of a type."""

    typecode: str = Field(description="`unknown` for all airframes of unknown type.")
    airframe_count: int


class FeedWeek(BaseModel):
    """How well an area was heard in a week (UTC)."""

    area: str = Field(description="100 NM around a watched airport, otherwise a one-degree cell.")
    week_on: date = Field(description="Monday.")
    position_count: int
    coverage_share: float | None = Field(
        description="Share of the minutes of flights that were heard."
    )
    gap_count: int = Field(description="Silences of more than two minutes of flights in the air.")
    longest_gap_min: float | None
    heard_share: float | None = Field(
        description="Share of the minutes with any aircraft in the area."
    )
    rejected_count: int
    rejected_share: float | None
    stale_share: float | None = Field(description="Share of positions that were repeated.")


class ComponentWeek(BaseModel):
    """A week of an ATA chapter or a part in a fleet."""

    week_on: date
    fleet: str
    ata_chapter: str
    part_number: str = Field(description="Empty in the row for the whole chapter.")
    event_count: int
    unscheduled_event_count: int
    removal_count: int
    unscheduled_removal_count: int
    failure_count: int
    flight_hours: float | None
    cycles: float | None
    exposure_source: str | None = Field(
        description="`operator`, `positions` (a lower bound) or `both`."
    )
    coverage_share: float | None
    unit_hours: float | None
    year_event_count: int | None
    year_flight_hours: float | None
    year_cycles: float | None
    rate_per_1000_hours: float | None = Field(
        description="Unplanned events in 52 weeks; limits are exact at 95 %."
    )
    rate_per_1000_hours_low: float | None
    rate_per_1000_hours_high: float | None
    rate_per_100_cycles: float | None
    rate_per_100_cycles_low: float | None
    rate_per_100_cycles_high: float | None
    rate_reason: str | None
    year_unit_hours: float | None
    year_removal_count: int | None
    mtbur_h: float | None
    mtbur_low_h: float | None
    mtbur_high_h: float | None
    mtbur_reason: str | None
    year_failure_count: int | None
    mtbf_h: float | None
    mtbf_low_h: float | None
    mtbf_high_h: float | None
    mtbf_reason: str | None
    month_rate_per_1000_hours: float | None
    level_mean_per_1000_hours: float | None
    level_2sd_per_1000_hours: float | None
    level_3sd_per_1000_hours: float | None
    excess_sd: float | None
    trend: str | None = Field(description="`rising`, `steady` or `falling`.")
    alert_level: str | None = Field(description="`alert`, `above_3_sd`, `above_2_sd` or `normal`.")
    alert_reason: str | None
    is_current: bool = Field(description="Whether its alert is current.")


class MaintenanceDue(BaseModel):
    """What is left of a task or bulletin of an airframe."""

    icao24: str | None
    airframe: str
    fleet: str
    task: str
    kind: str = Field(description="`task` or `bulletin`.")
    description: str | None
    last_done_on: date | None
    hours_since: float | None
    cycles_since: float | None
    days_since: int | None
    hours_to_go: float | None
    cycles_to_go: float | None
    days_to_go: int | None
    hours_per_day: float | None
    cycles_per_day: float | None
    exposure_source: str | None = Field(
        description="`operator`, `positions` (due earlier than stated) or `both`."
    )
    known_through_on: date | None
    forecast_on: date | None
    first_limit: str | None
    forecast_reason: str | None
    due_status: str = Field(description="`overdue`, `open`, `unknown` or `done`.")
    sorted_on: date = Field(description="The forecast; without one, the last possible date.")


class DispatchMonth(BaseModel):
    """Departures of an airline and type in a month."""

    month_on: date
    airline: str
    fleet: str
    departure_count: int
    delayed_count: int
    cancelled_count: int
    technical_count: int
    cause_unknown_count: int
    dispatch_reliability_share: float | None = Field(description="Null if a cause is unknown.")
    dispatch_reliability_share_low: float | None
    dispatch_reliability_share_high: float | None
    dispatch_reliability_reason: str | None


class PunctualityDay(BaseModel):
    """Scheduled arrivals of an airline at an airport in a day."""

    arrives_on: date = Field(description="Local day of the airport.")
    airport: str
    airline: str
    scheduled_count: int
    landed_count: int
    cancelled_count: int
    not_seen_count: int = Field(description="Neither on time nor late.")
    on_time_count: int
    on_time_share: float | None
    mean_arrival_delay_min: float | None
    extreme_delay_count: int
    seen_share: float | None


class LiveAircraft(BaseModel):
    """An aircraft that was heard within the last minute."""

    icao24: str
    flight_id: str
    callsign: str | None
    typecode: str | None
    country: str | None
    heard_at: datetime
    latitude_deg: float | None
    longitude_deg: float | None
    altitude_m: float | None
    height_m: float | None = Field(description="Above the nearest airport.")
    ground_speed_mps: float | None
    track_deg: float | None
    vertical_rate_mps: float | None
    phase: str | None


class LiveArrival(BaseModel):
    """An aircraft on its way to an airport, with its predicted landing."""

    icao24: str
    flight_id: str
    callsign: str | None
    typecode: str | None
    airport: str
    status: str
    heard_at: datetime
    distance_nm: float | None
    altitude_m: float | None
    predicted_landing_at: datetime | None
    predicted_low_at: datetime | None = Field(description="Lower end of the 90 % interval.")
    predicted_high_at: datetime | None = Field(description="Upper end of the 90 % interval.")
    predicted_landing_local: Local = Field(
        description="The predicted landing in the airport's local time."
    )
    landing_probability: float
    is_on_final: bool
    ring_nm: int
    crossed_at: datetime
    predicted_at: datetime
    model_name: str
    model_version: str


class Demand(BaseModel):
    """A quarter of the next hour at an airport."""

    airport: str
    from_at: datetime
    through_at: datetime
    expected_landing_count: float
    candidate_count: int
    p90_landing_count: float | None = Field(
        description="90th percentile of landings per quarter of an hour in the last 90 days."
    )
    past_quarter_count: int


class LiveAlert(BaseModel):
    """What is strange now: an event of an aircraft, or a window with many abnormal ones."""

    icao24: str | None
    flight_id: str | None
    callsign: str | None
    alert: str
    alert_class: str
    scope: str
    scope_name: str | None
    started_at: datetime
    ended_at: datetime
    sample_count: int | None
    strongest_value: float | None
    threshold: float | None
    unit: str | None
    latitude_deg: float | None
    longitude_deg: float | None
    altitude_m: float | None
    aircraft_count: int | None
    abnormal_count: int | None
    abnormal_share: float | None


class Feed(BaseModel):
    """How fresh what is live is."""

    observed_at: datetime
    positions_per_s: float | None
    newest_position_at: datetime | None
    newest_position_age_s: float | None
    newest_answer_at: datetime | None
    newest_answer_age_s: float | None
    credits_left: int | None
    newest_built_position_at: datetime | None
    lane_lag_s: float | None
    waiting_load_count: int
    waiting_since_at: datetime | None
    waiting_s: float | None
    load_to_models_p50_s: float | None
    load_to_models_max_s: float | None
    pass_ended_at: datetime | None


class Hour(BaseModel):
    """An hour that positions are stored of."""

    hour_at: datetime
    position_count: int
    aircraft_count: int
    anomaly_count: int


class CountryHour(BaseModel):
    """Aircraft of a State of registration, and what was strange of them, in an hour."""

    hour_at: datetime
    country: str
    position_count: int
    aircraft_count: int
    mean_altitude_m: float | None
    mean_ground_speed_mps: float | None
    anomaly_count: int


class PhaseMinute(BaseModel):
    """How many aircraft were in a phase of flight in a minute."""

    minute_at: datetime
    phase: str
    aircraft_count: int
