-- Who is predicted: so that what was said of an aircraft is found without its flight, which a rebuild may name anew.
-- Null in predictions from before, and callsign where none was sent until then.
alter table ml.predictions
    add column icao24 text,
    add column callsign text;

-- A look writes a row for each ring's model.
drop index audit.monitoring_log_once_per_run;
create unique index monitoring_log_once_per_run
    on audit.monitoring_log (kind, run_id, coalesce(model_name, '')) where run_id is not null;
