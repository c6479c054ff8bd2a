"""Whether the service lives, and whether it can answer: for supervisors, without a key."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from psycopg import Error
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field

from skyops_assets.serving.examples import answered

READY = {"is_ready": True, "causes": [], "warnings": []}
NOT_READY = {
    "is_ready": False,
    "causes": ["The warehouse cannot be reached."],
    "warnings": [],
}
router = APIRouter(prefix="/health", tags=["health"])


class Live(BaseModel):
    """The process answers."""

    status: str = "live"
    env: str = Field(description="The name of the environment (`SKYOPS_ENV`).")


class Ready(BaseModel):
    """Whether questions can be answered."""

    is_ready: bool
    causes: list[str] = Field(
        description="Why the service is not ready, one sentence each; empty if it is."
    )
    warnings: list[str] = Field(
        description="Problems that do not stop the service: a champion that cannot be loaded, so "
        "that the previous one answers, or a prediction log that waits on disk."
    )


@router.get("/live", responses=answered({"status": "live", "env": "prod"}))
async def live(request: Request) -> Live:
    """Whether the process answers; nothing else is checked."""
    return Live(env=request.app.state.service.settings.env)


@router.get(
    "/ready",
    response_model=Ready,
    responses={**answered(READY), 503: {"model": Ready, **answered(NOT_READY, 503)[503]}},
)
async def ready(request: Request) -> JSONResponse:
    """Whether the warehouse answers and predictions are possible; otherwise 503 with the causes."""
    causes = []
    service = request.app.state.service
    try:
        await service.database.rows("select 1 as one")
    except (PoolTimeout, Error):
        causes.append("The warehouse cannot be reached.")
    missing = service.predictors.missing
    warnings = [one for one in service.predictors.troubles if one not in missing]
    causes += missing
    (causes if service.prediction_log.is_refusing else warnings).extend(
        service.prediction_log.troubles
    )
    found = Ready(is_ready=not causes, causes=causes, warnings=warnings)
    return JSONResponse(found.model_dump(), 200 if found.is_ready else 503)
