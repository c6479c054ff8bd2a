"""What the service says of itself, and how it says no."""

from __future__ import annotations

import pytest

from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")


def test_it_lives_and_is_ready(served: Served) -> None:
    assert served.client.get("/health/live").json() == {"status": "live", "env": "dev"}
    answer = served.client.get("/health/ready")
    ready = {"is_ready": True, "causes": [], "warnings": []}
    assert (answer.status_code, answer.json()) == (200, ready)


def test_what_is_not_there_is_a_problem_with_a_sentence(served: Served) -> None:
    answer = served.client.get("/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at '/v1/nothing'; /v1/openapi.json lists all addresses.",
    }
    assert served.client.post("/health/live").json()["detail"] == (
        "'/health/live' does not answer POST, only GET."
    )
