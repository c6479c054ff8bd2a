"""Measurements: what a thing costs, as ratios from one run on one machine."""
