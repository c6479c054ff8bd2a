"""The asset graph, one folder a stage in flow order: the only code that imports Dagster.

Each folder holds ``assets.py``, ``checks.py`` and ``automation.py``, those that it needs.
Everything here is thin: it names assets, calls a domain package, and shows the result.
"""

import warnings

from dagster import BetaWarning

# Dagster tells which arguments are beta; that is no concern of who runs the platform.
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", BetaWarning)
