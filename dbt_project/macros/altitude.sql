{#-
Whether the altitude differs from the nth before it by more than a climb of 50 m/s (10,000 ft/min) explains;
150 m allow for the grain of 25 ft and for clocks. Null when there is no nth before, or only beyond a silence.
Reads the window `by_altitude` over the rows that have an altitude.
-#}
{%- macro is_off_altitude(n) -%}
case
    when lag(positioned_at, {{ n }}) over by_altitude >= memory_from_at
        then
            -- The 150 m first: they spare most rows the reckoning of time.
            abs(baro_altitude_m - lag(baro_altitude_m, {{ n }}) over by_altitude) > 150
            and abs(baro_altitude_m - lag(baro_altitude_m, {{ n }}) over by_altitude)
            > 150 + 50 * date_part('epoch', positioned_at - lag(positioned_at, {{ n }}) over by_altitude)
end
{%- endmacro -%}
