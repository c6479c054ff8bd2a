"""A replay of made-up arrivals with the real steps, on a real Postgres and MLflow."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from skyops_assets.backtest import replay, report
from skyops_assets.backtest.replay import Replay, Retrain
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.arrival_frames import raw_synthetic
from tests.support.databases import Query
from tests.support.model_loop import fill

pytestmark = pytest.mark.xdist_group("backtest")

START = date(2021, 10, 9)
"""A Saturday: with the days before, what is known on Monday is enough to train and to judge."""
MONDAY = datetime(2021, 10, 11, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled(server: Warehouse) -> Warehouse:
    rows = raw_synthetic(5800, hours=216, airports=1)
    for name in ("crossed_at", "landed_at"):
        rows[name] -= timedelta(days=3)
    fill(server, rows.iloc[:0], history=rows)
    return server


@pytest.fixture(scope="module")
def replayed(filled: Warehouse, settings: Settings) -> Replay:
    """Retrained weekly; the gatekeeper's process takes no part."""
    return replay.replay(
        filled, settings, airports=("LFPG",), start=START, end=date(2021, 10, 12),
        retrain=Retrain.WEEKLY,
    )  # fmt: skip


def test_each_day_is_decided_with_what_was_known_by_then(replayed: Replay) -> None:
    assert [event.at.day for event in replayed.events] == [10, 11, 12, 13]
    trained = [event for event in replayed.events if event.is_retrained]
    assert [event.at for event in trained] == [MONDAY]
    # 160 of 216 hours were known, and seven tenths of them are learned from.
    assert trained[0].train_rows == pytest.approx(5800 * 160 / 216 * 0.7, rel=0.03)
    assert trained[0].is_promoted, trained[0].decision


def test_arrivals_are_predicted_by_what_was_in_force_when_they_crossed(replayed: Replay) -> None:
    rows = replayed.arrivals
    assert rows["crossed_at"].min() >= pd.Timestamp(START, tz="UTC")
    assert len(rows) > 2000
    assert not rows.duplicated(["flight_id"]).any()
    before = rows["crossed_at"] < pd.Timestamp(MONDAY)
    assert rows.loc[before, "model_name"].str.startswith("baseline:").all()
    assert (rows.loc[~before, "model_name"] == "arrival-transit-40nm").all()
    assert rows.loc[before, "kept"].isna().all()
    # There was one champion only, so that which was kept is the one that was.
    assert (rows.loc[~before, "kept"] - rows.loc[~before, "predicted"]).abs().max() < 1e-9


def test_the_report_says_what_was_decided_and_what_it_was_worth(
    replayed: Replay, tmp_path: Path
) -> None:
    page = report.write(replayed, tmp_path).read_text()
    assert "2021-10-09 through 2021-10-12, retraining: <b>weekly</b>" in page
    assert "1 trainings, 1 promotions" in page
    assert page.count('src="data:image/png;base64,') == 1
    with (tmp_path / "decisions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(replayed.events)
    assert [row["is_retrained"] for row in rows].count("True") == 1
    month, every = report.lines(replayed)
    assert (month.month, every.month) == ("2021-10", "all")
    error = (replayed.arrivals["predicted"] - replayed.arrivals["transit_min"]).abs().mean()
    assert every.mae_min == pytest.approx(error)
    assert every.against_kept is not None
    assert every.against_kept.skill == pytest.approx(0)


def test_the_warehouse_is_only_read_and_nothing_is_left_behind(
    filled: Warehouse,
    replayed: Replay,
    settings: Settings,
    query: Query,
) -> None:
    assert query(filled, "select count(*) from ml.training_sets") == [(0,)]
    assert query(filled, "select count(*) from audit.monitoring_log") == [(0,)]
    left = query(filled, "select datname from pg_database where datname like 'skyops_backtest%%'")
    assert left == []
    assert not list(settings.home.glob("*backtest*"))


@pytest.mark.parametrize(
    ("airports", "start", "end", "said"),
    [
        (("LSZH",), START, START, "no arrivals at LSZH from 2021-10-09 to 2021-10-09"),
        (("LFPG",), date(2020, 1, 1), date(2020, 1, 2), "Load them first"),
        (("LFPG",), date(2021, 10, 10), START, "before its start on 2021-10-10"),
        ((), START, START, "No airport is named"),
    ],
)
def test_a_replay_of_nothing_is_refused(  # noqa: PLR0917
    filled: Warehouse,
    settings: Settings,
    airports: tuple[str, ...],
    start: date,
    end: date,
    said: str,
) -> None:
    with pytest.raises(SkyOpsError, match=said):
        replay.replay(
            filled, settings, airports=airports, start=start, end=end,
            retrain=Retrain.POLICY,
        )  # fmt: skip
