{#- A time as it stands in ids: UTC, to the second, with its date, as a flight can last for days. -#}
{%- macro stamp(time) -%}
to_char({{ time }} at time zone 'UTC', 'YYYYMMDD"T"HH24MISS"Z"')
{%- endmacro -%}
