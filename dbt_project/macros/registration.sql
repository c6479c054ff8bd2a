{#-
A join that adds `addresses.icao24`, the address of a registration in capitals and without hyphens. Of two airframes
with one registration (a register that has not forgotten the former one) the lower address is taken, so that it is
always the same one. The index of migration 0034 is on the same expression.
-#}
{%- macro address_of_registration(registration) -%}
left join lateral (
    select aircraft.icao24
    from {{ ref('stg_reference__aircraft') }} as aircraft
    where upper(replace(aircraft.registration, '-', '')) = {{ registration }}
    order by aircraft.icao24
    limit 1
) as addresses on true
{%- endmacro -%}
