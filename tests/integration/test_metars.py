"""Weather reports in a real warehouse, from files and from a server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.quality.reconciliation import accounts
from skyops_assets.sources.weather import load, source
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

pytestmark = pytest.mark.xdist_group("checks")

DAY = date(2021, 10, 7)
TEMPLATE = "/asos.py?station={airport}&sts={day}T00:00Z&ets={next_day}T00:00Z"


def row(time: str, said: str = "02008G20KT 9999 BKN030 19/09 Q1029", airport: str = "LFPG") -> Any:
    text = f"{airport} 07{time.replace(':', '')}Z {said}"
    return {"station": airport, "valid": f"2021-10-07 {time}", "metar": text}


def as_csv(*rows: dict[str, str]) -> str:
    lines = ["station,valid,metar", *(",".join(one.values()) for one in rows)]
    return "\n".join(lines) + "\n"


def load_rows(warehouse: Warehouse, *rows: dict[str, str]) -> bulk.Batch:
    return load.load_rows(warehouse, list(rows), "LFPG", DAY, source="test")


def counts(batch: bulk.Batch) -> tuple[int, int, int, int]:
    return batch.read_rows, batch.loaded_rows, batch.duplicate_rows, batch.rejected_rows


def test_every_row_is_accounted_for_and_a_day_loaded_again_adds_what_is_new(
    warehouse: Warehouse, query: Query
) -> None:
    first = [row("12:00"), row("12:30", "VRB02KT CAVOK 19/09 Q1029"), row("12:30", "NIL")]
    batch = load_rows(warehouse, *first, row("12:00"))
    assert counts(batch) == (4, 2, 1, 1)
    assert (batch.window_start_at, batch.window_end_at) == (
        datetime(2021, 10, 7, 12, tzinfo=UTC), datetime(2021, 10, 7, 12, 30, tzinfo=UTC),
    )  # fmt: skip
    stored = (
        "select airport, to_char(observed_at, 'HH24:MI'), wind_from_deg, wind_mps, gust_mps, "
        "visibility_m, ceiling_m, source, batch_id from raw.metars order by 2"
    )
    assert query(warehouse, stored) == [
        ("LFPG", "12:00", 20, pytest.approx(4.116, abs=0.001), pytest.approx(10.289, abs=0.001),
         10_000, pytest.approx(914.4), "test", batch.batch_id),
        ("LFPG", "12:30", None, pytest.approx(1.029, abs=0.001), None, 10_000, None, "test",
         batch.batch_id),
    ]  # fmt: skip
    assert query(
        warehouse, "select target, payload->>'metar', reason from raw.rejected_states"
    ) == [("raw.metars", "LFPG 071230Z NIL", "the report says that there is none (NIL)")]

    again = load_rows(warehouse, *first)
    assert counts(again) == (3, 0, 3, 0)
    assert again.window_start_at is None
    later = load_rows(
        warehouse, *first, row("13:00"), row("12:00", "COR 03008KT CAVOK 19/09 Q1029")
    )
    assert counts(later) == (5, 1, 3, 1)
    assert later.window_start_at == later.window_end_at == datetime(2021, 10, 7, 13, tzinfo=UTC)
    assert query(warehouse, "select report from raw.metars order by observed_at limit 1") == [
        (row("12:00")["metar"],)
    ]
    assert accounts(warehouse, load.TARGET).is_balanced


def test_a_day_of_another_station_is_rejected_row_by_row(
    warehouse: Warehouse, query: Query
) -> None:
    batch = load_rows(warehouse, row("12:00", airport="LFPO"), row("12:30", airport="LFPO"))
    assert counts(batch) == (2, 0, 0, 2)
    assert query(warehouse, "select distinct reason from raw.rejected_states") == [
        ("the row is of another station",)
    ]
    assert accounts(warehouse, load.TARGET).is_balanced


def test_a_load_that_breaks_off_leaves_nothing(
    warehouse: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("stop")

    monkeypatch.setattr(bulk, "record_batch", fail)
    with pytest.raises(RuntimeError, match="stop"):
        load_rows(warehouse, row("12:00"), row("12:30", "NIL"))
    for table in ("metars", "rejected_states", "ingest_batches"):
        assert query(warehouse, f"select count(*) from raw.{table}") == [(0,)]


# A server

Answer = tuple[int, str]


class Archive:
    """Gives its answers in turn, the last one for ever, and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[dict[str, list[str]]] = []
        self.agents: set[str] = set()
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                archive.asked.append(parse_qs(urlsplit(self.path).query))
                archive.agents.add(str(self.headers["User-Agent"]))
                left = archive.answers
                status, text = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.template = f"http://127.0.0.1:{self.server.server_port}{TEMPLATE}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def archive() -> Iterator[Archive]:
    found = Archive()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_faults_are_tried_again_and_the_day_is_asked_for(archive: Archive) -> None:
    archive.answers = [(503, "over capacity"), (429, "slow down"), (200, as_csv(row("12:00")))]
    pauses: list[float] = []
    found = source.place(archive.template, "LFPG", DAY)
    assert source.read_reports(found, sleep=pauses.append) == [row("12:00")]
    asked = {"station": ["LFPG"], "sts": ["2021-10-07T00:00Z"], "ets": ["2021-10-08T00:00Z"]}
    assert archive.asked == [asked] * 3
    assert archive.agents == {"skyops"}
    assert pauses[0] == source.PAUSE_S
    assert len(pauses) == 3


