"""`make loop`: the whole loop on real data, in a running instance that nobody touches.

`skyops up` runs in a home of its own, with its real daemon, code server and run workers. This
feeder does two things only, both as a person could in the UI: it materialises the next days of
`raw/arrivals_history`, and it asks the schedules what they would start at the end of those days
("Test schedule") and launches that, because schedules go by the wall clock and the data by its own.
All else happens by itself: sensors, retraining, the gatekeeper, the champion, later predictions.

With ``--by-skill`` age, new arrivals and Mondays ask for nothing once there is a champion: it stays
until its skill sags. With ``--kills`` the same days are fed twice, the second time under kill -9 at
random moments, and both must end with the same tables.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from skyops_assets.arrivals.features import RINGS_NM, named
from skyops_assets.arrivals.store.versions import model_name
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import dagster as dg
    import psutil

    from skyops_assets.warehouse.connection import Warehouse

AIRPORT = "LSZH"
BATCH_DAYS = 7
LOOK_EVERY_S = 1.0
PATIENCE_S = 1200.0
"""For what must happen; a busy machine is no failure."""
LOOKED_AT = timedelta(hours=6, minutes=30)
"""When the schedule `daily_monitoring` looks at the days before."""
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
LOG_ID = "skyops/monitoring_log_id"
PARENT = "dagster/parent_run_id"
BY_SKILL = {"max_age_days": None, "new_arrivals": None, "first_arrivals": 6000}
"""Three weeks of LSZH before the first champion."""
PREY = ("daemon", "code server", "run worker")

out = Console(width=160, highlight=False)


class Broken(Exception):
    """A link of the chain is missing, or what was to happen did not."""


def main() -> None:
    arguments = _arguments()
    days = [day for day in known_days() if arguments.start <= day <= arguments.end]
    if not days:
        raise SkyOpsError(f"There is no history of {AIRPORT} in that time.")
    batches = cut(days, arguments.batch, arguments.daily_from)
    if arguments.by_skill:
        os.environ["SKYOPS_RETRAIN_POLICY"] = json.dumps(BY_SKILL)
    with _folder(arguments.keep) as folder:
        began = time.monotonic()
        with instance_at(folder / "a") as calm:
            feed(calm, batches, has_mondays=not arguments.by_skill)
            show(calm)
            links(calm)
            if arguments.by_skill:
                sagged = calm.rows(
                    "select outcome from audit.monitoring_log where trigger = 'skill' and triggered"
                )
                _require(("promoted",) in sagged, "no champion was replaced because skill sagged")
            expected = content(calm.warehouse) if arguments.kills else {}
        out.print(f"{len(days)} days in {(time.monotonic() - began) / 60:.1f} minutes")
        if arguments.kills:
            undisturbed_s = time.monotonic() - began
            with instance_at(folder / "b") as hunted:
                killer = Killer(hunted, arguments.kills, undisturbed_s, arguments.seed)
                killer.start()
                feed(hunted, batches, has_mondays=not arguments.by_skill)
                killer.stop()
                hunted.settle()
                hunted.revive()
                show(hunted)
                links(hunted)
                clean(hunted)
                same(content(hunted.warehouse), expected)
            out.print(killer.summary())
            out.print(f"The tables equal those of {undisturbed_s / 60:.1f} undisturbed minutes.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=date.fromisoformat, default=date.min)
    parser.add_argument("--end", type=date.fromisoformat, default=date.max)
    parser.add_argument("--batch", type=int, default=BATCH_DAYS, help="Days fed at once.")
    parser.add_argument(
        "--daily-from", type=date.fromisoformat, default=date.max, help="From here day by day."
    )
    parser.add_argument(
        "--by-skill", action="store_true", help="Neither age, new arrivals nor Mondays ask."
    )
    parser.add_argument("--kills", type=int, default=0, help="Feed again, with so many kill -9.")
    parser.add_argument("--seed", type=int, default=1, help="Of the moments of the kills.")
    parser.add_argument("--keep", type=Path, help="Folder that stays, to look at it afterwards.")
    return parser.parse_args()


def known_days() -> list[date]:
    """The days of 2019 and March 2020 that the history has."""
    from skyops_assets.sources.history.source import pins

    return sorted(
        date.fromisoformat(name[5:15])
        for name in pins()
        if name.startswith((f"{AIRPORT}-2019", f"{AIRPORT}-2020-03"))
    )


def cut(days: Sequence[date], length: int, daily_from: date) -> list[list[date]]:
    """Runs of at most so many days, none over a gap between the months; single days at the end."""
    batches: list[list[date]] = []
    for day in days:
        last = batches[-1] if batches else []
        is_next = bool(last) and day - last[-1] == timedelta(days=1)
        if is_next and len(last) < length and day < daily_from:
            last.append(day)
        else:
            batches.append([day])
    return batches


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    # Short: the path of a socket holds 107 characters.
    folder = keep or Path(tempfile.mkdtemp(prefix="loop-", dir="/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


# The running instance


@dataclass
class Running:
    """`skyops up` in a home of its own, and how to speak to it.

    Attributes:
        restarts: of `skyops up`, which gives up where services end too often.
        is_up: whether it has come up since.
        times: seconds by job, waiting included.
    """

    home: Path
    warehouse: Warehouse
    dagster: dg.DagsterInstance
    environment: dict[str, str]
    port: int
    up: subprocess.Popen[bytes]
    log: Path
    restarts: int = 0
    is_up: bool = True
    times: Counter[str] = field(default_factory=Counter)

    def revive(self) -> None:
        """Start `skyops up` again where it gave up: too many services ended within ten minutes."""
        if self.up.poll() is None:
            return
        self.restarts += 1
        self.is_up = False
        self.up = _up(self.environment, self.log)
        self.answers()
        self.is_up = True

    def answers(self) -> None:
        """Wait until the graph can be asked."""
        until = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError, ValueError, Broken):
                self.ask("{ version }", {})
                return
            if self.up.poll() is not None or time.monotonic() > until:
                raise Broken(f"skyops up does not answer; see {self.log}")
            time.sleep(LOOK_EVERY_S)

    def ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """One question to Dagster's GraphQL, as its UI asks.

        Raises:
            Broken: it answers with an error.
        """
        import httpx

        try:
            answer = httpx.post(
                f"http://127.0.0.1:{self.port}/graphql",
                json={"query": query, "variables": variables},
                timeout=120,
            ).json()
        except httpx.HTTPError as error:
            raise OSError(str(error)) from error
        if "errors" in answer or answer.get("data") is None:
            raise Broken(str(answer)[:2000])
        data: dict[str, Any] = answer["data"]
        return data

    def persist(self, query: str, variables: dict[str, Any], wanted: str) -> dict[str, Any]:
        """Ask until the answer is of the kind that is wanted: a killed code server comes back."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                (answer,) = self.ask(query, variables).values()
                if answer["__typename"] == wanted:
                    return dict(answer)
                problem = str(answer)
            except (OSError, ValueError, Broken) as error:
                problem = str(error)
            if time.monotonic() > until:
                raise Broken(f"Dagster does not do what is asked: {problem[:2000]}")
            self.revive()
            time.sleep(LOOK_EVERY_S)

    def launch(self, job: str, tags: dict[str, str], request: dict[str, Any] | None = None) -> str:
        """Launch a job as the UI's launchpad does; the run's number."""
        request = request or {}
        selector = {**LOCATION, "jobName": job}
        if request.get("assetSelection"):
            selector["assetSelection"] = [{"path": k["path"]} for k in request["assetSelection"]]
        if request.get("assetChecks"):
            selector["assetCheckSelection"] = [
                {"assetKey": {"path": c["assetKey"]["path"]}, "name": c["name"]}
                for c in request["assetChecks"]
            ]
        parameters = {
            "selector": selector,
            "runConfigData": request.get("runConfigYaml", "{}"),
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in tags.items()]
            },
        }
        answer = self.persist(LAUNCH, {"parameters": parameters}, "LaunchRunSuccess")
        return str(answer["run"]["runId"])

    def schedule(self, name: str, at: datetime) -> list[dict[str, Any]]:
        """What a schedule would start at a moment."""
        variables = {"selector": {**LOCATION, "scheduleName": name}, "at": at.timestamp()}
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self.persist(DRY_RUN, variables, "DryRunInstigationTick")
            result = answer["evaluationResult"]
            if result is not None and not result["error"]:
                return list(result["runRequests"] or [])
            if time.monotonic() > until:
                raise Broken(f"The schedule {name} fails: {result}")
            time.sleep(LOOK_EVERY_S)

    def follow(self, run_id: str, what: str) -> bool:
        """Wait for the end of a run, and of the second try that Dagster gives one which died."""
        until = time.monotonic() + PATIENCE_S
        began = time.monotonic()
        while time.monotonic() < until:
            self.revive()
            run = self.dagster.get_run_by_id(run_id)
            if run is not None and run.is_finished:
                if run.is_success:
                    self.times[what] += round(time.monotonic() - began)
                    return True
                again = self._second_try(run_id)
                if again is None:
                    return False
                run_id = again
            time.sleep(LOOK_EVERY_S)
        raise Broken(f"The run {run_id} of {what} does not end.")

    def _second_try(self, run_id: str) -> str | None:
        import dagster as dg

        until = time.monotonic() + 90
        while time.monotonic() < until:
            self.revive()
            runs = self.dagster.get_runs(dg.RunsFilter(tags={PARENT: run_id}))
            if runs:
                return runs[0].run_id
            run = self.dagster.get_run_by_id(run_id)
            if run is None or run.tags.get("dagster/will_retry") == "false":
                return None
            time.sleep(LOOK_EVERY_S)
        return None

    def settle(self) -> None:
        """Wait until nothing runs or waits."""
        until = time.monotonic() + PATIENCE_S
        while unfinished(self.dagster):
            self.revive()
            if time.monotonic() > until:
                raise Broken(f"These runs do not end: {unfinished(self.dagster)}")
            time.sleep(LOOK_EVERY_S)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall()


