"""Conversion factors to SI units, exact by definition (ICAO Annex 5).

Belongs here: factors that more than one package needs. Does not: anything that is measured.
"""

FOOT_M = 0.3048
NAUTICAL_MILE_M = 1852.0
KNOT_MPS = NAUTICAL_MILE_M / 3600
FOOT_PER_MINUTE_MPS = FOOT_M / 60
