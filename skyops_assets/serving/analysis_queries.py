"""The queries of the analysis page: small sums of the sky and of airports."""

from __future__ import annotations

from psycopg.sql import SQL

# One position an aircraft and minute: what is heard more often does not count for more.
MINUTES = SQL("""
select minutes.*
from intermediate.int_positions__sampled_1m as minutes
where
    minutes.positioned_at >= %(since)s
    and minutes.positioned_at < %(until)s
    and (
        not %(is_chosen)s
        or (minutes.icao24, minutes.flight_id) in (
            select flights.icao24, flights.flight_id
            from metrics.fct_flights as flights
            where
                flights.last_seen_at >= %(since)s
                and flights.first_seen_at < %(until)s
                and (
                    %(airport)s::text is null
                    or %(airport)s in (flights.departure_airport, flights.arrival_airport)
                )
                and (%(airline)s::text is null or flights.airline = %(airline)s)
                and (%(typecode)s::text is null or flights.typecode = %(typecode)s)
                and (
                    %(runway)s::text is null
                    or exists (
                        select 1
                        from metrics.fct_movements as movements
                        where
                            movements.icao24 = flights.icao24
                            and movements.flight_id = flights.flight_id
                            and movements.runway = %(runway)s
                            and (%(airport)s::text is null or movements.airport = %(airport)s)
                    )
                )
        )
    )
""")
# The density is a kernel estimate over the bins: Silverman's rule, but never finer than half a bin.
ALTITUDES = SQL("""
with minutes as ({minutes}),

flying as (
    select altitude_m from minutes where phase <> 'GROUND' and altitude_m is not null
),

spread as (
    select
        count(*) as all_count,
        greatest(
            0.9 * least(
                stddev_samp(altitude_m),
                (
                    percentile_cont(0.75) within group (order by altitude_m)
                    - percentile_cont(0.25) within group (order by altitude_m)
                ) / 1.34
            ) * greatest(count(*), 1) ^ (-0.2),
            152.4
        ) as bandwidth_m
    from flying
),

counted as (
    select floor(altitude_m / 304.8)::integer as bin, count(*) as minute_count
    from flying
    group by bin
),

bins as (
    select generate_series(min(bin), max(bin)) as bin from counted
)

select
    (bins.bin * 304.8)::double precision as from_altitude_m,
    ((bins.bin + 1) * 304.8)::double precision as to_altitude_m,
    coalesce(max(own.minute_count), 0) as minute_count,
    sum(
        near.minute_count::double precision / spread.all_count * 304.8
        / (spread.bandwidth_m * sqrt(2 * pi()))
        * exp(-(((bins.bin - near.bin) * 304.8 / spread.bandwidth_m) ^ 2) / 2)
    ) as density_share
from bins
cross join spread
inner join counted as near on abs(bins.bin - near.bin) * 304.8 < 8 * spread.bandwidth_m
left join counted as own on bins.bin = own.bin
group by bins.bin
order by bins.bin
""").format(minutes=MINUTES)
PHASES = SQL("""
with minutes as ({minutes})

select
    phase,
    count(*) as minute_count,
    count(*) / sum(count(*)) over ()::double precision as share
from minutes
group by phase
order by minute_count desc, phase
""").format(minutes=MINUTES)
COUNTRIES = SQL("""
with minutes as ({minutes}),

airframes as (
    select
        icao24,
        count(*) as minute_count,
        sum(ground_speed_mps) as speed_sum_mps,
        max(ground_speed_mps) as max_ground_speed_mps
    from minutes
    where phase <> 'GROUND' and ground_speed_mps is not null
    group by icao24
)

select
    coalesce(registration.country, 'unknown') as country,
    count(*) as aircraft_count,
    sum(airframes.minute_count)::bigint as minute_count,
    sum(airframes.speed_sum_mps) / sum(airframes.minute_count)::double precision
        as mean_ground_speed_mps,
    max(airframes.max_ground_speed_mps) as max_ground_speed_mps
from airframes
left join lateral (
    select blocks.country, blocks.last_address
    from staging.stg_reference__address_blocks as blocks
    where blocks.first_address <= left(airframes.icao24, 6)
    order by blocks.first_address desc
    limit 1
) as registration on left(airframes.icao24, 6) <= registration.last_address
group by coalesce(registration.country, 'unknown')
order by minute_count desc, country
""").format(minutes=MINUTES)
# From one minute to the next of a flight; a longer silence says nothing of the climb.
CORRELATIONS = SQL("""
with minutes as ({minutes}),

compared as (
    select
        altitude_m,
        ground_speed_mps,
        latitude_deg,
        longitude_deg,
        case
            when positioned_at - lag(positioned_at) over by_flight <= interval '2 minutes'
                then (altitude_m - lag(altitude_m) over by_flight)
                    / extract(epoch from positioned_at - lag(positioned_at) over by_flight)
                    ::double precision
        end as climb_mps
    from minutes
    where phase <> 'GROUND'
    window by_flight as (partition by icao24, flight_id order by positioned_at)
),

found as (
    select
        count(*) as minute_count,
        array[
            corr(altitude_m, ground_speed_mps), corr(altitude_m, climb_mps),
            corr(altitude_m, latitude_deg), corr(altitude_m, longitude_deg),
            corr(ground_speed_mps, climb_mps), corr(ground_speed_mps, latitude_deg),
            corr(ground_speed_mps, longitude_deg), corr(climb_mps, latitude_deg),
            corr(climb_mps, longitude_deg), corr(latitude_deg, longitude_deg)
        ] as correlations
    from compared
)

select pairs.feature, pairs.other_feature, correlations[pairs.place] as correlation
from found
cross join (
    values
    (1, 'altitude', 'speed'), (2, 'altitude', 'climb'), (3, 'altitude', 'latitude'),
    (4, 'altitude', 'longitude'), (5, 'speed', 'climb'), (6, 'speed', 'latitude'),
    (7, 'speed', 'longitude'), (8, 'climb', 'latitude'), (9, 'climb', 'longitude'),
    (10, 'latitude', 'longitude')
) as pairs (place, feature, other_feature)
where found.minute_count > 0
order by pairs.place
""").format(minutes=MINUTES)
TRAFFIC = SQL("""
with minutes as ({minutes})

select
    date_bin(%(every)s, positioned_at, 'epoch') as from_at,
    count(distinct icao24) as aircraft_count,
    count(distinct icao24) filter (where phase = 'GROUND') as on_ground_count,
    avg(altitude_m) filter (where phase <> 'GROUND') as mean_altitude_m
from minutes
group by from_at
order by from_at
""").format(minutes=MINUTES)

