{{ config(
    materialized='rebuilt',
    meta={'time': 'first_seen_at', 'since': 'flight_from_at'},
    indexes=[
        {'columns': ['flight_id'], 'unique': true},
        {'columns': ['last_seen_at']},
        {'columns': ['icao24', 'first_seen_at']},
    ]
) }}

with spoken as (
    select
        flight_id,
        icao24,
        callsign,
        min(started_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
        max(ended_at) as ended_at,
        max(max_height_m) as max_height_m,
        bool_or(is_airborne) as is_airborne,
        sum(position_count) as position_count
    from {{ ref('int_flights__summarized_10min') }}
    {{ join_changes('int_flights__summarized_10min', 'started_at', since='flight_from_at') }}
    group by flight_id, icao24, callsign
),

-- Altitudes that were believed until later ones showed that they were wrong; few flights have any.
wrong as {{ computed_once() }} (
    select
        icao24,
        altitudes_wrong_from_at as from_at,
        positioned_at as through_at
    from {{ ref('stg_opensky__states') }}
    {{ join_changes('stg_opensky__states', 'positioned_at', since='flight_from_at') }}
    where altitudes_wrong_from_at is not null
),

flights as {{ as_read_twice() }}(
    select
        flight_id,
        icao24,
        {{ most_sent_callsign() }} as callsign,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at,
        max(ended_at) as ended_at,
        max(max_height_m) as max_height_m,
        bool_or(is_airborne) as is_airborne,
        sum(position_count)::bigint as position_count
    from spoken
    group by flight_id, icao24
),

-- Their flights alone are read again.
mistaken as {{ computed_once() }} (
    select distinct
        flights.flight_id,
        flights.icao24,
        flights.first_seen_at,
        flights.ended_at
    from wrong
    inner join flights
        on
            wrong.icao24 = flights.icao24
            and wrong.from_at <= flights.ended_at
            and wrong.through_at >= flights.first_seen_at
),

corrected as {{ computed_once() }} (
    select
        mistaken.icao24,
        mistaken.flight_id,
        highest.max_height_m
    from mistaken
    cross join lateral (
        select max(positions.height_m) as max_height_m
        from {{ ref('int_positions__phased') }} as positions
        where
            positions.icao24 = mistaken.icao24
            and positions.positioned_at between mistaken.first_seen_at and mistaken.ended_at
            and not exists (
                select 1 from wrong
                where
                    wrong.icao24 = positions.icao24
                    and positions.positioned_at >= wrong.from_at
                    and positions.positioned_at < wrong.through_at
            )
    ) as highest
),

named as (
    select *
    from {{ ref('fct_movements') }}
    {{ join_changes('fct_movements', 'last_fix_at', since='flight_from_at') }}
    where movement in ('landing', 'takeoff')
),

-- Landings and take-offs that fit two fields; they keep their place in the flight's order.
ambiguous as (
    select *
    from {{ ref('int_movements__located') }}
    {{ join_changes('int_movements__located', 'last_fix_at', since='flight_from_at') }}
    where airport is null and withdrawn_at is null
),

movements as {{ as_read_twice() }}(
    select
        icao24,
        flight_id,
        airport,
        movement,
        method,
        label_quality,
        moved_at,
        last_fix_at
    from named
    union all
    select
        icao24,
        flight_id,
        airport,
        movement,
        'ambiguous' as method,
        label_quality,
        moved_at,
        last_fix_at
    from ambiguous
),

departures as (
    select distinct on (icao24, flight_id) *
    from movements
    where movement = 'takeoff'
    order by icao24 asc, flight_id asc, last_fix_at asc
),

arrivals as (
    select distinct on (icao24, flight_id) *
    from movements
    where movement = 'landing'
    order by icao24 asc, flight_id asc, last_fix_at desc
),

ends as (
    select
        flights.flight_id,
        flights.icao24,
        flights.callsign,
        airframes.typecode,
        flights.first_seen_at,
        flights.last_seen_at,
        flights.is_airborne,
        flights.position_count,
        case when corrected.flight_id is null then flights.max_height_m else corrected.max_height_m end as max_height_m,
        departures.airport as departure_airport,
        departures.method as departure_method,
        departures.moved_at as departed_at,
        arrivals.airport as arrival_airport,
        case
            when arrivals.label_quality <> 'provisional' then arrivals.method
            when arrivals.airport is not null then 'landing_provisional'
        end as arrival_method,
        arrivals.moved_at as arrived_at,
        first_fix.height_m as first_height_m,
        last_fix.height_m as last_height_m,
        first_fix.phase = 'GROUND' as is_first_on_ground,
        last_fix.phase = 'GROUND' as is_last_on_ground,
        last_fix.phase as last_phase,
        {{ is_out_of_area('first_fix.latitude_deg', 'first_fix.longitude_deg') }} as is_first_outside,
        {{ is_out_of_area('last_fix.latitude_deg', 'last_fix.longitude_deg') }} as is_last_outside,
        {{ latest_position(ref('int_positions__phased')) }} as latest_at
    from flights
    left join corrected on flights.icao24 = corrected.icao24 and flights.flight_id = corrected.flight_id
    left join {{ ref('stg_reference__aircraft') }} as airframes on flights.icao24 = airframes.icao24
    inner join {{ ref('int_positions__phased') }} as first_fix
        on
            flights.icao24 = first_fix.icao24
            and flights.first_seen_at = first_fix.positioned_at
    inner join {{ ref('int_positions__phased') }} as last_fix
        on
            flights.icao24 = last_fix.icao24
            and flights.last_seen_at = last_fix.positioned_at
    left join departures on flights.icao24 = departures.icao24 and flights.flight_id = departures.flight_id
    -- A flight that took off after its last landing has not arrived.
    left join arrivals
        on
            flights.icao24 = arrivals.icao24
            and flights.flight_id = arrivals.flight_id
            and arrivals.last_fix_at >= coalesce(departures.last_fix_at, '-infinity')
)

select
    flight_id,
    icao24,
    callsign,
    {{ operator('callsign') }} as airline,
    typecode,
    first_seen_at,
    last_seen_at,
    departure_airport,
    case
        when departure_method is not null then departure_method
        when not is_airborne then 'never_airborne'
        when is_first_on_ground then 'no_airport_matched'
        when first_height_m is null then 'no_altitude'
        -- OPDI's limit: below 5,000 ft above a field the rule of the nearest one is 99.4 % right.
        when first_height_m <= 1524 then 'no_ground_contact'
        when is_first_outside then 'out_of_area'
        else 'first_seen_en_route'
    end as departure_airport_reason,
    case when departure_airport is not null then departed_at end as departed_at,
    arrival_airport,
    case
        when arrival_method is not null then arrival_method
        when not is_airborne then 'never_airborne'
        when latest_at - last_seen_at < interval '{{ var("flight_gap_s") }} seconds' then 'still_flying'
        when is_last_on_ground then 'no_airport_matched'
        when last_height_m is null then 'no_altitude'
        when last_height_m <= 1524 then 'no_ground_contact'
        when is_last_outside then 'out_of_area'
        else 'last_seen_en_route'
    end as arrival_airport_reason,
    case when arrival_airport is not null then arrived_at end as arrived_at,
    max_height_m,
    position_count,
    case
        when arrival_method <> 'landing_provisional' then 'landed'
        when is_last_on_ground and not is_airborne then 'on_ground'
        when is_last_on_ground then 'landed'
        when latest_at - last_seen_at >= interval '{{ var("flight_gap_s") }} seconds' then 'lost'
        when last_phase in ('APPROACH', 'LANDING') or arrived_at is not null then 'arriving'
        when last_phase = 'TAKEOFF' or (last_phase = 'CLIMB' and last_height_m < 3000) then 'departing'
        else 'en_route'
    end as status
from ends
