"""Keeps registered versions: MLflow, cards, the champion, its export, the probe, retention.

Belongs here: a version's life after it was fitted. Does not: fitting (`learning`), or deciding
(`gate`).
"""
