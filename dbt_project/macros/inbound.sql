{#-
Whether an aircraft is on its way down to an airport, from what is known at that moment only: it heads
into the half-plane of the airport, does not climb, and is not above half as much again as a path of
3 degrees (97 m per NM) plus 1,500 m for level segments. Unknown altitude or trend does not exclude.
-#}
{%- macro is_inbound(track_offset_deg, vertical_rate_mps, height_m, distance_nm) -%}
coalesce({{ track_offset_deg }} <= 90, false)
and coalesce({{ vertical_rate_mps }} < 1.5, true)
and coalesce({{ height_m }} < 1500 + 1.5 * 97 * {{ distance_nm }}, true)
{%- endmacro -%}
