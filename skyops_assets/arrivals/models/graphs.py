"""A version's ONNX graph in Postgres, and asking it: all that the service needs of a model.

Belongs here: keeping graphs (`ml.model_graphs`), loading one after checking it, its answers, and
what moved them. Does not: writing a graph (`learning.onnx_model`), or which version is asked. Numpy
and ONNX Runtime are all that asking needs: MLflow and what it loads take 300 MB and two seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import CATEGORICAL, FEATURE_GROUPS, FEATURES, SEED
from skyops_assets.arrivals.learning import onnx_model
from skyops_assets.arrivals.models import registry
from skyops_assets.arrivals.store import training, versions
from skyops_assets.arrivals.store.versions import ModelVersion
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from skyops_assets.warehouse.query import execute, fetch_all, fetch_one, insert_statement

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BACKGROUND_ROWS = 30
"""Of each airport, drawn from what a version has learned from: 0.1 ms of asking for each group."""
COLUMNS = "sha256, signature, content, background"
_KINDS = {"tensor(string)": "string", "tensor(double)": "double"}
_DECIMALS = 6
"""As `features.canonical_crossings`."""

Row = Mapping[str, Any]
"""Feature -> value; one that is not there is missing, as None is."""


class Graph:
    """A graph that was checked, and can be asked.

    Attributes:
        background: arrivals that the version has learned from.
    """

    def __init__(self, session: Any, background: Sequence[Row] = ()) -> None:
        self._session = session
        taken = [given.name for given in session.get_inputs()]
        self._texts = [name for name in taken if name in CATEGORICAL]
        self._numbers = [name for name in taken if name not in CATEGORICAL]
        self._outputs = [one.name for one in session.get_outputs()]
        self.background = background

    def ask(self, rows: Sequence[Row]) -> list[np.ndarray]:
        """Minutes of each row, then low and high where the version has an interval."""
        import numpy as np

        missing = float("nan")
        # A row of a table for each feature, so that each is a column of its own without a copy.
        numbers = np.array(
            [
                [missing if (value := row.get(name)) is None else value for row in rows]
                for name in self._numbers
            ],
            dtype="float64",
        )
        feeds = dict(
            zip(
                self._numbers,
                np.round(numbers, _DECIMALS).reshape(len(self._numbers), len(rows), 1),
                strict=True,
            )
        )
        for name in self._texts:
            texts = np.empty((len(rows), 1), dtype=object)
            texts[:, 0] = [row.get(name) or "" for row in rows]
            feeds[name] = texts
        found = self._session.run(self._outputs, feeds)
        return [one.astype("float64").ravel() for one in found]

    def moved(self, row: Row) -> list[tuple[str, float]]:
        """By how many minutes each group of features moves the answer, the furthest first.

        The answer, less the mean of those where the group's values are replaced, at once, by
        those of each background arrival of this airport (of all, where it has none). Replaced
        together, a sine stays with its cosine. It says how the model came to its answer, not what
        delayed the flight; effects overlap, and do not add up to the answer.
        """
        known = [one for one in self.background if one.get("airport") == row.get("airport")]
        others = known or self.background
        if not others:
            return []
        groups = {name: of for name, of in FEATURE_GROUPS.items() if name != "airport"}
        asked = [row, *({**row, **{name: other.get(name) for name in of}}
                        for of in groups.values() for other in others)]  # fmt: skip
        answer, *changed = self.ask(asked)[0].tolist()
        count = len(others)
        moved = [
            (name, answer - sum(changed[place * count : (place + 1) * count]) / count)
            for place, name in enumerate(groups)
        ]
        return sorted(moved, key=lambda one: -abs(one[1]))


def load(kept: Mapping[str, Any], label: str) -> Graph:
    """The graph of a row of `ml.model_graphs`, once it is what was kept.

    Args:
        kept: its `COLUMNS`.

    Raises:
        SkyOpsError: the content is not of its hash, takes or gives other than its signature says,
            or says other minutes of the background than it did.
    """
    import numpy as np

    content = bytes(kept["content"])
    if hashlib.sha256(content).digest() != bytes(kept["sha256"]):
        raise SkyOpsError(f"The graph of {label} does not match its SHA-256.")
    session = onnx_model.session(content)
    if signature(session) != kept["signature"]:
        raise SkyOpsError(
            f"The graph of {label} has inputs or outputs that differ from its signature."
        )
    strange = sorted(set(kept["signature"]["inputs"]) - set(FEATURES))
    if strange:
        raise SkyOpsError(
            f"The graph of {label} takes {', '.join(strange)}, which this SkyOps does not compute."
        )
    graph = Graph(session, kept["background"]["rows"])
    if graph.background:
        told = np.array(kept["background"]["minutes"], dtype="float64")
        apart = float(np.max(np.abs(graph.ask(graph.background)[0] - told)))
        if not apart <= onnx_model.TOLERANCE_MIN:
            raise SkyOpsError(
                f"The graph of {label} is {apart:.3f} minutes off its predictions when stored."
            )
    return graph


def signature(session: Any) -> dict[str, Any]:
    """What a graph takes, name by type, and what it gives."""
    return {
        "inputs": {one.name: _KINDS.get(one.type, one.type) for one in session.get_inputs()},
        "outputs": [one.name for one in session.get_outputs()],
    }


def keep(warehouse: Warehouse, version: ModelVersion, content: bytes, train: pd.DataFrame) -> None:
    """Keep a version's graph for the service, in the place of another one.

    Args:
        train: canonical arrivals that it has learned from; none, where they are gone.
    """
    from psycopg2 import Binary

    session = onnx_model.session(content)
    drawn = train.sample(frac=1, random_state=SEED).groupby("airport").head(BACKGROUND_ROWS)
    rows = json.loads(drawn.sort_index()[list(FEATURES)].to_json(orient="records"))
    minutes = Graph(session).ask(rows)[0].tolist() if rows else []
    row = {
        "model_name": version.model_name,
        "version": version.version,
        "sha256": hashlib.sha256(content).digest(),
        "signature": json.dumps(signature(session)),
        "content": Binary(content),
        "background": json.dumps({"rows": rows, "minutes": minutes}),
    }
    execute(
        warehouse,
        insert_statement("ml.model_graphs", row)
        + " on conflict (model_name, version) do update set sha256 = excluded.sha256,"
        " signature = excluded.signature, content = excluded.content,"
        " background = excluded.background, kept_at = clock_timestamp()"
        " where model_graphs.sha256 <> excluded.sha256",
        row,
    )


def fill_in(warehouse: Warehouse, settings: Settings) -> int:
    """Keep the graphs of versions of which there is none yet; those of before there were any.

    Returns:
        How many were kept. A version whose graph is not found is left out.
    """
    lacking = fetch_all(
        warehouse,
        "select v.model_name, v.version from ml.model_versions as v"
        " where not exists (select from ml.model_graphs as g"
        " where g.model_name = v.model_name and g.version = v.version)",
        {},
    )
    kept = 0
    for one in lacking:
        version = versions.version(warehouse, one["model_name"], one["version"])
        if version is None:
            continue
        with suppress(SkyOpsError):
            content = registry.onnx_of(warehouse, settings, version)
            keep(warehouse, version, content, _learned_from(warehouse, settings, version))
            kept += 1
    return kept


def read(warehouse: Warehouse, version: ModelVersion) -> Graph:
    """A version's graph.

    Raises:
        SkyOpsError: there is none, or it is not what was kept (`load`).
    """
    kept = fetch_one(
        warehouse,
        f"select {COLUMNS} from ml.model_graphs"  # noqa: S608
        " where model_name = %(name)s and version = %(version)s",
        {"name": version.model_name, "version": version.version},
    )
    if kept is None:
        raise SkyOpsError(
            f"The graph of {version.label} is not in the warehouse. Materialise ml/training_runs "
            "again: it adds it."
        )
    return load(kept, version.label)


def _learned_from(warehouse: Warehouse, settings: Settings, version: ModelVersion) -> pd.DataFrame:
    import pandas as pd

    from skyops_assets.arrivals.learning import split

    run = training.training_run(warehouse, version.training_run_id)
    if run is None:
        return pd.DataFrame(columns=list(FEATURES))
    try:
        rows = training.read_snapshot(settings, run.fingerprint)
    except SkyOpsError:
        return pd.DataFrame(columns=list(FEATURES))
    return split.temporal_split(rows, run.train_share).train
