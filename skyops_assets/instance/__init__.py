"""Dagster's instance: its storage, its event log, who works on it, and putting it right.

Belongs here: what is read from and done to an instance (`check_results`, `events`, `processes`,
`repair`), leases and the executor that holds them (`lease`, `executor`), the classes that
dagster.yaml names (`storage`), and every private part of Dagster that is used (`private`). Does
not: definitions, and when something is done (`defs`).
"""
