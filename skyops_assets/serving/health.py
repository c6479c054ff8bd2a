"""Whether the service lives, and whether it can answer: for supervisors, without a key."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from psycopg import Error
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field

router = APIRouter(prefix="/health", tags=["health"])


class Live(BaseModel):
    """The process answers."""

    status: str = "live"


class Ready(BaseModel):
    """Whether questions can be answered."""

    is_ready: bool
    causes: list[str] = Field(description="Why not, a sentence each; empty where it is ready.")


@router.get("/live")
async def live() -> Live:
    """The process answers; nothing else is looked at."""
    return Live()


@router.get("/ready", response_model=Ready, responses={503: {"model": Ready}})
async def ready(request: Request) -> JSONResponse:
    """Whether the warehouse answers; 503 with the causes where it does not."""
    causes = []
    try:
        await request.app.state.service.database.rows("select 1 as one")
    except (PoolTimeout, Error):
        causes.append("The warehouse cannot be reached.")
    found = Ready(is_ready=not causes, causes=causes)
    return JSONResponse(found.model_dump(), 200 if found.is_ready else 503)
