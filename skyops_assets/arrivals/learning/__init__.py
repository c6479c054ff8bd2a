"""Fits models: recipes, the search over them, intervals, baselines, the ONNX form.

Belongs here: rows in, a fitted model out. Does not: measuring it (`evaluation`), or keeping it
(`models`).
"""
