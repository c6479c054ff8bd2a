{#- No two rows share these columns, and none of them is null: a primary key over several columns. -#}
{% test unique_combination(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
    {% for column in columns -%}
    or {{ column }} is null
    {% endfor %}
{% endtest %}

{#- Every value lies in [low, high]; nulls pass. -#}
{% test in_range(model, column_name, low=none, high=none) %}
select {{ column_name }}
from {{ model }}
where
    {{ column_name }}::double precision = 'NaN'
    {% if low is not none %}or {{ column_name }} < {{ low }}{% endif %}
    {% if high is not none %}or {{ column_name }} > {{ high }}{% endif %}
{% endtest %}

{#- A condition that holds for every row; a null answer fails. -#}
{% test holds(model, condition) %}
select *
from {{ model }}
where ({{ condition }}) is not true
{% endtest %}

{#-
Who has taken off lands before the next take-off. One that was seen on the ground before it has landed, heard or not, and
stays: what nobody received is no fault of ours.
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
