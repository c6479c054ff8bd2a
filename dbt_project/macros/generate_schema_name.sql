{#- Schemas are named as configured: `staging`, not `<target>_staging`, so that a Dagster asset key equals the table's address. -#}
{%- macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro -%}
