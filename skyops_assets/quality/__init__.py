"""Data quality: Great Expectations suites kept as readable files, and how they are run."""
