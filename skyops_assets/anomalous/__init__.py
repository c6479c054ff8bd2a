"""Anomalous flights: the shape of each flight is scored by two models.

Belongs here: which shapes are compared, the models, the reasons for a score, the picture, the
table of scores. Does not: computing a shape, which is the dbt model `features.flight_shapes`.
"""
