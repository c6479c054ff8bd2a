{#- Windows of five minutes in which anomalies are counted: of all in the hourly model, of the present one in live.alerts. -#}

{#- What an aircraft's minute has of abnormal values; what is repeated says nothing of its own time. -#}
{%- macro abnormal_in_minute() -%}
coalesce(bool_or({{ is_speed_abnormal() }}) filter (where position_status <> 'stale'), false)
            as is_speed_abnormal,
        coalesce(bool_or({{ is_altitude_abnormal() }}) filter (where position_status <> 'stale'), false)
            as is_altitude_abnormal,
        coalesce(bool_or({{ is_vertical_rate_abnormal() }}) filter (where position_status <> 'stale'), false)
            as is_vertical_rate_abnormal
{%- endmacro -%}

{#- The cell of one degree that a place lies in, by its south-west corner: N48E002. -#}
{%- macro cell_name(latitude, longitude) -%}
case when {{ latitude }} < 0 then 'S' else 'N' end
            || lpad(abs(floor({{ latitude }}))::text, 2, '0')
            || case when {{ longitude }} < 0 then 'W' else 'E' end
            || lpad(abs(floor({{ longitude }}))::text, 3, '0')
{%- endmacro -%}

{#- A place as a vector from the centre of the earth, which is one long. -#}
{%- macro unit_vector(latitude, longitude) -%}
cosd({{ latitude }}) * cosd({{ longitude }}) as x,
        cosd({{ latitude }}) * sind({{ longitude }}) as y,
        sind({{ latitude }}) as z
{%- endmacro -%}

{#- The watched airports as CTE, for `join_area`: materialized, or their vectors are made anew for each row. -#}
{%- macro watched_areas() -%}
watched as materialized (
    select
        airport,
        {{ unit_vector('latitude_deg', 'longitude_deg') }}
    from {{ ref('int_airports__watched') }}
)
{%- endmacro -%}

{#-
Joins the watched airports within 100 NM of which a row is, each of several, by its `unit_vector`: with `distance_m` for
each of five airports this was most of what a row cost.
-#}
{%- macro join_area(alias) -%}
left join watched
        on {{ alias }}.x * watched.x + {{ alias }}.y * watched.y + {{ alias }}.z * watched.z >= {{ ring_cosine(100) }}
{%- endmacro -%}

{#- The area that such a row is in: the airport's disc, or its cell. -#}
{%- macro area_name(alias) -%}
coalesce(
            watched.airport,
            {{ cell_name(alias ~ '.latitude_deg', alias ~ '.longitude_deg') }}
        )
{%- endmacro -%}

{#-
The CTEs up to `rated` over one of `minutes`, which have the State of registration: the windows of each area and State,
and how many of their aircraft were abnormal. `only` is a join or a condition on `windows`.
-#}
{%- macro rate_windows(only) -%}
{{ watched_areas() }},

placed as materialized (
    select
        minutes.*,
        {{ unit_vector('minutes.latitude_deg', 'minutes.longitude_deg') }}
    from minutes
),

located as (
    select
        placed.*,
        'area' as scope,
        {{ area_name('placed') }} as scope_name
    from placed
    {{ join_area('placed') }}
),

scoped as (
    select * from located
    union all
    select
        placed.*,
        'country' as scope,
        placed.country as scope_name
    from placed
    where placed.country is not null
),

windows as (
    select
        scoped.*,
        scoped.minute_at - ago.minutes * interval '1 minute' as window_started_at
    from scoped
    cross join (values (0), (1), (2), (3), (4)) as ago (minutes)
),

-- An aircraft counts once a window, however many of its minutes are abnormal.
seen as (
    select
        windows.icao24,
        windows.window_started_at,
        windows.scope,
        windows.scope_name,
        bool_or(windows.is_speed_abnormal) as is_speed_abnormal,
        bool_or(windows.is_altitude_abnormal) as is_altitude_abnormal,
        bool_or(windows.is_vertical_rate_abnormal) as is_vertical_rate_abnormal
    from windows
    {{ only }}
    group by windows.icao24, windows.window_started_at, windows.scope, windows.scope_name
),

counted as (
    select
        window_started_at,
        scope,
        scope_name,
        count(*) as aircraft_count,
        count(*) filter (where is_speed_abnormal) as abnormal_speed_count,
        count(*) filter (where is_altitude_abnormal) as abnormal_altitude_count,
        count(*) filter (where is_vertical_rate_abnormal) as abnormal_vertical_rate_count,
        count(*) filter (where is_speed_abnormal or is_altitude_abnormal or is_vertical_rate_abnormal)
            as abnormal_count
    from seen
    group by window_started_at, scope, scope_name
),

rated as (
    select
        window_started_at,
        window_started_at + interval '5 minutes' as window_ended_at,
        scope,
        scope_name,
        aircraft_count,
        abnormal_speed_count,
        abnormal_altitude_count,
        abnormal_vertical_rate_count,
        abnormal_count,
        -- Of fewer than five one aircraft would be a fifth or more.
        case when aircraft_count >= 5 then abnormal_count::double precision / aircraft_count end as abnormal_share,
        case when aircraft_count >= 5 then abnormal_count >= 0.1 * aircraft_count end as is_critical
    from counted
)
{%- endmacro -%}
