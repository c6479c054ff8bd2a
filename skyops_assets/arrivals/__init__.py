"""The arrival-time model: minutes from the first crossing of a ring to landing.

`features` says what a row is; features themselves are SQL. From low to high: `store` (Postgres),
`learning` (what fits), `evaluation` (what measures), `gate` (what decides), `models` (a registered
version's life), `scoring` (predictions and outcomes), and `steps`, which chains them, one module an
asset. No Dagster here. Importing this package loads no heavy library.
"""
