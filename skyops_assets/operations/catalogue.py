"""What `skyops tables` tells: each table, about how many rows it has, and what a row of it is.

dbt's descriptions say it of the tables that dbt makes or reads; `ABOUT` of the others.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from skyops_assets.operations.status import SCHEMAS, TABLES

if TYPE_CHECKING:
    from skyops_assets.warehouse.connection import Warehouse

ABOUT = {
    "raw.dropped_partitions": "One row per day whose positions retention has dropped.",
    "raw.operator_files": "One row per operator file, with the row counts of its last load.",
    "raw.opensky_credits": "One row per UTC day and OpenSky account, with the credits spent.",
    "raw.opensky_requests": "One row per request to OpenSky in progress or just finished.",
    "ml.challenger_evidence": "One row per training run, with what the gatekeeper measured.",
    "ml.component_lives": "One row per component and measure of its life, with the survival "
    "estimate.",
    "ml.failure_outlook": "One row per unit with sensor readings, with its predicted remaining "
    "life.",
    "ml.outlook_evaluations": "One row per fleet, question and model, with its errors on units "
    "that it was not fitted on.",
    "ml.evaluation_slices": "One row per candidate and slice of the test arrivals, with the error.",
    "ml.evaluations": "One row per candidate of an evaluation (baselines included), with its "
    "error.",
    "ml.feature_importance": "One row per training run and feature group, with the group's "
    "importance.",
    "ml.model_graphs": "One row per model version, with the ONNX graph that the service predicts "
    "with.",
    "ml.model_skill": "One row per model version, ring and landing day, with error and skill.",
    "ml.model_versions": "One row per registered version of the arrival model.",
    "ml.prediction_outcomes": "One row per prediction whose landing is known, with its error.",
    "ml.predictions": "One row per ring crossing and model, with callsign and minutes to landing.",
    "ml.promotion_decisions": "One row per decision of the gatekeeper, with its reasons.",
    "ml.service_predictions": "One row per record that the service predicted in the last 90 days.",
    "ml.training_runs": "One row per fit of a recipe on a training set.",
    "ml.training_sets": "One row per frozen set of arrivals for training and testing.",
    "metrics.flight_anomaly_scores": "One row per finished flight, with how far it is from the "
    "others.",
    "audit.reports": "One row per airport and week or month, with its report as an HTML page.",
    "audit.reliability_decisions": "One row per decision on an interval, limit or failure model.",
    "audit.alert_notices": "One row per alert and recipient.",
    "audit.alerts": "One row per problem that raised an alert.",
    "audit.environments": "One row per name of the environment that this warehouse belonged to.",
    "audit.model_copies": "One row per model version copied from another environment.",
    "audit.champion_changes": "One row per change of a ring's champion.",
    "audit.api_keys": "One row per API key: its owner, what it allows and when it expires.",
    "audit.corrections": "One row per correction of arrivals by a person: left out, or corrected.",
    "audit.pending_hours": "One row per hour that waits for the tests of a full build.",
    "audit.pending_ranges": "One row per address and time range that waits for the tests of a full "
    "build.",
    "audit.monitoring_log": "One row per verdict on the champion: skill, drift and the action "
    "taken.",
}


class Entry(NamedTuple):
    """A table of the warehouse.

    Attributes:
        rows: as Postgres estimates them; None of a view.
        about: one sentence.
    """

    table: str
    rows: int | None
    about: str


def catalogue(warehouse: Warehouse) -> list[Entry]:
    """Every table and view, in the order of the graph; the transform's own notes are left out."""
    described = {**descriptions(), **ABOUT}
    with warehouse.connect() as connection, connection.cursor() as cursor:
        # A new table's estimate is -1, and that of a table of partitions is of its last analyze.
        cursor.execute(
            "select n.nspname || '.' || c.relname, case when c.relkind <> 'v' then ("  # noqa: S608
            "select sum(greatest(part.reltuples, pg_stat_get_live_tuples(part.oid), 0))::bigint "
            "from pg_class as part "
            "where part.oid in (select relid from pg_partition_tree(c.oid) where isleaf "
            f"union all select c.oid where c.relkind = 'r')) end {TABLES}",
            (list(SCHEMAS), list(SCHEMAS)),
        )
        return [Entry(name, rows, described.get(name, "")) for name, rows in cursor.fetchall()]


def descriptions() -> dict[str, str]:
    """The first sentence of dbt's description of each table, by ``schema.table``."""
    from skyops_assets.transform.dbt import prepare_manifest

    manifest = json.loads(prepare_manifest().read_bytes())
    return {
        f"{node['schema']}.{node['name']}": first_sentence(node["description"])
        for node in (*manifest["nodes"].values(), *manifest["sources"].values())
        if node["resource_type"] in ("model", "source", "seed") and node["description"]
    }


def first_sentence(text: str) -> str:
    """A text up to its first full stop or colon, in one line."""
    line = " ".join(text.split())
    ends = [line.find(f"{sign} ") for sign in ".:"]
    end = min((one for one in ends if one >= 0), default=len(line))
    return line[:end].rstrip(".") + "."
