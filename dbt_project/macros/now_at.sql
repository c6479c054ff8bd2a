{#- What time it is: the server's clock, or what the session says that it is (`set skyops.now_at = '...'`), for a replay. -#}
{%- macro now_at() -%}
coalesce(nullif(current_setting('skyops.now_at', true), '')::timestamptz, now())
{%- endmacro -%}

{#-
Joins to a `clock` the aircraft heard within the time before now, each with its last fresh fix by then and the flight
that this is of, as `flights` and `last_fix`.
-#}
{%- macro join_heard(within) -%}
inner join {{ ref('fct_flights') }} as flights
        on
            clock.now_at - {{ within }} < flights.last_seen_at
            and clock.now_at >= flights.first_seen_at
    inner join lateral (
        select
            positions.flight_id,
            positions.positioned_at as heard_at,
            positions.latitude_deg,
            positions.longitude_deg,
            positions.altitude_m,
            positions.height_m,
            positions.ground_speed_mps,
            positions.track_deg,
            positions.mean_vertical_rate_mps as vertical_rate_mps,
            positions.phase
        from {{ ref('int_positions__phased') }} as positions
        where
            positions.icao24 = flights.icao24
            and positions.positioned_at > clock.now_at - {{ within }}
            and positions.positioned_at <= clock.now_at
            and positions.position_status = 'fresh'
        order by positions.positioned_at desc
        limit 1
    ) as last_fix
        on flights.flight_id = last_fix.flight_id
{%- endmacro -%}
