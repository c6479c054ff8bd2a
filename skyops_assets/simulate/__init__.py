"""Flights whose truth is known, and the recording that OpenSky would have made of them.

Belongs here: making them (`fields`, `profiles`, `truth`), losing and spoiling them (`reception`),
files (`write`). Does not: judging what SkyOps makes of them.
"""
