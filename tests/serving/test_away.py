"""The service on a server that is not SkyOps' own, and that goes away and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from skyops_assets.audit import api_keys
from tests.support.databases import outside
from tests.support.servers import PASSWORD, Server, control, postgres
from tests.support.serving import Served, new_key
from tests.support.serving import served as start

pytestmark = pytest.mark.xdist_group("serving")


@pytest.fixture(scope="module")
def outer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Served]]:
    home = tmp_path_factory.mktemp("home")
    with postgres() as server:
        server.run(f"create role maker login createdb createrole password '{PASSWORD}'")
        server.run("create database dagster owner maker")
        _, warehouse = outside(server, home, "maker")
        with start(warehouse, home, module="tests.support.probe_service") as one:
            yield server, one


def environments(one: Served) -> Iterator[str]:
    parent = psutil.Process(one.process.pid)
    for process in (parent, *parent.children(recursive=True)):
        yield Path(f"/proc/{process.pid}/environ").read_bytes().decode()


def test_the_services_process_has_no_secret_but_its_own(outer: tuple[Server, Served]) -> None:
    _, one = outer
    found = list(environments(one))
    assert len(found) > 1
    for text in found:
        assert "of_maker_service:" in text
        assert PASSWORD not in text
        assert "SKYOPS_PG_" not in text


def test_known_keys_are_taken_while_the_database_is_away(outer: tuple[Server, Served]) -> None:
    server, one = outer
    key = {"Authorization": f"Bearer {new_key(one.warehouse, 'read')}"}
    name = one.client.get("/probe/read", headers=key).json()["caller"]
    control(server, "stop")
    time.sleep(2.5)
    for _ in range(3):
        began = time.monotonic()
        answers = [one.client.get("/probe/read", headers=key) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert time.monotonic() - began < 2
        time.sleep(0.5)
    unknown = one.client.get("/probe/read", headers={"Authorization": "Bearer sk_unknown"})
    assert unknown.status_code == 401
    assert one.client.get("/health/ready").json()["causes"] == ["The warehouse cannot be reached."]
    control(server, "start")
    api_keys.revoke(one.warehouse, name, actor="tests")
    fresh = {"Authorization": f"Bearer {new_key(one.warehouse, 'read')}"}
    patience = time.monotonic() + 40
    while (
        one.client.get("/probe/read", headers=key).status_code != 401
        or one.client.get("/probe/read", headers=fresh).status_code != 200
    ):
        assert time.monotonic() < patience
        time.sleep(0.2)
