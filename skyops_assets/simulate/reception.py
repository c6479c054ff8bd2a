"""What OpenSky would have recorded of a flight: late, frozen, rounded, with holes, at times wrong.

Belongs here: everything between the aircraft and the recording's row. Does not: where the aircraft
really was (`truth`), columns and files (`write`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from skyops_assets.simulate.fields import Field
from skyops_assets.simulate.flights import DAY_S, Flight
from skyops_assets.simulate.geometry import Floats
from skyops_assets.units import FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS

TAIL_S = 300
"""OpenSky repeats the last vector for so long after the last message."""
FLOORS_M: tuple[float | None, ...] = (None, 60.0, None, 250.0, None, 120.0, 500.0, None)
"""Height above a field below which nothing is heard, by the field's place in the plan; None where
receivers stand so near that the ground is heard as well."""


@dataclass(frozen=True)
class Quality:
    """How much is lost and spoilt. The shares are those of real recordings, where these say so.

    Attributes:
        frozen: of the seconds with contact, those in which no new position comes. With the tails
            of lost aircraft 16 to 23 % of the rows are frozen, as in real recordings at 1 Hz.
        gap_every_s, gap_s: mean seconds between gaps and mean length of one.
        hole: of the flights, those with a hole of 12 to 40 minutes, as over water.
        duplicate: rows that are there twice.
        no_squawk, no_geo_altitude: rows without; with those on the ground that have no altitude
            49 % and about 10 %, as in 60 REST responses (49 and 9.7 %).
        altitude_m, velocity_mps, vertical_rate_mps, position_m: standard deviations; those that
            openap's noise has (its model of ADS-B with NACv 3 and NACp 10).
        pressure_hpa: standard deviation of the air pressure from 1013 hPa, by field and day.
        spike: rows with one wild altitude, speed or vertical rate.
        jump: rows with a wild position.
        late_flag: of the landings, those whose ground flag comes 40 to 70 s late.
    """

    frozen: float = 0.09
    gap_every_s: float = 1_500.0
    gap_s: float = 30.0
    hole: float = 0.02
    duplicate: float = 0.008
    no_squawk: float = 0.49
    no_geo_altitude: float = 0.06
    altitude_m: float = 7.5
    velocity_mps: float = 0.5
    vertical_rate_mps: float = 0.75
    position_m: float = 5.0
    pressure_hpa: float = 8.0
    spike: float = 3e-4
    jump: float = 2e-5
    late_flag: float = 0.03


@dataclass(frozen=True)
class Received:
    """Rows of a recording, in the order of their times; NaN and empty text are null.

    Texts are eight bytes each: as Unicode they would be half of the memory.

    Attributes:
        at: the second that the row is of; position_at and contact_at: of its position, and of
            the last message at all.
        baro_altitude_m: pressure altitude.
    """

    at: NDArray[np.int64]
    position_at: NDArray[np.int64]
    contact_at: NDArray[np.int64]
    latitude_deg: Floats
    longitude_deg: Floats
    baro_altitude_m: Floats
    geo_altitude_m: Floats
    velocity_mps: Floats
    track_deg: Floats
    vertical_rate_mps: Floats
    is_on_ground: NDArray[np.bool_]
    callsign: NDArray[np.bytes_]
    squawk: NDArray[np.bytes_]

    def take(self, rows: NDArray[np.int64]) -> Received:
        """These rows."""
        return Received(*[getattr(self, one.name)[rows] for one in fields(self)])


def receive_clean(flight: Flight) -> Received:
    """Every second as it was, with nothing lost."""
    size = len(flight.at)
    return Received(
        flight.at, flight.at, flight.at, flight.latitude_deg, flight.longitude_deg,
        flight.altitude_m, flight.altitude_m, flight.velocity_mps, flight.track_deg,
        flight.vertical_rate_mps, flight.is_on_ground,
        _text(flight.callsign.ljust(8), size), _text("1000", size),
    )  # fmt: skip


def receive(
    flight: Flight,
    floors_m: dict[str, float | None],
    quality: Quality,
    seed: int,
    until: int | None,
) -> Received:
    """The rows that a recording has of a flight.

    Args:
        floors_m: by ICAO code, the height above the field below which nothing is heard.
        until: when the airframe's next flight begins; the frozen tail ends there.
    """
    airframe, leg = (int(part) for part in flight.key.split("-"))
    rng = np.random.default_rng([seed, airframe, leg, 1])
    heard = _heard(flight, floors_m, quality, rng)
    size = len(heard)
    tail = TAIL_S if until is None else int(np.clip(until - flight.at[-1] - 1, 0, TAIL_S))
    seconds = np.arange(size + tail)
    # Losses come in bursts: a second without a position makes another one likelier.
    share = np.where(rng.random(size // 20 + 1) < 0.15, 4.0, 0.47) * quality.frozen
    lost = rng.random(size) < share.repeat(20)[:size]

    def latest(known: NDArray[np.bool_]) -> NDArray[np.int64]:
        """For each second, the tail included, the last one of these, -1 before the first."""
        index = np.where(known, np.arange(size), -1)
        return np.maximum.accumulate(np.concatenate([index, np.full(tail, -1)]))

    contact, fixed = latest(heard), latest(heard & ~lost)
    rows = np.flatnonzero((fixed >= 0) & (seconds - contact <= TAIL_S))
    contact, fixed = contact[rows], fixed[rows]
    ground = _flag(flight, quality, rng)
    sent = _sent(flight, ground, quality, seed, rng)
    callsign = _callsigns(flight, rng)
    squawk = _text("" if rng.random() < quality.no_squawk - 0.05 else _octal(rng), size)
    squawk[rng.random(size) < 0.09] = b""
    found = Received(
        flight.at[0] + rows,
        flight.at[fixed],
        flight.at[contact],
        sent["latitude_deg"][fixed],
        sent["longitude_deg"][fixed],
        sent["baro_altitude_m"][contact],
        sent["geo_altitude_m"][contact],
        sent["velocity_mps"][contact],
        sent["track_deg"][contact],
        sent["vertical_rate_mps"][contact],
        ground[contact],
        callsign[contact],
        squawk[contact],
    )
    twice = np.flatnonzero(rng.random(len(rows)) < quality.duplicate)
    return found.take(np.sort(np.concatenate([np.arange(len(rows)), twice])))


def _heard(
    flight: Flight, floors_m: dict[str, float | None], quality: Quality, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """The seconds in which some message is heard."""
    size = len(flight.at)
    heard = np.ones(size, bool)
    top = int(np.argmax(flight.altitude_m))
    for place, part in ((flight.departure, slice(0, top)), (flight.arrival, slice(top, size))):
        floor = floors_m[place.icao] if place else None
        if place and floor is not None:
            edge = place.elevation_m + floor * rng.uniform(0.7, 1.3)
            low = (flight.altitude_m[part] < edge) | flight.is_on_ground[part]
            heard[part] &= ~low
    gaps = rng.poisson(size / quality.gap_every_s)
    starts, lengths = rng.integers(0, size, gaps), rng.exponential(quality.gap_s, gaps)
    holes = [(start, int(min(length, 580))) for start, length in zip(starts, lengths, strict=True)]
    if rng.random() < quality.hole and size > 7_200:
        holes.append((int(rng.integers(size // 3, size // 2)), int(rng.integers(720, 2_400))))
    for start, length in holes:
        heard[start : start + length] = False
    # Buildings stand in the way on the apron.
    behind = rng.random(size // 30 + 1).repeat(30)[:size] < 0.25
    heard &= ~(flight.is_on_ground & behind)
    return heard


def _flag(flight: Flight, quality: Quality, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The ground flag as sent, some seconds late."""
    seconds = np.arange(len(flight.at))
    landing_s = rng.integers(40, 70) if rng.random() < quality.late_flag else rng.integers(0, 7)
    takeoff_s = rng.integers(0, 5)
    truth = flight.is_on_ground
    late = np.where(truth, truth[np.maximum(seconds - landing_s, 0)], truth[
        np.maximum(seconds - takeoff_s, 0)])  # fmt: skip
    return late.astype(bool)


