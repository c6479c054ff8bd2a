"""Studies of the platform on the past: what policies would have done, how often rules are wrong.

Belongs here: replays, and the calibration of the gatekeeper and of the alarms. Does not: anything
that a run of the graph needs.
"""
