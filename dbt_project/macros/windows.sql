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

{#- Joins the watched airports within 100 NM of which a row is, each of several; `area_name` is theirs or the cell's. -#}
{%- macro join_area(alias) -%}
left join {{ ref('int_airports__watched') }} as watched
        on {{ distance_m(
            'watched.latitude_deg',
            'watched.longitude_deg',
            alias ~ '.latitude_deg',
            alias ~ '.longitude_deg',
        ) }} <= 100 * {{ metres_per_nm() }}
{%- endmacro -%}

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
located as (
    select
        minutes.*,
        'area' as scope,
        {{ area_name('minutes') }} as scope_name
    from minutes
    {{ join_area('minutes') }}
),

scoped as (
    select * from located
    union all
    select
        minutes.*,
        'country' as scope,
        minutes.country as scope_name
    from minutes
    where minutes.country is not null
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
