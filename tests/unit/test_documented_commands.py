"""Every command in README and docs is run by a test, or is named here as one that is not."""

from __future__ import annotations

import re

import pytest

from skyops_assets.settings import PROJECT_ROOT
from tests.support.documented import QUERY, commands, documented

DEMO = "tests/integration/test_demo.py"
CLI = "tests/integration/test_cli.py"
LINES = "tests/serving/test_documented_lines.py::test_the_lines_work"
RUN = {
    QUERY.pattern: f"{DEMO}::test_every_documented_query_works",
    r"curl -sN? .*http://127\.0\.0\.1:8000/(.|\n)*": LINES,
    r"make demo": f"{DEMO}::test_the_demo_says_what_it_did",
    r"skyops link": f"{DEMO}::test_from_the_readme_alone_a_stranger_gets_",
    r"make up": f"{DEMO}::test_the_docs_are_served",
    r"make down": f"{DEMO}::test_nobody_complains",
    r"make purge FORCE=1": "tests/unit/test_purge.py::test_purge_asks_and_without_a_terminal",
    r"make page": "tests/unit/test_page_libraries.py::test_",
    r"skyops tables": f"{CLI}::test_tables_says_what_each_is",
    r"skyops status": f"{CLI}::test_status_for_people_shows_no_secrets_either",
    r"skyops logs": "tests/unit/test_keeping.py::test_",
    r"skyops health": "tests/integration/test_health.py::test_the_command_shows_every_part",
    r"skyops collect": "tests/integration/test_collect.py::test_the_command_collects",
    r"skyops follow": "tests/integration/test_follow.py::test_a_load_is_in_the_live_models",
    r"skyops fake-opensky": "tests/integration/test_collect.py::test_the_stand_in_server_answers",
    r"skyops load recordings/": "tests/integration/test_load.py::test_files_of_every_kind",
    r"SKYOPS_HOME=sim/home skyops load sim/recording": (
        "tests/integration/test_load.py::test_files_of_every_kind"
    ),
    r"skyops load --operator": f"{CLI}::test_operators_files_are_loaded_and_told_of",
    r"skyops refresh": f"{CLI}::test_a_refresh_of_nothing_says_what_to_load",
    r"(export SKYOPS_KEY=\$\()?skyops key (create|list|revoke) .*|skyops key list": (
        f"{CLI}::test_keys_are_made_shown_once_listed_and_revoked"
    ),
    r"skyops model (list|show|exclude|corrections|undo)(.|\n)*": (
        "tests/integration/model/test_models.py::test_"
    ),
    r"skyops rename-env .*": "tests/integration/test_environments.py::test_a_person_renames_it",
    r"skyops model copy .*": "tests/integration/model/test_copies.py::test_a_version_is_copied",
    r"skyops model reproduce .*": "tests/integration/model/test_stored.py::test_a_version_trained",
    r"skyops store (move|check).*": "tests/integration/model/test_stored.py::test_an_installation",
    r"skyops (backup|restore) /mnt/backups": f"{DEMO}::test_a_backup_is_restored_in_another_home",
    r"skyops reprocess .*": f"{DEMO}::test_a_range_is_computed_again",
    r"skyops simulate sim .*": "tests/unit/test_simulate.py::test_",
    r"skyops exec -- \.venv/bin/python -m validation\.truth .*": (
        "tests/integration/test_truth.py::test_simulated_flights_are_recovered"
    ),
    r"SKYOPS_DATA_MIRROR=\S+ \.venv/bin/python -m pytest .* -k yardstick": (
        f"{DEMO}::test_landings_agree_with_the_yardstick"
    ),
}
"""A command, and the test that runs it, or what `make` runs for it."""
NOT_RUN = {
    r"(export )?SKYOPS_\w+=.*": "sets variables; tests/unit/test_settings.py reads them",
    r"bin=.*": "a name for the lines below it",
    r"make (test|lint)": "they run the tests",
    r"make (buckets|celery buckets)": "installs packages, which the tests' environment has",
    r"skyops worker .*": "stays; tests/torture/test_machines.py starts such",
    r"export (AWS_ACCESS_KEY_ID|OFFICIAL_CHART)=.*": "sets variables of others",
    r"make audit": "asks a database of vulnerabilities on the web",
    r"docker (compose|run|volume) .*|git pull|cp docker/\.env\.example .*": "needs Docker",
    r"(docker (build|push)|kubectl|helm) (.|\n)*": (
        "needs a cluster; tests/unit/test_chart.py renders what it would get"
    ),
    (
        r"(install -d -m 700|chmod 444) docker/secrets.*|openssl rand .*"
        r"|(echo|printf) ['\"].*['\"] >.* docker/.*"
    ): ("makes the secrets of containers; tests/torture/test_containers.py makes such"),
    r"ssh -L .*": "needs a second machine",
    r"(apt-get install|cp docker/prometheus/|install -m|promtool|systemctl) ?(.|\n)*": (
        "changes the machine; tests/serving/test_prometheus.py runs Prometheus with these files"
    ),
    r"skyops exec -- bash -c 'exec mlflow ui .*": "a server that stays; opened once by hand",
    r"curl -H \"Authorization: Bearer (.|\n)*": (
        "one line of a list; each endpoint is asked by tests/serving"
    ),
}
"""A command, and why no test runs it."""
KNOWN = {**RUN, **NOT_RUN}


def covering(command: str) -> list[str]:
    return [pattern for pattern in KNOWN if re.fullmatch(pattern, command)]


def test_commands_are_found_one_by_one() -> None:
    block = (
        "# A comment.\n"
        "make demo   # with a comment\n"
        '.venv/bin/skyops sql "\n  select 1"\n'
        "curl a \\\n    -d '{}'\n"
        "\nmake up\n"
    )
    assert list(commands(block)) == [
        "make demo", 'skyops sql "\n  select 1"', "curl a \\\n    -d '{}'", "make up",
    ]  # fmt: skip


@pytest.mark.parametrize("page", documented())
def test_every_command_of_a_page_is_run_or_named_as_not_run(page: str) -> None:
    unknown = [command for command in documented()[page] if not covering(command)]
    assert unknown == [], "write a test that runs it, or say in NOT_RUN why there is none"


def test_nothing_is_named_that_no_page_shows() -> None:
    shown = {pattern for found in documented().values() for c in found for pattern in covering(c)}
    assert set(KNOWN) - shown == set()


@pytest.mark.parametrize("test", sorted(set(RUN.values())))
def test_the_test_that_runs_a_command_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"\ndef {name}" in (PROJECT_ROOT / path).read_text()
