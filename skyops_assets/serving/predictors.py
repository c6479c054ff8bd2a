"""What answers /v1/predict: each ring's champion, looked for every second, or a named version."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Error
from psycopg_pool import PoolTimeout

from skyops_assets.arrivals.features import RINGS_NM
from skyops_assets.arrivals.learning import baselines
from skyops_assets.arrivals.models import graphs
from skyops_assets.arrivals.models.graphs import Row
from skyops_assets.arrivals.store.versions import model_name
from skyops_assets.errors import SkyOpsError
from skyops_assets.serving import metrics
from skyops_assets.serving.database import Database
from skyops_assets.serving.problems import Problem

LOOK_EVERY_S = 1.0
"""A promotion or rollback is to be served within 5 s. One indexed query takes 0.3 ms of the server;
a LISTEN would be a session more, and needs one of its own through a pooler."""
TRY_AGAIN_S = 15.0
"""After which a graph that could not be loaded is tried again."""
KEPT = 6
"""So many graphs stay loaded, 5 to 10 MB each: a rollback then waits for nothing."""
OTHERS_FOR_S = 60.0
"""So long a named version's number means the graph that it meant before."""

IN_FORCE = """
select
    rings.model_name,
    champion.version,
    graphs.sha256,
    latest.training_run_id,
    latest.reference_baseline,
    (
        select candidate from ml.evaluations
        where training_run_id = latest.training_run_id and is_reference
    ) as reference
from unnest(%(names)s::text[]) as rings (model_name)
left join ml.model_versions as champion
    on champion.model_name = rings.model_name and champion.is_champion
left join ml.model_graphs as graphs
    on graphs.model_name = champion.model_name and graphs.version = champion.version
left join lateral (
    select training_run_id, reference_baseline from ml.training_runs
    where model_name = rings.model_name order by last_trained_at desc limit 1
) as latest on champion.version is null
"""
GRAPH = f"""
select {graphs.COLUMNS} from ml.model_graphs where model_name = %(name)s and version = %(version)s
"""  # noqa: S608

Minutes = tuple[list[float | None], list[float | None], list[float | None]]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """A version of a ring's model, loaded."""

    model: str
    version: str
    graph: graphs.Graph
    load_s: float
    is_model: bool = True

    def ask(self, rows: Sequence[Row]) -> Minutes:
        """Minutes of each row, low and high; None where there is no answer."""
        found = [one.tolist() for one in self.graph.ask(rows)]
        missing: list[float | None] = [None] * len(rows)
        minutes, low, high = found if len(found) == 3 else (found[0], missing, missing)
        return minutes, low, high


@dataclass(frozen=True)
class InPlace:
    """The baseline that answers in a champion's place, as it does in the lane."""

    name: str
    version: str
    known: dict[str, Any]
    ring_nm: int
    load_s: None = None
    is_model: bool = False

    @property
    def model(self) -> str:
        """As ``ml.predictions`` has it."""
        return baselines.PREFIX + self.name

    def ask(self, rows: Sequence[Row]) -> Minutes:
        """As `Version`; it has no interval."""
        missing: list[float | None] = [None] * len(rows)
        minutes = [baselines.answer(self.name, self.known, row, self.ring_nm) for row in rows]
        return minutes, missing, missing


Predictor = Version | InPlace


