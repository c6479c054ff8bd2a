"""`GET /metrics`: all figures, as Prometheus reads them."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest

from skyops_assets import __version__
from skyops_assets.serving.access import READ, Caller, allowed
from skyops_assets.serving.artifacts import Artifacts
from skyops_assets.serving.metrics import BUILD, REGISTRY
from skyops_assets.serving.problems import responses
from skyops_assets.serving.scrape import Scrape
from skyops_assets.settings import Settings

METRICS = "/metrics"
router = APIRouter(tags=["metrics"])


def add_metrics(app: FastAPI, settings: Settings) -> None:
    """Let an app tell what it and its databases have counted."""
    assert settings.warehouse_url is not None
    BUILD.labels(__version__, settings.env).set(1)
    app.state.scrape = Scrape(settings.warehouse_url.get_secret_value(), settings)
    app.state.artifacts = Artifacts(settings.artifact_root)
    app.include_router(router)


@router.get(METRICS, response_class=PlainTextResponse, responses={
    200: {"content": {"text/plain": {"example": "skyops_feed_positions_per_second 41.5\n"}}},
    **responses(401, 403, 503),
})  # fmt: skip
async def metrics(
    request: Request, _caller: Annotated[Caller, Depends(allowed(READ))]
) -> PlainTextResponse:
    """All metrics in Prometheus' text format; `docs/metrics.md` lists them."""
    found, _ = await asyncio.gather(
        request.app.state.scrape.families(), asyncio.to_thread(request.app.state.artifacts.measure)
    )
    text = generate_latest(REGISTRY) + generate_latest(found)
    return PlainTextResponse(text, headers={"Cache-Control": "no-store"})
