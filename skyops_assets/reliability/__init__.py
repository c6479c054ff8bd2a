"""How long components live, and which units are near their end: fitted, tried, decided.

Belongs here: lives from what an operator knows, survival models, models of sensor readings, the
gate that lets a recommendation through, and the tables that have it. Does not: rates and levels
(dbt's `reliability` models), loading what an operator gives.
"""
