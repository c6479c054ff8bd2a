"""The command `skyops` as a person runs it, on one home for all tests.

The commands share one embedded server, kept running by the fixture, so that none waits for it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from skyops_assets import __version__
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse, open_warehouse
from skyops_assets.warehouse.migrate import migrate
from tests.support.databases import Query, short_dir, stop_server

pytestmark = pytest.mark.xdist_group("cli")

Skyops = Callable[..., subprocess.CompletedProcess[str]]
PASSWORD = "zQsecretQz"


@pytest.fixture(scope="module")
def skyops(manifest: Path) -> Iterator[Skyops]:
    """Run `skyops` with these arguments; the database's user has a password that must not show."""
    folder = short_dir()
    try:
        server = open_warehouse(Settings(home=folder))
        migrate(server)
        # With a password in the address, as an external server has one.
        url = server.url.set(password=PASSWORD).render_as_string(hide_password=False)

        def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
            environment = {**os.environ, "SKYOPS_HOME": str(folder), "SKYOPS_DATABASE_URL": url}
            return subprocess.run(
                [str(Path(sys.executable).parent / "skyops"), *arguments],
                env={**environment, **variables},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        yield run
    finally:
        stop_server(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)


def response(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_terminal(skyops: Skyops, *arguments: str) -> str:
    """What a command shows on a terminal of 80 columns, colours and progress left out."""
    command = shlex.join(["skyops", *arguments])
    done = skyops("exec", "--", "script", "-qec", f"stty cols 80; {command}", "/dev/null")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", response(done).replace("\r\n", "\n"))
    return "\n".join(line.rpartition("\r")[2] for line in plain.splitlines())


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


VALUES = (
    "select 1 as n, null as nothing, 'a,\"b\" [red]c[/red]' as said, true as is_so, 1.10 as price, "
    "'NaN'::float8 as odd, '2021-10-07 12:00+00'::timestamptz as at, "
    """'{"k": [1]}'::jsonb as parts, array['LFPG', 'LFPO'] as airports"""
)


def test_sql_as_json_is_json_that_any_reader_takes(skyops: Skyops) -> None:
    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    found = response(skyops("sql", VALUES, "--format", "json"))
    assert json.loads(found, parse_constant=refuse) == [
        {
            "n": 1, "nothing": None, "said": 'a,"b" [red]c[/red]', "is_so": True, "price": "1.10",
            "odd": "nan", "at": "2021-10-07T12:00:00+00:00", "parts": {"k": [1]},
            "airports": ["LFPG", "LFPO"],
        }
    ]  # fmt: skip


def test_sql_as_csv_comes_back_through_a_csv_reader(skyops: Skyops) -> None:
    (row,) = csv.DictReader(io.StringIO(response(skyops("sql", VALUES, "--format", "csv"))))
    assert row == {
        "n": "1", "nothing": "", "said": 'a,"b" [red]c[/red]', "is_so": "True", "price": "1.10",
        "odd": "nan", "at": "2021-10-07T12:00:00+00:00", "parts": '{"k": [1]}',
        "airports": '["LFPG", "LFPO"]',
    }  # fmt: skip


def test_sql_as_a_table_shows_text_as_it_is(skyops: Skyops) -> None:
    text = response(skyops("sql", "select 'a [red]c[/red] [/]' as \"[bold]name\", 1 as n"))
    assert "[bold]name" in text
    assert "a [red]c[/red] [/]" in text


def test_sql_takes_no_colons_for_emoji_and_tells_null_from_empty(skyops: Skyops) -> None:
    text = response(skyops("sql", "select 'a:x:b' as \":x:\", null as n, '' as e"))
    assert "a:x:b │ NULL │   │" in text
    assert ":x:" in text.splitlines()[1]
    assert ":x:" in refused(skyops("sql", "select a:x:b"))


def test_sql_in_a_pipe_cuts_no_line(skyops: Skyops) -> None:
    text = response(skyops("sql", "select repeat('ab ', 200) as long, 'end' as last", COLUMNS="80"))
    assert f"│ {'ab ' * 200} │ end" in text


def test_a_row_wider_than_the_terminal_is_a_record(skyops: Skyops) -> None:
    query = "select repeat('a', 60) as first, null as second, '[red]:x:' as third_one, 1 as n"
    shown = on_terminal(skyops, "sql", query)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[-4:] == [f"first | {'a' * 60}", "second | NULL", "third_one | [red]:x:", "n | 1"]
    assert "┃ n" in on_terminal(skyops, "sql", "select 1 as n")


def test_tables_says_what_each_is(skyops: Skyops) -> None:
    found = json.loads(response(skyops("tables", "--json")))
    assert {"raw.opensky_states", "ml.predictions", "audit.alerts"} <= {o["table"] for o in found}
    assert [one["table"] for one in found if not one["about"].startswith("One row per ")] == []
    lines = response(skyops("tables")).splitlines()
    assert len(lines) == len(found)
    assert all(len(line) < 100 for line in on_terminal(skyops, "tables").splitlines())


def test_the_version_is_told(skyops: Skyops) -> None:
    assert response(skyops("--version")) == f"skyops {__version__}\n"


def test_an_answer_without_rows_is_still_an_answer(skyops: Skyops) -> None:
    query = "select 1 as n where false"
    assert json.loads(response(skyops("sql", query, "--format", "json"))) == []
    assert response(skyops("sql", query, "--format", "csv")).split() == ["n"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("create table raw.mine (n int)", "read-only transaction"),
        ("delete from raw.opensky_states", "read-only transaction"),
        ("select 1; commit; create table raw.mine (n int)", "read-only transaction"),
        ("with gone as (delete from raw.airports returning 1) select * from gone",
         "read-only transaction"),
        ("set session characteristics as transaction read write; commit; begin read write; "
         "delete from raw.airports", "permission denied for table airports"),
        ("select key_sha256 from audit.api_keys", "permission denied for table api_keys"),
        ("set role postgres", "permission denied"),
        ("set work_mem = '1MB'", "takes a SELECT"),
        ("selec 1", 'syntax error at or near "selec"'),
        ("select * from raw.nothing", 'relation "raw.nothing" does not exist'),
        ("", "empty query"),
    ],
)  # fmt: skip
def test_what_sql_cannot_do_is_one_clear_error(skyops: Skyops, query: str, said: str) -> None:
    text = refused(skyops("sql", query))
    assert text.startswith("Error: ")
    assert said in text


def test_debug_shows_where_an_error_comes_from(skyops: Skyops) -> None:
    done = skyops("--debug", "sql", "selec 1")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "Postgres rejects the query" in done.stderr


def test_status_is_json_with_what_was_promised_and_no_secrets(skyops: Skyops) -> None:
    done = skyops("status", "--json")
    found = json.loads(response(done))
    assert set(found) == {"env", "warehouse", "opensky", "counts", "champions", "last_runs"}
    assert found["env"] == "dev"
    assert found["opensky"]["credits_left"] == found["opensky"]["credits_a_day"] == 400
    assert found["opensky"]["last_answer_at"] is None
    assert set(found["warehouse"]) == {"url", "server_version", "embedded"}
    assert found["warehouse"]["embedded"] is False
    for table in ("raw.opensky_states", "raw.rejected_states", "raw.ingest_batches",
                  "ml.predictions", "audit.monitoring_log"):  # fmt: skip
        assert found["counts"][table] == 0
    assert not [name for name in found["counts"] if "opensky_states_2" in name]
    assert found["champions"] == {"100": None, "40": None}
    assert found["last_runs"] == []
    assert PASSWORD not in done.stdout + done.stderr


def test_status_for_people_shows_no_secrets_either(skyops: Skyops) -> None:
    done = skyops("status")
    assert "Champion at 100 NM: none" in response(done)
    assert PASSWORD not in done.stdout + done.stderr


def test_exec_runs_a_command_in_the_environment_and_adds_nothing_unexpected(
    skyops: Skyops,
) -> None:
    done = skyops("exec", "--", "env", "-0", MY_OWN="kept\nline")
    seen = dict(part.split("=", 1) for part in response(done).split("\0") if part)
    assert seen["MY_OWN"] == "kept\nline"
    added = set(seen) - set(os.environ) - {"MY_OWN"}
    assert added == {
        "SKYOPS_HOME", "SKYOPS_ENV", "SKYOPS_DATABASE_URL", "SKYOPS_WAREHOUSE_URL",
        "SKYOPS_WATCH_AIRPORTS",
        "SKYOPS_DAGSTER_URL", "SKYOPS_PG_HOST", "SKYOPS_PG_PORT", "SKYOPS_PG_USER",
        "SKYOPS_PG_PASSWORD", "SKYOPS_PG_DBNAME", "SKYOPS_DBT_THREADS", "DAGSTER_HOME",
        "SKYOPS_ASMA_REFERENCE_YEAR",
        "DBT_PROJECT_DIR", "DBT_PROFILES_DIR",
    }  # fmt: skip
    changed = {name for name in os.environ if seen.get(name) != os.environ[name]}
    # The shell of a test has the virtual environment's programs on its path, or not.
    assert changed <= {"PATH", "_", "LINES", "COLUMNS"}
    assert Path(seen["DAGSTER_HOME"], "dagster.yaml").is_file()


@pytest.mark.parametrize("code", [0, 3])
def test_exec_returns_the_commands_exit_code_and_passes_its_options_on(
    skyops: Skyops, code: int
) -> None:
    script = "import sys; print(sys.argv[1:]); sys.exit(int(sys.argv[-1]))"
    done = skyops("exec", "--", "python", "-c", script, "--json", "-x", str(code))
    assert done.returncode == code
    assert done.stdout == f"['--json', '-x', '{code}']\n"


def test_exec_of_nothing_or_of_no_program_is_a_clear_error(skyops: Skyops) -> None:
    assert "Name a command to run" in refused(skyops("exec"))
    assert "no command 'no-such-program'" in refused(skyops("exec", "--", "no-such-program"))


def test_help_names_every_command(skyops: Skyops) -> None:
    text = response(skyops("--help"))
    for command in ("demo", "up", "down", "logs", "docs", "status", "sql", "exec"):
        assert command in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "No such command"),
        (["sql", "select 1", "--format", "xml"], "xml"),
        (["status", "--yaml"], "No such option"),
        (["fake-opensky", "--port", "99999"], "equal to 65535"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    skyops: Skyops, arguments: list[str], said: str
) -> None:
    assert said in refused(skyops(*arguments))


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SKYOPS_UI_PORT", "high", "SKYOPS_UI_PORT cannot be used"),
        ("SKYOPS_WATCH_AIRPORT", "LFPG", "did you mean SKYOPS_WATCH_AIRPORTS?"),
        ("SKYOPS_WATCH_AIRPORTS", "LFPG,zzzz", "has unknown airport codes: ZZZZ"),
        ("SKYOPS_DATABASE_URL", "postgresql://u:zQsecretQz@127.0.0.1:1/db", "cannot be reached"),
        ("SKYOPS_DATABASE_URL", "mysql://u:zQsecretQz@host/db", "warehouse is Postgres"),
        ("SKYOPS_HOME", "/dev/null/home", "SKYOPS_HOME '/dev/null/home' cannot be used"),
    ],
)
def test_bad_settings_are_one_clear_error(
    skyops: Skyops, variable: str, value: str, said: str
) -> None:
    text = refused(skyops("status", **{variable: value}))
    assert text.startswith("Error: ")
    assert said in text
    assert PASSWORD not in text


