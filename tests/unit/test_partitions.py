"""Which hours and days the graph offers: those that can have data, given the settings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from skyops_assets.defs.raw.assets import arrivals_history, metars, opensky_states
from skyops_assets.defs.raw.partitions import history_of, hours_of, weather_of
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings, load_settings
from skyops_assets.sources.history.source import pins

URL = "/weather/{airport}/{day}"


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKYOPS_FIRST_HOUR")


@pytest.mark.usefixtures("unset")
def test_without_settings_the_graph_ends_with_the_demo() -> None:
    from skyops_assets.sources.opensky.reading.recordings import DEMO_END, DEMO_START

    keys = hours_of(Settings()).get_partition_keys()
    assert keys == ["2021-10-07-12:00", "2021-10-07-13:00", "2021-10-07-14:00"]
    assert weather_of(Settings()).get_partition_keys() == ["2021-10-07"]
    assert Settings().first_hour.replace(tzinfo=UTC) == DEMO_START
    end = Settings().hours_end
    assert end and end.replace(tzinfo=UTC) == DEMO_END


@pytest.mark.usefixtures("unset")
def test_a_first_hour_opens_the_graph_up_to_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    monkeypatch.setenv("SKYOPS_FIRST_HOUR", f"{now:%Y-%m-%dT00:00}")
    keys = hours_of(load_settings()).get_partition_keys()
    assert keys[0] == f"{now:%Y-%m-%d}-00:00"
    assert keys[-1] in {f"{one:%Y-%m-%d-%H}:00" for one in (now, datetime.now(UTC))}
    assert weather_of(load_settings()).get_partition_keys()[-1] >= f"{now:%Y-%m-%d}"


def test_a_recording_has_a_last_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYOPS_FIRST_HOUR", "2024-01-31T22:00")
    monkeypatch.setenv("SKYOPS_LAST_HOUR", "2024-02-01T01:00")
    keys = hours_of(load_settings()).get_partition_keys()
    assert (keys[0], keys[-1], len(keys)) == ("2024-01-31-22:00", "2024-02-01-01:00", 4)
    assert weather_of(load_settings()).get_partition_keys() == ["2024-01-31", "2024-02-01"]
    monkeypatch.setenv("SKYOPS_LAST_HOUR", "2024-01-31T21:00")
    with pytest.raises(SkyOpsError, match=r"SKYOPS_LAST_HOUR \(2024-01-31T21:00\) is before"):
        load_settings()


def test_the_days_of_the_history_are_those_that_it_has() -> None:
    offered = set(history_of(Settings(data_mirror=None)).get_partition_keys())
    # Of the months March and May of three years, all but one day.
    assert offered - {name[5:15] for name in pins()} == {"2021-03-14"}
    assert len(offered) == 186


def test_with_a_mirror_a_day_of_any_year_can_have_files(tmp_path: Path) -> None:
    keys = history_of(Settings(data_mirror=tmp_path)).get_partition_keys()
    assert {"2019-03-01", "2019-04-15", "2024-07-01"} <= set(keys)


def test_where_there_is_weather_it_is_that_of_the_history_too() -> None:
    keys = weather_of(Settings(metar_url=URL)).get_partition_keys()
    assert keys[0] == "2019-03-01"
    assert keys[-1] >= f"{datetime.now(UTC):%Y-%m-%d}"


def test_a_backfill_runs_by_a_day_of_hours_and_a_month_of_days() -> None:
    sizes = [
        asset.backfill_policy and asset.backfill_policy.max_partitions_per_run
        for asset in (opensky_states, arrivals_history, metars)
    ]
    assert sizes == [24, 31, 31]
