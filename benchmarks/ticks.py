"""How long one tick of each sensor and schedule takes with a year of events behind it.

The year is hourly: each hour's positions are loaded, and what follows is built and checked, which
makes 6.7 million events. One such hour is told through Dagster's API and copied in SQL. Steps,
output and plans of runs are left out: no sensor reads them. `make bench` takes a month; the year
needs 14 GB and some minutes: `skyops exec -- python -m benchmarks.ticks [HOURS]`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.storage import Row, show
from skyops_assets.instance import check_results

if TYPE_CHECKING:
    import dagster as dg
    from psycopg2.extensions import cursor as Cursor

    from skyops_assets.warehouse.connection import Warehouse

HOURS = 365 * 24
MONTH = 30 * 24
ALLOWED_S = 1.0
DAGSTER = "skyops_bench_dagster"
ROUNDS = 3
COPIED = ("runs", "run_tags", "event_logs", "asset_check_executions")
"""Dagster's tables of runs, in the order in which rows may be added."""


def measure(hours: int = HOURS) -> Iterator[Row]:
    """A tick of each, after what one hour adds; the fastest of three, as nothing may disturb it.

    And the very first, without a cursor: that of `retrain_when_asked` starts a run.
    """
    from skyops_assets.definitions import usual_defs

    with instance_with(hours) as (instance, warehouse, rows):
        fill_log(warehouse, hours)
        repository = usual_defs().get_repository_def()
        for name, tick in ticks(instance, repository):
            first, cursor = timed(lambda tick=tick: tick(None))
            an_hour(instance, usual_defs(), hours + 1)
            spent = [timed(lambda tick=tick, at=cursor: tick(at))[0] for _ in range(ROUNDS)]
            yield (
                f"tick of {name}",
                f"{min(spent):.2f} s (the very first {first:.2f} s)",
                f"allowed {ALLOWED_S:g} s; {hours:,} hours, {rows:,} events",
                f"{max(first, min(spent)) / ALLOWED_S:.2f}",
            )


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def ticks(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Name, and what evaluates it from a cursor and returns the next one."""
    import dagster as dg

    from skyops_assets.definitions import usual_defs
    from skyops_assets.defs.resources import WarehouseResource

    for sensor in repository.sensor_defs:
        if sensor.sensor_type.value == "AUTO_MATERIALIZE":

            def automation(cursor: Any) -> Any:
                # Dagster's own use of what it calls beta.
                warnings.simplefilter("ignore", dg.BetaWarning)
                return dg.evaluate_automation_conditions(
                    usual_defs(), instance, cursor=cursor
                ).cursor

            yield sensor.name, automation
            continue

        def one(cursor: Any, sensor: dg.SensorDefinition = sensor) -> Any:
            context = dg.build_sensor_context(
                instance=instance,
                cursor=cursor,
                repository_def=repository,
                repository_name=repository.name,
                sensor_name=sensor.name,
                resources={"warehouse": WarehouseResource()},
            )
            return sensor.evaluate_tick(context).cursor

        yield sensor.name, one
    for schedule in repository.schedule_defs:

        def planned(_: Any, schedule: dg.ScheduleDefinition = schedule) -> None:
            context = dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=datetime.now(UTC),
                repository_def=repository,
            )
            schedule.evaluate_tick(context)

        yield schedule.name, planned


@contextmanager
def instance_with(hours: int) -> Iterator[tuple[dg.DagsterInstance, Warehouse, int]]:
    """A Dagster instance with its history, a warehouse, and how many events there are."""
    import dagster as dg

    from skyops_assets.definitions import usual_defs
    from skyops_assets.settings import PROJECT_ROOT, load_settings
    from skyops_assets.warehouse import scratch
    from skyops_assets.warehouse.connection import open_warehouse

    server = open_warehouse(load_settings())
    before = dict(os.environ)
    with (
        scratch.scratch(server, "skyops_bench", DAGSTER) as warehouse,
        tempfile.TemporaryDirectory() as home,
    ):
        os.environ |= {
            "SKYOPS_WAREHOUSE_URL": warehouse.libpq(),
            "SKYOPS_DAGSTER_URL": warehouse.sqlalchemy(DAGSTER),
            "DAGSTER_HOME": home,
        }
        (Path(home) / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
        try:
            with dg.DagsterInstance.get() as instance:
                template = an_hour(instance, usual_defs(), 0)
                yield instance, warehouse, copy_hours(warehouse, template, hours)
        finally:
            os.environ.clear()
            os.environ.update(before)


def an_hour(instance: dg.DagsterInstance, defs: dg.Definitions, number: int) -> str:
    """What one hour's run of the main job tells Dagster; the number of the run."""
    import dagster as dg
    from dagster._core.events import (
        AssetCheckEvaluation,
        DagsterEvent,
        DagsterEventType,
        StepMaterializationData,
    )

    from skyops_assets.defs.raw.assets import HOURS as PARTITIONS
    from skyops_assets.defs.raw.automation import HISTORY_KEY, RAW

    job = defs.resolve_job_def("main")
    run = instance.create_run_for_job(job, tags={"skyops/writes": "warehouse"})
    partition = (PARTITIONS.start + timedelta(hours=number)).strftime(PARTITIONS.fmt)
    graph = job.asset_layer.asset_graph

    def tell(kind: DagsterEventType, data: Any, step: str | None = None) -> None:
        event = DagsterEvent(kind.value, job.name, event_specific_data=data, step_key=step)
        instance.report_dagster_event(event, run.run_id)

    for kind in (DagsterEventType.RUN_STARTING, DagsterEventType.RUN_START):
        tell(kind, None)
    for key in job.asset_layer.selected_asset_keys:
        if key == HISTORY_KEY:
            continue
        made = dg.AssetMaterialization(key, partition=partition if key == RAW else None)
        data = StepMaterializationData(made, [])
        tell(DagsterEventType.ASSET_MATERIALIZATION, data, "__".join(key.path))
    for check in graph.asset_check_keys:
        found = AssetCheckEvaluation(
            asset_key=check.asset_key, check_name=check.name, passed=True, metadata={}
        )
        tell(DagsterEventType.ASSET_CHECK_EVALUATION, found, check.name)
    tell(DagsterEventType.RUN_SUCCESS, None)
    return str(run.run_id)


def copy_hours(warehouse: Warehouse, run_id: str, hours: int) -> int:
    """Copy a run into each of the hours before it, the newest last; how many events there are."""
    with warehouse.connect(DAGSTER) as connection, connection.cursor() as cursor:
        copy_run(cursor, run_id, range(1, hours + 1), hours + 1)
        # The template is the oldest by its number and the newest by its time: it goes.
        for table in reversed(COPIED):
            cursor.execute(f"delete from {table} where run_id = %s", (run_id,))
        # As the weekly clean-up leaves it.
        cursor.execute(check_results.INDEX)
        cursor.execute("select count(*) from event_logs")
        (rows,) = cursor.fetchone() or (0,)
    with warehouse.connect(DAGSTER, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("analyze")
    return int(rows)


def copy_run(
    cursor: Cursor, run_id: str, hours: range, newest: int, source: str = "public"
) -> None:
    """Copy a run into each of the hours, of which `newest` is the present one.

    Args:
        source: the schema of the tables that hold the run.
    """
    cursor.execute(
        "create temp table copies as select n, gen_random_uuid()::text as run_id, "
        "(%s - n) * 3600 as earlier_s from generate_series(%s, %s) as n",
        (newest, hours[0], hours[-1]),
    )
    for table in COPIED:
        cursor.execute(
            "select quote_ident(column_name) from information_schema.columns where "
            "table_schema = 'public' and table_name = %s and column_name <> 'id' "
            "order by ordinal_position",
            (table,),
        )
        names = [name for (name,) in cursor.fetchall()]
        shown = ", ".join(_copied(name) for name in names)
        cursor.execute(
            f"insert into {table} ({', '.join(names)}) select {shown} from copies as c "
            f"cross join {source}.{table} as t where t.run_id = %s order by c.n, t.id",
            (run_id,),
        )
    cursor.execute("drop table copies")


def _copied(column: str) -> str:
    """A column of a copy: its own run, and so many seconds earlier."""
    if column == "run_id":
        return "c.run_id"
    if column in (
        "timestamp",
        "create_timestamp",
        "update_timestamp",
        "evaluation_event_timestamp",
    ):
        return f"t.{column} - make_interval(secs => c.earlier_s)"
    if column in ("start_time", "end_time"):
        return f"t.{column} - c.earlier_s"
    if column in ("event", "evaluation_event", "run_body"):
        return f"replace(t.{column}, t.run_id, c.run_id)"
    if column == "partition":
        return (
            "case when t.partition is not null then to_char(to_timestamp(t.partition, "
            "'YYYY-MM-DD-HH24:MI') + make_interval(hours => c.n::int), 'YYYY-MM-DD-HH24:MI') end"
        )
    return f"t.{column}"


def fill_log(warehouse: Warehouse, hours: int) -> None:
    """A verdict a day, one of which a week asked for a retraining; the newest waits for one."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into audit.monitoring_log (kind, model_name, verdict, triggered, outcome) "
            "select 'monitor', 'arrival-transit-40nm', 'ok', n %% 7 = 0, "
            "case when n %% 7 = 0 and n > 0 then 'not promoted' end "
            "from generate_series(%s, 0, -1) as n",
            (hours // 24,),
        )


def main() -> None:
    """This table alone; a number of hours makes it quicker."""
    show(measure(*(int(argument) for argument in sys.argv[1:] if argument.isdigit())))


if __name__ == "__main__":
    main()
