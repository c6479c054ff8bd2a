"""What the command line prints: values, progress, the status, errors."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from skyops_assets.cli import __main__, models, output
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Everything printed so far."""
    file = io.StringIO()
    for console in (output.out, output.err):
        monkeypatch.setattr(console, "_file", file)
    return file.getvalue


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (1, 1),
        (None, None),
        (True, True),
        ("text", "text"),
        (1.5, 1.5),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (Decimal("1.10"), "1.10"),
        (datetime(2021, 10, 7, 12, tzinfo=UTC), "2021-10-07T12:00:00+00:00"),
        ([Decimal(1), math.nan], ["1", "nan"]),
        ({"a": [1]}, {"a": [1]}),
        (memoryview(b"\x00\xff"), "\\x00ff"),
    ],
)
def test_a_database_value_is_one_that_json_takes(value: Any, plain: Any) -> None:
    assert output.plain(value) == plain
    json.dumps(output.plain(value), allow_nan=False)


def test_values_with_parts_are_json_in_a_cell() -> None:
    assert output.text({"a": None}) == '{"a": null}'
    assert output.text(["LFPG"]) == '["LFPG"]'
    assert output.text(True) == "True"


FOUND: dict[str, Any] = {
    "env": "dev",
    "warehouse": {"url": "postgresql://u@h/db", "server_version": "18.4", "embedded": True},
    "opensky": {
        "opensky_account": "anonymous", "credits_left": 400, "credits_spent_today": 0,
        "credits_a_day": 400, "credits_a_round": 1, "interval_s": 216.04, "last_answer_at": None,
    },
    "counts": {"raw.opensky_states": 284505, "ml.predictions": 0},
    "champions": {100: None, 40: None},
    "last_runs": [
        {"run_id": "0123456789", "job": "main", "status": "SUCCESS", "started_at": None,
         "ended_at": None}
    ],
}  # fmt: skip


def test_the_status_shows_rows_and_says_plainly_that_there_is_no_champion(
    printed: Callable[[], str],
) -> None:
    output.show_status(FOUND)
    text = printed()
    assert "Postgres 18.4 (embedded), postgresql://u@h/db" in text
    assert "284,505" in text
    assert (
        "OpenSky: 400 of 400 credits left today (anonymous); a round costs 1, one every 216.0 s; "
        "no live response yet" in text
    )
    for ring in (100, 40):
        said = f"Champion at {ring} NM: none; predictions come from the best baseline."
        assert said in text
    assert "Run 01234567 main SUCCESS" in text


def test_the_status_says_when_the_last_live_answer_came_and_what_is_wrong(
    printed: Callable[[], str],
) -> None:
    feed = {**FOUND["opensky"], "problem": "SKYOPS_WATCH_AIRPORTS names [ZZZZ]."}
    feed["last_answer_at"] = datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC)
    output.show_status({**FOUND, "opensky": feed})
    assert (
        "(anonymous); SKYOPS_WATCH_AIRPORTS names [ZZZZ].; last live response "
        "2026-11-21 04:05:06 UTC" in printed()
    )


def test_the_status_shows_the_champion_with_its_numbers(printed: Callable[[], str]) -> None:
    champion = {"name": "arrivals", "version": "3", "mae_min": 2.204, "skill": 0.412,
                "trained_through": "2021-10-07T14:00:00+00:00"}  # fmt: skip
    output.show_status({**FOUND, "champions": {100: None, 40: champion}})
    said = "Champion at 40 NM: arrivals version 3, MAE 2.20 min, skill 0.41, trained through "
    assert f"{said}2021-10-07 14:00 UTC\n" in printed()
    # One that a person made champion before it was evaluated.
    unknown = {**champion, "mae_min": None, "skill": None}
    output.show_status({**FOUND, "champions": {100: None, 40: unknown}})
    assert "MAE -, skill -" in printed()


def test_progress_names_each_step_and_each_asset_once() -> None:
    file = io.StringIO()
    steps = output._Steps(Console(file=file, width=100))
    for event in [("start", "raw__opensky_states"), ("asset", "raw/opensky_states"),
                  ("asset", "raw/opensky_states"), ("check", "fine"), ("failed check", "red"),
                  ("done", "raw__opensky_states")]:  # fmt: skip
        steps.event(*event)
    lines = [line.split(" s  ")[1].strip() for line in file.getvalue().splitlines()]
    assert lines == ["raw/opensky_states", "raw/opensky_states", "check not passed: red"]


@pytest.mark.parametrize("text", ["no [column] here", "[/] is no tag", "[bold]x[/bold]"])
def test_an_error_is_printed_as_it_is_brackets_too(
    monkeypatch: pytest.MonkeyPatch, printed: Callable[[], str], text: str
) -> None:
    def fail() -> None:
        raise SkyOpsError(text)

    monkeypatch.setattr(__main__, "app", fail)
    monkeypatch.setattr("sys.argv", ["skyops", "status"])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 1
    assert printed().strip() == f"Error: {text}"


def test_an_unexpected_error_names_its_kind_and_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, printed: Callable[[], str]
) -> None:
    def fail() -> None:
        raise KeyError("[/x]")

    monkeypatch.setattr(__main__, "app", fail)
    monkeypatch.setattr("sys.argv", ["skyops", "status"])
    with pytest.raises(SystemExit):
        __main__.main()
    assert "Unexpected error: KeyError: '[/x]' (`skyops --debug ...` shows where)" in printed()


def test_with_debug_an_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise SkyOpsError("text")

    monkeypatch.setattr(__main__, "app", fail)
    monkeypatch.setattr("sys.argv", ["skyops", "--debug", "status"])
    with pytest.raises(SkyOpsError):
        __main__.main()


def test_a_calibration_beyond_its_limits_is_shown_and_fails(
    printed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from skyops_assets.arrivals import features
    from skyops_assets.backtest import gate_calibration

    lines = [
        gate_calibration.CalibrationResult(
            "2019-05", "bootstrap", "as good, weeks", 960, 25, most=0.01
        ),
        gate_calibration.CalibrationResult(
            "2019-05", "bootstrap", "5 % better", 1200, 1190, least=0.8
        ),
        gate_calibration.CalibrationResult("2019-05", "bootstrap", "old champion", 960, 333),
    ]
    monkeypatch.setattr(models, "prepare", lambda: (Settings(), None))
    monkeypatch.setattr(
        "skyops_assets.arrivals.store.inputs.read_arrivals", lambda *_, with_simulated: None
    )
    monkeypatch.setattr(features, "usable_arrivals", lambda _: (None, {}))
    monkeypatch.setattr(gate_calibration, "calibrate", lambda *_, **__: lines)
    with pytest.raises(SkyOpsError, match="beyond a limit"):
        models.calibrate_gate()
    rows = [line.split("│")[4:8] for line in printed().splitlines() if "2019-05" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["960", "2.60%", "at most 1%", "no"],
        ["1,200", "99.17%", "at least 80%", "yes"],
        ["960", "34.69%", "", ""],
    ]
    lines.pop(0)
    models.calibrate_gate()


def test_no_rows_are_told_where_the_columns_are_wider_than_the_screen(
    printed: Callable[[], str],
) -> None:
    output.show_rows(["n" * 6000, "[m]" * 2000], [])
    assert printed() == f"No rows of {'n' * 6000}, {'[m]' * 2000}.\n"
