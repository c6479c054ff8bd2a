"""The health check asks a running service as anybody would."""

from __future__ import annotations

import pytest

from skyops_assets.operations import health
from skyops_assets.operations.health import State
from skyops_assets.settings import Settings
from tests.support.databases import Query
from tests.support.serving import Served

pytestmark = pytest.mark.xdist_group("serving")


def test_a_service_that_predicts_and_refuses_a_wrong_key_is_well(
    over_paris: Served, query: Query
) -> None:
    settings = Settings(home=over_paris.home, service_port=over_paris.port)
    state, says = health.probe_service(settings, over_paris.warehouse)
    assert state is State.OK, says
    assert says.startswith("It is ready, refuses a wrong key, and predicts a known crossing (")
    left = "select count(*) from audit.api_keys where created_by = 'skyops health'"
    assert query(over_paris.warehouse, left) == [(0,)]
