"""The per-arrival history and the aircraft database in a real warehouse."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.quality.reconciliation import accounts
from skyops_assets.settings import Settings
from skyops_assets.sources.aircraft import load_aircraft
from skyops_assets.sources.history import load, source
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query

pytestmark = pytest.mark.xdist_group("checks")

CONTENT = f"select md5(string_agg(h::text, '|' order by airport, uid)) from {load.TARGET} as h"
REASONS = {
    "no crossing of any ring": 174,
    "altitudes of two rings mean a climb of more than 2,500 ft/min": 102,
    "altitudes of two rings mean a descent of more than 5,000 ft/min": 73,
    "no threshold time": 52,
    "rings are crossed in another order than inbound": 16,
    "UID is there already with other values": 8,
    "altitude_m of a crossing outside -1500 to 15544.8": 5,
    "threshold time is on another day and no crossing confirms it": 5,
    "threshold time is not after the crossing": 3,
    "transit of more than 120 minutes": 2,
}


def load_day(warehouse: Warehouse, mirror: Path, day: date) -> bulk.Batch:
    file = source.history_file("LSZH", day)
    return load.load_file(warehouse, file, Settings(data_mirror=mirror))


@pytest.mark.mirror
def test_three_months_load_with_an_exact_account_and_twice_changes_nothing(
    warehouse: Warehouse, query: Query, mirror: Path
) -> None:
    days = sorted(
        date.fromisoformat(path.name[5:15]) for path in (mirror / "arrivals").glob("LSZH-*")
    )

    def load_all() -> dict[str, int]:
        batches = [load_day(warehouse, mirror, day) for day in days]
        names = ("read_rows", "loaded_rows", "duplicate_rows", "rejected_rows")
        return {name: sum(getattr(batch, name) for batch in batches) for name in names}

    assert load_all() == {
        "read_rows": 25_339, "loaded_rows": 24_873, "duplicate_rows": 26, "rejected_rows": 440,
    }  # fmt: skip
    counts = "select reason, count(*) from raw.rejected_states where target = %s group by 1"
    assert dict(query(warehouse, counts, load.TARGET)) == REASONS
    assert query(
        warehouse,
        "select to_char(day, 'YYYY-MM'), count(*), count(ring_40nm_crossed_at), "
        f"count(ring_100nm_crossed_at) from {load.TARGET} group by 1 order by 1",
    ) == [("2019-03", 9317, 9317, 9213), ("2019-05", 10541, 10541, 10305),
          ("2020-03", 5015, 5015, 4917)]  # fmt: skip
    assert accounts(warehouse, load.TARGET).is_balanced
    before = query(warehouse, CONTENT)

    assert load_all() == {
        "read_rows": 25_339, "loaded_rows": 0, "duplicate_rows": 25_339, "rejected_rows": 0,
    }  # fmt: skip
    assert query(warehouse, CONTENT) == before
    assert dict(query(warehouse, counts, load.TARGET)) == REASONS
    assert accounts(warehouse, load.TARGET).is_balanced


@pytest.mark.mirror
def test_a_rejected_row_is_kept_as_the_file_has_it(
    warehouse: Warehouse, query: Query, mirror: Path
) -> None:
    load_day(warehouse, mirror, date(2019, 5, 4))
    ((payload, file),) = query(
        warehouse,
        "select payload, source from raw.rejected_states where reason like 'threshold%%day%%'",
    )
    assert file == "LSZH-2019-05-04-asma.csv"
    assert payload["UID"] == "4d21d8-VCJ91S-2019-05-04-0"
    assert (payload["THR_TIME"], payload["C40_TIME"]) == ("2019-05-06T20:54:17Z", "NA")


@pytest.mark.mirror
def test_a_batch_knows_the_time_that_it_touched(warehouse: Warehouse, mirror: Path) -> None:
    batch = load_day(warehouse, mirror, date(2019, 3, 1))
    assert batch.source == "LSZH-2019-03-01-asma.csv"
    assert batch.window_start_at is not None
    assert batch.window_end_at is not None
    day = datetime(2019, 3, 1, tzinfo=UTC)
    assert day < batch.window_start_at < batch.window_end_at
    assert batch.window_end_at.date() == date(2019, 3, 1)


@pytest.mark.mirror
def test_a_load_that_breaks_off_leaves_nothing(
    warehouse: Warehouse, query: Query, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("stop")

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "record_batch", fail)
        with pytest.raises(RuntimeError, match="stop"):
            load_day(warehouse, mirror, date(2019, 3, 1))
    for table in ("arrivals_history", "rejected_states", "ingest_batches"):
        assert query(warehouse, f"select count(*) from raw.{table}") == [(0,)]


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from sqlalchemy.engine import make_url
from skyops_assets.sources.history import load, source
from skyops_assets.settings import Settings
from skyops_assets.warehouse import bulk
from skyops_assets.warehouse.connection import Warehouse

def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

bulk.record_batch = killed
warehouse = Warehouse(make_url(sys.argv[1]), False)
load.load_file(warehouse, source.history_file("LSZH", date(2019, 3, 1)),
               Settings(data_mirror=Path(sys.argv[2])))
"""