LOCATION = {"repositoryName": "__repository__", "repositoryLocationName": "skyops"}
LAUNCH = """mutation Launch($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""
DRY_RUN = """mutation DryRun($selector: ScheduleSelector!, $at: Float) {
  scheduleDryRun(selectorData: $selector, timestamp: $at) {
    __typename
    ... on DryRunInstigationTick {
      evaluationResult {
        skipReason
        error { message }
        runRequests {
          jobName runConfigYaml
          tags { key value }
          assetSelection { path }
          assetChecks { name assetKey { path } }
        }
      }
    }
  }
}"""


@contextmanager
def instance_at(home: Path) -> Iterator[Running]:
    """`skyops up` in an empty home, until the end of the block."""
    import dagster as dg

    from skyops_assets.runtime import prepare
    from skyops_assets.settings import Settings

    ui, docs, service = free_port(), free_port(), free_port()
    environment = {
        **os.environ,
        "SKYOPS_HOME": str(home),
        "SKYOPS_UI_PORT": str(ui),
        "SKYOPS_DOCS_PORT": str(docs),
        "SKYOPS_SERVICE_PORT": str(service),
        "SKYOPS_WATCH_AIRPORTS": AIRPORT,
        "SKYOPS_HISTORY_AIRPORTS": AIRPORT,
    }
    for name in ("SKYOPS_DATABASE_URL", "SKYOPS_WAREHOUSE_URL", "DAGSTER_HOME"):
        environment.pop(name, None)
    os.environ.update({name: environment[name] for name in environment if name[:7] == "SKYOPS_"})
    os.environ.pop("SKYOPS_WAREHOUSE_URL", None)
    warehouse = prepare(Settings(home=home, database_url=None, warehouse_url=None))
    log = home / "up.log"
    up = _up(environment, log)
    with dg.DagsterInstance.get() as instance:
        running = Running(home, warehouse, instance, environment, ui, up, log)
        try:
            running.answers()
            out.print(f"Running: http://localhost:{ui} (home {home})")
            yield running
        finally:
            running.up.terminate()
            running.up.wait(60)


def _up(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "skyops_assets.cli", "up"],
            env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unfinished(instance: dg.DagsterInstance) -> list[str]:
    import dagster as dg

    statuses = [dg.DagsterRunStatus(one) for one in UNFINISHED]
    runs = instance.get_runs(dg.RunsFilter(statuses=statuses))
    return [f"{run.job_name} {run.run_id} {run.status.value}" for run in runs]


# Feeding


def feed(running: Running, batches: Sequence[Sequence[date]], *, has_mondays: bool = True) -> None:
    """Feed batch by batch; what follows from one has ended before the next comes."""
    for number, days in enumerate(batches, start=1):
        began = time.monotonic()
        first, last = days[0].isoformat(), days[-1].isoformat()
        load = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        while not running.follow(running.launch("load_history", load), "load"):
            pass
        at = datetime.combine(days[-1], datetime.min.time(), UTC) + timedelta(days=1) + LOOKED_AT
        _tick(running, "hourly_refresh", at)
        # On Mondays a challenger is asked for in any case.
        monday = has_mondays and at.weekday() == 0
        _tick(running, "weekly_retrain" if monday else "daily_monitoring", at)
        outcome = _retrained(running)
        running.settle()
        out.print(
            f"{number}/{len(batches)} {first} to {last}: {_newest(running)}; {outcome} "
            f"({time.monotonic() - began:.0f} s)"
        )


def _tick(running: Running, schedule: str, at: datetime) -> None:
    """Launch what a schedule would; again where it died twice, as the schedule's next tick does."""
    while True:
        requests = running.schedule(schedule, at)
        done = [
            running.follow(
                running.launch(
                    JOBS[schedule],
                    {tag["key"]: tag["value"] for tag in request["tags"]},
                    request,
                ),
                JOBS[schedule],
            )
            for request in requests
        ]
        if all(done):
            return


