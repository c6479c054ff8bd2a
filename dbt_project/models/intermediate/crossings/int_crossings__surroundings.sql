{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['crossing_id']}, {'columns': ['crossed_at']}]
) }}

with crossings as (
    select unioned.*
    from {{ ref('int_crossings__unioned') }} as unioned
    {{ join_changed_hours('unioned', 'crossed_at', with_aftermath=true) }}
),

-- The history tells nothing of who else was there.
seen as (
    select crossings.*
    from crossings
    where crossings.source = 'positions'
),

airports as (
    select * from {{ ref('int_airports__watched') }}
),

go_arounds as (
    select * from {{ ref('int_movements__discontinued_landings') }}
    where movement = 'go_around' {{ and_since_changed_hours('known_at', '30 minutes') }}
),

turns as (
    select * from {{ ref('int_holdings__turns') }}
    where true {{ and_since_changed_hours('through_at', '30 minutes') }}
),

-- Where aircraft were, from each airport; the latitude first, for it spares most of them the distance.
near as (
    select
        sampled.flight_id,
        sampled.positioned_at,
        sampled.altitude_m - airports.elevation_m as height_m,
        sampled.mean_vertical_rate_mps,
        sampled.track_deg,
        airports.airport,
        {{ distance_m(
            'sampled.latitude_deg',
            'sampled.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as distance_m,
        {{ bearing_deg(
            'sampled.latitude_deg',
            'sampled.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as to_airport_deg
    from {{ ref('int_positions__sampled_10s') }} as sampled
    inner join airports
        on
            sampled.latitude_deg
            between airports.latitude_deg - {{ widest_ring_deg() }} and airports.latitude_deg + {{ widest_ring_deg() }}
    where true {{ and_since_changed_hours('sampled.positioned_at', '1 minute') }}
),

-- Materialized, or the planner compares each crossing with every fix of the half minute before it: of 3,000 aircraft
-- that did not end.
inbound as materialized (
    select
        flight_id,
        positioned_at,
        date_bin('10 seconds', positioned_at, 'epoch') as slot_at,
        airport,
        distance_m
    from near
    where
        distance_m <= {{ var('rings_nm') | max }} * {{ metres_per_nm() }}
        and {{ is_inbound(
            angle_between_deg('track_deg', 'to_airport_deg'),
            'mean_vertical_rate_mps',
            'height_m',
            'distance_m / ' ~ metres_per_nm(),
        ) }}
),

-- The half minute before each crossing. Materialized too, or each is first joined to all fixes near its airport.
slots as materialized (
    select
        seen.crossing_id,
        seen.is_live,
        seen.flight_id,
        seen.airport,
        seen.crossed_at,
        seen.ring_nm,
        slots.slot_at
    from seen
    cross join
        lateral generate_series(
            date_bin('10 seconds', seen.crossed_at - interval '30 seconds', 'epoch'),
            seen.crossed_at,
            interval '10 seconds'
        ) as slots (slot_at)
),

-- A slot has one fix of a flight.
inside_now as (
    select
        slots.crossing_id,
        slots.is_live,
        count(distinct inbound.flight_id) as inbound_inside_count
    from slots
    inner join inbound
        on
            slots.airport = inbound.airport
            and slots.slot_at = inbound.slot_at
            and slots.crossed_at - interval '30 seconds' < inbound.positioned_at
            and slots.crossed_at >= inbound.positioned_at
            and slots.flight_id <> inbound.flight_id
            and slots.ring_nm * {{ metres_per_nm() }} >= inbound.distance_m
    group by slots.crossing_id, slots.is_live
),

gone_around as (
    select
        seen.crossing_id,
        seen.is_live,
        count(*) as go_arounds_30min_count
    from seen
    inner join go_arounds
        on
            seen.airport = go_arounds.airport
            and seen.crossed_at >= go_arounds.known_at
            and go_arounds.known_at > seen.crossed_at - interval '30 minutes'
    group by seen.crossing_id, seen.is_live
),

-- Every fix at which a turn was complete is known at that fix, however long the holding goes on.
-- As fct_holdings: within 40 NM, and not so low that it is a circuit of the aerodrome. Materialized, or the distance is
-- computed for each crossing again.
holding as materialized (
    select
        turns.flight_id,
        turns.through_at,
        airports.airport
    from turns
    inner join airports
        on
            turns.altitude_m - airports.elevation_m >= 900
            and {{ distance_m(
                'turns.latitude_deg',
                'turns.longitude_deg',
                'airports.latitude_deg',
                'airports.longitude_deg',
            ) }} < 40 * {{ metres_per_nm() }}
),

held as (
    select
        seen.crossing_id,
        seen.is_live,
        count(distinct holding.flight_id) as holdings_30min_count
    from seen
    inner join holding
        on
            seen.airport = holding.airport
            and seen.crossed_at >= holding.through_at
            and holding.through_at > seen.crossed_at - interval '30 minutes'
            and seen.flight_id <> holding.flight_id
    group by seen.crossing_id, seen.is_live
),

-- OpenSky's categories 2 to 6 are bounded at 15,500 and 300,000 lb, as ICAO's wake categories (Doc 8643) are at
-- 7 and 136 t. A super (A380) sends that of a heavy.
sent as (
    select
        seen.crossing_id,
        seen.is_live,
        (
            array_agg(
                case states.category
                    when 2 then 'L'
                    when 3 then 'M'
                    when 4 then 'M'
                    when 5 then 'M'
                    when 6 then 'H'
                end
                order by states.positioned_at desc
            )
        )[1] as wake
    from seen
    inner join {{ ref('stg_opensky__states') }} as states
        on
            seen.icao24 = states.icao24
            and seen.known_at >= states.positioned_at
            and states.positioned_at >= seen.known_at - interval '60 seconds'
    where states.category between 2 and 6
    group by seen.crossing_id, seen.is_live
)

select
    crossings.crossing_id,
    crossings.is_live,
    crossings.source,
    crossings.crossed_at,
    airframes.typecode,
    sent.wake,
    case when crossings.source = 'positions' then coalesce(inside_now.inbound_inside_count, 0)::integer end
        as inbound_inside_count,
    case when crossings.source = 'positions' then coalesce(held.holdings_30min_count, 0)::integer end
        as holdings_30min_count,
    case when crossings.source = 'positions' then coalesce(gone_around.go_arounds_30min_count, 0)::integer end
        as go_arounds_30min_count
from crossings
left join inside_now
    on
        crossings.crossing_id = inside_now.crossing_id
        and crossings.is_live = inside_now.is_live
left join held
    on
        crossings.crossing_id = held.crossing_id
        and crossings.is_live = held.is_live
left join gone_around
    on
        crossings.crossing_id = gone_around.crossing_id
        and crossings.is_live = gone_around.is_live
left join sent
    on
        crossings.crossing_id = sent.crossing_id
        and crossings.is_live = sent.is_live
left join {{ ref('stg_reference__aircraft') }} as airframes on crossings.icao24 = airframes.icao24
