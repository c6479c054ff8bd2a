{#- These three have the names and arguments of dbt_utils, and are stricter: null or NaN fail where it passes them. -#}

{#- No two rows share these columns, and none of them is null: a primary key over several columns. -#}
{% test unique_combination_of_columns(model, combination_of_columns) %}
select
    {{ combination_of_columns | join(', ') }},
    count(*) as row_count
from {{ model }}
group by {{ combination_of_columns | join(', ') }}
having count(*) > 1
    {% for column in combination_of_columns -%}
    or {{ column }} is null
    {% endfor %}
{% endtest %}

{#- Every value lies in [min_value, max_value]; nulls pass, NaN fails. -#}
{% test accepted_range(model, column_name, min_value=none, max_value=none) %}
select {{ column_name }}
from {{ model }}
where
    {{ column_name }}::double precision = 'NaN'
    {% if min_value is not none %}or {{ column_name }} < {{ min_value }}{% endif %}
    {% if max_value is not none %}or {{ column_name }} > {{ max_value }}{% endif %}
{% endtest %}

{#- The expression is true of every row; null fails. -#}
{% test expression_is_true(model, expression) %}
select *
from {{ model }}
where ({{ expression }}) is not true
{% endtest %}

{#-
Who has taken off lands before the next take-off. One that was seen on the ground before it has landed, heard or not,
and stays: what nobody received is no fault of ours.
-#}
{% test takes_turns(model) %}
select *
from (
    select
        movement_id,
        movement,
        method,
        lag(movement) over (partition by icao24, flight_id order by last_fix_at asc, movement desc) as previous_movement
    from {{ model }}
    where movement <> 'go_around'
) as ordered
where movement = 'takeoff' and method = 'signal_gained' and previous_movement in ('takeoff', 'touch_and_go')
{% endtest %}
