"""The core and the live profile in real containers: health, the demo, a kill of each, a restore.

Runs where there are podman, podman-compose and two base images, which CONTAINER_IMAGES names:
`CONTAINER_IMAGES="python:3.11-slim-bookworm postgres:17-bookworm"`. All is as in docker/, but for
the names of images and the ports.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from skyops_assets.settings import PROJECT_ROOT
from tests.support.servers import free_port

pytestmark = [pytest.mark.xdist_group("torture"), pytest.mark.timeout(3600)]
LIVE = "skyops collect"
CORE = ("postgres", "code", "daemon", "webserver", "service", "follow", "docs")
HEALTHY_S = 900
"""The dbt docs took more than five minutes on two cores with a load of 25."""
COMMAND_S = 1800
"""Longer than the build of the image there."""
FACTS = """
    select (select count(*) from metrics.fct_flights where source not like 'simulated%'),
        (select count(*) from ml.model_versions), (select count(*) from audit.api_keys)
"""
LOST = """
    select count(*) from raw.ingest_batches as batch
    where
        target = 'raw.opensky_states'
        and loaded_rows <> (
            select count(*) from raw.opensky_states as one where one.batch_id = batch.batch_id
        )
"""
"""Loads of which rows are missing, or that have more than they say."""
SERVICES = yaml.safe_load((PROJECT_ROOT / "docker" / "compose.yaml").read_text())["services"]
LIVE_ROWS = "select count(*) from raw.opensky_states where source like 'simulated%'"


class Stack:
    """A project of podman-compose, from the files of docker/."""

    def __init__(self, folder: Path, python: str, postgres: str) -> None:
        self.name = f"skyops-{secrets.token_hex(3)}"
        self.image = f"localhost/{self.name}:test"
        self._folder = folder / "docker"
        self._folder.mkdir()
        shutil.copy(PROJECT_ROOT / "docker" / "compose.yaml", self._folder)
        (self._folder / "secrets").mkdir()
        # What is left of an address, and what an address cannot have.
        (self._folder / "secrets" / "postgres_password").write_text(f"@/{secrets.token_hex(8)}%\n")
        for port in ("UI", "SERVICE", "DOCS"):
            self._set(f"SKYOPS_{port}_PORT", free_port())
        self._set("SKYOPS_IMAGE", self.image)
        # OpenSky's stand-in, which runs beside the collector in its container.
        self._set("SKYOPS_OPENSKY_URL", "http://127.0.0.1:8900/api")
        self._set("SKYOPS_OPENSKY_DAILY_CREDITS", 8000)
        (self._folder / "other.yaml").write_text(
            yaml.safe_dump({"services": {"postgres": {"image": postgres}}})
        )
        self.run(
            "podman", "build", "--network=host", "--isolation=chroot", "--tag", self.image,
            "--build-arg", f"PYTHON_IMAGE={python}", "--file", "docker/Dockerfile", ".",
            cwd=PROJECT_ROOT,
        )  # fmt: skip

    def _set(self, name: str, value: object) -> None:
        with (self._folder / ".env").open("a") as file:
            file.write(f"{name}={value}\n")

    def run(self, *command: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            command,
            cwd=cwd or self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def compose(self, *command: str) -> str:
        return self.run(
            "podman-compose", "--project-name", self.name, "--profile", "live",
            "--file", "compose.yaml", "--file", "other.yaml", *command,
        )  # fmt: skip

    def container(self, service: str) -> str:
        return f"{self.name}_{service}_1"

    def do(self, service: str, *command: str) -> str:
        """What a command prints within a service's container, in the environment of it."""
        return self.run("podman", "exec", self.container(service), *command)

    def ask(self, statement: str) -> list[Any]:
        """The first row of a statement."""
        said = self.do(
            "postgres", "psql", "-U", "skyops", "-h", "/run/postgresql", "-d", "skyops", "-AtF,",
            "-c", statement,
        )  # fmt: skip
        return [int(one) for one in said.strip().splitlines()[0].split(",")]

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.do("code", "skyops", "status", "--json"))
        return found

    def healthy(self, *services: str) -> dict[str, float]:
        """Wait until the health checks of these pass; the seconds that it took."""
        began, took = time.monotonic(), dict[str, float]()
        while missing := [one for one in services if one not in took]:
            for service in missing:
                done = subprocess.run(
                    ["podman", "healthcheck", "run", self.container(service)],
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode == 0:
                    took[service] = round(time.monotonic() - began, 1)
                elif time.monotonic() - began > HEALTHY_S:
                    log = subprocess.run(
                        ["podman", "logs", "--tail", "30", self.container(service)],
                        capture_output=True, text=True, check=False,
                    )  # fmt: skip
                    pytest.fail(f"{service}: {done.stdout}{done.stderr}{log.stdout}{log.stderr}")
            time.sleep(1)
        return took

    def feed(self) -> None:
        """Start OpenSky's stand-in beside the collector, unless it answers."""
        self.run(
            "podman", "exec", "--detach", self.container("collector"), "skyops", "fake-opensky"
        )

    def kill(self, service: str, signal: str = "KILL") -> None:
        """End all of a container at once; the restart policy, or we, start it again."""
        self.run("podman", "kill", "--signal", signal, self.container(service))
        time.sleep(2)
        with suppress(AssertionError):
            self.run("podman", "start", self.container(service))

    def end(self) -> None:
        with suppress(AssertionError):
            self.compose("down", "--volumes", "--timeout", "5")
        with suppress(AssertionError):
            self.run("podman", "rmi", "--force", self.image)


@pytest.fixture(scope="module")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    if not request.config.getoption("--long"):
        pytest.skip("takes a quarter of an hour: --long")
    for program in ("podman", "podman-compose"):
        if shutil.which(program) is None:
            pytest.skip(f"There is no {program}")
    usage = subprocess.run(
        ["podman-compose", "--help"], capture_output=True, text=True, check=False
    ).stdout
    if "--profile" not in usage:
        pytest.skip("podman-compose knows no profiles, as the 1.0.3 of Debian 12")
    images = os.environ.get("CONTAINER_IMAGES", "").split()
    if len(images) != 2:
        pytest.skip("CONTAINER_IMAGES does not name a Python and a Postgres image")
    for image in images:
        if subprocess.run(["podman", "image", "exists", image], check=False).returncode:
            pytest.skip(f"There is no image {image} here")
    found = Stack(tmp_path_factory.mktemp("stack"), *images)
    try:
        yield found
    finally:
        found.end()


def said(what: str, value: object) -> None:
    """For whoever runs this with -s: what was measured."""
    print(f"{what}: {value}", flush=True)


def in_bytes(limit: str) -> int:
    """Bytes of a limit as compose writes it: `512m`, or a variable with a default."""
    size = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", limit)
    return int(size[:-1]) << {"m": 20, "g": 30}[size[-1]]


def live_rows(stack: Stack, more_than: int) -> int:
    """Live positions, once there are more of them; they may take a minute."""
    patience = time.monotonic() + 180
    while (rows := stack.ask(LIVE_ROWS)[0]) <= more_than:
        assert time.monotonic() < patience, stack.run(
            "podman", "logs", stack.container("collector")
        )
        time.sleep(1)
    return rows


def test_it_starts_and_each_health_check_passes(stack: Stack) -> None:
    stack.compose("up", "--no-build", "--detach")
    said("seconds to healthy", stack.healthy(*CORE))
    stack.feed()
    said("collector", stack.healthy("collector"))


def test_nobody_may_write_where_it_does_not_have_to(stack: Stack) -> None:
    for service in (*CORE, "collector"):
        done = subprocess.run(
            ["podman", "exec", "--user=0", stack.container(service), "touch", "/opt/new"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Read-only file system" in done.stderr, service
    # A secret is in a file only: neither in what describes the container nor in its arguments.
    secret = (stack._folder / "secrets" / "postgres_password").read_text().strip()
    assert secret not in stack.run("podman", "inspect", stack.container("code"))


def test_memory_has_the_limits_that_compose_names(stack: Stack) -> None:
    for service in (*CORE, "collector"):
        limit = SERVICES[service]["mem_limit"]
        for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
            with suppress(AssertionError):
                assert int(stack.do(service, "cat", name)) == in_bytes(limit), service
                break
        else:
            pytest.fail(f"{service}: the container sees no limit")
    # More than its 512 MB: whoever takes that is ended, and the service goes on.
    done = subprocess.run(
        ["podman", "exec", stack.container("service"), "python", "-c", "b'x' * (600 << 20)"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 137
    stack.healthy("service")


def test_ports_answer_on_loopback_only(stack: Stack) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Sends nothing; names the address from which others would be reached.
        probe.connect(("192.0.2.1", 9))
        elsewhere = probe.getsockname()[0]
    assert not elsewhere.startswith("127.")
    published = 0
    for service in (*CORE, "collector"):
        for line in stack.run("podman", "port", stack.container(service)).splitlines():
            host, port = line.split(" -> ")[1].rsplit(":", 1)
            assert host == "127.0.0.1", line
            socket.create_connection((host, int(port)), timeout=10).close()
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((elsewhere, int(port)), timeout=10)
            published += 1
    assert published == 3


def test_the_demo_works_inside(stack: Stack) -> None:
    began = time.monotonic()
    stack.do("code", "skyops", "demo")
    said("demo", f"{time.monotonic() - began:.0f} s")
    flights, versions, _ = stack.ask(FACTS)
    assert flights > 500
    assert versions >= 1


@pytest.mark.parametrize("service", [*CORE, "collector"])
def test_what_is_killed_comes_back_and_nothing_is_lost(stack: Stack, service: str) -> None:
    before = live_rows(stack, 0)
    facts = stack.ask(FACTS)
    stack.kill(service)
    if service == "collector":
        stack.feed()
    said(f"{service} healthy again", stack.healthy(service, "postgres"))
    assert stack.ask(FACTS) == facts
    assert stack.ask(LOST) == [0]
    # What was there is there, and the feed goes on.
    assert live_rows(stack, before) > before


@pytest.mark.parametrize(("signal", "day"), [("INT", "2023-06-01"), ("KILL", "2023-06-11")])
def test_postgres_ends_within_a_load_and_nothing_is_lost(
    stack: Stack, signal: str, day: str
) -> None:
    """Asked to stop at once, or killed; the load says so, and is whole when it is made again."""
    folder = f"/var/lib/skyops/{day}"
    stack.do("code", "skyops", "simulate", folder, "--rows", "400000", "--start", day, "--clean")
    load = subprocess.Popen(
        ["podman", "exec", stack.container("code"), "skyops", "load", f"{folder}/recording"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    # The lock of its day, which a load has until its transaction ends.
    writes = "select count(*) from pg_locks where locktype = 'advisory' and objid = "
    ordinal = date.fromisoformat(day).toordinal()
    while stack.ask(f"{writes}{ordinal}") == [0]:
        assert load.poll() is None, load.communicate()
    stack.kill("postgres", signal)
    complained = load.communicate(timeout=COMMAND_S)[1]
    said(f"the load, when Postgres got {signal}", f"exit {load.returncode}, {complained.strip()}")
    assert load.returncode == 1, "unless it was too quick for us: then give it more rows"
    assert "Traceback" not in complained
    said("healthy again", stack.healthy(*CORE, "collector"))
    again = json.loads(stack.do("code", "skyops", "load", f"{folder}/recording", "--json"))
    assert {one["error"] for one in again} == {None}
    rows = sum(one["read_rows"] for one in again)
    assert rows >= 400_000
    kept = "select count(*) from raw.opensky_states where time_position >= "
    within = f"'{day}Z' and time_position < '{day}Z'::timestamptz + '5 d'"
    assert stack.ask(f"{kept}{within}") == [rows]
    assert stack.ask(LOST) == [0]


def test_a_backup_of_the_volumes_is_restored_into_new_ones(stack: Stack) -> None:
    stack.run("podman", "stop", stack.container("collector"), stack.container("follow"))
    before = stack.status()
    made = json.loads(stack.do("code", "skyops", "backup", "/var/lib/backups", "--json"))
    said("backup", f"{made['bytes'] / 1e6:.0f} MB")
    began = time.monotonic()
    stack.compose("down", "--timeout", "5")
    for volume in ("postgres", "home"):
        stack.run("podman", "volume", "rm", f"{stack.name}_{volume}")
    stack.compose("up", "--no-build", "--detach", "postgres")
    stack.healthy("postgres")
    stack.compose("run", "--rm", "--no-deps", "code", "skyops", "restore", "/var/lib/backups")
    said("loss to restored", f"{time.monotonic() - began:.0f} s")
    stack.compose("up", "--no-build", "--detach")
    stack.healthy(*CORE)
    took = time.monotonic() - began
    said("loss to all healthy", f"{took:.0f} s")
    assert took < 300
    after = stack.status()
    assert after["champions"] == before["champions"]
    kept = {
        name: rows for name, rows in before["counts"].items()
        if name.startswith(("raw.", "metrics.", "ml.", "features."))
    }  # fmt: skip
    assert {name: after["counts"].get(name) for name in kept} == kept


def test_another_user_restores_it_elsewhere_with_the_embedded_server(stack: Stack) -> None:
    """A user with no name, another path, and Postgres 18 in the same container as SkyOps."""
    counts = stack.status()["counts"]
    kept = f"{stack.name}_backups"
    own = "cp -r /var/lib/backups /elsewhere/kept && chown -R 12345:12345 /elsewhere"
    elsewhere = f"{stack.name}_elsewhere:/elsewhere"
    stack.run(
        "podman", "run", "--rm", "--user=0", "--volume", f"{kept}:/var/lib/backups:ro", "--volume",
        elsewhere, "--entrypoint=sh", stack.image, "-c", own,
    )  # fmt: skip
    try:
        shown = stack.run(
            "podman", "run", "--rm", "--network=none", "--user=12345:12345", "--volume", elsewhere,
            "--env=SKYOPS_HOME=/elsewhere/home", "--env=HOME=/tmp", "--entrypoint=sh", stack.image,
            "-c", "skyops restore /elsewhere/kept >&2 && skyops status --json",
        )  # fmt: skip
        after = json.loads(shown)
        assert after["warehouse"]["embedded"] is True
        for table in ("metrics.fct_flights", "ml.model_versions", "raw.opensky_states"):
            assert after["counts"][table] == counts[table]
    finally:
        stack.run("podman", "volume", "rm", "--force", f"{stack.name}_elsewhere")