@pytest.mark.mirror
def test_a_load_that_is_killed_leaves_nothing_and_the_next_one_all(
    warehouse: Warehouse, query: Query, mirror: Path
) -> None:
    """Killed after the rejected rows were written, before the batch and the arrivals."""
    address = warehouse.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, address, str(mirror)],
        env=os.environ, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    for table in ("arrivals_history", "rejected_states", "ingest_batches"):
        assert query(warehouse, f"select count(*) from raw.{table}") == [(0,)]
    batch = load_day(warehouse, mirror, date(2019, 3, 1))
    assert batch.read_rows == batch.loaded_rows + batch.rejected_rows
    assert accounts(warehouse, load.TARGET).is_balanced


@pytest.mark.mirror
def test_two_loads_of_one_day_at_once_load_it_once(warehouse: Warehouse, mirror: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(
            pool.map(lambda _: load_day(warehouse, mirror, date(2019, 3, 1)), range(2))
        )  # fmt: skip
    assert sorted(batch.loaded_rows for batch in made)[0] == 0
    assert accounts(warehouse, load.TARGET).is_balanced


def test_a_day_that_the_history_does_not_have_is_a_batch_of_no_rows(
    warehouse: Warehouse, query: Query
) -> None:
    file = source.history_file("LSZH", date(2019, 4, 1))
    batch = load.load_file(warehouse, file, Settings())
    assert (batch.read_rows, batch.loaded_rows, batch.window_start_at) == (0, 0, None)
    assert query(warehouse, "select source, read_rows from raw.ingest_batches") == [
        ("LSZH-2019-04-01-asma.csv", 0)
    ]


# The assets, run by Dagster


def materialize(asset: Any, **options: Any) -> Any:
    import dagster as dg

    from skyops_assets.defs.resources import WarehouseResource

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [asset],
            instance=instance,
            resources={"warehouse": WarehouseResource()},
            raise_on_error=False,
            **options,
        )
        events = instance.all_logs(result.run_id)
    return result, [event.user_message for event in events if event.level == 30]


@pytest.mark.mirror
def test_a_run_over_days_loads_each_and_says_which_ones_do_not_exist(
    pointed: Warehouse, query: Query
) -> None:
    from dagster._core.storage.tags import (
        ASSET_PARTITION_RANGE_END_TAG,
        ASSET_PARTITION_RANGE_START_TAG,
    )

    from skyops_assets.defs.raw.assets import arrivals_history

    tags = {
        ASSET_PARTITION_RANGE_START_TAG: "2019-03-30",
        ASSET_PARTITION_RANGE_END_TAG: "2019-04-02",
    }
    result, warnings = materialize(arrivals_history, tags=tags)
    assert result.success
    assert query(pointed, f"select distinct day::text from {load.TARGET} order by 1") == [
        ("2019-03-30",), ("2019-03-31",),
    ]  # fmt: skip
    (said,) = [text for text in warnings if "per-arrival history" in text]
    assert "no file for LSZH on 2 of the requested days, the first 2019-04-01" in said
    assert "2019-05-01 to 2019-05-31" in said
    shown = {
        event.materialization.partition: event.materialization.metadata["read_rows"].value
        for event in result.get_asset_materialization_events()
    }
    assert set(shown) == {"2019-03-30", "2019-03-31", "2019-04-01", "2019-04-02"}
    assert shown["2019-03-30"] > 200
    assert shown["2019-04-01"] == 0


