"""A person's word on arrivals, over HTTP; as `skyops model exclude`."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from skyops_assets.errors import SkyOpsError
from skyops_assets.serving.access import ADMIN, READ, Caller, allowed
from skyops_assets.serving.examples import CORRECTION, UNDONE, answered
from skyops_assets.serving.pages import Aware, only_known
from skyops_assets.serving.problems import Problem, responses
from skyops_assets.serving.rows import Rows

router = APIRouter(
    prefix="/corrections",
    tags=["models"],
    dependencies=[Depends(only_known)],
    responses=responses(401, 403, 422, 429, 503),
)
Admin = Annotated[Caller, Depends(allowed(ADMIN))]
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*\S[^\x00]*$")]
Code = Annotated[str, Field(pattern="^[A-Za-z]{4}$")]
FlightId = Annotated[str, Field(pattern="^[0-9A-Za-z_.:-]{1,100}$")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Text = Field(description="Why the data are wrong.")


class LeaveOutTime(_Asked):
    """Leave out arrivals that were on their way within a time."""

    kind: Literal["leave out time"]
    from_at: Aware
    through_at: Aware
    airport: Code | None = Field(None, description="Unset: everywhere.")


class LeaveOutFlight(_Asked):
    """Leave out a flight."""

    kind: Literal["leave out flight"]
    flight_id: FlightId


class CorrectLanding(_Asked):
    """Say when a flight landed."""

    kind: Literal["correct landing"]
    flight_id: FlightId
    airport: Code
    landed_at: Aware


class Undo(_Asked):
    """Take a word back."""


class Correction(BaseModel):
    """A person's word on arrivals, and whether it was taken back."""

    correction_id: int
    made_at: datetime
    kind: Literal["leave out time", "leave out flight", "correct landing"]
    airport: str | None
    from_at: datetime | None
    through_at: datetime | None
    flight_id: str | None
    landed_at: datetime | None
    author: str
    reason: str
    undone_at: datetime | None
    undone_by: str | None
    undone_because: str | None


@router.get(
    "",
    dependencies=[Depends(allowed(READ))],
    responses=answered({"data": [CORRECTION], "next": None}),
)
async def corrections(request: Request) -> Rows[Correction]:
    """Times and flights left out of training and skill, and corrected landings; newest first."""
    found = await request.app.state.service.database.rows(
        "select * from audit.corrections order by correction_id desc limit 1000"
    )
    return Rows(data=[Correction(**row) for row in found], next=None)


@router.post("", status_code=201, responses={**answered(CORRECTION, 201), **responses(409)})
async def correct(
    request: Request,
    asked: Annotated[LeaveOutTime | LeaveOutFlight | CorrectLanding, Field(discriminator="kind")],
    caller: Admin,
) -> Correction:
    """Leave a time or a flight out of training and skill, or correct a landing."""
    from skyops_assets.arrivals.store import corrections as store

    who = f"{caller.owner} ({caller.key_id})"
    match asked:
        case LeaveOutTime():
            code = asked.airport and asked.airport.upper()
            act = partial(store.leave_out_time, since=asked.from_at, until=asked.through_at,
                          airport=code)  # fmt: skip
        case LeaveOutFlight():
            act = partial(store.leave_out_flight, flight_id=asked.flight_id)
        case CorrectLanding():
            act = partial(store.correct_landing, flight_id=asked.flight_id,
                          airport=asked.airport.upper(), landed_at=asked.landed_at)  # fmt: skip
    return await _done(request, partial(act, author=who, reason=asked.reason))


@router.post("/{correction_id}/undo", responses={**answered(UNDONE), **responses(409)})
async def undo(
    request: Request,
    correction_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    asked: Undo,
    caller: Admin,
) -> Correction:
    """Undo a correction; its row stays, with who undid it and why."""
    from skyops_assets.arrivals.store import corrections as store

    who = f"{caller.owner} ({caller.key_id})"
    act = partial(store.undo, correction_id=correction_id, author=who, reason=asked.reason)
    return await _done(request, act)


async def _done(request: Request, act: Any) -> Correction:
    """Do it on a connection of its own: the pool's only read.

    Raises:
        Problem: 409; the word makes no sense with what is there.
    """
    from skyops_assets.warehouse.connection import ServerUnreachable, open_warehouse

    def run() -> dict[str, Any]:
        return vars(act(open_warehouse(request.app.state.service.settings)))

    try:
        return Correction(**await to_thread.run_sync(run))
    except ServerUnreachable:
        raise
    except SkyOpsError as error:
        raise Problem(409, str(error)) from None
