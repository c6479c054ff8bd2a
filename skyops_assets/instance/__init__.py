"""Dagster's instance: its storage, its event log, its processes, and putting it right.

Belongs here: what is read from and done to an instance (`check_results`, `events`, `processes`,
`repair`), the classes that dagster.yaml names (`storage`), and every private part of Dagster that
is used (`private`). Does not: definitions, and when something is done (`defs`).
"""
