with clock as (
    select
        {{ now_at() }} as now_at,
        -- The present window ends with the minute under way.
        date_bin('1 minute', {{ now_at() }}, 'epoch') - interval '4 minutes' as window_started_at
),

heard as materialized (
    select
        clock.*,
        flights.icao24,
        flights.flight_id,
        flights.first_seen_at,
        registration.country
    from clock
    inner join {{ ref('fct_flights') }} as flights
        on
            clock.window_started_at <= flights.last_seen_at
            and clock.now_at >= flights.first_seen_at
    {{ join_country('flights') }}
),

-- Sorted, these are one look into the index for each aircraft; a plain join may read all of the past.
recent as (
    select
        heard.country,
        positions.*
    from heard
    cross join lateral (
        select
            phased.icao24,
            phased.flight_id,
            phased.positioned_at,
            phased.latitude_deg,
            phased.longitude_deg,
            phased.altitude_m,
            phased.masked_altitude_m,
            phased.ground_speed_mps,
            phased.masked_ground_speed_mps,
            phased.vertical_rate_mps,
            phased.masked_vertical_rate_mps,
            phased.position_status
        from {{ ref('int_positions__phased') }} as phased
        where
            heard.icao24 = phased.icao24
            and heard.window_started_at <= phased.positioned_at
            and heard.now_at >= phased.positioned_at
            and heard.flight_id = phased.flight_id
            and phased.position_age_s <= 60
        order by phased.positioned_at asc
    ) as positions
),

-- As int_positions__sampled_1m has them, which only the hourly build makes.
sampled as (
    select
        icao24,
        flight_id,
        min(country) as country,
        date_bin('1 minute', positioned_at, 'epoch') as minute_at,
        (array_agg(latitude_deg order by positioned_at desc))[1] as latitude_deg,
        (array_agg(longitude_deg order by positioned_at desc))[1] as longitude_deg,
        {{ abnormal_in_minute() }}
    from recent
    group by icao24, flight_id, date_bin('1 minute', positioned_at, 'epoch')
),

minutes as (
    select
        icao24,
        country,
        minute_at,
        latitude_deg,
        longitude_deg,
        is_speed_abnormal,
        is_altitude_abnormal,
        is_vertical_rate_abnormal
    from sampled
    where latitude_deg is not null
),

{{ rate_windows("where windows.window_started_at = (select clock.window_started_at from clock)") }},

events as (
    select
        anomalies.icao24,
        anomalies.flight_id,
        anomalies.callsign,
        anomalies.anomaly as alert,
        anomalies.anomaly_class as alert_class,
        'aircraft' as scope,
        anomalies.started_at,
        anomalies.ended_at,
        anomalies.sample_count,
        anomalies.strongest_value,
        anomalies.threshold,
        anomalies.unit,
        anomalies.latitude_deg,
        anomalies.longitude_deg,
        anomalies.altitude_m
    from heard
    cross join lateral (
        select found.*
        from {{ ref('fct_anomalies') }} as found
        where
            heard.icao24 = found.icao24
            and heard.first_seen_at <= found.started_at
            and heard.now_at >= found.started_at
            and heard.window_started_at <= found.ended_at
            and heard.flight_id = found.flight_id
        order by found.started_at asc
    ) as anomalies
)

select
    icao24,
    flight_id,
    callsign,
    alert,
    alert_class,
    scope,
    null::text as scope_name,
    started_at,
    ended_at,
    sample_count,
    strongest_value,
    threshold,
    unit,
    latitude_deg,
    longitude_deg,
    altitude_m,
    null::bigint as aircraft_count,
    null::bigint as abnormal_count,
    null::double precision as abnormal_share
from events
union all
select
    null as icao24,
    null as flight_id,
    null as callsign,
    'abnormal_share' as alert,
    'window' as alert_class,
    scope,
    scope_name,
    window_started_at as started_at,
    {{ now_at() }} as ended_at,
    null as sample_count,
    null as strongest_value,
    null as threshold,
    null as unit,
    null as latitude_deg,
    null as longitude_deg,
    null as altitude_m,
    aircraft_count,
    abnormal_count,
    abnormal_share
from rated
where is_critical