JOBS = {"hourly_refresh": "refresh", "daily_monitoring": "monitor", "weekly_retrain": "monitor"}


def _retrained(running: Running) -> str:
    """Wait for the runs that the sensors start where the newest verdicts ask for them."""
    return ", ".join(f"{ring} NM: {_retrained_at(running, ring)}" for ring in RINGS_NM)


def _retrained_at(running: Running, ring_nm: int) -> str:
    import dagster as dg

    [(log_id, triggered)] = running.rows(
        "select log_id, triggered from audit.monitoring_log where kind = 'monitor' "
        "and model_name = %s order by log_id desc limit 1",
        model_name(ring_nm),
    )
    if not triggered:
        return "no retraining"
    until = time.monotonic() + PATIENCE_S
    while not (runs := running.dagster.get_runs(dg.RunsFilter(tags={LOG_ID: str(log_id)}))):
        running.revive()
        if time.monotonic() > until:
            raise Broken(f"No run answers the row {log_id} of audit.monitoring_log.")
        time.sleep(LOOK_EVERY_S)
    if not running.follow(runs[-1].run_id, named("retrain", ring_nm)):
        # Killed twice. A person would press the button.
        out.print(f"The retraining of row {log_id} died twice; the button is pressed.")
        config = "{ops: {audit__monitoring_log: {config: {request: button}}}}"
        while not running.follow(
            running.launch("monitor", {}, {"runConfigYaml": config}), "monitor"
        ):
            pass
        return _retrained_at(running, ring_nm)
    [(outcome,)] = running.rows(
        "select outcome from audit.monitoring_log where log_id = %s", log_id
    )
    return f"retrained, {outcome}"


