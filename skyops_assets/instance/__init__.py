"""How Dagster's instance is kept: classes that dagster.yaml names."""
