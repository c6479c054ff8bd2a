-- Operators name an airframe by its registration; positions have its address.
create index aircraft_by_registration on raw.aircraft (upper(replace(registration, '-', '')), icao24);
