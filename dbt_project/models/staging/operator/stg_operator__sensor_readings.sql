{{ config(materialized='standing_view') }}

select
    sensor_readings.fleet,
    sensor_readings.unit,
    sensor_readings.cycle,
    sensor_readings.airframe,
    addresses.icao24,
    sensor_readings.observed_on,
    sensor_readings.settings,
    sensor_readings.sensors,
    sensor_readings.is_failed
from {{ source('raw', 'sensor_readings') }} as sensor_readings
{{ address_of_registration('sensor_readings.airframe') }}
