{#-
The features of ring crossings, once for every source of them: the CTEs and the select that a model's own CTEs go
before. Those name what the source knows, one source a model, so that none is counted with another's:
  crossings  crossing_id, flight_id, airport, ring_nm, crossed_at, known_at, is_inbound, sector, bearing_deg,
             latitude_deg, longitude_deg, altitude_m, ground_speed_mps, vertical_rate_mps, track_offset_deg:
             each row gets its features
  entered    flight_id, airport, ring_nm, crossed_at, known_at, is_inbound, sector, latitude_deg, longitude_deg,
             altitude_m: crossings to look back at
  landings   movement_id, airport, moved_at, heading_deg, known_at, withdrawn_at
  arrivals   movement_id, flight_id, airport, ring_nm, sector, landed_at, transit_min, known_at, withdrawn_at
  observed   crossing_id, inbound_inside_count, holdings_30min_count, go_arounds_30min_count, typecode, wake: what
             only positions and the aircraft database tell, null elsewhere
  airports   airport, timezone
The weather is the same for all of them: stg_weather__metars.
Nothing looks further back than six hours: longer says nothing about now. `more` names columns of crossings that
are passed on.
-#}
{%- macro crossing_features(source, more=[]) -%}
{%- set rings_nm = var('rings_nm') | sort -%}
-- A landing counts from when it was known, and until it was withdrawn. Each look-back is a lateral subquery, which
-- takes the index on time: as plain joins all crossings of an airport met all its landings, and three months of
-- one airport had not ended after ten minutes.
transits as (
    select
        crossings.crossing_id,
        recent.*
    from crossings
    cross join
        lateral (
            select
                max(landed.transit_min) filter (where landed.recency = 1) as last_transit_min,
                extract(
                    epoch from crossings.crossed_at - max(landed.landed_at) filter (where landed.recency = 1)
                )::double precision / 60 as last_transit_age_min,
                {% for n in [3, 5, 10, 20] -%}
                avg(landed.transit_min order by landed.recency)
                filter (where landed.recency <= {{ n }}) as mean_last{{ n }}_transit_min,
                {% endfor -%}
                max(landed.transit_min) filter (where landed.is_same_sector and landed.sector_recency = 1)
                    as sector_last_transit_min,
                extract(
                    epoch from crossings.crossed_at
                    - max(landed.landed_at) filter (where landed.is_same_sector and landed.sector_recency = 1)
                )::double precision / 60 as sector_last_transit_age_min,
                {% for n in [3, 5, 10, 20] -%}
                avg(landed.transit_min order by landed.recency)
                filter (where landed.is_same_sector and landed.sector_recency <= {{ n }})
                    as sector_mean_last{{ n }}_transit_min
                {{- ',' if not loop.last }}
                {% endfor %}
            from (
                select
                    arrivals.landed_at,
                    arrivals.transit_min,
                    arrivals.sector = crossings.sector as is_same_sector,
                    row_number() over latest_first as recency,
                    count(*) filter (where arrivals.sector = crossings.sector) over latest_first as sector_recency
                from arrivals
                where
                    arrivals.airport = crossings.airport
                    and arrivals.ring_nm = crossings.ring_nm
                    and arrivals.known_at <= crossings.crossed_at
                    and arrivals.known_at > crossings.crossed_at - interval '6 hours'
                    and (arrivals.withdrawn_at is null or crossings.crossed_at < arrivals.withdrawn_at)
                window latest_first as (
                    order by arrivals.landed_at desc, arrivals.movement_id desc
                    rows between unbounded preceding and current row
                )
            ) as landed
        ) as recent
),

-- When it was known of an entry that it had landed.
landed as (
    select
        flight_id,
        airport,
        ring_nm,
        range_agg(tstzrange(known_at, withdrawn_at)) as landed_during
    from arrivals
    where withdrawn_at is null or withdrawn_at > known_at
    group by flight_id, airport, ring_nm
),

earlier_entries as (
    select
        crossings.crossing_id,
        crossings.crossed_at,
        crossings.sector = earlier.sector as is_same_sector,
        earlier.crossed_at as entered_at,
        coalesce(not landed.landed_during @> crossings.crossed_at, true) as is_unlanded
    from crossings
    cross join
        lateral (
            select
                entered.flight_id,
                entered.sector,
                entered.crossed_at
            from entered
            where
                entered.airport = crossings.airport
                and entered.ring_nm = crossings.ring_nm
                and entered.known_at <= crossings.crossed_at
                and entered.known_at > crossings.crossed_at - interval '60 minutes'
                and entered.crossed_at > crossings.crossed_at - interval '60 minutes'
                and entered.flight_id <> crossings.flight_id
                and entered.is_inbound
            offset 0 -- noqa: AM09
        ) as earlier
    left join landed
        on
            earlier.flight_id = landed.flight_id
            and crossings.airport = landed.airport
            and crossings.ring_nm = landed.ring_nm
),

entries as (
    select
        crossing_id,
        {% for n in [5, 15, 30] -%}
        count(*) filter (where entered_at > crossed_at - interval '{{ n }} minutes') as entries_{{ n }}min_count,
        {% endfor -%}
        count(*) as entries_60min_count,
        count(*) filter (where is_same_sector and entered_at > crossed_at - interval '15 minutes')
            as sector_entries_15min_count,
        count(*) filter (where is_unlanded) as unlanded_count,
        count(*) filter (where is_unlanded and is_same_sector) as sector_unlanded_count,
        avg(extract(epoch from crossed_at - entered_at)::double precision / 60 order by entered_at)
        filter (where is_unlanded) as mean_unlanded_age_min,
        extract(epoch from min(crossed_at) - max(entered_at))::double precision / 60 as predecessor_age_min
    from earlier_entries
    group by crossing_id
),

-- The way in since the same flight crossed the rings further out.
ways as (
    select
        crossings.crossing_id,
        outside.ring_nm as from_ring_nm,
        outside.ring_nm = case crossings.ring_nm
            {%- for ring_nm in rings_nm[:-1] %} when {{ ring_nm }} then {{ rings_nm[loop.index] }}{% endfor %}
        end as is_near,
        extract(epoch from crossings.crossed_at - outside.crossed_at)::double precision as way_s,
        crossings.altitude_m - outside.altitude_m as climb_m,
        {{ distance_m(
            'outside.latitude_deg',
            'outside.longitude_deg',
            'crossings.latitude_deg',
            'crossings.longitude_deg',
        ) }}
            as way_m
    from crossings
    inner join entered as outside
        on
            crossings.flight_id = outside.flight_id
            and crossings.airport = outside.airport
            and crossings.ring_nm < outside.ring_nm
            and crossings.crossed_at > outside.crossed_at
            and crossings.crossed_at >= outside.known_at
            and outside.known_at > crossings.crossed_at - interval '6 hours'
),

legs as (
    select
        crossing_id,
        max(way_s) filter (where from_ring_nm = {{ rings_nm[-1] }}) / 60 as outer_leg_min,
        max(way_m / way_s) filter (where from_ring_nm = {{ rings_nm[-1] }}) as outer_leg_mps,
        max(way_m / way_s) filter (where is_near) as near_leg_mps,
        max(climb_m / way_s) filter (where is_near) as near_leg_climb_mps
    from ways
    group by crossing_id
),

landed_lately as (
    select
        crossings.crossing_id,
        recent.*
    from crossings
    cross join
        lateral (
            select
                {% for n in [15, 30, 60] -%}
                count(*) filter (where landings.moved_at > crossings.crossed_at - interval '{{ n }} minutes')
                    as landings_{{ n }}min_count,
                {% endfor -%}
                (
                    array_agg(landings.heading_deg order by landings.moved_at desc, landings.movement_id desc)
                    filter (where landings.heading_deg is not null)
                )[1
                ] as runway_in_use_deg
            from landings
            where
                landings.airport = crossings.airport
                and landings.known_at <= crossings.crossed_at
                and landings.known_at > crossings.crossed_at - interval '6 hours'
                and (landings.withdrawn_at is null or crossings.crossed_at < landings.withdrawn_at)
        ) as recent
),

-- The latest report that was sent by then.
weather as (
    select
        crossings.crossing_id,
        latest.*
    from crossings
    cross join
        lateral (
            select
                reports.wind_east_mps,
                reports.wind_north_mps,
                reports.wind_gust_mps,
                reports.visibility_m,
                reports.ceiling_m
            from {{ ref('stg_weather__metars') }} as reports
            where
                reports.airport = crossings.airport
                and reports.known_at <= crossings.crossed_at
                -- The key's index knows the observation only, and would be read from its end.
                and reports.observed_at <= crossings.crossed_at
                and reports.observed_at > crossings.crossed_at - interval '{{ var("weather_look_back_h") }} hours'
            order by reports.observed_at desc
            limit 1
        ) as latest
),

local_times as (
    select
        crossings.crossing_id,
        crossings.crossed_at at time zone airports.timezone as local_at
    from crossings
    inner join airports on crossings.airport = airports.airport
)

select
    crossings.crossing_id,
    crossings.flight_id,
    '{{ source }}' as source,
    crossings.airport,
    crossings.ring_nm,
    crossings.crossed_at,
    crossings.known_at,
    crossings.is_inbound,
    crossings.sector,
    crossings.bearing_deg,
    sind(crossings.bearing_deg) as bearing_sin,
    cosd(crossings.bearing_deg) as bearing_cos,
    crossings.altitude_m,
    crossings.ground_speed_mps,
    crossings.vertical_rate_mps,
    crossings.track_offset_deg,
    observed.typecode,
    observed.wake,
    legs.outer_leg_min,
    legs.outer_leg_mps,
    legs.near_leg_mps,
    legs.near_leg_climb_mps,
    observed.inbound_inside_count,
    {% for n in [5, 15, 30, 60] -%}
    coalesce(entries.entries_{{ n }}min_count, 0)::integer as entries_{{ n }}min_count,
    {% endfor -%}
    coalesce(entries.sector_entries_15min_count, 0)::integer as sector_entries_15min_count,
    coalesce(entries.unlanded_count, 0)::integer as unlanded_count,
    coalesce(entries.sector_unlanded_count, 0)::integer as sector_unlanded_count,
    entries.mean_unlanded_age_min,
    {% for n in [15, 30, 60] -%}
    landed_lately.landings_{{ n }}min_count::integer as landings_{{ n }}min_count,
    {% endfor -%}
    observed.holdings_30min_count,
    observed.go_arounds_30min_count,
    entries.predecessor_age_min,
    transits.last_transit_min,
    transits.last_transit_age_min,
    {% for n in [3, 5, 10, 20] -%}
    transits.mean_last{{ n }}_transit_min,
    {% endfor -%}
    transits.sector_last_transit_min,
    transits.sector_last_transit_age_min,
    {% for n in [3, 5, 10, 20] -%}
    transits.sector_mean_last{{ n }}_transit_min,
    {% endfor -%}
    landed_lately.runway_in_use_deg,
    sind(landed_lately.runway_in_use_deg) as runway_in_use_sin,
    cosd(landed_lately.runway_in_use_deg) as runway_in_use_cos,
    weather.wind_east_mps,
    weather.wind_north_mps,
    weather.wind_gust_mps,
    weather.visibility_m,
    weather.ceiling_m,
    extract(hour from local_times.local_at)::double precision
    + extract(minute from local_times.local_at)::double precision / 60 as local_hour,
    extract(isodow from local_times.local_at)::integer as local_weekday
    {%- for column in more %},
    crossings.{{ column }}
    {%- endfor %}
from crossings
inner join observed on crossings.crossing_id = observed.crossing_id
inner join transits on crossings.crossing_id = transits.crossing_id
inner join landed_lately on crossings.crossing_id = landed_lately.crossing_id
left join weather on crossings.crossing_id = weather.crossing_id
left join local_times on crossings.crossing_id = local_times.crossing_id
left join entries on crossings.crossing_id = entries.crossing_id
left join legs on crossings.crossing_id = legs.crossing_id
{%- endmacro -%}

{#-
What only positions tell: the CTE `observed` of `crossing_features`, after a model's own `crossings` (with icao24 as
well), `airports` (with place and elevation), `go_arounds` and `turns`.
-#}
{%- macro observed_around_crossings() -%}
-- Where every other aircraft was in the half minute before the crossing.
others as (
    select
        crossings.crossing_id,
        positions.flight_id,
        positions.positioned_at,
        positions.altitude_m - airports.elevation_m as height_m,
        positions.mean_vertical_rate_mps,
        positions.track_deg,
        crossings.ring_nm,
        {{ distance_m(
            'positions.latitude_deg',
            'positions.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as distance_m,
        {{ bearing_deg(
            'positions.latitude_deg',
            'positions.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }}
            as to_airport_deg
    from crossings
    inner join airports on crossings.airport = airports.airport
    -- `offset 0` keeps the planner from turning the half minute into a loop over all positions, which
    -- on 7.6 million of them had not ended after four minutes.
    cross join
        lateral (
            select sampled.*
            from {{ ref('int_positions__sampled_10s') }} as sampled
            where
                sampled.positioned_at > crossings.crossed_at - interval '30 seconds'
                and crossings.crossed_at >= sampled.positioned_at
                and crossings.flight_id <> sampled.flight_id
            offset 0 -- noqa: AM09
        ) as positions
),

inside_now as (
    select
        crossing_id,
        count(distinct flight_id) as inbound_inside_count
    from others
    where
        distance_m <= ring_nm * {{ metres_per_nm() }}
        and {{ is_inbound(
            angle_between_deg('track_deg', 'to_airport_deg'),
            'mean_vertical_rate_mps',
            'height_m',
            'distance_m / ' ~ metres_per_nm(),
        ) }}
    group by crossing_id
),

gone_around as (
    select
        crossings.crossing_id,
        count(*) as go_arounds_30min_count
    from crossings
    inner join go_arounds
        on
            crossings.airport = go_arounds.airport
            and crossings.crossed_at >= go_arounds.known_at
            and go_arounds.known_at > crossings.crossed_at - interval '30 minutes'
    group by crossings.crossing_id
),

-- Every fix at which a turn was complete is known at that fix, however long the holding goes on.
held as (
    select
        crossings.crossing_id,
        count(distinct turns.flight_id) as holdings_30min_count
    from crossings
    inner join airports on crossings.airport = airports.airport
    inner join turns
        on
            crossings.crossed_at >= turns.through_at
            and turns.through_at > crossings.crossed_at - interval '30 minutes'
            and crossings.flight_id <> turns.flight_id
    where
        -- As fct_holdings: within 40 NM, and not so low that it is a circuit of the aerodrome.
        turns.altitude_m - airports.elevation_m >= 900
        and {{ distance_m(
            'turns.latitude_deg',
            'turns.longitude_deg',
            'airports.latitude_deg',
            'airports.longitude_deg',
        ) }} < 40 * {{ metres_per_nm() }}
    group by crossings.crossing_id
),

-- OpenSky's categories 2 to 6 are bounded at 15,500 and 300,000 lb, as ICAO's wake categories (Doc 8643) are at
-- 7 and 136 t. A super (A380) sends that of a heavy.
sent as (
    select
        crossings.crossing_id,
        latest.wake
    from crossings
    cross join
        lateral (
            select
                case states.category
                    when 2 then 'L'
                    when 3 then 'M'
                    when 4 then 'M'
                    when 5 then 'M'
                    when 6 then 'H'
                end as wake
            from {{ ref('stg_opensky__states') }} as states
            where
                states.icao24 = crossings.icao24
                and states.positioned_at <= crossings.known_at
                and states.positioned_at >= crossings.known_at - interval '60 seconds'
                and states.category between 2 and 6
            order by states.positioned_at desc
            limit 1
        ) as latest
),

observed as (
    select
        crossings.crossing_id,
        coalesce(inside_now.inbound_inside_count, 0)::integer as inbound_inside_count,
        coalesce(held.holdings_30min_count, 0)::integer as holdings_30min_count,
        coalesce(gone_around.go_arounds_30min_count, 0)::integer as go_arounds_30min_count,
        airframes.typecode,
        sent.wake
    from crossings
    left join inside_now on crossings.crossing_id = inside_now.crossing_id
    left join held on crossings.crossing_id = held.crossing_id
    left join gone_around on crossings.crossing_id = gone_around.crossing_id
    left join {{ ref('stg_reference__aircraft') }} as airframes on crossings.icao24 = airframes.icao24
    left join sent on crossings.crossing_id = sent.crossing_id
)
{%- endmacro -%}

{#- Of the rows of a group the last value that is not null. -#}
{%- macro latest_known(value, time) -%}
(array_agg({{ value }} order by {{ time }} desc) filter (where {{ value }} is not null))[1]
{%- endmacro -%}
