"""Watching the platform itself: what is written to the audit schema, and when to raise a hand."""
