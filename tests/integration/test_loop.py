"""The loop on real arrivals: skill that sags, verdict, retraining, champion, predictions.

The schedules' and the sensor's own ticks say what to run, and that is run. `make loop` feeds all
three months into real processes; here one process does what they would, on the days that show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from skyops_assets.arrivals.steps import evaluate, promote, train
from skyops_assets.settings import load_settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Databases, Query
from tests.support.dbt import Dbt, call_tested

pytestmark = [pytest.mark.mirror, pytest.mark.xdist_group("loop")]

QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
LOG_ID = "skyops/monitoring_log_id"
FEATURES = dg.AssetKey(["features", "arrival_features"])
PREDICTIONS = dg.AssetKey(["ml", "predictions"])
OUTCOMES = dg.AssetKey(["ml", "prediction_outcomes"])


@pytest.fixture
def zurich(
    databases: Databases, pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """A warehouse that watches Zurich, with an MLflow of its own."""
    mlflow = databases.new(is_migrated=False)
    monkeypatch.setenv("SKYOPS_MLFLOW_DATABASE", str(mlflow.url.database))
    monkeypatch.setenv("SKYOPS_WATCH_AIRPORTS", "LSZH")
    # Nothing here depends on how good the models are.
    monkeypatch.setenv("SKYOPS_SEARCH_TRIALS", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield pointed
    databases.drop(mlflow)


class Platform:
    """The graph's own jobs, schedules and sensors on one instance, in this process."""

    def __init__(self, graph: Any, instance: dg.DagsterInstance) -> None:
        self.defs = graph.defs
        self.repository = graph.defs.get_repository_def()
        self.instance = instance

    def load(self, first: str, last: str) -> None:
        tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
        self.run("load_history", dg.RunRequest(tags=tags))

    def run(self, job: str, request: dg.RunRequest) -> str:
        chosen = self.defs.resolve_job_def(job)
        if request.asset_selection:
            chosen = chosen.get_subset(
                asset_selection=set(request.asset_selection),
                asset_check_selection=set(request.asset_check_keys or ()),
            )
        result = chosen.execute_in_process(
            instance=self.instance, run_config={**request.run_config, **QUIET}, tags=request.tags
        )
        return str(result.run_id)

    def tick(self, schedule: str, at: datetime) -> dg.RunRequest:
        """What a schedule asks for at a moment."""
        context = dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=at, repository_def=self.repository
        )
        (request,) = self.repository.get_schedule_def(schedule).evaluate_tick(context).run_requests
        return request

    def asked(self, sensor_name: str = "retrain_when_asked") -> list[dg.RunRequest]:
        """What a sensor that retrains asks for."""
        from skyops_assets.defs.resources import WarehouseResource

        context = dg.build_sensor_context(
            instance=self.instance,
            repository_def=self.repository,
            sensor_name=sensor_name,
            resources={
                "warehouse": WarehouseResource(),
                "graph": lambda: self.repository.asset_graph,
            },
        )
        sensor = self.repository.get_sensor_def(sensor_name)
        return list(sensor.evaluate_tick(context).run_requests or ())


VERDICT = """
select log_id, model_version, verdict, trigger, triggered, outcome, training_run_id
from audit.monitoring_log where kind = 'monitor' and model_name = %s order by log_id desc limit 1
"""
NAME, OUTER = "arrival-transit-40nm", "arrival-transit-100nm"
CHAMPIONS = """
select from_version, to_version, action from audit.champion_changes where model_name = %s
order by change_id
"""
PREDICTED = """
select p.model_version, count(*), count(o.error_min)
from ml.predictions as p
left join ml.prediction_outcomes as o
    using (flight_id, airport, ring_nm, model_name, model_version)
where p.model_name = %s and p.crossed_at >= %s and p.crossed_at < %s and not p.is_in_sample
group by 1 order by 1
"""


def test_skill_sags_and_a_successor_is_trained_and_predicts(
    graph: Any,
    zurich: Warehouse,
    lasting: dg.DagsterInstance,
    query: Query,
    dbt_of: Callable[[Warehouse], Dbt],
) -> None:
    from skyops_assets.defs.raw.assets import airports, runways
    from skyops_assets.defs.resources import resources

    platform, settings = Platform(graph, lasting), load_settings()
    assert dg.materialize([airports, runways], instance=lasting, resources=resources()).success
    platform.load("2019-03-01", "2019-03-10")
    platform.load("2019-05-09", "2019-05-22")
    morning = datetime(2019, 5, 23, 6, 30, tzinfo=UTC)
    # The job would take a minute: dbt's models run here without their tests and lineage.
    assert set(platform.tick("hourly_refresh", morning).asset_selection or ()) >= {
        FEATURES,
        OUTCOMES,
    }
    dbt_of(zurich)("run")
    call_tested(zurich)
    lasting.report_runless_asset_event(dg.AssetMaterialization(FEATURES))
    # The champion is of 10 March, made of what was known then.
    train.build_training_set(zurich, settings, as_of=datetime(2019, 3, 10, 4, tzinfo=UTC))
    train.train_challenger(zurich, settings)
    evaluate.evaluate_challenger(zurich, settings)
    assert promote.decide_promotion(zurich, settings).is_promoted
    platform.run("refresh", dg.RunRequest(asset_selection=[PREDICTIONS, OUTCOMES]))
    may = (datetime(2019, 5, 1, tzinfo=UTC), datetime(2019, 6, 1, tzinfo=UTC))
    [rows] = [known for version, _, known in query(zurich, PREDICTED, NAME, *may) if version == "1"]
    assert rows > 2_000
    assert platform.asked() == []

    platform.run("monitor", platform.tick("daily_monitoring", morning))
    [(log_id, version, *judged, outcome, _)] = query(zurich, VERDICT, NAME)
    assert (version, *judged, outcome) == ("1", "skill alarm", "skill", True, None)

    (request,) = platform.asked()
    assert request.tags[LOG_ID] == str(log_id)
    run_id = platform.run("retrain", request)
    run = lasting.get_run_by_id(run_id)
    assert run is not None and run.tags[LOG_ID] == str(log_id)

    [(*_, outcome, training_run_id)] = query(zurich, VERDICT, NAME)
    decision = query(
        zurich,
        "select is_promoted, dagster_run_id from ml.promotion_decisions where training_run_id = %s",
        training_run_id,
    )
    assert (outcome, decision) == ("promoted", [(True, run_id)])
    assert query(zurich, CHAMPIONS, NAME) == [(None, "1", "gatekeeper"), ("1", "2", "gatekeeper")]
    [(predicted, known)] = [
        row[1:] for row in query(zurich, PREDICTED, NAME, *may) if row[0] == "2"
    ]
    assert predicted >= known > 700
    assert platform.asked() == []

    # The same look asked for the outer ring's first model: by another sensor, in another run.
    [(outer_id, version, *judged, outcome, _)] = query(zurich, VERDICT, OUTER)
    assert (version, *judged, outcome) == (None, "no champion", "new arrivals", True, None)
    (request,) = platform.asked("retrain_when_asked_100nm")
    assert request.tags[LOG_ID] == str(outer_id)
    platform.run("retrain_100nm", request)
    [(*_, outcome, _)] = query(zurich, VERDICT, OUTER)
    assert outcome == "promoted"
    assert query(zurich, CHAMPIONS, OUTER) == [(None, "1", "gatekeeper")]
    assert len(query(zurich, CHAMPIONS, NAME)) == 2
    [(predicted, known)] = [row[1:] for row in query(zurich, PREDICTED, OUTER, *may)]
    assert predicted >= known > 700
