"""The model loop's tables in Postgres, one module for each part of the loop.

Belongs here: what is written to and read from `ml`, `features` and `audit` for the model. Does
not: computing anything. A module is found by the name of its tables: `training` (training_sets,
training_runs), `versions` (model_versions, champion_changes), `evaluations`, `decisions`
(promotion_decisions), `predictions` (predictions, prediction_outcomes), and `inputs`, which reads
what the loop starts from.
"""