def test_an_unknown_setting_is_noted_once_beside_the_answer(skyops: Skyops) -> None:
    done = skyops("sql", "select 1 as n", "--json", SKYOPS_FAVOURITE_COLOUR="blue")
    assert json.loads(response(done)) == [{"n": 1}]
    assert done.stderr.count("SKYOPS_FAVOURITE_COLOUR is not a SkyOps setting") == 1


def test_a_frozen_sky_is_refused(skyops: Skyops) -> None:
    assert "At --speed 0 no time passes" in refused(skyops("fake-opensky", "--speed", "0"))


def test_operators_files_are_loaded_and_told_of(skyops: Skyops, tmp_path: Path) -> None:
    unset = skyops("load", "--operator")
    assert unset.returncode == 1
    assert "SKYOPS_OPERATOR_DATA is not set" in unset.stderr
    assert skyops("load", "--operator", "x").returncode == 2
    assert skyops("load").returncode == 2
    (tmp_path / "parts.csv").write_text("part_number,part_name\nP1,Brake\nP2,\n")
    (tmp_path / "exposure.xlsx").write_text("")
    loaded = skyops("load", "--operator", SKYOPS_OPERATOR_DATA=str(tmp_path))
    assert loaded.returncode == 1
    assert re.search(r"parts +│ parts\.csv +│ 2 +│ 1 +│ 0 +│ 1", loaded.stdout), loaded.stdout
    assert "Not loaded: exposure.xlsx is empty. Write it again" in loaded.stderr
    assert "1 of the files could not be read; its rows stay as they were" in loaded.stderr


