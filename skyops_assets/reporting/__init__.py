"""Writes what people read: HTML pages, Markdown tables, plots.

Belongs here: the form of a report. Does not: the figures in it.
"""
