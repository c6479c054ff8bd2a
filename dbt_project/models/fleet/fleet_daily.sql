{{ config(indexes=[{'columns': ['icao24', 'flown_on'], 'unique': true}, {'columns': ['flown_on', 'icao24']}]) }}

{{ fleet_by('day', 'flown_on') }}
