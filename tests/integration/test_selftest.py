"""An installation tries itself, and says which step failed."""

from __future__ import annotations

import pytest

from skyops_assets.operations import selftest
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

pytestmark = pytest.mark.xdist_group("selftest")


def test_every_step_says_what_it_found(pointed: Warehouse, home: object, query: Query) -> None:
    del home
    steps = list(selftest.run(Settings(), pointed))
    assert [step.name for step in steps] == list(selftest.STEPS)
    assert [step.error for step in steps] == [None] * len(steps)
    assert "landings at LFPG, within 60 s" in steps[2].says
    named = "select count(*) from pg_database where datname like 'skyops_selftest%'"
    assert query(pointed, named) == [(0,)]


def test_what_follows_from_a_failed_step_is_not_tried(
    pointed: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> str:
        raise OSError("no room")

    monkeypatch.setitem(selftest.STEPS, "load", fail)
    [step] = selftest.run(Settings(), pointed)
    assert step.error == "OSError('no room')"
