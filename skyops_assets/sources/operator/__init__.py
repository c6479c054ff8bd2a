"""What an operator knows besides positions: schedules and maintenance records, all optional.

From a folder or a bucket into ``raw.schedules``, ``raw.maintenance_events`` and their like. Nothing
here knows about Dagster or computes anything from the rows.
"""
