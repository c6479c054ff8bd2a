{{ config(
    materialized='rebuilt',
    meta={'time': 'started_at', 'since': 'anomaly_from_at'},
    indexes=[
        {'columns': ['icao24', 'flight_id', 'anomaly', 'started_at'], 'unique': true},
        {'columns': ['icao24', 'started_at']},
        {'columns': ['started_at']},
    ]
) }}

with flights as (
    select
        segmented.*,
        {{ changed_from('anomaly_from_at') }} as kept_from_at
    from {{ ref('int_flights__segmented') }} as segmented
    {{ join_changes('segmented', 'flight_started_at', since='flight_from_at') }}
),

-- Few positions have any; only their flights are read further.
striking as {{ computed_once() }} (
    select
        icao24,
        positioned_at,
        case when squawk in ('7500', '7600', '7700') then 'squawk_' || squawk end as squawk_anomaly,
        {{ is_speed_abnormal() }} as is_overspeed,
        {{ is_vertical_rate_abnormal() }} as is_rapid_descent,
        {{ is_altitude_abnormal() }} as is_above_fl600,
        position_status = 'jump' as is_implausible_jump
    from {{ ref('stg_opensky__states') }}
    {{ join_changes('stg_opensky__states', 'positioned_at', since='anomaly_from_at') }}
    where
        position_status <> 'stale'
        and (
            squawk in ('7500', '7600', '7700')
            or {{ is_speed_abnormal() }}
            or {{ is_vertical_rate_abnormal() }}
            or {{ is_altitude_abnormal() }}
            or position_status = 'jump'
        )
),

kinds as (
    select
        striking.icao24,
        striking.positioned_at,
        listed.anomaly
    from striking
    cross join unnest(array[
        striking.squawk_anomaly,
        case when striking.is_overspeed then 'overspeed' end,
        case when striking.is_rapid_descent then 'rapid_descent' end,
        case when striking.is_above_fl600 then 'above_fl600' end,
        case when striking.is_implausible_jump then 'implausible_jump' end
    ]) as listed (anomaly)
),

suspects as {{ computed_once() }} (
    select distinct
        flights.flight_id,
        flights.icao24,
        flights.flight_started_at,
        flights.flight_ended_at,
        flights.kept_from_at,
        kinds.anomaly
    from kinds
    inner join flights
        on
            kinds.icao24 = flights.icao24
            and kinds.positioned_at between flights.flight_started_at and flights.flight_ended_at
    where kinds.anomaly is not null
),

-- Altitudes that were believed until later ones showed that they were wrong.
wrong as {{ computed_once() }} (
    select
        icao24,
        altitudes_wrong_from_at as from_at,
        positioned_at as through_at
    from {{ ref('stg_opensky__states') }}
    {{ join_changes('stg_opensky__states', 'positioned_at', since='flight_from_at') }}
    where altitudes_wrong_from_at is not null
),

-- What repeats the position before says nothing of its own time.
heard as (
    select
        suspects.flight_id,
        suspects.icao24,
        suspects.anomaly,
        suspects.kept_from_at,
        states.positioned_at,
        states.latitude_deg,
        states.longitude_deg,
        coalesce(states.altitude_m, states.masked_altitude_m) as altitude_m,
        states.source,
        states.position_status,
        phases.phase,
        states.squawk,
        case suspects.anomaly
            when 'overspeed' then coalesce(states.ground_speed_mps, states.masked_ground_speed_mps)
            when 'rapid_descent' then -coalesce(states.vertical_rate_mps, states.masked_vertical_rate_mps)
            when 'above_fl600' then coalesce(states.altitude_m, states.masked_altitude_m)
        end as value_si,
        case suspects.anomaly
            when 'overspeed' then states.masked_ground_speed_mps is not null or phases.phase = 'GROUND'
            when 'rapid_descent' then states.masked_vertical_rate_mps is not null or phases.phase = 'GROUND'
            when 'above_fl600'
                then
                    states.masked_altitude_m is not null
                    or exists (
                        select 1 from wrong
                        where
                            wrong.icao24 = states.icao24
                            and states.positioned_at >= wrong.from_at
                            and states.positioned_at < wrong.through_at
                    )
            else suspects.anomaly = 'implausible_jump'
        end as is_disbelieved
    from suspects
    inner join {{ ref('stg_opensky__states') }} as states
        on
            suspects.icao24 = states.icao24
            and states.positioned_at between suspects.flight_started_at and suspects.flight_ended_at
            -- A sample before, so that an event that goes on from before the cut is seen to.
            and states.positioned_at >= suspects.kept_from_at - {{ max_gap() }}
    -- One by one, by the index: joined, the planner hashes the phases of all positions.
    cross join
        lateral (
            select positions.phase
            from {{ ref('int_positions__phased') }} as positions
            where
                positions.icao24 = states.icao24
                and positions.positioned_at = states.positioned_at
            limit 1 -- noqa: AM09
        ) as phases
    where states.position_status <> 'stale'
),

