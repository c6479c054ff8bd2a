{{ config(indexes=[{'columns': ['month_on', 'typecode'], 'unique': true}]) }}

{{ fleet_types_by(ref('fleet_monthly'), 'month_on') }}
