"""The warehouse: an embedded or external Postgres, its schema, and Arrow in and out.

Nothing here knows about flights, models or Dagster.
"""