def _sent(
    flight: Flight, ground: NDArray[np.bool_], quality: Quality, seed: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """The values of each second, as the transponder rounds them and the decoder spoils them."""
    size = len(flight.at)
    # Satellite positions err slowly; what is left to chance from second to second is little.
    metres = rng.normal(0, quality.position_m, (2, 1)) + rng.normal(0, 1.5, (2, size))
    # The grid of compact position reports: 5.1 m in the air, a quarter of it on the ground.
    grain = 360 / 60 / 2**17 / np.where(ground, 4, 1)
    stretch = 111_195 * np.cos(np.radians(flight.latitude_deg))
    latitude = flight.latitude_deg + metres[0] / 111_195
    longitude = flight.longitude_deg + metres[1] / stretch
    longitude_grain = grain * 111_195 / stretch
    wild = rng.random(size) < quality.jump
    latitude = np.where(wild, latitude + rng.uniform(-3, 3, size), latitude)
    baro = flight.altitude_m + _pressure_m(flight, quality, seed) + rng.normal(
        0, quality.altitude_m / 2, size)  # fmt: skip
    geo = flight.altitude_m + rng.normal(0, quality.altitude_m, size)
    angle = np.radians(flight.track_deg)
    parts = [
        _grained(
            flight.velocity_mps * turned(angle) + rng.normal(0, quality.velocity_mps, size),
            KNOT_MPS,
        )
        for turned in (np.sin, np.cos)
    ]
    rate = flight.vertical_rate_mps + rng.normal(0, quality.vertical_rate_mps, size)
    sent = {
        "baro_altitude_m": _grained(baro, 25 * FOOT_M),
        "geo_altitude_m": _grained(geo, 25 * FOOT_M),
        "velocity_mps": np.hypot(*parts),
        "track_deg": np.degrees(np.arctan2(*parts)) % 360 % 360,
        "vertical_rate_mps": _grained(rate, 64 * FOOT_PER_MINUTE_MPS),
    }
    # Most of what is decoded keeps, after the landing, the last values sent in the air.
    if rng.random() < 0.8:
        seconds = np.arange(size)
        last = np.maximum.accumulate(np.where(ground, -1, seconds))
        sent = {name: values[np.where(last < 0, seconds, last)] for name, values in sent.items()}
    else:
        sent["baro_altitude_m"] = np.where(ground, np.nan, sent["baro_altitude_m"])
        sent["geo_altitude_m"] = np.where(ground, np.nan, sent["geo_altitude_m"])
        sent["vertical_rate_mps"] = np.where(ground, np.nan, sent["vertical_rate_mps"])
    _spike(sent["baro_altitude_m"], (-600.0, 38_000.0), quality, rng)
    _spike(sent["velocity_mps"], (0.0, 2_440.0), quality, rng)
    _spike(sent["vertical_rate_mps"], (-165.0, 165.0), quality, rng)
    sent["geo_altitude_m"][rng.random(size) < quality.no_geo_altitude] = np.nan
    return {
        **sent,
        "latitude_deg": _grained(latitude, grain),
        "longitude_deg": _grained(longitude, longitude_grain),
    }


def _grained(values: Floats, grain: Floats | float) -> Floats:
    return np.round(values / grain) * grain


def _spike(
    values: Floats, limits: tuple[float, float], quality: Quality, rng: np.random.Generator
) -> None:
    """Put wild values, also impossible ones, in place of a few."""
    wild = np.flatnonzero(rng.random(len(values)) < quality.spike / 3)
    values[wild] = rng.uniform(*limits, len(wild))


def _pressure_m(flight: Flight, quality: Quality, seed: int) -> Floats:
    """How much the pressure altitude is off the true one: 8.3 m for each hPa at the two fields."""

    def off(place: Field | None, at: int) -> float:
        if place is None:
            return 0.0
        lot = np.random.default_rng([seed, at // DAY_S, int.from_bytes(place.icao.encode())])
        return float(lot.normal(0, quality.pressure_hpa)) * 8.3

    first, last = int(flight.at[0]), int(flight.at[-1])
    share = np.linspace(0, 1, len(flight.at))
    return off(flight.departure, first) * (1 - share) + off(flight.arrival, last) * share


def _callsigns(flight: Flight, rng: np.random.Generator) -> NDArray[np.bytes_]:
    """The callsign of each second: padded, missing at first, at times mistyped at first."""
    sent = _text(flight.callsign.ljust(8), len(flight.at))
    if rng.random() < 0.02:
        sent[: len(sent) // 4] = flight.callsign.replace("SYN", "SNY").ljust(8).encode()
    sent[: int(rng.integers(0, 12))] = b""
    sent[rng.random(len(sent)) < 0.005] = b""
    return sent


def _text(value: str, size: int) -> NDArray[np.bytes_]:
    return np.full(size, value.encode(), "S8")


def _octal(rng: np.random.Generator) -> str:
    """A squawk that is neither an emergency nor a hijacking."""
    return f"{rng.integers(0o1000, 0o7000):04o}"
