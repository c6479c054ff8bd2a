"""Reads positions from files and responses: formats, columns, recordings, REST responses.

Belongs here: bytes to Arrow tables of state vectors, each rejected row with its reason. Does not:
asking OpenSky (`live`), writing to the warehouse (`loading`).
"""
