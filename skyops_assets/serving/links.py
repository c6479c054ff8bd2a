"""Where links of the pages lead outside of the service."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from skyops_assets.serving.access import READ, allowed
from skyops_assets.serving.examples import answered
from skyops_assets.serving.problems import responses

router = APIRouter(
    tags=["service"], dependencies=[Depends(allowed(READ))], responses=responses(401, 403, 429, 503)
)


class Links(BaseModel):
    """Addresses for browsers."""

    docs: str = Field(description="The dbt docs.")


@router.get("/links", responses=answered({"docs": "http://localhost:3001/dbt"}))
async def links(request: Request) -> Links:
    """Address of the dbt docs that the pages' charts and tables link to."""
    return Links(docs=request.app.state.service.settings.docs_address)
