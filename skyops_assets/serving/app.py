"""The service as an ASGI app: what it holds while it runs, and its routes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from skyops_assets import __version__
from skyops_assets.serving import (
    analysis,
    analysis_models,
    anomalous,
    asma,
    corrections,
    entry,
    events,
    fleet,
    health,
    jobs,
    links,
    lives,
    predict,
    predictions,
    problems,
    reads,
    reliability,
    reports,
    sky_map,
    taxi,
    totals,
)
from skyops_assets.serving.access import Keys
from skyops_assets.serving.database import Database
from skyops_assets.serving.entry import Sessions
from skyops_assets.serving.events import Sky
from skyops_assets.serving.exposition import METRICS, add_metrics
from skyops_assets.serving.limits import Limits
from skyops_assets.serving.live_page import add_page
from skyops_assets.serving.prediction_log import PredictionLog
from skyops_assets.serving.predictors import Predictors
from skyops_assets.serving.problems import ProblemDetails
from skyops_assets.settings import Settings, load_settings

PREFIX = "/v1"
DESCRIPTION = """SkyOps' data: predicted landings, aircraft, flights, metrics and models.

Times are UTC; units are in the names. Send a key in the header `Authorization: Bearer ...`.
"""


@dataclass
class Service:
    """What every answer may use; `app.state.service`."""

    settings: Settings
    database: Database
    keys: Keys
    sky: Sky
    sessions: Sessions
    limits: Limits
    predictors: Predictors
    prediction_log: PredictionLog


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: the framework's, with the form of all errors and how a key is given."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        parts = found.setdefault("components", {})
        schemas = parts.setdefault("schemas", {})
        # Errors are told as problems, and not as the framework would.
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        described = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= described.pop("$defs") | {"ProblemDetails": described}
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for operation in (one for each in found["paths"].values() for one in each.values()):
            # The framework's own form of a 422, where an endpoint names none.
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                operation["responses"]["422"] = problems.responses(422)[422]
        for path, operations in found["paths"].items():
            if path.startswith((PREFIX, METRICS)):
                for operation in operations.values():
                    operation["security"] = [{"key": []}]
                    if "requestBody" in operation:
                        operation["responses"]["400"] = problems.responses(400)[400]
        app.openapi_schema = found
    return app.openapi_schema


def create_app() -> FastAPI:
    """The service of this process's settings; `SKYOPS_WAREHOUSE_URL` names the warehouse."""
    settings = load_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        assert settings.warehouse_url is not None
        conninfo = settings.warehouse_url.get_secret_value()
        database = Database(conninfo)
        sky = Sky(database, conninfo)
        predictors = Predictors(database)
        prediction_log = PredictionLog(conninfo, settings.home / "service" / "unsent")
        app.state.service = Service(
            settings,
            database,
            Keys(database),
            sky,
            Sessions(settings),
            Limits(settings),
            predictors,
            prediction_log,
        )
        await database.open()
        await predictors.open()
        prediction_log.open()
        # What is loaded by now stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            await sky.close()
            await predictors.close()
            await asyncio.to_thread(prediction_log.close)
            await database.close()

    app = FastAPI(
        title="SkyOps",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    problems.install(app)
    app.openapi = lambda: described(app)  # type: ignore[method-assign]
    app.include_router(health.router)
    app.include_router(entry.router)
    app.include_router(reports.router)
    for part in (
        reads, sky_map, links, totals, analysis, analysis_models, asma, taxi, fleet, reliability,
        lives, anomalous, predict, predictions, events, jobs, corrections,
    ):  # fmt: skip
        app.include_router(part.router, prefix=PREFIX)
    add_metrics(app, settings)
    add_page(app)
    return app