class Predictors:
    """What is in force at each ring, as of the last look; and versions by their number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._in_force: dict[str, Predictor] = {}
        self._loaded: OrderedDict[tuple[str, str, bytes], Version] = OrderedDict()
        self._numbered: dict[tuple[str, str], tuple[float, Version]] = {}
        self._failed: dict[tuple[str, str, bytes], tuple[float, str]] = {}
        self._troubles: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Look once, and from then on every second."""
        await self._look_safely()
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more."""
        if self._task:
            self._task.cancel()

    @property
    def troubles(self) -> list[str]:
        """What is not as it is to be: a sentence for each ring's champion that does not answer."""
        return list(self._troubles.values())

    def trouble(self, name: str) -> str | None:
        """Of one ring's model."""
        return self._troubles.get(name)

    @property
    def missing(self) -> list[str]:
        """The rings for which nothing at all can answer, a sentence each."""
        return [
            self._troubles.get(name, f"What is in force for {name} was not read yet.")
            for name in map(model_name, RINGS_NM)
            if name not in self._in_force
        ]

    @property
    def in_force(self) -> dict[str, Predictor]:
        """By the name of the ring's model."""
        return dict(self._in_force)

    def champion(self, ring_nm: int) -> Predictor:
        """What is in force.

        Raises:
            Problem: 503, where nothing is loaded.
        """
        name = model_name(ring_nm)
        found = self._in_force.get(name)
        if found is None:
            why = self._troubles.get(name, "The warehouse has not been reached yet.")
            raise Problem(503, f"Nothing can predict from {ring_nm} NM. {why}")
        return found

    async def named(self, ring_nm: int, number: str) -> Version:
        """A version by its number.

        Raises:
            Problem: 404 where there is no such version, 503 where it cannot be loaded.
        """
        name = model_name(ring_nm)
        current = self._in_force.get(name)
        if isinstance(current, Version) and current.version == number:
            return current
        read_at, known = self._numbered.get((name, number), (float("-inf"), None))
        if known and time.monotonic() - read_at < OTHERS_FOR_S:
            return known
        row = await self._database.rows(
            "select sha256 from ml.model_versions left join ml.model_graphs"
            " using (model_name, version) where model_name = %(name)s and version = %(version)s",
            {"name": name, "version": number},
        )
        if not row:
            raise Problem(404, f"{name} has no version {number}; /v1/models lists the versions.")
        try:
            found = await self._load(name, number, row[0]["sha256"])
        except SkyOpsError as error:
            raise Problem(503, str(error)) from error
        self._numbered[name, number] = (time.monotonic(), found)
        while len(self._numbered) > KEPT:
            del self._numbered[next(iter(self._numbered))]
        return found

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look_safely()

    async def _look_safely(self) -> None:
        try:
            await self._look()
        except (PoolTimeout, Error):
            pass  # What was in force goes on answering; readiness tells of the warehouse.
        except Exception:
            log.exception("What is in force could not be looked at")

    async def _look(self) -> None:
        rings = {model_name(ring_nm): ring_nm for ring_nm in RINGS_NM}
        rows = await self._database.rows(IN_FORCE, {"names": list(rings)})
        for row in rows:
            name = row["model_name"]
            try:
                if row["version"]:
                    found: Predictor = await self._load(name, row["version"], row["sha256"])
                else:
                    found = _baseline(row, rings[name])
            except SkyOpsError as error:
                self._troubles[name] = str(error) + self._instead(name)
                metrics.champion_refused(name)
            else:
                before = self._in_force.get(name)
                # One assignment: a request has either the one or the other, whole.
                self._in_force[name] = found
                self._troubles.pop(name, None)
                metrics.served(name, found.version, found.load_s)
                if before is None or (before.model, before.version) != (found.model, found.version):
                    log.info("%s:%s is in force", found.model, found.version)

    def _instead(self, name: str) -> str:
        old = self._in_force.get(name)
        return f" {old.model}:{old.version} answers in its place." if old else ""

    async def _load(self, name: str, number: str, sha256: bytes | None) -> Version:
        label = f"{name}:{number}"
        if sha256 is None:
            raise SkyOpsError(
                f"The graph of {label} is not in the warehouse yet; the next hourly run or `skyops "
                "model promote` puts it there."
            )
        key = (name, number, bytes(sha256))
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key]
        at, why = self._failed.get(key, (float("-inf"), ""))
        if time.monotonic() - at < TRY_AGAIN_S:
            raise SkyOpsError(why)
        rows = await self._database.rows(GRAPH, {"name": name, "version": number})
        if not rows:
            raise SkyOpsError(f"The graph of {label} was removed meanwhile.")
        began = time.perf_counter()
        try:
            graph = await asyncio.to_thread(graphs.load, rows[0], label)
        except Exception as error:
            text = str(error) if isinstance(error, SkyOpsError) else f"{label}: {error!r}."
            self._failed[key] = (time.monotonic(), text)
            log.warning("%s", text)
            raise SkyOpsError(text) from error
        self._failed.pop(key, None)
        self._loaded[key] = Version(name, number, graph, time.perf_counter() - began)
        while len(self._loaded) > KEPT:
            self._loaded.popitem(last=False)
        return self._loaded[key]


def _baseline(row: dict[str, Any], ring_nm: int) -> InPlace:
    """As `steps.predict.predictor_in_force` chooses it."""
    run_id = row["training_run_id"]
    if run_id is None:
        return InPlace(baselines.UNTRAINED, "untrained", {}, ring_nm)
    known = row["reference_baseline"]
    if known:
        return InPlace(known["name"], run_id, known, ring_nm)
    name = (row["reference"] or baselines.UNTRAINED).removeprefix(baselines.PREFIX)
    if name != baselines.UNTRAINED:
        raise SkyOpsError(
            f"The baseline {name!r} of {row['model_name']} is not in the warehouse yet; the next "
            "hourly run puts it there."
        )
    return InPlace(name, run_id, {}, ring_nm)
