"""Where data comes from: one room for each source, each a schema, a reader and a load.

Belongs here: OpenSky's positions (`opensky`), the open per-arrival history, weather reports,
airports and runways (`reference`), the aircraft database (`aircraft`), and the text tables that all
of them arrive as (`tables`). Does not: what is computed from the rows, and Dagster.
"""
