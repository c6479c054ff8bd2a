{{ config(indexes=[{'columns': ['icao24', 'month_on'], 'unique': true}, {'columns': ['month_on', 'icao24']}]) }}

{{ fleet_by('month', 'month_on') }}
