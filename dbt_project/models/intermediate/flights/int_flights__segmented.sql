{{ config(
    materialized='rebuilt',
    meta={'time': 'flight_started_at', 'since': 'event_from_at'},
    indexes=[{'columns': ['icao24', 'flight_started_at'], 'unique': true}],
    post_hook=['{{ extend_carried_flights() }}', '{{ extend_to_new_flights() }}']
) }}

{#- The longest time between two fixes over which a stand is seen: a poll every five minutes, and its delay. -#}
{%- set sparse_s = 330 -%}

with states as not materialized (
    select
        icao24,
        positioned_at,
        callsign,
        latitude_deg,
        longitude_deg,
        is_on_ground,
        -- Many recordings have no flag. Nobody flies that slowly for the minutes of a stand.
        is_on_ground or coalesce(ground_speed_mps < 2, false) as can_stand,
        is_after_silence,
        coalesce(position_status = 'jump', false) as is_jump,
        {{ changed_from('flight_from_at') }} as flight_from_at,
        {{ changed_from('event_from_at') }} as changed_from_at,
        {{ changed_through() }} as changed_through_at
    from {{ ref('stg_opensky__states') }}
    {{ join_changes('stg_opensky__states', 'positioned_at', since='event_from_at', before='2 * ' ~ max_gap()) }}
),

-- Stands and new callsigns end a flight on the ground: most aircraft are not heard there after they have flown.
landed as materialized (
    select icao24
    from states
    where positioned_at >= changed_from_at
    group by icao24
    having
        min(positioned_at) filter (where {{ has_flown_before_cut() }} or not is_on_ground)
        <= max(positioned_at) filter (where can_stand)
),

-- A jump may be another aircraft's.
grounded as not materialized (
    select states.*
    from states
    inner join landed on states.icao24 = landed.icao24
    where not states.is_jump
),

callsigns as (
    select
        icao24,
        positioned_at,
        changed_from_at,
        changed_through_at,
        is_on_ground,
        callsign,
        case
            when positioned_at - lag(positioned_at) over by_aircraft <= {{ max_gap() }}
                then lag(callsign) over by_aircraft
        end as callsign_before
    from grounded
    where callsign is not null
    window by_aircraft as (partition by icao24 order by positioned_at)
),

-- A garbled callsign is one message, or some that the receivers repeat until the next; a new one is sent on and on.
-- So a new one was not sent in the ten minutes before, and half a minute after the old one's last message still is.
renamed as (
    select
        callsigns.icao24,
        callsigns.positioned_at,
        callsigns.changed_from_at,
        callsigns.changed_through_at
    from callsigns
    cross join
        lateral (
            select coalesce(max(sent.positioned_at), callsigns.positioned_at) as positioned_at
            from {{ ref('stg_opensky__states') }} as sent
            where
                sent.icao24 = callsigns.icao24
                and sent.callsign = callsigns.callsign_before
                and sent.positioned_at > callsigns.positioned_at
                and sent.positioned_at <= callsigns.positioned_at + {{ max_gap() }}
                and coalesce(sent.position_status <> 'jump', true)
        ) as last_before
    -- Laterals with a limit, or the planner reads all positions for a few callsigns.
    cross join
        lateral (
            select sent.positioned_at
            from {{ ref('stg_opensky__states') }} as sent
            where
                sent.icao24 = callsigns.icao24
                and sent.callsign = callsigns.callsign
                and sent.positioned_at >= last_before.positioned_at + interval '30 seconds'
                and sent.positioned_at <= callsigns.positioned_at + {{ max_gap() }}
                and coalesce(sent.position_status <> 'jump', true)
            limit 1 -- noqa: AM09
        ) as sent_on
    left join
        lateral (
            select sent.positioned_at
            from {{ ref('stg_opensky__states') }} as sent
            where
                sent.icao24 = callsigns.icao24
                and sent.callsign = callsigns.callsign
                and sent.positioned_at >= callsigns.positioned_at - {{ max_gap() }}
                and sent.positioned_at < callsigns.positioned_at
                and coalesce(sent.position_status <> 'jump', true)
            limit 1 -- noqa: AM09
        ) as sent_before
        on true
    where
        callsigns.is_on_ground
        and callsigns.callsign <> callsigns.callsign_before
        and sent_before.positioned_at is null
),

neighboured as (
    select
        *,
        first_value(positioned_at) over last_minute as from_at,
        first_value(latitude_deg) over last_minute as from_latitude_deg,
        first_value(longitude_deg) over last_minute as from_longitude_deg,
        lag(positioned_at) over by_aircraft as previous_at,
        lag(latitude_deg) over by_aircraft as previous_latitude_deg,
        lag(longitude_deg) over by_aircraft as previous_longitude_deg
    from grounded
    window
        by_aircraft as (partition by icao24 order by positioned_at),
        last_minute as (
            partition by icao24
            order by positioned_at
            range between interval '60 seconds' preceding and current row
        )
),

paced as (
    select
        *,
        coalesce(
            from_at = positioned_at and positioned_at - previous_at <= interval '{{ sparse_s }} seconds', false
        ) as is_sparse
    from neighboured
),

-- The minute's way, or, where the feed is sparser, that from the fix before.
moved as (
    select
        icao24,
        positioned_at,
        changed_from_at,
        changed_through_at,
        can_stand,
        positioned_at - case when is_sparse then previous_at else from_at end as span,
        is_sparse,
        case
            when is_sparse
                then {{ distance_m(
                    'previous_latitude_deg',
                    'previous_longitude_deg',
                    'latitude_deg',
                    'longitude_deg',
                ) }}
            else {{ distance_m(
                'from_latitude_deg',
                'from_longitude_deg',
                'latitude_deg',
                'longitude_deg',
            ) }}
        end as moved_m
    from paced
),

-- Positions of a parked aircraft wander by some metres, a queue of taxiing ones creeps: 50 m in a minute
-- lie between. A wild position (staging's limit) is no movement.
rolled as (
    select
        *,
        max(positioned_at) filter (where moved_m > 50 and moved_m <= {{ reach_m('span') }}) over so_far as moved_at,
        max(positioned_at) filter (where is_sparse and moved_m > 50 and moved_m <= {{ reach_m('span') }}) over so_far
            as sparsely_moved_at
    from moved
    window so_far as (partition by icao24 order by positioned_at)
),

stood as (
    select
        *,
        -- Together with the way not further back than is looked at before a range begins.
        coalesce(
            can_stand
            and span >= interval '20 seconds'
            and positioned_at - moved_at between interval '{{ var("stand_s") }} seconds'
            and 2 * {{ max_gap() }} - case
                when moved_at = sparsely_moved_at then interval '{{ sparse_s }} seconds' else interval '60 seconds'
            end,
            false
        ) as has_stood
    from rolled
),

parked as (
    select
        icao24,
        positioned_at,
        changed_from_at,
        changed_through_at,
        has_stood and not lag(has_stood) over (partition by icao24 order by positioned_at) as is_parked
    from stood
),

-- In the air a new callsign is a corrected typing error; on the ground it is the next flight.
marks as (
    select
        icao24,
        positioned_at,
        changed_from_at,
        changed_through_at,
        true as is_turnaround
    from renamed
    union all
    select
        icao24,
        positioned_at,
        changed_from_at,
        changed_through_at,
        true as is_turnaround
    from parked
    where is_parked
    union all
    select
        icao24,
        positioned_at,
        changed_from_at,
        changed_through_at,
        false as is_turnaround
    from states
    where
        positioned_at >= changed_from_at
        and (
            is_after_silence
            -- A range begins with a flight; what that one followed may lie too far back.
            or positioned_at = flight_from_at
        )
    {{ union_carried_flights() }}
),

boundaries as (
    select
        icao24,
        positioned_at,
        changed_from_at,
        changed_through_at,
        bool_and(is_turnaround) as is_turnaround,
        lag(positioned_at) over (partition by icao24 order by positioned_at) as previous_at
    from marks
    group by icao24, positioned_at, changed_from_at, changed_through_at
),

-- A stand or a new callsign ends only what has flown since the last such: before, nothing has left yet. Of two
-- without a flight between them the first decides, so this is the same as since the flight's start.
starts as (
    select
        *,
        lead(positioned_at) over (partition by icao24 order by positioned_at) as next_at
    from boundaries
    where
        positioned_at >= changed_from_at
        and (
            not is_turnaround
            or exists (
                select 1
                from {{ ref('stg_opensky__states') }} as flown
                where
                    boundaries.icao24 = flown.icao24
                    and boundaries.previous_at <= flown.positioned_at
                    and boundaries.positioned_at > flown.positioned_at
                    and not flown.is_on_ground
                    and coalesce(flown.position_status <> 'jump', true)
                    and coalesce(flown.ground_speed_mps >= 20, true)
            )
        )
)

select
    starts.icao24 || '_' || to_char(starts.positioned_at at time zone 'UTC', 'YYYYMMDD"T"HH24MISS"Z"') as flight_id,
    starts.icao24,
    starts.positioned_at as flight_started_at,
    last_states.positioned_at as flight_ended_at
from starts
cross join lateral (
    select last_states.positioned_at
    from {{ ref('stg_opensky__states') }} as last_states
    where
        last_states.icao24 = starts.icao24
        and last_states.positioned_at >= starts.positioned_at
        and last_states.positioned_at < least(starts.next_at, starts.changed_through_at)
    order by last_states.positioned_at desc
    limit 1
) as last_states