def _newest(running: Running) -> str:
    newest = running.rows(
        "select distinct on (model_name) model_name, model_version, verdict, skill, trigger "
        "from audit.monitoring_log where kind = 'monitor' order by model_name, log_id desc"
    )
    return "; ".join(
        f"champion {name}:{version or 'none'}, {verdict}, skill {_text(skill)}, "
        f"asked by {trigger or 'nothing'}"
        for name, version, verdict, skill, trigger in newest
    )


# The chain, read from the tables


VERDICTS = """
select
    window_end_at::date, model_name || ':' || coalesce(model_version, '-'),
    (details ->> 'rows')::int, skill, mae_min, drift_score, verdict, trigger,
    triggered, outcome, improvement
from audit.monitoring_log where kind = 'monitor' order by log_id
"""
DECISIONS = """
select d.decision_id, m.test_through_at::date, d.challenger_version, d.champion_version,
    d.is_promoted, c.change_id, d.summary
from ml.promotion_decisions as d
inner join ml.training_runs as m using (training_run_id)
left join audit.champion_changes as c using (decision_id)
order by d.decision_id
"""
# Of a champion: what was predicted as it crossed, with an outcome, by it first.
PREDICTIONS = """
select
    p.model_name, p.model_version, count(*), min(p.crossed_at)::date, max(p.crossed_at)::date,
    count(*) filter (where o.outcome = 'landed'),
    avg(abs(o.error_min)) filter (where not p.is_in_sample)
from ml.predictions as p
left join ml.prediction_outcomes as o
    using (flight_id, airport, ring_nm, model_name, model_version)
group by 1, 2 order by 4, 2
"""
# The same crossings by two champions in turn, none of which either had learned from.
BOTH = """
select n.model_version, b.model_version, count(*), avg(abs(bo.error_min)), avg(abs(no.error_min))
from audit.champion_changes as c
inner join ml.predictions as n
    on n.model_name = c.model_name and n.model_version = c.to_version and not n.is_in_sample
inner join ml.predictions as b
    on b.flight_id = n.flight_id and b.airport = n.airport and b.ring_nm = n.ring_nm
    and b.model_name = c.model_name and b.model_version = c.from_version and not b.is_in_sample
inner join ml.prediction_outcomes as no
    on no.flight_id = n.flight_id and no.airport = n.airport and no.ring_nm = n.ring_nm
    and no.model_name = n.model_name and no.model_version = n.model_version
inner join ml.prediction_outcomes as bo
    on bo.flight_id = b.flight_id and bo.airport = b.airport and bo.ring_nm = b.ring_nm
    and bo.model_name = b.model_name and bo.model_version = b.model_version
where no.error_min is not null and bo.error_min is not null
group by c.change_id, 1, 2 order by c.change_id
"""


