-- A misspelt airport would otherwise have no crossings and nobody would notice.
{% for code in watch_airports() %}
    select '{{ code }}' as airport
    where '{{ code }}' not in (select watched.airport from {{ ref('int_airports__watched') }} as watched)
    {% if not loop.last %}union all{% endif %}
{% endfor %}
