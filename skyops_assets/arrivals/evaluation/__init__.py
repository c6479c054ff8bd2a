"""Measures models: errors, comparisons, slices, sanity checks, and how they are shown.

Belongs here: predictions and labels in, figures out. Does not: deciding by them (`gate`).
"""