judged as (
    select
        *,
        case
            when anomaly like 'squawk%' then squawk = right(anomaly, 4) and phase <> 'GROUND'
            when anomaly = 'overspeed' then value_si > {{ overspeed_mps() }}
            when anomaly = 'rapid_descent' then value_si > {{ rapid_descent_mps() }}
            when anomaly = 'above_fl600' then value_si > {{ service_ceiling_m() }}
            else position_status = 'jump'
        end as is_abnormal
    from heard
),

-- What is normal in between ends an event, and so does a silence; where a value is not sent it goes on.
numbered as (
    select
        *,
        count(*) filter (where not is_abnormal or is_after_gap) over (
            partition by icao24, flight_id, anomaly
            order by positioned_at
        ) as event_number
    from (
        select
            *,
            positioned_at - lag(positioned_at) over by_kind > {{ max_gap() }} as is_after_gap,
            {{ distance_m(
                'lag(latitude_deg) over by_kind',
                'lag(longitude_deg) over by_kind',
                'latitude_deg',
                'longitude_deg',
            ) }} as leg_m
        from judged
        where is_abnormal is not null
        window by_kind as (partition by icao24, flight_id, anomaly order by positioned_at)
    ) as told
),

-- Of a jump how far it is, and how far the aircraft can have come.
measured as (
    select
        numbered.*,
        coalesce(came.distance_m, numbered.value_si) as strength,
        least(came.distance_m, came.reach_m) as jump_threshold_m
    from numbered
    left join lateral (
        select
            {{ distance_m(
                'earlier.latitude_deg',
                'earlier.longitude_deg',
                'numbered.latitude_deg',
                'numbered.longitude_deg',
            ) }} as distance_m,
            {{ reach_m('numbered.positioned_at - earlier.positioned_at') }} as reach_m
        from {{ ref('stg_opensky__states') }} as earlier
        where
            numbered.anomaly = 'implausible_jump'
            and earlier.icao24 = numbered.icao24
            and earlier.positioned_at < numbered.positioned_at
            and earlier.positioned_at >= numbered.positioned_at - {{ max_gap() }}
            and earlier.position_status = 'fresh'
        order by earlier.positioned_at desc
        limit 1
    ) as came on true
    where numbered.is_abnormal
),

-- Of the strongest sample where it was; of equals the first.
grouped as (
    select
        flight_id,
        icao24,
        anomaly,
        min(kept_from_at) as kept_from_at,
        min(positioned_at) as started_at,
        max(positioned_at) as ended_at,
        date_part('epoch', max(positioned_at) - min(positioned_at)) as lasted_s,
        count(*) as sample_count,
        bool_or(is_disbelieved) as is_disbelieved,
        avg(value_si order by positioned_at asc) as mean_value_si,
        (array_agg(strength order by strength desc nulls last, positioned_at asc))[1] as strength,
        (array_agg(jump_threshold_m order by strength desc nulls last, positioned_at asc))[1] as jump_threshold_m,
        (array_agg(latitude_deg order by strength desc nulls last, positioned_at asc))[1] as latitude_deg,
        (array_agg(longitude_deg order by strength desc nulls last, positioned_at asc))[1] as longitude_deg,
        (array_agg(altitude_m order by strength desc nulls last, positioned_at asc))[1] as altitude_m,
        (array_agg(source order by strength desc nulls last, positioned_at asc))[1] as source,
        -- All legs but the one that leads to the first sample.
        sum(leg_m order by positioned_at asc) - coalesce((array_agg(leg_m order by positioned_at asc))[1], 0)
            as way_m,
        (array_agg(altitude_m order by positioned_at asc))[1] as first_altitude_m,
        (array_agg(altitude_m order by positioned_at desc))[1] as last_altitude_m
    from measured
    group by flight_id, icao24, anomaly, event_number
),