def show(running: Running) -> None:
    """Print the chain as the tables have it."""
    _print(
        "audit.monitoring_log", running.rows(VERDICTS),
        "until", "model", "rows", "skill", "MAE (min)", "drift", "verdict", "trigger",
        "triggered", "outcome", "improvement",
    )  # fmt: skip
    _print(
        "ml.promotion_decisions, audit.champion_changes", running.rows(DECISIONS),
        "decision", "tested until", "challenger", "champion before", "promoted", "change", "why",
    )  # fmt: skip
    _print(
        "ml.predictions, ml.prediction_outcomes", running.rows(PREDICTIONS),
        "model", "version", "predictions", "first crossing", "last", "landed", "MAE (min)",
    )  # fmt: skip
    _print(
        "the same arrivals by the champion before and after a change", running.rows(BOTH),
        "new", "before", "arrivals", "MAE before (min)", "MAE after (min)",
    )  # fmt: skip
    spent = ", ".join(f"{what} {seconds} s" for what, seconds in running.times.items())
    out.print(f"Runs: {spent}\n")


def _print(title: str, rows: Sequence[Sequence[Any]], *names: str) -> None:
    table = Table(*names, title=title)
    for row in rows:
        table.add_row(*[_text(value) for value in row])
    out.print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def links(running: Running) -> None:
    """Hold that every link is there: verdict, run, decision, change, predictions, outcomes.

    Raises:
        Broken: one is not; the message names it.
    """
    import dagster as dg

    asked = running.rows(
        "select log_id, outcome, training_run_id from audit.monitoring_log "
        "where kind = 'monitor' and triggered order by log_id"
    )
    _require(bool(asked), "no verdict asked for a retraining")
    for log_id, outcome, training_run_id in asked:
        runs = running.dagster.get_runs(dg.RunsFilter(tags={LOG_ID: str(log_id)}))
        _require(bool(runs), f"no run of the sensor answers row {log_id}")
        _require(outcome is not None, f"row {log_id} has no outcome")
        if outcome == "failed":
            continue
        decisions = running.rows(
            "select is_promoted from ml.promotion_decisions where training_run_id = %s",
            training_run_id,
        )
        promoted = outcome == "promoted"
        _require(decisions == [(promoted,)], f"row {log_id} has no decision of its outcome")
    changes = running.rows(
        "select model_name, to_version, action from audit.champion_changes order by change_id"
    )
    for ring_nm in RINGS_NM:
        name = model_name(ring_nm)
        _require(any(one[0] == name for one in changes), f"the champion of {name} never changed")
    for name, version, action in changes:
        _require(action == "gatekeeper", f"the change to {version} was by hand")
        [(predictions, known)] = running.rows(
            "select count(*), count(o.error_min) from ml.predictions as p "
            "left join ml.prediction_outcomes as o "
            "using (flight_id, airport, ring_nm, model_name, model_version) "
            "where model_name = %s and model_version = %s and not p.is_in_sample",
            name,
            version,
        )
        _require(predictions > 0, f"version {version} predicted nothing that it had not learned")
        _require(known > 0, f"no prediction of version {version} has an outcome")
    in_force = {name: version for name, version, _ in changes}
    newest = running.rows(
        "select distinct on (ring_nm) p.model_name, p.model_version from ml.predictions as p "
        "order by ring_nm, p.crossed_at desc, p.predicted_at desc"
    )
    _require(dict(newest) == in_force, "the newest crossing is not the champion's")


