{#- ICAO's designator of the operator: three letters before a number. Null for a registration, as light aircraft send. -#}
{%- macro operator(callsign) -%}
substring({{ callsign }} from '^([A-Z]{3})[0-9]')
{%- endmacro -%}

{#- Of callsigns and how often each was sent the one sent most often: a corrected typing error loses. -#}
{%- macro most_sent_callsign() -%}
(
            array_agg(callsign order by position_count desc, callsign asc)
            filter (where callsign is not null)
        )[1]
{%- endmacro -%}
