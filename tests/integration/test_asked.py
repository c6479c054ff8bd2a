"""What the monitor says of what the service is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from skyops_assets.arrivals.features import FEATURES
from skyops_assets.arrivals.store.predictions import sweep_service_predictions
from skyops_assets.monitoring import asked
from skyops_assets.warehouse.connection import Warehouse
from tests.support.arrival_frames import raw_synthetic, synthetic
from tests.support.databases import Query
from tests.support.model_loop import fill

NOW = datetime(2021, 10, 20, tzinfo=UTC)


def _log(warehouse: Warehouse, frame: pd.DataFrame, asked_at: datetime) -> None:
    """As the service logs them, all of a moment."""
    from psycopg2.extras import Json, execute_values

    features = frame[list(FEATURES)].astype(object).where(frame[list(FEATURES)].notna(), None)
    rows = [
        (f"00000000-0000-7000-8000-{place:012x}", asked_at, "key", "m", "1", 40, row["airport"],
         flight, at, Json({k: v for k, v in row.items() if v is not None}), minutes + 1.0, 0.5)
        for place, (row, flight, at, minutes) in enumerate(
            zip(features.to_dict("records"), frame["flight_id"], frame["crossed_at"],
                frame["transit_min"], strict=True)
        )
    ]  # fmt: skip
    with warehouse.connect() as connection, connection.cursor() as cursor:
        execute_values(
            cursor,
            "insert into ml.service_predictions (id, asked_at, key_id, model_name, model_version,"
            " ring_nm, airport, flight_id, crossed_at, features, transit_min, latency_ms)"
            " values %s",
            rows,
        )


def test_drift_range_and_outcome_of_what_the_service_is_asked(
    warehouse: Warehouse, query: Query
) -> None:
    past = synthetic(3000, hours=24 * 12)
    given = raw_synthetic(1200, hours=24 * 12, seed=11)
    fill(warehouse, given)
    _log(warehouse, synthetic(1200, hours=24 * 12, seed=11), NOW - timedelta(hours=1))
    usual = asked.measure(warehouse, 40, past, as_of=NOW)
    assert (usual.rows, usual.too_few) == (1200, None)
    assert usual.drift_score == 0
    assert usual.outside_share is not None and usual.outside_share < 0.05
    assert (usual.landed, usual.mae_min, usual.bias_min) == (
        1200, pytest.approx(1.0), pytest.approx(1.0),
    )  # fmt: skip
    query(
        warehouse,
        "update ml.service_predictions set features = features || '{\"altitude_m\": 12000}'",
    )
    other = asked.measure(warehouse, 40, past, as_of=NOW)
    assert other.drift_score and "altitude_m" in other.drifted
    assert (other.outside["altitude_m"], other.outside_share) == (1.0, 1.0)
    assert other.as_json()["outside"]["altitude_m"] == 1.0


def test_of_too_few_nothing_is_said(warehouse: Warehouse) -> None:
    past = synthetic(3000, hours=24 * 12)
    fill(warehouse, raw_synthetic(30))
    nothing = asked.measure(warehouse, 40, past, as_of=NOW)
    assert (nothing.rows, nothing.landed, nothing.mae_min) == (0, 0, None)
    _log(warehouse, synthetic(30, seed=11), NOW - timedelta(hours=1))
    few = asked.measure(warehouse, 40, past, as_of=NOW)
    assert (few.rows, few.drift_score, few.outside_share) == (30, None, None)
    assert few.too_few == "too few records: 30 of 1000 needed"
    assert asked.measure(warehouse, 100, None, as_of=NOW).too_few is not None


def test_what_was_asked_is_kept_for_ninety_days(warehouse: Warehouse, query: Query) -> None:
    _log(warehouse, synthetic(5), datetime.now(UTC) - timedelta(days=91))
    assert sweep_service_predictions(warehouse) == 5
    _log(warehouse, synthetic(5), datetime.now(UTC) - timedelta(days=89))
    assert sweep_service_predictions(warehouse) == 0
    assert query(warehouse, "select count(*) from ml.service_predictions") == [(5,)]
