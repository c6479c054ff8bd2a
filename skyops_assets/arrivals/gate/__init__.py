"""Decides on promotion: pure functions of the evidence.

Belongs here: the policy, its evidence as values, its decision and how that is shown. Does not:
measuring (`evaluation`, `models.probe`), reading and writing (`steps`, `store`).
"""
