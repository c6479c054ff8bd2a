{#-
Geometry on a spherical earth (radius 6,371,008.8 m, the mean of WGS84). Against the ellipsoid it is off
by at most 0.5 %, 370 m at 40 NM: two seconds of flight.
-#}

{%- macro metres_per_nm() -%}1852.0{%- endmacro -%}

{#- Great-circle distance in metres; null where a point is missing (`least` alone would pass over the null). -#}
{%- macro distance_m(from_latitude, from_longitude, to_latitude, to_longitude) -%}
2 * 6371008.8 * asin(least(1.0 + 0 * ({{ from_latitude }} + {{ from_longitude }} + {{ to_latitude }} + {{ to_longitude }}), sqrt(
    power(sind(({{ to_latitude }} - {{ from_latitude }}) / 2), 2)
    + cosd({{ from_latitude }}) * cosd({{ to_latitude }})
    * power(sind(({{ to_longitude }} - {{ from_longitude }}) / 2), 2)
)))
{%- endmacro -%}

{#- The cosine of the angle at the earth's centre under a ring's radius. -#}
{%- macro ring_cosine(ring_nm) -%}
cos({{ ring_nm }} * {{ metres_per_nm() }} / 6371008.8)
{%- endmacro -%}

{#- The widest ring's radius as degrees of latitude. -#}
{%- macro widest_ring_deg() -%}
degrees({{ var('rings_nm') | max }} * {{ metres_per_nm() }} / 6371008.8)
{%- endmacro -%}

{#- An angle brought into [0, 360). -#}
{%- macro normal_deg(angle) -%}
(({{ angle }}) - 360 * floor(({{ angle }}) / 360))
{%- endmacro -%}

{#- Initial bearing of the great circle, degrees true in [0, 360). -#}
{%- macro bearing_deg(from_latitude, from_longitude, to_latitude, to_longitude) -%}
{%- set angle -%}
atan2d(
    sind({{ to_longitude }} - {{ from_longitude }}) * cosd({{ to_latitude }}),
    cosd({{ from_latitude }}) * sind({{ to_latitude }})
    - sind({{ from_latitude }}) * cosd({{ to_latitude }}) * cosd({{ to_longitude }} - {{ from_longitude }})
)
{%- endset -%}
{{ normal_deg(angle) }}
{%- endmacro -%}

{#- Smallest angle between two directions in [0, 360), or two longitudes, 0 to 180. -#}
{%- macro angle_between_deg(one, other) -%}
(180 - abs(180 - abs({{ one }} - {{ other }})))
{%- endmacro -%}

{#- The compass octant of a bearing: N is 337.5 to 22.5 degrees. -#}
{%- macro sector(bearing) -%}
(array['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'])[(floor(({{ bearing }} + 22.5) / 45)::integer % 8) + 1]
{%- endmacro -%}

{#- A track as a runway would be named by it: tens of degrees, 01 to 36. -#}
{%- macro track_direction(track) -%}
lpad((1 + (round({{ track }} / 10)::integer + 35) % 36)::text, 2, '0')
{%- endmacro -%}

{#-
Metres along a line that begins at a point (for a runway: past its threshold), and beside it. On a plane that touches
the earth there: off by less than a metre on an airport.
-#}
{%- macro past_m(from_latitude, from_longitude, heading, latitude, longitude) -%}
(
    radians({{ latitude }} - {{ from_latitude }}) * cosd({{ heading }})
    + radians({{ longitude }} - {{ from_longitude }}) * cosd({{ from_latitude }}) * sind({{ heading }})
) * 6371008.8
{%- endmacro -%}

{%- macro beside_m(from_latitude, from_longitude, heading, latitude, longitude) -%}
abs(
    radians({{ longitude }} - {{ from_longitude }}) * cosd({{ from_latitude }}) * cosd({{ heading }})
    - radians({{ latitude }} - {{ from_latitude }}) * sind({{ heading }})
) * 6371008.8
{%- endmacro -%}
