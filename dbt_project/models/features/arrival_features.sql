{{ config(tags=['hourly']) }}

with features as (
    select * from {{ ref('crossing_features') }}
    -- What lands at an airport that is not watched teaches nothing about those that are.
    where
        source = 'positions'
        or airport in (select watched.airport from {{ ref('int_airports__watched') }} as watched)
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
    features.crossing_id,
    features.flight_id,
    features.source,
    features.airport,
    features.ring_nm,
    features.crossed_at,
    features.known_at,
    features.is_inbound,
    {% for name in features_by_family().values() | sum(start=[]) -%}
        features.{{ name }},
    {% endfor -%}
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
