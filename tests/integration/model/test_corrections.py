"""What a person leaves out or puts right: training and skill follow, and it can be taken back."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from skyops_assets.arrivals.steps import predict, train
from skyops_assets.arrivals.store import corrections, inputs, training
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings
from skyops_assets.sources import reference
from skyops_assets.warehouse.connection import Warehouse
from tests.support.arrival_frames import raw_synthetic
from tests.support.model_loop import fill

RING = 40
WHO = "tester"


@pytest.fixture(scope="module")
def frame(server: Warehouse) -> pd.DataFrame:
    made = raw_synthetic(200, hours=24)
    fill(server, made)
    reference.replace_reference(server, "raw.airports", "airportsdata", reference.airports())
    return made


@pytest.fixture(autouse=True)
def _forget(server: Warehouse) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("truncate audit.corrections")


def learned(server: Warehouse, settings: Settings) -> pd.DataFrame:
    built = train.build_training_set(server, settings)
    return training.read_snapshot(settings, built.fingerprint).set_index("flight_id")


def test_a_time_is_left_out_and_comes_back(
    server: Warehouse, settings: Settings, frame: pd.DataFrame
) -> None:
    whole = train.build_training_set(server, settings)
    since = frame["crossed_at"].min() + timedelta(hours=6)
    until = since + timedelta(hours=3)
    is_within = (frame["crossed_at"] < until) & (frame["landed_at"] >= since)
    assert 5 < is_within.sum() < 100
    made = corrections.leave_out_time(server, since, until, None, WHO, "a receiver was broken")
    built = train.build_training_set(server, settings)
    assert built.row_count == whole.row_count - is_within.sum()
    assert built.excluded["left out by a person"] == is_within.sum()
    gone = set(frame["flight_id"][is_within])
    assert not set(learned(server, settings).index) & gone
    # What skill is measured on is read by the same function.
    assert not set(inputs.read_arrivals(server, RING)["flight_id"]) & gone

    airport = frame["airport"].iloc[0]
    corrections.undo(server, made.correction_id, WHO, "only there")
    corrections.leave_out_time(server, since, until, airport, WHO, "only there")
    there = is_within & (frame["airport"] == airport)
    assert train.build_training_set(server, settings).row_count == whole.row_count - there.sum()

    [last, first] = corrections.corrections(server)
    assert (first.undone_by, first.undone_because, last.undone_at) == (WHO, "only there", None)
    corrections.undo(server, last.correction_id, WHO, "it was right")
    assert train.build_training_set(server, settings).fingerprint == whole.fingerprint


def test_a_flight_is_left_out(server: Warehouse, settings: Settings, frame: pd.DataFrame) -> None:
    flight_id = frame["flight_id"].iloc[17]
    corrections.leave_out_flight(server, flight_id, WHO, "a helicopter")
    assert flight_id not in learned(server, settings).index


def test_a_landing_is_corrected_for_training_and_outcomes(
    server: Warehouse, settings: Settings, frame: pd.DataFrame
) -> None:
    row = frame.iloc[20]
    landed_at = (row["crossed_at"] + timedelta(minutes=20)).to_pydatetime()
    for said in (landed_at - timedelta(minutes=1), landed_at):
        corrections.correct_landing(server, row["flight_id"], row["airport"], said, WHO, "tower")
    found = learned(server, settings).loc[row["flight_id"]]
    assert (found["transit_min"], found["landed_at"]) == (20.0, landed_at)
    predict.predict_crossings(server, settings, with_probability=False)
    predict.record_outcomes(server, settings)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select landed_at, error_min - predicted_transit_min from ml.prediction_outcomes"
            " inner join ml.predictions using"
            " (flight_id, airport, ring_nm, model_name, model_version) where flight_id = %s",
            (row["flight_id"],),
        )
        assert cursor.fetchall() == [(landed_at, pytest.approx(-20))]
    assert [one.undone_because for one in corrections.corrections(server)] == [
        None, "corrected again",
    ]  # fmt: skip


def test_what_makes_no_sense_is_refused_with_a_sentence(
    server: Warehouse, frame: pd.DataFrame
) -> None:
    row = frame.iloc[0]
    at = row["crossed_at"].to_pydatetime()
    flight = (row["flight_id"], row["airport"])
    for act, said in (
        (lambda: corrections.leave_out_time(server, at, at, None, WHO, "x"), "before it begins"),
        (lambda: corrections.leave_out_time(server, at, at + timedelta(1), "ZZZZ", WHO, "x"),
         "There is no airport 'ZZZZ'"),
        (lambda: corrections.leave_out_flight(server, "nobody", WHO, "x"), "flight 'nobody'"),
        (lambda: corrections.leave_out_flight(server, flight[0], WHO, " "), "reason is empty"),
        (lambda: corrections.correct_landing(server, *flight, at, WHO, "x"), "cannot have landed"),
        (lambda: corrections.correct_landing(server, flight[0], "EGLL", at, WHO, "x"),
         "has no arrival at 'EGLL'"),
        (lambda: corrections.undo(server, 1_000_000, WHO, "x"), "No correction 1000000"),
    ):  # fmt: skip
        with pytest.raises(SkyOpsError, match=said):
            act()
    assert corrections.corrections(server) == []


def test_what_a_person_chose_is_learned_from_and_named(
    server: Warehouse, settings: Settings, frame: pd.DataFrame
) -> None:
    airport = frame["airport"].iloc[0]
    middle = pd.Timestamp(frame["crossed_at"].iloc[100])
    choice = train.Choice.of([airport.lower()], middle.isoformat(), None)
    built = train.build_training_set(server, settings, choice=choice)
    is_meant = (frame["airport"] == airport) & (frame["crossed_at"] >= middle)
    assert built.row_count == is_meant.sum() > 0
    assert built.chosen == f"{airport}, from {middle:%Y-%m-%d %H:%M} UTC"
    assert training.chosen(server, built.fingerprint) == built.chosen
    assert train.build_training_set(server, settings).chosen is None
    with pytest.raises(SkyOpsError, match="since is 'yesterday'"):
        train.Choice.of([], "yesterday", None)
