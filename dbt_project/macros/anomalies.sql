{#-
What counts as abnormal. The limits lie beyond airline traffic and within what staging believes, which masks what no
aircraft in service does; docs/decisions/anomalies.md has their sources.
-#}

{#- 700 kt over ground: airliners pass it in record jet streams only. -#}
{%- macro overspeed_mps() -%}(700 * {{ metres_per_nm() }} / 3600){%- endmacro -%}

{#- 6,000 ft/min: what an emergency descent comes to. -#}
{%- macro rapid_descent_mps() -%}(6000 * 0.3048 / 60){%- endmacro -%}

{#- 60,000 ft: above every airliner's ceiling. -#}
{%- macro service_ceiling_m() -%}(60000 * 0.3048){%- endmacro -%}

{#- Whether a value of a position is abnormal as received, believed or masked. -#}
{%- macro is_speed_abnormal() -%}
coalesce(ground_speed_mps, masked_ground_speed_mps) > {{ overspeed_mps() }}
{%- endmacro -%}

{%- macro is_altitude_abnormal() -%}
coalesce(altitude_m, masked_altitude_m) > {{ service_ceiling_m() }}
{%- endmacro -%}

{%- macro is_vertical_rate_abnormal() -%}
abs(coalesce(vertical_rate_mps, masked_vertical_rate_mps)) > {{ rapid_descent_mps() }}
{%- endmacro -%}

{#- How long a value must be abnormal to be the flight's and not a glitch, and an emergency code to be no dial-through. -#}
{%- macro lasting_s() -%}10{%- endmacro -%}
{%- macro squawk_s() -%}30{%- endmacro -%}

{#- Repeated for so long, a position that then goes on was not just missed. -#}
{%- macro frozen_s() -%}60{%- endmacro -%}
