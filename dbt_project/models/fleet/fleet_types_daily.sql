{{ config(indexes=[{'columns': ['flown_on', 'typecode'], 'unique': true}]) }}

{{ fleet_types_by(ref('fleet_daily'), 'flown_on') }}
