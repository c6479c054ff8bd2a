-- Within the whole flights of a range, from when on a run of the live models rebuilds and reads what.
alter table audit.transform_ranges
    -- raw positions are read,
    add column read_from_at timestamptz,
    -- flights are rebuilt (a flight's start),
    add column flight_from_at timestamptz,
    -- positions are read for movements and anomalies, and these rebuilt.
    add column event_read_from_at timestamptz,
    add column event_from_at timestamptz,
    add column anomaly_from_at timestamptz,
    -- Ten-minute summaries are rebuilt whole.
    add column summary_from_at timestamptz
        generated always as (date_bin('10 minutes', changed_from_at, timestamptz '1970-01-01 00:00:00+00')) stored;
