{{ config(
    materialized='rebuilt',
    meta={'time': 'crossed_at', 'rebuilt_by': 'hours', 'with_aftermath': true},
    indexes=[{'columns': ['flight_id']}, {'columns': ['crossed_at']}],
    post_hook='analyze {{ this }}'
) }}

with crossings as (
    select *
    from {{ ref('fct_ring_crossings') }}
    {{ join_changed_hours('fct_ring_crossings', 'crossed_at', with_aftermath=true) }}
),

airports as (
    select * from {{ ref('int_airports__watched') }}
),

-- No feature looks back further than six hours.
landings as not materialized (
    select
        *,
        coalesce(heading_true_deg, track_deg) as heading_deg
    from {{ ref('int_movements__located') }}
    where movement = 'landing' {{ and_since_changed_hours('known_at', '6 hours') }}
),

arrivals as not materialized (
    select * from {{ ref('int_arrivals__paired') }}
    where true {{ and_since_changed_hours('known_at', '6 hours') }}
),

entered as not materialized (
    select * from {{ ref('fct_ring_crossings') }}
    where true {{ and_since_changed_hours('known_at', '6 hours') }}
),

go_arounds as (
    select * from {{ ref('int_movements__discontinued_landings') }}
    where movement = 'go_around' {{ and_since_changed_hours('known_at', '6 hours') }}
),

turns as (
    select * from {{ ref('int_holdings__turns') }}
    where true {{ and_since_changed_hours('through_at', '6 hours') }}
),

{{ observed_around_crossings() }},

{{ crossing_features('positions') }}
