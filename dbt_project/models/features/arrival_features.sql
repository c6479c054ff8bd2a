with features as (
    select * from {{ ref('crossing_features') }}
    union all
    -- What lands at an airport that is not watched teaches nothing about those that are.
    select history.*
    from {{ ref('history_crossing_features') }} as history
    inner join {{ ref('int_airports__watched') }} as watched on history.airport = watched.airport
),

arrivals as (
    select * from {{ ref('fct_arrivals') }}
)

select
    features.crossing_id,
    features.flight_id,
    features.source,
    features.airport,
    features.ring_nm,
    features.crossed_at,
    features.known_at,
    features.is_inbound,
    features.sector,
    features.bearing_deg,
    features.bearing_sin,
    features.bearing_cos,
    features.altitude_m,
    features.ground_speed_mps,
    features.vertical_rate_mps,
    features.track_offset_deg,
    features.typecode,
    features.wake,
    features.outer_leg_min,
    features.outer_leg_mps,
    features.near_leg_mps,
    features.near_leg_climb_mps,
    features.inbound_inside_count,
    features.entries_5min_count,
    features.entries_15min_count,
    features.entries_30min_count,
    features.entries_60min_count,
    features.sector_entries_15min_count,
    features.unlanded_count,
    features.sector_unlanded_count,
    features.mean_unlanded_age_min,
    features.landings_15min_count,
    features.landings_30min_count,
    features.landings_60min_count,
    features.holdings_30min_count,
    features.go_arounds_30min_count,
    features.predecessor_age_min,
    features.last_transit_min,
    features.last_transit_age_min,
    features.mean_last3_transit_min,
    features.mean_last5_transit_min,
    features.mean_last10_transit_min,
    features.mean_last20_transit_min,
    features.sector_last_transit_min,
    features.sector_last_transit_age_min,
    features.sector_mean_last3_transit_min,
    features.sector_mean_last5_transit_min,
    features.sector_mean_last10_transit_min,
    features.sector_mean_last20_transit_min,
    features.runway_in_use_deg,
    features.runway_in_use_sin,
    features.runway_in_use_cos,
    features.local_hour,
    features.local_weekday,
    arrivals.landed_at,
    arrivals.transit_min,
    arrivals.label_quality
from features
inner join arrivals
    on
        features.source = arrivals.source
        and features.flight_id = arrivals.flight_id
        and features.airport = arrivals.airport
        and features.ring_nm = arrivals.ring_nm
