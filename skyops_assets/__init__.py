"""SkyOps: flight-operations analytics on OpenSky data as one Dagster lineage graph."""

__version__ = "0.1.0"
