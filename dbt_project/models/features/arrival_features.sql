{%- set columns = [
    'crossing_id', 'flight_id', 'source', 'airport', 'ring_nm', 'crossed_at', 'known_at', 'is_inbound',
    'sector', 'bearing_deg', 'bearing_sin', 'bearing_cos', 'altitude_m', 'ground_speed_mps',
    'vertical_rate_mps', 'track_offset_deg', 'typecode', 'wake', 'outer_leg_min', 'outer_leg_mps',
    'near_leg_mps', 'near_leg_climb_mps', 'inbound_inside_count', 'entries_5min_count',
    'entries_15min_count', 'entries_30min_count', 'entries_60min_count', 'sector_entries_15min_count',
    'unlanded_count', 'sector_unlanded_count', 'mean_unlanded_age_min', 'landings_15min_count',
    'landings_30min_count', 'landings_60min_count', 'holdings_30min_count', 'go_arounds_30min_count',
    'predecessor_age_min', 'last_transit_min', 'last_transit_age_min', 'mean_last3_transit_min',
    'mean_last5_transit_min', 'mean_last10_transit_min', 'mean_last20_transit_min',
    'sector_last_transit_min', 'sector_last_transit_age_min', 'sector_mean_last3_transit_min',
    'sector_mean_last5_transit_min', 'sector_mean_last10_transit_min', 'sector_mean_last20_transit_min',
    'runway_in_use_deg', 'runway_in_use_sin', 'runway_in_use_cos', 'wind_east_mps', 'wind_north_mps',
    'wind_gust_mps', 'visibility_m', 'ceiling_m', 'local_hour', 'local_weekday',
] -%}

-- By name: where a migration added columns they stand last.
with features as (
    select {{ columns | join(', ') }}
    from {{ ref('crossing_features') }}
    union all
    select history.{{ columns | join(', history.') }}
    from {{ ref('history_crossing_features') }} as history
    -- What lands at an airport that is not watched teaches nothing about those that are.
    inner join {{ ref('int_airports__watched') }} as watched on history.airport = watched.airport
),

arrivals as (
    select * from {{ ref('fct_arrivals') }}
),

-- One simulated position is enough: what the flight did then is not what anything in the sky did.
simulated as (
    select distinct flight_id
    from {{ ref('int_positions__masked') }}
    where {{ is_simulated('source') }}
)

select
    features.{{ columns | join(',\n    features.') }},
    arrivals.landed_at,
    arrivals.transit_min,
    arrivals.label_quality,
    simulated.flight_id is not null as is_simulated
from features
inner join arrivals
    on
        features.source = arrivals.source
        and features.flight_id = arrivals.flight_id
        and features.airport = arrivals.airport
        and features.ring_nm = arrivals.ring_nm
left join simulated
    on
        features.source = 'positions'
        and features.flight_id = simulated.flight_id
