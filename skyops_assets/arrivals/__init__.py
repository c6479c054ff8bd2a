"""The arrival-time model: minutes from the first crossing of a ring to landing.

One verb per module: `features` (what a row is), `split`, `baselines`, `train` (with `recipes`,
`search` and `interval`), `evaluate`, `gatekeeper`, `explain`, `registry` (MLflow), `store`
(Postgres), `predict`, and `steps`, which chains them, one function per asset. No Dagster here,
and no feature is computed here: features are SQL. Importing this package loads no heavy library.
"""
