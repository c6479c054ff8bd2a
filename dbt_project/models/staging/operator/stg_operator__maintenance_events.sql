{{ config(materialized='standing_view') }}

select
    maintenance_events.event_id,
    maintenance_events.occurred_on,
    maintenance_events.airframe,
    addresses.icao24,
    maintenance_events.operator,
    maintenance_events.aircraft_model,
    maintenance_events.jasc_code,
    maintenance_events.part_number,
    maintenance_events.part_name,
    maintenance_events.part_position,
    maintenance_events.serial_number,
    maintenance_events.is_scheduled,
    maintenance_events.is_removal,
    maintenance_events.is_confirmed,
    maintenance_events.task,
    maintenance_events.airframe_hours,
    maintenance_events.airframe_cycles,
    maintenance_events.part_hours,
    maintenance_events.part_cycles,
    maintenance_events.part_hours_since,
    maintenance_events.condition,
    maintenance_events.narrative
from {{ source('raw', 'maintenance_events') }} as maintenance_events
{{ address_of_registration('maintenance_events.airframe') }}
