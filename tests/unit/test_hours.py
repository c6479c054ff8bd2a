"""The hours of the positions: Dagster's own list, made once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from skyops_assets.defs.raw import partitions
from skyops_assets.defs.raw.partitions import Hours

FIRST = datetime(2024, 3, 1)
NOW = datetime(2024, 3, 9, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize("later", [timedelta(), timedelta(hours=1), timedelta(days=40)])
def test_they_are_those_of_dagster_at_any_time(later: timedelta) -> None:
    ours = Hours(start_date=FIRST, end_offset=1)
    plain = dg.HourlyPartitionsDefinition(start_date=FIRST, end_offset=1)
    for now in (NOW + later, NOW):
        keys = ours.get_partition_keys(now)
        assert keys == plain.get_partition_keys(now)
        assert keys[-1] == f"{now:%Y-%m-%d-%H:00}"
    assert ours.get_partition_keys(datetime(2024, 2, 1, tzinfo=UTC)) == []


def test_they_are_listed_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Hours(start_date=FIRST, end_offset=1)
    listed: list[Any] = []
    plain = dg.HourlyPartitionsDefinition.get_partition_keys

    def listing(self: Any) -> Any:
        listed.append(self)
        return plain(self)

    monkeypatch.setattr(dg.HourlyPartitionsDefinition, "get_partition_keys", listing)
    partitions._keys.cache_clear()
    for minutes in (0, 10, 29):
        ours.get_partition_keys(NOW + timedelta(minutes=minutes))
    assert len(listed) == 1
    ours.get_partition_keys(NOW + timedelta(minutes=30))
    assert len(listed) == 2
