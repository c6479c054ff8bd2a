"""Where links of the pages lead outside of the service."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from skyops_assets.serving.access import READ, allowed
from skyops_assets.serving.examples import answered
from skyops_assets.serving.problems import responses
from skyops_assets.settings import Settings
from skyops_assets.store import DOCS_PAGE, open_store

router = APIRouter(
    tags=["service"], dependencies=[Depends(allowed(READ))], responses=responses(401, 403, 429, 503)
)


class Links(BaseModel):
    """Addresses for browsers."""

    docs: str | None = Field(
        description="The dbt docs; null where none are built, and behind a proxy unless "
        "`SKYOPS_DOCS_URL` says where they are."
    )


@router.get("/links", responses=answered({"docs": "http://localhost:3001/dbt"}))
async def links(request: Request) -> Links:
    """Address of the dbt docs that the pages' charts and tables link to."""
    return Links(docs=await run_in_threadpool(docs_address, request.app.state.service.settings))


def docs_address(settings: Settings) -> str | None:
    """Address of the dbt docs, by setting or on this machine; None if they are not built.

    Behind a proxy nothing is known of them.
    """
    if settings.docs_url:
        return settings.docs_address
    with suppress(OSError):  # A bucket that does not answer.
        if not settings.public_url and open_store(settings).find(DOCS_PAGE):
            return settings.docs_address
    return None
