"""Looks after a running platform: its health, its state, the processes of `skyops up`.

Belongs here: what an operator asks and starts. Does not: data, models, definitions.
"""
