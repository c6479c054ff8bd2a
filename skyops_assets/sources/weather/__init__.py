"""Weather reports of airports (METAR): what one says, and the way into the warehouse.

Nothing here knows about Dagster or about what is learned from the weather.
"""
