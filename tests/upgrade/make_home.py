"""Makes `home.tar.xz`: the home and the databases that the version before the redesign leaves.

    python tests/upgrade/make_home.py

Checks that version out beside this one, runs it on a small input that is drawn here (aircraft at
Amsterdam, three days of made-up arrivals at Zurich), and packs its three databases, its models and
its training set. Takes some five minutes. Belongs here: the input and the packing. Does not: taking
it over (`integration/test_upgrade.py`).
"""

# mypy: ignore-errors
# What it imports is of the earlier version, and is not there when this file is read.

from __future__ import annotations

import csv
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

COMMIT = "940d6c1107f1302cca50dc8a6e8ad7e965ad65c0"
HERE = Path(__file__).resolve().parent
HOME_MARK = "@SKYOPS_HOME@"
"""Stands in the dumps for the home's path, which MLflow keeps in each artifact's address."""
DATABASES = ("skyops", "dagster", "mlflow")
DAYS = [date(2019, 3, day) for day in (1, 2, 3)]
START = datetime(2024, 5, 14, 12, tzinfo=UTC)
HOURS = 2


def main() -> None:
    """Run the earlier version in a process of its own and pack what it left."""
    home = Path(tempfile.mkdtemp(prefix="sku-", dir="/tmp"))
    code = home.with_name(home.name + "-code")
    git = ["git", "-C", str(HERE), "worktree"]
    subprocess.run([*git, "add", "--detach", str(code), COMMIT], check=True)
    settings = dict(
        line.split("=", 1) for line in (HERE / "settings.env").read_text().splitlines() if line
    )
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SKYOPS_")},
        **settings,
        "PYTHONPATH": f"{code}{os.pathsep}{code / 'tests'}",
        "SKYOPS_HOME": str(home),
        "SKYOPS_DATA_MIRROR": str(home / "mirror"),
        "SKYOPS_RECORDING": str(home / "recording.csv"),
    }
    try:
        subprocess.run(
            [sys.executable, str(HERE / "make_home.py"), str(home)],
            cwd=code, env=variables, check=True,
        )  # fmt: skip
        pack(home)
    finally:
        subprocess.run([*git, "remove", "--force", str(code)], check=True)
        shutil.rmtree(home, ignore_errors=True)


def pack(home: Path) -> None:
    """Put the dumps, the models and the training set into one file."""
    with tarfile.open(HERE / "home.tar.xz", "w:xz", preset=9) as archive:
        for name in DATABASES:
            dump = home / f"{name}.sql"
            text = dump.read_text().replace(str(home), HOME_MARK)
            # MLflow keeps the script that it ran in.
            dump.write_text(text.replace(str(HERE), "/srv/skyops"))
            archive.add(dump, dump.name)
        for folder in ("mlflow", "training", "dagster/dagster.yaml"):
            # Plots say nothing to a program, and are most of the bytes.
            archive.add(
                home / folder, folder, filter=lambda one: None if one.name.endswith(".png") else one
            )


def run_earlier_version(home: Path) -> None:
    """Load, build, train, promote, predict and monitor, as Dagster's runs; then dump."""
    import dagster as dg
    import tracks
    import writers
    from dagster._core.storage.tags import (
        ASSET_PARTITION_RANGE_END_TAG,
        ASSET_PARTITION_RANGE_START_TAG,
    )
    from skyops_assets.history import source

    from skyops_assets import runtime
    from skyops_assets.arrivals import gatekeeper
    from skyops_assets.settings import load_settings
    from skyops_assets.warehouse import reference

    every_airport = reference.airports()
    few = [row for row in every_airport.to_pylist() if row["icao"] in ("EHAM", "EHLE", "LSZH")]
    reference.airports = lambda: every_airport.from_pylist(few, schema=every_airport.schema)
    pins = write_history(home / "mirror" / "arrivals")
    source.pins = lambda: pins
    # Three days are too few for a champion, but it must be quick.
    gatekeeper.GatePolicy.__init__.__defaults__ = (
        50, 30, 1, *gatekeeper.GatePolicy.__init__.__defaults__[3:],
    )  # fmt: skip

    warehouse = runtime.prepare(load_settings())
    reference.replace_reference(warehouse, "raw.runways", "test", tracks.raw_runways())
    writers.traffic_csv(home / "recording.csv", positions())

    from skyops_assets.defs import resources

    # The command that is installed beside Python is this version's.
    command = home / "bin" / "skyops-dbt"
    command.parent.mkdir()
    command.write_text(
        f"#!{sys.executable}\nfrom skyops_assets.warehouse.dbt import main\n\nmain()\n"
    )
    command.chmod(0o755)
    resources.sys = SimpleNamespace(executable=str(command))

    from skyops_assets.definitions import defs
    from skyops_assets.defs.platform import run

    def told(kind: str, name: str) -> None:
        if kind == "failed check":
            print("failed check:", name, flush=True)

    with dg.DagsterInstance.get() as instance:
        job = defs.resolve_job_def("load_history")
        window = {
            ASSET_PARTITION_RANGE_START_TAG: str(DAYS[0]),
            ASSET_PARTITION_RANGE_END_TAG: str(DAYS[-1]),
        }
        assert job.execute_in_process(instance=instance, tags=window).success
    done = run.run_main(START, START + timedelta(hours=HOURS), told)
    assert done.is_success, done.failures
    with dg.DagsterInstance.get() as instance:
        assert defs.resolve_job_def("monitor").execute_in_process(instance=instance).success
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select model_name, version from ml.model_versions where is_champion")
        assert cursor.fetchall(), "no champion"
        cursor.execute("select setting from pg_config where name = 'BINDIR'")
        (binaries,) = cursor.fetchone()
    for name in DATABASES:
        subprocess.run(
            [
                f"{binaries}/pg_dump",
                "--no-owner",
                "--file",
                home / f"{name}.sql",
                warehouse.libpq(name),
            ],
            check=True,
        )