-- Whether another value bears it out: speed the way made good, a descent the altitude lost; null where none is known.
compared as (
    select
        *,
        case anomaly
            when 'overspeed' then way_m >= 0.8 * mean_value_si * lasted_s
            -- Altitudes are older than rates, by some seconds.
            when 'rapid_descent' then first_altitude_m - last_altitude_m >= 0.5 * mean_value_si * lasted_s
        end as is_borne_out
    from grouped
),

sampled as (
    select
        flight_id,
        icao24,
        anomaly,
        case
            when lasted_s >= {{ lasting_s() }} and coalesce(is_borne_out, not is_disbelieved) then 'flight'
            else 'data'
        end as anomaly_class,
        kept_from_at,
        started_at,
        ended_at,
        sample_count,
        case when anomaly like 'squawk%' then lasted_s else strength end as strongest_value,
        case
            when anomaly like 'squawk%' then {{ squawk_s() }}
            when anomaly = 'overspeed' then {{ overspeed_mps() }}
            when anomaly = 'rapid_descent' then {{ rapid_descent_mps() }}
            when anomaly = 'above_fl600' then {{ service_ceiling_m() }}
            else jump_threshold_m
        end as threshold,
        case
            when anomaly like 'squawk%' then 's'
            when anomaly in ('overspeed', 'rapid_descent') then 'm/s'
            else 'm'
        end as unit,
        latitude_deg,
        longitude_deg,
        altitude_m,
        source
    from compared
    where
        case
            when anomaly like 'squawk%' then sample_count >= 3 and lasted_s >= {{ squawk_s() }}
            -- One value that nobody believes is an anomaly of data; one that is just too high may be read wrongly.
            else is_disbelieved or lasted_s >= {{ lasting_s() }}
        end
),

-- The frozen tail of a flight is the end of its reception, and no anomaly.
frozen as (
    select
        positions.flight_id,
        positions.icao24,
        min({{ changed_from('anomaly_from_at') }}) as kept_from_at,
        min(positions.positioned_at) as started_at,
        max(positions.positioned_at) as ended_at,
        count(*) as sample_count,
        max(positions.position_age_s) as lasted_s,
        min(positions.latitude_deg) as latitude_deg,
        min(positions.longitude_deg) as longitude_deg
    from {{ ref('int_positions__phased') }} as positions
    {{ join_changes('positions', 'positioned_at', since='anomaly_from_at', before=max_gap()) }}
    where positions.position_status = 'stale' and positions.position_age_s < {{ var('flight_gap_s') }}
    group by
        positions.flight_id,
        positions.icao24,
        positions.positioned_at - make_interval(secs => positions.position_age_s)
    having max(positions.position_age_s) >= {{ frozen_s() }} and not bool_or(positions.phase = 'GROUND')
),

thawed as (
    select
        frozen.*,
        onward.altitude_m,
        onward.source
    from frozen
    cross join lateral (
        select
            states.altitude_m,
            states.source
        from {{ ref('int_positions__phased') }} as positions
        inner join {{ ref('stg_opensky__states') }} as states
            on
                positions.icao24 = states.icao24
                and positions.positioned_at = states.positioned_at
        where
            positions.icao24 = frozen.icao24
            and positions.positioned_at > frozen.ended_at
            and positions.flight_id = frozen.flight_id
            and positions.position_status = 'fresh'
        order by positions.positioned_at
        limit 1
    ) as onward
),

events as (
    select * from sampled
    union all
    select
        flight_id,
        icao24,
        'frozen_feed' as anomaly,
        'signal' as anomaly_class,
        kept_from_at,
        started_at,
        ended_at,
        sample_count,
        lasted_s as strongest_value,
        {{ frozen_s() }} as threshold,
        's' as unit,
        latitude_deg,
        longitude_deg,
        altitude_m,
        source
    from thawed
)

select
    events.anomaly,
    events.anomaly_class,
    events.icao24,
    events.flight_id,
    spoken.callsign,
    registration.country,
    events.started_at,
    events.ended_at,
    events.sample_count,
    events.strongest_value::double precision as strongest_value,
    events.threshold::double precision as threshold,
    events.unit,
    events.latitude_deg,
    events.longitude_deg,
    events.altitude_m,
    events.source
from events
left join lateral (
    select positions.callsign
    from {{ ref('int_positions__phased') }} as positions
    where
        positions.icao24 = events.icao24
        and positions.positioned_at <= events.ended_at
        and positions.positioned_at >= events.started_at - {{ max_gap() }}
        and positions.flight_id = events.flight_id
        and positions.callsign is not null
    order by positions.positioned_at desc
    limit 1
) as spoken on true
{{ join_country('events') }}
where events.started_at >= events.kept_from_at
