{{ config(materialized='standing_view', tags=['hourly']) }}

{#- Of the crossings before, the last so many, and none longer ago: seasons and runways change. -#}
{%- set past_count = 500 -%}
{%- set past_time = "interval '30 days'" -%}
{#- Who has not landed after so long lands elsewhere. -#}
{%- set patience = "interval '60 minutes'" -%}
{#- Crossings further apart than this have nothing in common. -#}
{%- set near_deg = 20 -%}
{%- set near_m = 1200 -%}
{#- What is expected anyway counts as so many flights. -#}
{%- set rule_flights = 5 -%}
{%- set operator_flights = 0.5 -%}
{%- set place_flights = 1 -%}

select
    crossings.crossing_id,
    crossings.flight_id,
    crossings.icao24,
    crossings.airport,
    crossings.ring_nm,
    crossings.crossed_at,
    crossings.known_at,
    answers.past_flight_count,
    answers.landing_probability
from {{ gathered(ref('fct_ring_crossings')) }} as crossings
-- Lateral, for whoever asks for a few crossings pays for these only; left, for whoever asks for no answer pays nothing.
left join
    lateral (
        -- Where it can land, and how much speaks for it before anything is known of others.
        with destinations as (
            select
                airports.airport as destination,
                case
                    when {{ is_inbound(
                        angle_between_deg('crossings.track_deg', bearing_deg(
                            'crossings.latitude_deg',
                            'crossings.longitude_deg',
                            'airports.latitude_deg',
                            'airports.longitude_deg',
                        )),
                        'crossings.vertical_rate_mps',
                        'crossings.altitude_m - airports.elevation_m',
                        distance_m(
                            'crossings.latitude_deg',
                            'crossings.longitude_deg',
                            'airports.latitude_deg',
                            'airports.longitude_deg',
                        ) ~ ' / ' ~ metres_per_nm(),
                    ) }} then 1
                    else 0.02
                end as weight
            from {{ ref('int_airports__watched') }} as airports
            union all
            -- On its way down, or below a path of 3 degrees already, it is less likely to fly on.
            select
                'elsewhere' as destination,
                case
                    when crossings.vertical_rate_mps < -2.5 or crossings.altitude_m < 97 * crossings.ring_nm then 0.25
                    else 4
                end as weight
        ),

        -- Where those went that crossed the same ring before, as far as it was known when this one crossed it.
        past as (
            select
                coalesce(landings.airport, 'elsewhere') as destination,
                {{ operator('earlier.callsign') }} = {{ operator('crossings.callsign') }} as is_same_operator,
                greatest(
                    0,
                    1 - {{ angle_between_deg('earlier.bearing_deg', 'crossings.bearing_deg') }} / {{ near_deg }}
                )
                * coalesce(greatest(0, 1 - abs(earlier.altitude_m - crossings.altitude_m) / {{ near_m }}), 0.5)
                    as nearness
            from (
                select nearest.*
                from {{ gathered(ref('fct_ring_crossings')) }} as nearest
                where
                    nearest.airport = crossings.airport
                    and nearest.ring_nm = crossings.ring_nm
                    and nearest.is_inbound = crossings.is_inbound
                    and nearest.known_at <= crossings.crossed_at
                    and nearest.known_at > crossings.crossed_at - {{ past_time }}
                    and nearest.flight_id <> crossings.flight_id
                order by nearest.known_at desc
                limit {{ past_count }}
            ) as earlier
            left join lateral (
                select
                    watched.airport,
                    movements.moved_at
                from {{ gathered(ref('int_movements__located')) }} as movements
                left join {{ ref('int_airports__watched') }} as watched on movements.airport = watched.airport
                where
                    movements.icao24 = earlier.icao24
                    and movements.flight_id = earlier.flight_id
                    and movements.last_fix_at >= earlier.known_at
                    and movements.movement = 'landing'
                    and movements.known_at <= crossings.crossed_at
                    and (movements.withdrawn_at is null or crossings.crossed_at < movements.withdrawn_at)
                order by movements.moved_at
                limit 1
            ) as landings on true
            where
                landings.moved_at is not null
                or earlier.crossed_at <= crossings.crossed_at - {{ patience }}
        ),

        counted as (
            select
                destinations.destination,
                destinations.weight,
                count(past.nearness) as flights,
                count(*) filter (where past.is_same_operator) as of_operator,
                coalesce(sum(past.nearness), 0) as nearby
            from destinations
            left join past on destinations.destination = past.destination
            group by destinations.destination, destinations.weight
        ),

        -- What is expected of any flight that crosses the ring.
        expected as (
            select
                *,
                (flights + {{ rule_flights }} * weight / sum(weight) over ())
                / (sum(flights) over () + {{ rule_flights }}) as chance
            from counted
        ),

        -- How much more the operator's flights, and those that crossed nearby, went there than any.
        scored as (
            select
                destination,
                flights,
                (of_operator + {{ operator_flights }} * chance) / (sum(of_operator) over () + {{ operator_flights }})
                * (nearby + {{ place_flights }} * chance) / (sum(nearby) over () + {{ place_flights }})
                / chance as score
            from expected
        )

        select
            sum(scored.flights)::integer as past_flight_count,
            round((
                sum(scored.score) filter (where scored.destination = crossings.airport) / sum(scored.score)
            )::numeric, 4)::double precision as landing_probability
        from scored
    ) as answers
    on true
