"""Asks OpenSky for live positions: client, credits, failures, the collector and its spool.

Belongs here: HTTP, the credit budget, when to ask and for which boxes. Does not: what a response
says (`reading`), how its rows get into the warehouse (`loading`).
"""
