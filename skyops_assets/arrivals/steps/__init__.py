"""Chains the model loop, one module an asset; the steps meet in Postgres and MLflow only.

Belongs here: the order of reading, computing and writing, and what a step tells about itself. Does
not: rules or formulas (the packages beside), Dagster. Each step works alone and may be repeated: it
takes the latest state from the warehouse and leaves a complete one.
"""
