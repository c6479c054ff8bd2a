"""The service with a few routes more, one for each scope and for what is counted.

So that who may do what is tried for itself, whatever the service's own routes come to be.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Depends
from starlette.types import ASGIApp

from skyops_assets.serving.__main__ import main
from skyops_assets.serving.access import (
    ADMIN,
    PREDICT,
    PREDICTIONS,
    READ,
    TRAININGS,
    Caller,
    allowed,
)
from skyops_assets.serving.app import create_app
from skyops_assets.serving.guard import guarded
from skyops_assets.settings import load_settings

Reader = Annotated[Caller, Depends(allowed(READ))]


def create_service() -> ASGIApp:
    app = create_app()

    @app.get("/probe/read")
    async def read(caller: Reader) -> dict[str, Any]:
        return {"caller": caller.key_id, "scopes": sorted(caller.scopes)}

    @app.post("/probe/predict")
    async def predict(
        body: Annotated[Any, Body()],
        caller: Annotated[Caller, Depends(allowed(PREDICT, PREDICTIONS))],
    ) -> dict[str, Any]:
        return {"caller": caller.key_id, "length": len(str(body))}

    @app.post("/probe/train")
    async def train(
        caller: Annotated[Caller, Depends(allowed(ADMIN, TRAININGS))],
    ) -> dict[str, Any]:
        return {"caller": caller.key_id}

    @app.get("/probe/failure")
    async def failure(caller: Reader) -> None:
        raise RuntimeError("secret-of-the-inside")

    return guarded(app, load_settings())


if __name__ == "__main__":
    main("tests.support.probe_service:create_service")