def test_a_refresh_of_nothing_says_what_to_load(skyops: Skyops) -> None:
    assert "Nothing has been loaded yet: load recordings" in refused(skyops("refresh"))


def test_a_command_stopped_before_it_begins_says_so(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "skyops_assets.cli", "load", __file__],
        env={**os.environ, "SKYOPS_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        # Made as the embedded server is prepared, seconds before anything is loaded.
        while not (home / "postgres.lock").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert err.splitlines()[-1] == "Stopped: Nothing had started yet."


@pytest.mark.parametrize("module", ["rich.table", "typer.main", "pydantic"])
def test_a_command_stopped_while_it_is_imported_says_so(home: Path, module: str) -> None:
    """With `PYTHONPROFILEIMPORTTIME` Python names each module on stderr as it has it."""
    with subprocess.Popen(
        [Path(sys.executable).with_name("skyops"), "status"],
        env={**os.environ, "SKYOPS_HOME": str(home), "PYTHONPROFILEIMPORTTIME": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr
        while module not in process.stderr.readline().split():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    said = [one for one in err.splitlines() if not one.startswith("import time:")]
    assert (process.returncode, out, said) == (130, "", ["Stopped."])
    assert not list(home.iterdir())


def test_a_stopped_query_ends_at_once_and_says_so(
    home: Path, warehouse: Warehouse, query: Query
) -> None:
    with subprocess.Popen(
        [Path(sys.executable).with_name("skyops"), "sql", "select pg_sleep(600)"],
        env={**os.environ, "SKYOPS_HOME": str(home), "SKYOPS_DATABASE_URL": warehouse.libpq()},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'"
        while query(warehouse, running) == [(0,)]:
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "Stopped.")
    assert query(warehouse, running) == [(0,)]


def test_keys_are_made_shown_once_listed_and_revoked(skyops: Skyops) -> None:
    assert json.loads(response(skyops("key", "list", "--json"))) == []
    assert "There are no keys" in response(skyops("key", "list"))
    done = skyops("key", "create", "gate-4", "--scope", "read", "--scope", "predict",
                  "--owner", "ops@example.org", "--expires", "30d", SKYOPS_ACTOR="jo")  # fmt: skip
    key = response(done).strip()
    assert re.fullmatch(r"sk_[\w-]{43}", key)
    assert done.stderr.endswith("It is shown only once; send it as `Authorization: Bearer ...`.\n")
    assert "Key gate-4 of ops@example.org may read, predict, until " in done.stderr
    made = json.loads(response(skyops("key", "create", "for-ever", "--expires", "never", "--json")))
    assert made.keys() == {"key_id", "key", "owner", "scopes", "expires_at"}
    assert (made["scopes"], made["expires_at"]) == (["read"], None)
    listed = skyops("key", "list", "--json")
    newest, oldest = json.loads(response(listed))
    assert (newest["key_id"], oldest["key_id"]) == ("for-ever", "gate-4")
    assert (oldest["owner"], oldest["created_by"], oldest["state"]) == (
        "ops@example.org", "jo", "valid",
    )  # fmt: skip
    assert 29.9 < (moment(oldest["expires_at"]) - moment(oldest["created_at"])).days + 1 < 31.1
    assert response(skyops("key", "revoke", "gate-4")) == "Key gate-4 is revoked.\n"
    table = response(skyops("key", "list"))
    assert "revoked" in table
    assert "was already revoked by " in refused(skyops("key", "revoke", "gate-4"))
    for secret in (key, made["key"]):
        assert secret not in listed.stdout + table


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["create", "x", "--scope", "all"],
            "no scope 'all'; a key has one or more of read, predict",
        ),
        (["create", "A key"], "'A key' is not a valid key name"),
        (["create", "browser"], "what the service calls callers without a key"),
        (["create", "x", "--expires", "soon"], "--expires 'soon' is not an expiry"),
        (["create", "x", "--expires", "2026-02-30"], "is not an expiry"),
        (["create", "x", "--expires", "2020-01-31"], "would have expired already"),
        (["create", "x", "--expires", "99999d", "--owner", " "], "needs an owner"),
        (["create", "for-ever"], "The name 'for-ever' is taken"),
        (["revoke", "nobodys"], "no key 'nobodys'; `skyops key list`"),
    ],
)
def test_a_key_that_cannot_be_made_is_one_clear_error(
    skyops: Skyops, arguments: list[str], said: str
) -> None:
    assert said in refused(skyops("key", *arguments))


