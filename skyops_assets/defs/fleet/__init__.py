"""Fleet, reliability, schedules and anomalous flights: what goes by the day, week and month."""
