{#-
Whether rows of a source are no observations: those of `skyops fake-opensky` (simulated:), and of `skyops simulate`
(synthetic:). The one definition; the marks by which a file or an answer gets such a source are in
skyops_assets/sources/opensky/reading (rest, formats).
-#}
{%- macro is_simulated(source) -%}
split_part({{ source }}, ':', 1) in ('simulated', 'synthetic')
{%- endmacro -%}
