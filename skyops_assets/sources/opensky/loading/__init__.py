"""Loads state vectors into the warehouse: batches, day partitions, files, rejected rows.

Belongs here: everything that writes `raw.opensky_states` or loads its rejected rows again. Does
not: reading formats (`reading`), asking OpenSky (`live`).
"""
