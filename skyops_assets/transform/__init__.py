"""Runs dbt: the project's SQL between raw and features, and what its tables look like afterwards.

Belongs here: dbt's arguments, manifests and targets, the columns and lineage of what it built. Does
not: the models themselves (`dbt_project`), the assets that show them (`defs.transform`).
"""
