{{ config(
    schema='intermediate',
    contract={'enforced': false},
    indexes=[{'columns': ['icao24', 'silent_from_at'], 'unique': true}]
) }}

{#- From 1,524 m above a field it is so far to the runway, or from it. -#}
{%- set low_min = 5 -%}

with minutes as (
    select distinct minute_at
    from {{ ref('phase_counts_1m') }}
),

feed as (
    select
        min(minute_at) as from_at,
        max(minute_at) + interval '1 minute' as through_at
    from minutes
),

-- In less than an hour nobody takes off, lands and is back on his stand.
outages as (
    select range_agg(tstzrange(after_at, minute_at)) as spans
    from (
        select
            minute_at,
            lag(minute_at) over (order by minute_at) + interval '1 minute' as after_at
        from minutes
    ) as neighboured
    where minute_at - after_at > interval '1 hour'
),

flights as (
    select
        split.icao24,
        split.flight_started_at,
        split.flight_ended_at,
        split.first_latitude_deg,
        split.first_longitude_deg,
        split.last_latitude_deg,
        split.last_longitude_deg,
        flights.callsign,
        flights.departure_airport,
        flights.arrival_airport,
        flights.departure_airport_reason = 'no_ground_contact' as starts_low,
        flights.arrival_airport_reason = 'no_ground_contact' as ends_low,
        flights.departure_airport_reason in (
            'ground_contact', 'signal_gained', 'ambiguous', 'no_airport_matched', 'never_airborne', 'no_ground_contact'
        ) as starts_down,
        flights.arrival_airport_reason in (
            'ground_contact', 'signal_lost', 'landing_provisional', 'ambiguous', 'no_airport_matched',
            'never_airborne', 'no_ground_contact'
        ) as ends_down
    from {{ ref('int_flights__split_by_day') }} as split
    inner join {{ ref('fct_flights') }} as flights
        on split.icao24 = flights.icao24 and split.flight_id = flights.flight_id
    where split.flown_on = (split.flight_started_at at time zone 'UTC')::date
),

-- Between two flights, and before the first.
between_flights as (
    select
        icao24,
        lag(flight_ended_at) over by_aircraft as from_at,
        flight_started_at as through_at,
        lag(ends_low) over by_aircraft as is_low_before,
        starts_low as is_low_after,
        lag(ends_down) over by_aircraft as is_down_before,
        starts_down as is_down_after,
        lag(arrival_airport) over by_aircraft = departure_airport as is_same_airport,
        lag(callsign) over by_aircraft = callsign as is_same_callsign,
        {{ distance_m(
            'lag(last_latitude_deg) over by_aircraft',
            'lag(last_longitude_deg) over by_aircraft',
            'first_latitude_deg',
            'first_longitude_deg',
        ) }} as moved_m
    from flights
    window by_aircraft as (partition by icao24 order by flight_started_at)
),

after_the_last as (
    select distinct on (icao24)
        icao24,
        flight_ended_at as from_at,
        null::timestamptz as through_at,
        ends_low as is_low_before,
        null::boolean as is_low_after,
        ends_down as is_down_before,
        null::boolean as is_down_after,
        null::boolean as is_same_airport,
        null::boolean as is_same_callsign,
        null::double precision as moved_m
    from flights
    order by icao24 asc, flight_started_at desc
),

silences as (
    select * from between_flights
    union all
    select * from after_the_last
),

judged as (
    select
        silences.icao24,
        tstzrange(
            coalesce(silences.from_at, feed.from_at),
            greatest(coalesce(silences.through_at, feed.through_at), silences.from_at, feed.from_at)
        ) as span,
        coalesce(silences.is_low_before, false) as is_low_before,
        coalesce(silences.is_low_after, false) as is_low_after,
        -- An end that is beyond the data is on the ground, as the other one is.
        coalesce(silences.is_down_before, true)
        and coalesce(silences.is_down_after, true)
        -- Further than two fields that are taken for each other.
        and coalesce(silences.is_same_airport, silences.moved_m <= 60000, true) as is_parked,
        coalesce(
            not silences.is_down_before
            and not silences.is_down_after
            and silences.is_same_callsign
            -- Nobody who lands in between gets on as fast.
            and silences.moved_m >= 100 * extract(epoch from silences.through_at - silences.from_at),
            false
        ) as is_bridged
    from silences
    cross join feed
),

-- Who is parked may have flown where nobody was heard, and has, low as it was, some minutes to its stand.
pieces as (
    select
        judged.icao24,
        judged.is_bridged,
        unnest(
            case
                when not judged.is_parked then tstzmultirange(judged.span)
                else
                    tstzmultirange(judged.span) * (
                        coalesce(outages.spans, '{}')
                        + case
                            when judged.is_low_before
                                then tstzmultirange(tstzrange(
                                    lower(judged.span), lower(judged.span) + interval '{{ low_min }} minutes'
                                ))
                            else '{}'
                        end
                        + case
                            when judged.is_low_after
                                then tstzmultirange(tstzrange(
                                    upper(judged.span) - interval '{{ low_min }} minutes', upper(judged.span)
                                ))
                            else '{}'
                        end
                    )
            end
        ) as piece
    from judged
    cross join outages
)

select
    icao24,
    lower(piece) as silent_from_at,
    upper(piece) as silent_through_at,
    is_bridged
from pieces