def _require(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Broken(f"The chain is broken: {otherwise}.")


# Kills


class Killer(threading.Thread):
    """Kills -9 at random moments: the daemon, the code server, or a run worker."""

    def __init__(self, running: Running, kills: int, length_s: float, seed: int) -> None:
        super().__init__(daemon=True)
        self._running = running
        self._random = random.Random(seed)
        # Each as often as the others.
        self._prey = [PREY[number % len(PREY)] for number in range(kills)]
        self._random.shuffle(self._prey)
        # Within the length of an undisturbed run: its waits overlap with those that a kill costs.
        self._pause_s = 0.6 * length_s / kills
        self._over = threading.Event()
        self.deaths: Counter[tuple[str, str]] = Counter()

    def run(self) -> None:
        for prey in self._prey:
            if self._over.wait(self._random.uniform(0, 2 * self._pause_s)):
                return
            # A run worker is there most of the time; where none is, the next moment counts. A
            # `skyops up` that has given up is started by the feeder, as a person would, in peace.
            while not (self._running.is_up and (found := processes(self._running.home)[prey])):
                if self._over.wait(0.2):
                    return
            during = ", ".join(one.split()[0] for one in unfinished(self._running.dagster))
            for process in found:
                with suppress(Exception):
                    process.kill()
            self.deaths[prey, during or "nothing"] += 1
            out.print(f"  killed: {prey}, during {during or 'nothing'}")

    def stop(self) -> None:
        """No more kills, if the days ended before the last one."""
        self._over.set()
        self.join()

    def summary(self) -> str:
        lines = [
            f"{n:4} {prey:12} during {when}" for (prey, when), n in sorted(self.deaths.items())
        ]
        return "\n".join(
            [f"{self.deaths.total()} kills; skyops up restarted {self._running.restarts} times",
             *lines]
        )  # fmt: skip


def processes(home: Path) -> dict[str, list[psutil.Process]]:
    """The processes of the instance in a home: daemon, code server with its child, run workers."""
    import psutil

    found: dict[str, list[psutil.Process]] = {name: [] for name in PREY}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = " ".join(process.cmdline())
            if process.environ().get("SKYOPS_HOME") != str(home):
                continue
            if "dagster._daemon" in words:
                found["daemon"].append(process)
            elif "code-server start" in words or "api grpc" in words:
                found["code server"].append(process)
            elif "spawn_main" in words:
                found["run worker"].append(process)
    return found


def clean(running: Running) -> None:
    """Hold that nothing was left behind.

    Raises:
        Broken: a run that never ended, or a slot that nobody holds.
    """
    left = unfinished(running.dagster)
    _require(not left, f"runs that never ended: {left}")
    slots = running.dagster.event_log_storage.get_concurrency_run_ids()
    _require(not slots, f"slots still taken by {slots}")


PASSING = (
    "batch_id", "dagster_run_id", "run_id", "mlflow_run_id", "decision_id", "started_at",
    "finished_at", "rejected_at", "predicted_at", "resolved_at", "created_at", "last_built_at",
    "last_trained_at", "registered_at", "promoted_at", "evaluated_at", "decided_at",
)  # fmt: skip
"""Columns that differ between two runs by their nature."""
SCHEMAS = ("raw", "staging", "intermediate", "metrics", "features")
MODEL_TABLES = (
    "ml.training_sets", "ml.training_runs", "ml.evaluations", "ml.predictions",
    "ml.prediction_outcomes", "ml.model_versions",
)  # fmt: skip
VERSIONS = ("model_version", "version")
"""A kill between MLflow and the warehouse may use up a number: the training run is compared."""


def content(warehouse: Warehouse) -> dict[str, tuple[int, str]]:
    """Rows and hash of every table that counts, whatever the order of its rows."""
    found = {}
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select n.nspname || '.' || c.relname, array_agg(a.attname::text order by a.attnum) "
            "from pg_class as c join pg_namespace as n on n.oid = c.relnamespace "
            "join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
            "where c.relkind in ('r', 'p') and not c.relispartition and a.attname <> all(%s) "
            "and (n.nspname = any(%s) or n.nspname || '.' || c.relname = any(%s)) group by 1",
            (list(PASSING), list(SCHEMAS), list(MODEL_TABLES)),
        )
        for name, columns in cursor.fetchall():
            if name == "raw.ingest_batches":  # A book of what was tried.
                continue
            shown = ", ".join(_comparable(column) for column in columns)
            cursor.execute(
                "select count(*), coalesce(sum(('x' || left(md5(row_text), 15))::bit(60)::bigint"
                f"::numeric), 0)::text from (select row({shown})::text as row_text from {name} "
                "as t) as rows"
            )
            row = cursor.fetchone()
            assert row is not None
            found[name] = (row[0], row[1])
    return found


def _comparable(column: str) -> str:
    if column == "candidate":
        return "regexp_replace(t.candidate, ':[0-9]+$', '')"
    if column == "champion":
        return "regexp_replace(t.champion, ':[0-9]+$', '')"
    if column in VERSIONS:
        return (
            "coalesce((select m.training_run_id from ml.model_versions as m "
            f"where m.model_name = t.model_name and m.version = t.{column}), t.{column})"
        )
    return f't."{column}"'


def same(found: dict[str, tuple[int, str]], expected: dict[str, tuple[int, str]]) -> None:
    """Hold that two instances have the same tables.

    Raises:
        Broken: one differs; the message names it.
    """
    differ = [
        f"{name}: {found.get(name)} instead of {expected.get(name)}"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]
    _require(not differ, "; ".join(differ))


if __name__ == "__main__":
    try:
        main()
    except (Broken, SkyOpsError) as error:
        sys.exit(f"Error: {error}")
