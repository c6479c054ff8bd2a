{#-
How a flight turns from one step to the next, right positive, where `step_s`, `step_m` and `course_deg` are of the step
to this fix and `by_flight` is a window. The way made good, for reported tracks go stale; at 3 degrees a second 40 s are
the longest step that shows which way a turn went. What hardly moves has no course.
-#}
{%- macro bend_deg() -%}
case
            when
                step_s <= 40
                and lag(step_s) over by_flight <= 40
                and least(step_m, lag(step_m) over by_flight) >= 200
                then
                    course_deg - lag(course_deg) over by_flight
                    - 360 * round((course_deg - lag(course_deg) over by_flight) / 360)
            else 0
        end
{%- endmacro -%}

{#- The same without positions that came late: there and back within seconds is no turn. -#}
{%- macro turn_deg() -%}
case when abs(bend_deg) > 150 and bend_s <= 20 then 0 else bend_deg end
{%- endmacro -%}