def test_there_is_no_link_where_no_service_runs(skyops: Skyops) -> None:
    text = refused(skyops("link", SKYOPS_SERVICE_PORT="8765"))
    assert "runs on port 8765; `skyops up` and `skyops serve` start it." in text


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SKYOPS_SERVICE_TOKEN", "zQsecretQz", "it is not 32 or more letters, digits, - and _"),
        ("SKYOPS_LIMITS_URL", "http://:zQsecretQz@redis", "it is not the address of a Redis"),
        ("SKYOPS_PUBLIC_URL", "skyops.example", "it is not an http or https address"),
        ("SKYOPS_PREDICTIONS_A_MINUTE", "0", "greater than or equal to 1"),
        ("SKYOPS_READER_DATABASE_URL", "mysql://zQsecretQz@h/d", "SkyOps' warehouse is Postgres"),
        ("SKYOPS_READER_DATABASE_URL", "postgresql://h/d", "names no user"),
        (
            "SKYOPS_READER_DATABASE_URL",
            "postgresql://u:zQsecretQz@127.0.0.1:1/d",
            "cannot be reached",
        ),
    ],
)
def test_a_setting_of_the_service_that_cannot_be_used_is_told(
    skyops: Skyops, variable: str, value: str, said: str
) -> None:
    text = refused(skyops("sql", "select 1", **{variable: value}))
    assert said in text
    assert variable in text
    assert PASSWORD not in text
