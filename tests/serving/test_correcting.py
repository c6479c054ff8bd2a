"""A person's word over HTTP: made, listed, taken back, and refused where it makes no sense."""

from __future__ import annotations

import pytest

from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")
PATH = "/v1/corrections"


def test_a_word_is_made_listed_and_taken_back(over_paris: Served, query: Query) -> None:
    [(flight_id, airport)] = query(
        over_paris.warehouse, "select flight_id, airport from features.arrival_features limit 1"
    )
    hour = {"from_at": "2021-10-07T13:00:00Z", "through_at": "2021-10-07T14:00:00Z"}
    for asked in (
        {"kind": "leave out time", **hour, "airport": "lfpg"},
        {"kind": "leave out flight", "flight_id": flight_id},
        {"kind": "correct landing", "flight_id": flight_id, "airport": airport,
         "landed_at": "2021-10-07T18:00:00+00:00"},
    ):  # fmt: skip
        made = over_paris.client.post(PATH, json={**asked, "reason": "a test"})
        assert made.status_code == 201, made.text
        assert made.json()["author"].startswith("tests (key-")
        [first, *_] = over_paris.client.get(PATH).json()["data"]
        assert first == made.json()
        address = f"{PATH}/{first['correction_id']}/undo"
        undone = over_paris.client.post(address, json={"reason": "all is well"})
        assert undone.json()["undone_because"] == "all is well"
        again = over_paris.client.post(address, json={"reason": "all is well"})
        assert (again.status_code, "is in force" in again.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"kind": "leave out flight", "flight_id": "nobody", "reason": "x"}, 409),
        ({"kind": "leave out flight", "flight_id": "nobody", "reason": " "}, 422),
        ({"kind": "leave out flight", "flight_id": "nobody"}, 422),
        ({"kind": "forget", "reason": "x"}, 422),
        ({"kind": "leave out time", "from_at": "2021-10-07T13:00:00Z", "reason": "x",
          "through_at": "2021-10-07T12:00:00Z"}, 409),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    over_paris: Served, asked: dict[str, str], status: int
) -> None:
    answer = over_paris.client.post(PATH, json=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status, "application/problem+json",
    )  # fmt: skip
