{#- What time it is: the server's clock, or what the session says that it is (`set skyops.now_at = '...'`), for a replay. -#}
{%- macro now_at() -%}
coalesce(nullif(current_setting('skyops.now_at', true), '')::timestamptz, now())
{%- endmacro -%}