@pytest.mark.parametrize(
    ("answer", "said", "asked"),
    [
        ((503, "over capacity"), "answered 503 to METARs of LFPG on 2021-10-07", 4),
        ((422, "Invalid times"), "answered 422 to METARs of LFPG on 2021-10-07", 1),
        ((200, "<html><body>Sorry</body></html>"), "its columns are <html><body>Sorry", 1),
        ((200, "x" * (source.LARGEST_BODY + 1)), "more than 4,194,304 bytes", 1),
    ],
)
def test_what_is_no_answer_says_so(archive: Archive, answer: Answer, said: str, asked: int) -> None:
    archive.answers = [answer]
    found = source.place(f"{archive.template}&key=hidden", "LFPG", DAY)
    with pytest.raises(SkyOpsError) as caught:
        source.read_reports(found, sleep=lambda _: None)
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert len(archive.asked) == asked


def test_a_server_that_is_not_there_says_so(archive: Archive) -> None:
    archive.server.shutdown()
    archive.server.server_close()
    found = source.place(f"{archive.template}&key=hidden", "LFPG", DAY)
    with pytest.raises(SkyOpsError, match="gave no answer to METARs of LFPG") as caught:
        source.read_reports(found, sleep=lambda _: None)
    assert "hidden" not in str(caught.value)
    assert caught.value.__context__ is None


# The job, run by Dagster


def run_job(graph: Any) -> tuple[Any, list[str]]:
    """Load the day with the job's checks; returns the metadata and the warnings."""
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as instance:
        result = graph.defs.resolve_job_def("load_metars").execute_in_process(
            instance=instance, partition_key=DAY.isoformat()
        )
        events = instance.all_logs(result.run_id)
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks == {"columns_are_as_declared": True, "no_report_is_lost": True}
    (shown,) = result.get_asset_materialization_events()
    return shown.materialization.metadata, [
        event.user_message for event in events if event.level == 30
    ]


def test_without_the_setting_there_is_no_weather_and_no_failure(
    pointed: Warehouse, query: Query, graph: Any
) -> None:
    shown, _ = run_job(graph)
    assert shown["unavailable"].value == "SKYOPS_METAR_URL is not set."
    assert query(pointed, "select count(*) from raw.ingest_batches") == [(0,)]


def test_a_folder_of_files_is_read_for_the_watched_airports_and_what_is_empty_is_said(
    pointed: Warehouse,
    query: Query,
    graph: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SKYOPS_METAR_URL", f"{tmp_path}/{{airport}}/{{day}}.csv")
    monkeypatch.setenv("SKYOPS_WATCH_AIRPORTS", "LFPG,LFPO")
    (tmp_path / "LFPG").mkdir()
    (tmp_path / "LFPG" / "2021-10-07.csv").write_text(as_csv(row("12:00"), row("12:30", "NIL")))
    shown, warnings = run_job(graph)
    assert (shown["loaded_rows"].value, shown["rejected_rows"].value) == (1, 1)
    assert "SKYOPS_METAR_URL has no reports for LFPO on 2021-10-07." in warnings
    assert query(pointed, "select airport, source from raw.metars") == [("LFPG", "2021-10-07.csv")]


def test_an_address_is_read(
    pointed: Warehouse,
    query: Query,
    graph: Any,
    monkeypatch: pytest.MonkeyPatch,
    archive: Archive,
) -> None:
    monkeypatch.setattr(source, "PAUSE_S", 0)
    monkeypatch.setenv("SKYOPS_METAR_URL", archive.template)
    monkeypatch.setenv("SKYOPS_WATCH_AIRPORTS", "LFPG")
    archive.answers = [(200, as_csv(row("12:00")))]
    run_job(graph)
    assert query(pointed, "select airport, source from raw.metars") == [("LFPG", "127.0.0.1")]


def test_no_report_is_lost_goes_red_when_one_is_gone(pointed: Warehouse, query: Query) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.checks import no_report_is_lost
    from skyops_assets.defs.resources import WarehouseResource

    def is_green() -> bool:
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [no_report_is_lost],
                instance=instance,
                selection=dg.AssetSelection.checks(no_report_is_lost),
                resources={"warehouse": WarehouseResource()},
                raise_on_error=False,
            )
        (found,) = result.get_asset_check_evaluations()
        return bool(found.passed)

    load_rows(pointed, row("12:00"), row("12:30"))
    assert is_green()
    query(pointed, "delete from raw.metars where observed_at = '2021-10-07 12:00+00'")
    assert not is_green()
