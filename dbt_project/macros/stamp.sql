{#- A time as ids have it: UTC, to the second, with its day, for a flight can last for days. -#}
{%- macro stamp(time) -%}
to_char({{ time }} at time zone 'UTC', 'YYYYMMDD"T"HH24MISS"Z"')
{%- endmacro -%}