def test_a_day_whose_file_cannot_be_had_fails_the_run_and_says_what_to_do(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from skyops_assets.defs.raw.assets import arrivals_history
    from skyops_assets.instance.events import cause

    monkeypatch.setenv("SKYOPS_DATA_MIRROR", str(tmp_path))
    result, _ = materialize(arrivals_history, partition_key="2019-03-01")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "The day 2019-03-01 of LSZH is not loaded." in cause(failure)
    assert query(pointed, "select count(*) from raw.ingest_batches") == [(0,)]


@pytest.mark.mirror
@pytest.mark.parametrize(
    "damage",
    [
        "delete from raw.arrivals_history where landed_at = "
        "(select min(landed_at) from raw.arrivals_history)",
        "delete from raw.rejected_states",
        "update raw.ingest_batches set read_rows = read_rows - 1, loaded_rows = loaded_rows - 1",
    ],
    ids=["arrival gone", "rejected row gone", "accounts changed"],
)
def test_no_arrival_is_lost_goes_red_when_tables_and_accounts_differ(
    pointed: Warehouse, query: Query, mirror: Path, damage: str
) -> None:
    import dagster as dg

    from skyops_assets.defs.raw.checks import no_arrival_is_lost

    def run() -> Any:
        result, _ = materialize(
            no_arrival_is_lost, selection=dg.AssetSelection.checks(no_arrival_is_lost)
        )
        (found,) = result.get_asset_check_evaluations()
        assert result.success == found.passed
        return found

    assert run().passed
    load_day(pointed, mirror, date(2019, 3, 5))
    assert run().passed
    query(pointed, damage)
    found = run()
    assert not found.passed
    assert "load the affected days again" in found.description


# raw.aircraft

OLD = """icao24,registration,manufacturericao,typecode,icaoaircrafttype,operator,operatoricao
,,,,,,
3C6444,D-AIBD,AIRBUS,a319,L2J,Lufthansa,DLH
3c6444,D-AIBD,AIRBUS,A319,L2J,Lufthansa,DLH
3c6444,D-AIBX,AIRBUS,A319,L2J,Lufthansa,DLH
4b1801,HB-JCA,,BCS3,L2J,,
4b1802,HB-JCB,,Airbus 320,,,
4b1803,HB-JCC,,A320,,Swiss,SWISS
abc123,"N1,2",,,,,,more
"""


def test_airframes_replace_those_that_were_there_and_each_row_is_accounted_for(
    warehouse: Warehouse, query: Query, tmp_path: Path
) -> None:
    path = tmp_path / "aircraft.csv"
    path.write_text(OLD)
    first = load_aircraft(warehouse, path, run_id="r1")
    assert (first.read_rows, first.loaded_rows, first.duplicate_rows, first.rejected_rows) == (
        8, 3, 1, 4,
    )  # fmt: skip
    columns = "icao24, registration, typecode, icao_type_description, operator, operator_icao"
    expected = [
        ("3c6444", "D-AIBD", "A319", "L2J", "Lufthansa", "DLH"),
        ("4b1801", "HB-JCA", "BCS3", "L2J", None, None),
        ("abc123", "N1,2", None, None, None, None),
    ]
    assert query(warehouse, f"select {columns} from raw.aircraft order by 1") == expected
    assert dict(query(warehouse, "select payload->>'icao24', reason from raw.rejected_states")) == {
        "": "icao24 is not six hexadecimal digits",
        "3c6444": "icao24 is there already with other values",
        "4b1802": "typecode is not a designator such as A320",
        "4b1803": "operatoricao is not three letters",
    }
    again = load_aircraft(warehouse, path)
    assert (again.loaded_rows, again.duplicate_rows, again.rejected_rows) == (3, 5, 0)
    assert query(warehouse, f"select {columns} from raw.aircraft order by 1") == expected
    path.write_text("icao24,typecode\n")
    assert load_aircraft(warehouse, path).read_rows == 0
    assert query(warehouse, "select count(*) from raw.aircraft") == [(0,)]


def test_the_newer_releases_are_read_with_their_quotes_and_names(
    warehouse: Warehouse, query: Query, tmp_path: Path
) -> None:
    path = tmp_path / "aircraft.csv"
    path.write_text(
        "\ufeff'icao24','icaoAircraftClass','operator','operatorIcao','registration','typecode'\n"
        "'4b1801','L2J','Swiss, Zürich','SWR','HB-JCA','BCS3'\n", encoding="utf-8",
    )  # fmt: skip
    load_aircraft(warehouse, path)
    assert query(warehouse, "select icao24, icao_type_description, operator, operator_icao, "
                            "registration, typecode, source from raw.aircraft") == [
        ("4b1801", "L2J", "Swiss, Zürich", "SWR", "HB-JCA", "BCS3", "aircraft.csv")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("", "whose columns are missing"),
        ("hex,type\n", "whose columns are hex, type. It needs icao24 and any of"),
        ("icao24,owner\n", "whose columns are icao24, owner"),
        ('icao24,typecode\n"' + "x" * 140_000, "not a CSV file at line"),
    ],
    ids=["no file", "empty", "no icao24", "nothing of use", "a quote that never ends"],
)
def test_a_file_that_is_no_aircraft_database_is_refused(
    warehouse: Warehouse, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "aircraft.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SkyOpsError, match=said) as caught:
        load_aircraft(warehouse, path)
    assert str(caught.value).startswith(f"SKYOPS_AIRCRAFT_CSV names {path}, ")


def test_without_a_file_the_asset_is_green_and_says_so(
    pointed: Warehouse, query: Query, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from skyops_assets.defs.raw.assets import aircraft

    result, _ = materialize(aircraft)
    assert result.success
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["unavailable"].value == "SKYOPS_AIRCRAFT_CSV is not set."
    (tmp_path / "a.csv").write_text("icao24,typecode\n4b1801,BCS3\n")
    monkeypatch.setenv("SKYOPS_AIRCRAFT_CSV", str(tmp_path / "a.csv"))
    result, _ = materialize(aircraft)
    assert result.success
    assert query(pointed, "select icao24, typecode, operator from raw.aircraft") == [
        ("4b1801", "BCS3", None)
    ]
