{#-
Joins the State of registration to a relation that has icao24, as `registration.country`: that of the address's block,
null where no State has it. The block that begins last before the address is the only one that can hold it.
-#}
{%- macro join_country(alias) -%}
left join lateral (
        select
            blocks.country,
            blocks.last_address
        from {{ ref('stg_reference__address_blocks') }} as blocks
        where blocks.first_address <= left({{ alias }}.icao24, 6)
        order by blocks.first_address desc
        limit 1
    ) as registration
        on left({{ alias }}.icao24, 6) <= registration.last_address
{%- endmacro -%}
