{#- ICAO's designator of the operator: three letters before a number. Null for a registration, as light aircraft send. -#}
{%- macro operator(callsign) -%}
substring({{ callsign }} from '^([A-Z]{3})[0-9]')
{%- endmacro -%}
