with clock as (
    select {{ now_at() }} as now_at
),

-- Who was heard within the last minutes, and where.
heard as (
    select
        clock.now_at,
        flights.icao24,
        flights.flight_id,
        flights.callsign,
        last_fix.heard_at,
        last_fix.latitude_deg,
        last_fix.longitude_deg,
        last_fix.altitude_m,
        last_fix.phase,
        -- A feed that asks rarely, or stands, loses nobody.
        least(clock.now_at, max(last_fix.heard_at) over ()) as feed_at
    from clock
    {{ join_heard("interval '" ~ var('board_gone_s') ~ " seconds'") }}
),

-- Of each airport the answer at the innermost ring; of several models the one that was asked last.
answers as (
    select distinct on (heard.icao24, heard.flight_id, predictions.airport)
        heard.*,
        predictions.airport,
        predictions.ring_nm,
        predictions.crossed_at,
        predictions.predicted_at,
        predictions.model_name,
        predictions.model_version,
        predictions.predicted_landing_at,
        predictions.predicted_low_min,
        predictions.predicted_high_min,
        predictions.landing_probability
    from heard
    inner join {{ source('ml', 'predictions') }} as predictions
        on
            heard.icao24 = predictions.icao24
            and heard.flight_id = predictions.flight_id
            and heard.now_at >= predictions.crossed_at
    where
        heard.phase <> 'GROUND'
        and predictions.landing_probability is not null
    order by
        heard.icao24 asc, heard.flight_id asc, predictions.airport asc,
        predictions.ring_nm asc, predictions.predicted_at desc
),

-- A landing that is on its way counts from its time on, even while more may withdraw it.
airborne as (
    select answers.*
    from answers
    where
        not exists (
            select 1
            from {{ ref('int_movements__located') }} as movements
            where
                movements.icao24 = answers.icao24
                and movements.flight_id = answers.flight_id
                and movements.last_fix_at >= answers.crossed_at
                and movements.last_fix_at <= answers.now_at
                and movements.movement = 'landing'
                and movements.moved_at <= answers.now_at
                and (movements.withdrawn_at is null or movements.withdrawn_at > answers.now_at)
        )
),

-- In line with a runway it lands there, and nowhere else.
aligned as (
    select
        airborne.*,
        approaches.airport as approached_airport
    from airborne
    left join
        lateral (
            select final.airport
            from {{ ref('int_movements__approaches') }} as final
            where
                final.icao24 = airborne.icao24
                and final.flight_id = airborne.flight_id
                and final.aligned_from_at >= airborne.crossed_at
                and final.known_at <= airborne.now_at
                and final.aligned_through_at >= airborne.heard_at - interval '10 seconds'
            order by final.aligned_from_at desc
            limit 1
        ) as approaches
        on true
)

select
    aligned.icao24,
    aligned.flight_id,
    aligned.callsign,
    aligned.airport,
    case
        when aligned.heard_at < aligned.feed_at - interval '{{ var("board_lost_s") }} seconds' then 'lost'
        when aligned.predicted_landing_at < aligned.now_at then 'overdue'
        else 'inbound'
    end as status,
    aligned.heard_at,
    {{ distance_m(
        'airports.latitude_deg',
        'airports.longitude_deg',
        'aligned.latitude_deg',
        'aligned.longitude_deg',
    ) }}
    / {{ metres_per_nm() }} as distance_nm,
    aligned.altitude_m,
    aligned.predicted_landing_at,
    aligned.crossed_at + aligned.predicted_low_min * interval '1 minute' as predicted_low_at,
    aligned.crossed_at + aligned.predicted_high_min * interval '1 minute' as predicted_high_at,
    aligned.predicted_landing_at at time zone airports.timezone as predicted_landing_local,
    case
        when aligned.approached_airport is null then aligned.landing_probability
        else (aligned.approached_airport = aligned.airport)::integer
    end as landing_probability,
    coalesce(aligned.approached_airport = aligned.airport, false) as is_on_final,
    aligned.ring_nm,
    aligned.crossed_at,
    aligned.predicted_at,
    aligned.model_name,
    aligned.model_version
from aligned
inner join {{ ref('int_airports__watched') }} as airports on aligned.airport = airports.airport