def positions() -> list[dict[str, object]]:
    """Two hours at Amsterdam: arrivals from afar, and one of each other movement."""
    import corpus
    import tracks

    drawn = [
        (corpus.from_afar, 40 + 5 * number) for number in range(10)
    ] + [
        (corpus.touch_and_go, 20), (corpus.go_around, 30), (corpus.holding, 50),
        (corpus.turnaround, 35), (corpus.a_takeoff, 25),
    ]  # fmt: skip
    rows = []
    for number, (draw, minute) in enumerate(drawn):
        at = START + timedelta(minutes=minute)
        found, _ = draw(f"d0{number:04x}", at)
        rows += tracks.every(found, 10, meeting=at)
    end = START + timedelta(hours=HOURS)
    return sorted(
        (row for row in rows if START <= row["time_position"] < end),
        key=lambda row: (row["time_position"], row["icao24"]),
    )


def write_history(folder: Path) -> dict[str, str]:
    """Three days of arrivals at Zurich whose transit follows from speed, height and bearing.

    Returns:
        Hashes by file name.
    """
    from skyops_assets.history.schema import HEADER
    from skyops_assets.history.source import file_name

    folder.mkdir(parents=True)
    random.seed(7)
    pins = {}
    for day in DAYS:
        path = folder / file_name("LSZH", day)
        with path.open("w", newline="") as file:
            rows = csv.DictWriter(file, HEADER)
            rows.writeheader()
            for number in range(120):
                crossed = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
                crossed += timedelta(seconds=240 * number + random.randrange(200))
                rows.writerow(arrival(day, number, crossed))
        pins[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return pins


def arrival(day: date, number: int, crossed: datetime) -> dict[str, object]:
    """One row, that crossed the ring of 40 NM at a moment."""
    speed_mps, height_m = random.gauss(150, 15), random.gauss(4_000, 700)
    bearing = random.uniform(0, 360)
    minutes = 14 + 2 * (bearing // 45 % 3) - 0.06 * (speed_mps - 150) + 0.003 * (height_m - 4_000)
    minutes = max(9.0, minutes + random.gauss(0, 0.5))
    row: dict[str, object] = {
        "UID": f"4b{number:04x}-SWR{number}-{day}-{number}",
        "ARR": "TRUE",
        "RWY": "14",
        "THR_TIME": f"{crossed + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}",
    }
    for ring in (40, 50, 100):
        before = timedelta(seconds=(ring - 40) * 1852 / speed_mps)
        row |= {
            f"C{ring}_TIME": f"{crossed - before:%Y-%m-%dT%H:%M:%SZ}",
            f"C{ring}_BRG": round(bearing, 3),
            f"C{ring}_LAT": 47.0,
            f"C{ring}_LON": 8.0,
            f"C{ring}_ALT": round(height_m / 0.3048 + (ring - 40) * 200),
            f"C{ring}_DIST": ring * 1852,
            f"C{ring}_OFFSET": 0,
        }
    return row


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_earlier_version(Path(sys.argv[1]))
    else:
        main()
