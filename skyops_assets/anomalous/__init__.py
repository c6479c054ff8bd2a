"""Flights that are unlike the others: scored by two models over the shape of each.

Belongs here: which shapes are compared, the models, why a flight is strange, its picture, the table
of scores. Does not: computing a shape, which is the dbt model `features.flight_shapes`.
"""
