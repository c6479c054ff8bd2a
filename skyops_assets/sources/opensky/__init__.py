"""OpenSky's data as Arrow: the state-vector schema and the recordings that hold it.

Nothing here knows about Dagster or about what is computed from the positions.
"""
