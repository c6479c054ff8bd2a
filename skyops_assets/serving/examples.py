"""Answers as they are, for the OpenAPI document: rows of the Paris recording."""

from __future__ import annotations

from typing import Any

FLIGHT_ID = "02a195_20211007T140420Z"
_WHO: dict[str, Any] = {
    "flight_id": FLIGHT_ID,
    "icao24": "02a195",
    "callsign": "TAR722",
    "airline": "TAR",
    "typecode": "A320",
}
FLIGHT = {
    **_WHO,
    "first_seen_at": "2021-10-07T14:04:20Z",
    "last_seen_at": "2021-10-07T14:35:26Z",
    "departure_airport": None,
    "departure_airport_reason": "first_seen_en_route",
    "departed_at": None,
    "arrival_airport": "LFPO",
    "arrival_airport_reason": "ground_contact",
    "arrived_at": "2021-10-07T14:25:10.740220Z",
    "max_height_m": 4653.7,
    "position_count": 2166,
    "status": "landed",
}
MOVEMENT = {
    "movement_id": f"{FLIGHT_ID}_landing_20211007T142532Z",
    **_WHO,
    "airport": "LFPO",
    "movement": "landing",
    "moved_at": "2021-10-07T14:25:10.740220Z",
    "runway_direction": "06",
    "runway": "06",
    "runway_reason": None,
    "track_deg": 61.8,
    "method": "ground_contact",
    "label_quality": "observed",
}
_FLOWN: dict[str, Any] = {
    "period_on": "2021-10-07",
    "flight_count": 2,
    "airborne_h": 1.4,
    "block_h": None,
    "utilisation_share": 0.06,
    "mean_cruise_height_m": 7924.8,
    "mean_cruise_speed_mps": 211.5,
    "heard_h": 1.4,
    "perhaps_airborne_h": 2.1,
    "coverage_share": 0.667,
}
FLEET_AIRFRAME = {
    **_FLOWN,
    "icao24": "02a195",
    "registration": "TS-IMV",
    "typecode": "A320",
    "airline": "TAR",
    "airline_name": "Tunisair",
}
FLEET_TYPE = {**_FLOWN, "typecode": "A320", "airframe_count": 1}
FEED_WEEK = {
    "area": "LFPG",
    "week_on": "2021-10-04",
    "position_count": 281934,
    "coverage_share": 0.992,
    "gap_count": 14,
    "longest_gap_min": 6.4,
    "heard_share": 1.0,
    "rejected_count": 0,
    "rejected_share": 0.0,
    "stale_share": 0.021,
}
ANOMALY = {
    "anomaly": "implausible_jump",
    "anomaly_class": "data",
    "icao24": "3944ee",
    "flight_id": "3944ee_20211007T144103Z",
    "callsign": "AFR35YQ",
    "airline": "AFR",
    "typecode": None,
    "country": "France",
    "started_at": "2021-10-07T14:50:46Z",
    "ended_at": "2021-10-07T14:50:47Z",
    "sample_count": 2,
    "strongest_value": 3622.7,
    "threshold": 3060.0,
    "unit": "m",
    "latitude_deg": 48.9207,
    "longitude_deg": 2.5479,
    "altitude_m": 3878.6,
    "source": "recording:quickstart",
}
AIRPORT_HOUR = {
    "airport": "LFPO",
    "hour_at": "2021-10-07T14:00:00Z",
    "arrival_count": 13,
    "departure_count": 13,
    "go_around_count": 0,
    "throughput_count": 26,
    "mean_transit_min": 15.3,
    "p90_transit_min": 19.1,
}
AIRCRAFT = {
    "icao24": "02a195",
    "flight_id": FLIGHT_ID,
    "callsign": "TAR722",
    "typecode": "A320",
    "country": "Tunisia",
    "heard_at": "2021-10-07T14:20:00Z",
    "latitude_deg": 48.61,
    "longitude_deg": 2.17,
    "altitude_m": 1219.2,
    "height_m": 1130.5,
    "ground_speed_mps": 92.6,
    "track_deg": 62.0,
    "vertical_rate_mps": -3.9,
    "phase": "descent",
}
ARRIVAL = {
    "icao24": "02a195",
    "flight_id": FLIGHT_ID,
    "callsign": "TAR722",
    "typecode": "A320",
    "airport": "LFPO",
    "status": "inbound",
    "heard_at": "2021-10-07T14:20:00Z",
    "distance_nm": 11.4,
    "altitude_m": 1219.2,
    "predicted_landing_at": "2021-10-07T14:25:41Z",
    "predicted_low_at": "2021-10-07T14:22:03Z",
    "predicted_high_at": "2021-10-07T14:31:17Z",
    "predicted_landing_local": "2021-10-07T16:25:41",
    "landing_probability": 0.97,
    "is_on_final": False,
    "ring_nm": 40,
    "crossed_at": "2021-10-07T14:10:52Z",
    "predicted_at": "2021-10-07T14:10:55Z",
    "model_name": "arrival-transit-40nm",
    "model_version": "3",
}
DEMAND = {
    "airport": "LFPO",
    "from_at": "2021-10-07T14:20:00Z",
    "through_at": "2021-10-07T14:35:00Z",
    "expected_landing_count": 4.2,
    "candidate_count": 6,
    "p90_landing_count": 6.0,
    "past_quarter_count": 8640,
}
ALERT = {
    "icao24": None,
    "flight_id": None,
    "callsign": None,
    "alert": "abnormal_share",
    "alert_class": "window",
    "scope": "area",
    "scope_name": "LFPG",
    "started_at": "2021-10-07T14:16:00Z",
    "ended_at": "2021-10-07T14:20:00Z",
    "sample_count": None,
    "strongest_value": None,
    "threshold": None,
    "unit": None,
    "latitude_deg": None,
    "longitude_deg": None,
    "altitude_m": None,
    "aircraft_count": 20,
    "abnormal_count": 3,
    "abnormal_share": 0.15,
}
FEED = {
    "observed_at": "2021-10-07T14:20:03Z",
    "positions_per_s": 41.5,
    "newest_position_at": "2021-10-07T14:20:00Z",
    "newest_position_age_s": 3.1,
    "newest_answer_at": "2021-10-07T14:20:01Z",
    "newest_answer_age_s": 2.2,
    "credits_left": 3121,
    "newest_built_position_at": "2021-10-07T14:20:00Z",
    "lane_lag_s": 0.0,
    "waiting_load_count": 0,
    "waiting_since_at": None,
    "waiting_s": None,
    "load_to_models_p50_s": 1.4,
    "load_to_models_max_s": 2.2,
    "pass_ended_at": "2021-10-07T14:20:02Z",
}
RUN_ID = "53dff6f4-566a-456e-a3d5-1bb8481c433d"
STARTED = {
    "run_id": RUN_ID,
    "status": "QUEUED",
    "link": f"http://127.0.0.1:3000/runs/{RUN_ID}",
    "ring_nm": 40,
    "arrival_count": 45,
    "airports": [
        {
            "airport": "LFPG",
            "arrival_count": 45,
            "crossed_from_at": "2021-10-07T12:03:46.360937Z",
            "crossed_through_at": "2021-10-07T14:42:49.130576Z",
        }
    ],
}
LOOK = {**STARTED, "ring_nm": None, "arrival_count": None, "airports": None}
RUN = {
    "run_id": RUN_ID,
    "job": "retrain",
    "status": "SUCCESS",
    "created_at": "2026-11-29T04:00:04Z",
    "started_at": "2026-11-29T04:00:18Z",
    "ended_at": "2026-11-29T04:00:57Z",
    "link": STARTED["link"],
    "asked_by": "planner",
    "trained": [
        {
            "ring_nm": 40,
            "model_name": "arrival-transit-40nm",
            "model_version": "1",
            "recipe": "hgb-l1",
            "train_rows": 59,
            "test_rows": 29,
            "untrained_reason": None,
            "is_promoted": False,
            "decision": "not promoted: 59 arrivals to learn from (at least 200)",
            "candidates": [
                {
                    "candidate": "arrival-transit-40nm:1",
                    "rows": 29,
                    "mae_min": 1.5,
                    "rmse_min": 1.9,
                    "r2": 0.4,
                    "skill": 0.48,
                    "skill_low": -1.07,
                    "skill_high": 0.49,
                }
            ],
        }
    ],
    "monitored": [],
}
CORRECTION = {
    "correction_id": 7,
    "made_at": "2026-11-29T09:12:00Z",
    "kind": "leave out time",
    "airport": "LFPO",
    "from_at": "2026-03-02T00:00:00Z",
    "through_at": "2026-03-09T00:00:00Z",
    "flight_id": None,
    "landed_at": None,
    "author": "ops@example.org (planner)",
    "reason": "receiver off its site",
    "undone_at": None,
    "undone_by": None,
    "undone_because": None,
}
UNDONE = {
    **CORRECTION,
    "undone_at": "2026-11-30T08:00:00Z",
    "undone_by": "ops@example.org (planner)",
    "undone_because": "the receiver was right",
}


def answered(example: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """For an endpoint's OpenAPI: an answer as it is."""
    return {status: {"content": {"application/json": {"example": example}}}}
