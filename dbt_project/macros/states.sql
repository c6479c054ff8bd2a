{#-
The cleaning of positions: `stg_opensky__states` does it for all addresses as if each were one aircraft's,
`split_airframes` once more for those of two.
-#}

{#- How far an aircraft gets in a time span, in metres: 1,000 kt, and 1 km for two receivers' clocks. -#}
{%- macro reach_m(span) -%}
(1000 + 515 * date_part('epoch', {{ span }}))
{%- endmacro -%}

{#- In so short a time no aircraft turns back and gets a kilometre away. -#}
{%- macro turning() -%}interval '20 seconds'{%- endmacro -%}

{#- Whether the way from b to c leads back where that from a to b came from, to within 30 degrees. -#}
{%- macro is_back(a_latitude, a_longitude, b_latitude, b_longitude, c_latitude, c_longitude) -%}
-- The sign of the cosine first: it spares nearly all rows the bearings.
(({{ c_latitude }}) - ({{ b_latitude }})) * (({{ b_latitude }}) - ({{ a_latitude }}))
+ cos(radians({{ b_latitude }})) ^ 2
* ({{ c_longitude }} - {{ b_longitude }} - 360 * round(({{ c_longitude }} - {{ b_longitude }}) / 360))
* ({{ b_longitude }} - {{ a_longitude }} - 360 * round(({{ b_longitude }} - {{ a_longitude }}) / 360))
< 0
and abs(
    180 - {{ angle_between_deg(
        bearing_deg(a_latitude, a_longitude, b_latitude, b_longitude),
        bearing_deg(b_latitude, b_longitude, c_latitude, c_longitude),
    ) }}
) <= 30
{%- endmacro -%}

{#-
The callsign as sent without blanks: letters and digits, not all of them zeros. What has other characters is garbled,
and null. The first pattern spares most rows the rest.
-#}
{%- macro sent_callsign() -%}
case
            when callsign ~ '^0*[A-Z1-9][A-Z0-9]* *$' then rtrim(callsign)
            when upper(regexp_replace(callsign, '\s', '', 'g')) ~ '^0*[A-Z1-9][A-Z0-9]*$'
                then upper(regexp_replace(callsign, '\s', '', 'g'))
        end
{%- endmacro -%}

{#-
All columns but the address, with the time from which on earlier rows are compared with; and the order by which of
several sources' rows the fullest wins, then the first by name.
-#}
{%- macro state_columns() -%}
        time_position as positioned_at,
        time_position - {{ max_gap() }} as comparable_from_at,
        last_contact as contact_at,
        {{ sent_callsign() }} as callsign,
        latitude_deg,
        longitude_deg,
        baro_altitude_m,
        geo_altitude_m,
        coalesce(is_on_ground, false) as is_on_ground,
        is_on_ground is not null as has_ground_flag,
        velocity_mps,
        true_track_deg,
        vertical_rate_mps,
        nullif(trim(squawk), '') as squawk,
        category,
        source,
        batch_id
{%- endmacro -%}

{%- macro fullest_first() -%}
        num_nonnulls(baro_altitude_m, velocity_mps, true_track_deg, vertical_rate_mps, callsign) desc,
        source asc
{%- endmacro -%}

{#-
The CTEs after `deduplicated`, and the final select. Rows from the tracker carry `is_jump`; of others it is computed
here.
-#}
{%- macro cleaned_states(is_tracked=false) -%}
compared as (
    select
        *,
        coalesce(
            latitude_deg = lag(latitude_deg) over by_aircraft
            and longitude_deg = lag(longitude_deg) over by_aircraft
            and lag(positioned_at) over by_aircraft >= comparable_from_at,
            false
        ) as is_same_position,
        coalesce(baro_altitude_m = lag(baro_altitude_m) over by_aircraft, false) as is_same_altitude,
        {%- if not is_tracked %}
        -- No jump is shorter than a kilometre: of most steps that is plain without the distance.
        case
            when
                abs(latitude_deg - lag(latitude_deg) over by_aircraft) > 0.004
                or abs(longitude_deg - lag(longitude_deg) over by_aircraft) > 0.004
                then {{ distance_m(
                    'lag(latitude_deg) over by_aircraft',
                    'lag(longitude_deg) over by_aircraft',
                    'latitude_deg',
                    'longitude_deg',
                ) }}
        end as moved_m,
        -- Against the way from the position before the last one to that one.
        case
            when
                abs(latitude_deg - lag(latitude_deg) over by_aircraft) > 0.004
                or abs(longitude_deg - lag(longitude_deg) over by_aircraft) > 0.004
                then
                    positioned_at - lag(positioned_at, 2) over by_aircraft <= 2 * {{ turning() }}
                    and {{ is_back(
                        'lag(latitude_deg, 2) over by_aircraft',
                        'lag(longitude_deg, 2) over by_aircraft',
                        'lag(latitude_deg) over by_aircraft',
                        'lag(longitude_deg) over by_aircraft',
                        'latitude_deg',
                        'longitude_deg',
                    ) }}
        end as is_back,
        {%- endif %}
        lag(positioned_at) over by_aircraft as previous_at
    from deduplicated
    window by_aircraft as (partition by icao24 order by positioned_at)
),

judged as (
    select
        *,
        -- A parked aircraft repeats its position rightly; one that reports speed does not.
        is_same_position and (not is_on_ground or velocity_mps > 5) is true{{ ' and not is_jump' if is_tracked }}
            as is_position_stale,
        -- 80,000 ft and 2,000 ft below the standard sea level bound every aircraft in service, 5,000 m every field.
        baro_altitude_m not between -610 and 24384
        or (baro_altitude_m > 5000 and is_on_ground and velocity_mps < 50) is true
            as is_altitude_out_of_range
    from compared
),

preceded as (
    select
        *,
        max(positioned_at) filter (where not is_position_stale{{ ' and not is_jump' if is_tracked }}) over (
            partition by icao24
            order by positioned_at
            rows between unbounded preceding and 1 preceding
        ) as last_fresh_at
    from judged
),

-- The windows of one order come first, so that rows are sorted once for all of them. What repeats the position
-- and the altitude of the row before says nothing of the present altitude.
timed as (
    select
        *,
        {{ altitude_step() }} as altitude_step
    from preceded
    window by_altitude as (
        partition by
            icao24, (is_altitude_out_of_range is false and not (is_position_stale and is_same_altitude))
        order by positioned_at
    )
),

ranged as (
    select
        *,
        case when last_fresh_at >= comparable_from_at then last_fresh_at end as previous_fresh_at,
        velocity_mps not between 0 and 515 as is_speed_out_of_range,
        abs(vertical_rate_mps) > 51 as is_vertical_rate_out_of_range,
        true_track_deg not between 0 and 360 as is_track_out_of_range
    from timed
)

select
    icao24,
    positioned_at,
    contact_at,
    callsign,
    latitude_deg,
    longitude_deg,
    case when not is_altitude_out_of_range then baro_altitude_m end as altitude_m,
    geo_altitude_m,
    is_on_ground,
    has_ground_flag,
    case when not is_speed_out_of_range then velocity_mps end as ground_speed_mps,
    case when not is_track_out_of_range then true_track_deg - 360 * floor(true_track_deg / 360) end as track_deg,
    case when not is_vertical_rate_out_of_range then vertical_rate_mps end as vertical_rate_mps,
    squawk,
    category,
    case
        when is_position_stale then 'stale'
        -- The kilometre first: it spares most rows the reckoning of time.
        {%- if is_tracked %}
        when is_jump then 'jump'
        {%- else %}
        when
            moved_m > 1000
            and (
                moved_m > {{ reach_m('positioned_at - previous_fresh_at') }}
                -- What the tracker takes for a position that comes late, and some more.
                or (is_back and positioned_at - previous_fresh_at <= {{ turning() }})
            )
            then 'jump'
        {%- endif %}
        else 'fresh'
    end as position_status,
    case
        when is_position_stale
            then
                coalesce(
                    date_part('epoch', positioned_at - previous_fresh_at),
                    {{ var('flight_gap_s') }}
                )
        else 0
    end as position_age_s,
    -- The frozen tail of a lost aircraft is no sign of life.
    coalesce(previous_at < comparable_from_at, true)
    or (not is_position_stale and coalesce(last_fresh_at < comparable_from_at, true)) as is_after_silence,
    case
        when
            is_altitude_out_of_range
            or is_speed_out_of_range
            or is_vertical_rate_out_of_range
            or is_track_out_of_range
            then concat_ws(
                ',',
                case when is_altitude_out_of_range then 'altitude_range' end,
                case when is_speed_out_of_range then 'speed_range' end,
                case when is_vertical_rate_out_of_range then 'vertical_rate_range' end,
                case when is_track_out_of_range then 'track_range' end
            )
    end as masked_reasons,
    case when is_altitude_out_of_range then baro_altitude_m end as masked_altitude_m,
    case when is_speed_out_of_range then velocity_mps end as masked_ground_speed_mps,
    case when is_vertical_rate_out_of_range then vertical_rate_mps end as masked_vertical_rate_mps,
    altitude_step,
    null::timestamptz as altitudes_wrong_from_at,
    source,
    batch_id
from ranged
where positioned_at >= changed_from_at
{%- endmacro -%}
