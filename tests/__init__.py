"""The tests. A package, so that no other installed `tests` is taken for it."""