MOVEMENTS = SQL("""
select movements.*
from metrics.fct_movements as movements
where
    (%(since)s::timestamptz is null or movements.moved_at >= %(since)s)
    and (%(until)s::timestamptz is null or movements.moved_at < %(until)s)
    and (%(airport)s::text is null or movements.airport = %(airport)s)
    and (%(runway)s::text is null or movements.runway = %(runway)s)
    and (%(airline)s::text is null or movements.airline = %(airline)s)
    and (%(typecode)s::text is null or movements.typecode = %(typecode)s)
""")
RUNWAYS = SQL("""
with movements as ({movements})

select
    date_trunc(%(by)s, moved_at, 'UTC') as from_at,
    airport,
    coalesce(runway, 'unknown') as runway,
    count(*) filter (where movement in ('landing', 'touch_and_go')) as landing_count,
    count(*) filter (where movement = 'takeoff') as takeoff_count
from movements
where movement <> 'go_around'
group by from_at, airport, coalesce(runway, 'unknown')
order by from_at, airport, runway
limit %(most)s
""").format(movements=MOVEMENTS)
GO_AROUNDS = SQL("""
with movements as ({movements})

select
    date_trunc(%(by)s, moved_at, 'UTC') as from_at,
    airport,
    count(*) filter (where movement = 'go_around') as go_around_count,
    count(*) filter (where movement in ('landing', 'touch_and_go')) as landing_count
from movements
where movement <> 'takeoff'
group by from_at, airport
order by from_at, airport
limit %(most)s
""").format(movements=MOVEMENTS)
CHANGES = SQL("""
select
    changed_at, airport, from_direction, to_direction, landings_before_count, landings_after_count
from metrics.runway_configuration_changes
where
    (%(since)s::timestamptz is null or changed_at >= %(since)s)
    and (%(until)s::timestamptz is null or changed_at < %(until)s)
    and (%(airport)s::text is null or airport = %(airport)s)
order by changed_at, airport
limit %(most)s
""")
# As metrics.asma_monthly, which knows neither runway nor airline: of which rows is chosen here.
ASMA = SQL("""
select
    date_trunc('month', arrivals.landed_at at time zone 'UTC')::date as month,
    arrivals.source,
    arrivals.airport,
    arrivals.ring_nm,
    count(*) filter (where arrivals.exclusion_reason is null) as counted_count,
    count(arrivals.reference_min) as with_reference_count,
    avg(arrivals.transit_min) filter (where arrivals.exclusion_reason is null) as mean_transit_min,
    avg(arrivals.reference_min) as mean_reference_min,
    avg(arrivals.additional_min) as mean_additional_min,
    percentile_cont(0.9) within group (order by arrivals.additional_min) as p90_additional_min
from metrics.fct_arrivals as arrivals
left join metrics.fct_flights as flights
    on arrivals.icao24 = flights.icao24 and arrivals.flight_id = flights.flight_id
where
    arrivals.ring_nm = %(ring_nm)s
    and (%(since)s::timestamptz is null or arrivals.landed_at >= %(since)s)
    and (%(until)s::timestamptz is null or arrivals.landed_at < %(until)s)
    and (%(airport)s::text is null or arrivals.airport = %(airport)s)
    and (%(runway)s::text is null or arrivals.runway = %(runway)s)
    and (%(airline)s::text is null or flights.airline = %(airline)s)
    and (%(typecode)s::text is null or flights.typecode = %(typecode)s)
group by month, arrivals.source, arrivals.airport, arrivals.ring_nm
order by month, arrivals.source, arrivals.airport
limit %(most)s
""")
HOLDINGS = SQL("""
select
    date_trunc(%(by)s, holdings.started_at, 'UTC') as from_at,
    holdings.airport,
    count(*) as holding_count,
    count(distinct holdings.flight_id) as flight_count,
    avg(holdings.duration_min) as mean_duration_min,
    sum(holdings.turn_count)::bigint as turn_count
from metrics.fct_holdings as holdings
left join metrics.fct_flights as flights
    on holdings.icao24 = flights.icao24 and holdings.flight_id = flights.flight_id
where
    (%(since)s::timestamptz is null or holdings.started_at >= %(since)s)
    and (%(until)s::timestamptz is null or holdings.started_at < %(until)s)
    and (%(airport)s::text is null or holdings.airport = %(airport)s)
    and (%(airline)s::text is null or flights.airline = %(airline)s)
    and (%(typecode)s::text is null or flights.typecode = %(typecode)s)
    and (
        %(runway)s::text is null
        or exists (
            select 1
            from metrics.fct_movements as movements
            where
                movements.icao24 = holdings.icao24
                and movements.flight_id = holdings.flight_id
                and movements.airport = holdings.airport
                and movements.runway = %(runway)s
        )
    )
group by from_at, holdings.airport
order by from_at, holdings.airport
limit %(most)s
""")
CHOICES = SQL("""
(
    select 'airport' as filter, airport as value, count(*) as movement_count
    from metrics.fct_movements
    group by airport
    order by movement_count desc, value
    limit 100
)
union all
(
    select 'runway', runway, count(*) as movement_count
    from metrics.fct_movements
    where runway is not null and (%(airport)s::text is null or airport = %(airport)s)
    group by runway
    order by movement_count desc, runway
    limit 100
)
union all
(
    select 'airline', airline, count(*) as movement_count
    from metrics.fct_movements
    where airline is not null and (%(airport)s::text is null or airport = %(airport)s)
    group by airline
    order by movement_count desc, airline
    limit 200
)
union all
(
    select 'typecode', typecode, count(*) as movement_count
    from metrics.fct_movements
    where typecode is not null and (%(airport)s::text is null or airport = %(airport)s)
    group by typecode
    order by movement_count desc, typecode
    limit 200
)
""")
