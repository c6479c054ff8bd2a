"""The open per-arrival history: what one of its rows may be, and the way into the warehouse.

Nothing here knows about Dagster or about what is learned from the arrivals.
"""
