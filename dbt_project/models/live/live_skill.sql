{{ config(schema='ml') }}

{#- Moments before the landing at which the board is looked at, in minutes. -#}
{%- set moments = [5, 10, 15, 20, 30, 45] -%}

-- With its first landing a flight has left the board.
with landings as (
    select distinct on (icao24, flight_id)
        icao24,
        flight_id,
        airport,
        moved_at
    from {{ ref('fct_movements') }}
    where movement = 'landing' and label_quality <> 'provisional'
    order by icao24 asc, flight_id asc, moved_at asc
),

moments as (
    select
        landings.icao24,
        landings.flight_id,
        landings.airport,
        landings.moved_at,
        moments.minutes_to_go,
        landings.moved_at - moments.minutes_to_go * interval '1 minute' as moment_at
    from landings
    cross join (
        values
        {% for minutes in moments -%}
            ({{ minutes }}){{ ',' if not loop.last }}
        {% endfor %}
    ) as moments (minutes_to_go)
),

-- What had been answered by then: of each airport at the innermost ring, of several models by the last one.
answers as (
    select distinct on (moments.icao24, moments.flight_id, moments.minutes_to_go, predictions.airport)
        moments.*,
        predictions.airport as shown_airport,
        predictions.ring_nm,
        predictions.model_name,
        predictions.model_version,
        predictions.landing_probability,
        predictions.predicted_landing_at,
        predictions.crossed_at + predictions.predicted_low_min * interval '1 minute' as predicted_low_at,
        predictions.crossed_at + predictions.predicted_high_min * interval '1 minute' as predicted_high_at
    from moments
    inner join {{ source('ml', 'predictions') }} as predictions
        on
            moments.icao24 = predictions.icao24
            and moments.flight_id = predictions.flight_id
            and moments.moment_at >= predictions.predicted_at
            and moments.moment_at >= predictions.crossed_at
    where predictions.landing_probability is not null
    order by
        moments.icao24 asc, moments.flight_id asc, moments.minutes_to_go asc, predictions.airport asc,
        predictions.ring_nm asc, predictions.predicted_at desc
),

-- The board of one airport has it, or none.
likeliest as (
    select distinct on (icao24, flight_id, minutes_to_go) *
    from answers
    order by icao24 asc, flight_id asc, minutes_to_go asc, landing_probability desc, shown_airport asc
),

shown as (
    select * from likeliest
    where landing_probability >= {{ var('board_probability') }}
),

-- Of each landing a row of its airport, and one of the airport whose board had it wrongly.
looks as (
    select
        moments.airport,
        moments.minutes_to_go,
        moments.moved_at,
        true as is_here,
        shown.flight_id is not null as is_shown,
        extract(epoch from shown.predicted_landing_at - moments.moved_at)::double precision / 60 as error_min,
        (moments.moved_at between shown.predicted_low_at and shown.predicted_high_at)::integer as is_covered
    from moments
    left join shown
        on
            moments.icao24 = shown.icao24
            and moments.flight_id = shown.flight_id
            and moments.minutes_to_go = shown.minutes_to_go
            and moments.airport = shown.shown_airport
    union all
    select
        shown_airport as airport,
        minutes_to_go,
        moved_at,
        false as is_here,
        true as is_shown,
        null as error_min,
        null as is_covered
    from shown
    where shown_airport <> airport
)

select
    looks.airport,
    (looks.moved_at at time zone 'UTC')::date as landed_on,
    looks.minutes_to_go,
    count(*) filter (where looks.is_here) as landing_count,
    count(*) filter (where looks.is_here and looks.is_shown) as shown_count,
    count(*) filter (where not looks.is_here) as wrong_count,
    avg(abs(looks.error_min)) as mae_min,
    avg(looks.error_min) as bias_min,
    count(looks.is_covered) as interval_count,
    avg(looks.is_covered)::double precision as interval_coverage
from looks
inner join {{ ref('int_airports__watched') }} as watched on looks.airport = watched.airport
group by looks.airport, landed_on, looks.minutes_to_go
