"""One keeper for a home, services that end with it, and logs that stay short: by real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import keeping, logs, purge, supervise
from skyops_assets.operations.sentinel import Sentinel, end_groups, lives
from skyops_assets.settings import Settings
from skyops_assets.warehouse import embedded
from tests.support.children import as_user

KEEPER = """
import subprocess, sys, time
from pathlib import Path
from skyops_assets.operations import keeping, supervise
from skyops_assets.operations.sentinel import Sentinel
from skyops_assets.settings import load_settings

settings = load_settings()
(settings.home / "logs").mkdir(exist_ok=True)
with supervise.until_stopped(print), keeping.claimed(settings) as claim:
    sentinel = Sentinel(settings.home)
    service = subprocess.Popen(sys.argv[1:], start_new_session=True)
    sentinel.add(service.pid)
    claim.note(groups={"stand-in": service.pid}, is_ready=True)
    print("ready", flush=True)
    try:
        time.sleep(60)
    finally:
        sentinel.end()
"""
STUBBORN = "trap '' TERM; sleep 60 & wait; wait"


def wait_for(is_so: Callable[[], Any], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def keeper(home: Path, *service: str, before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", before + KEEPER, *(service or ("sleep", "60"))]
    process = subprocess.Popen(
        command, env={**os.environ, "SKYOPS_HOME": str(home)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def group_of(home: Path) -> int:
    found = keeping.find(home)
    assert found is not None and found.is_ready
    return found.groups["stand-in"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_services_end_with_their_keeper_whatever_ends_it(tmp_path: Path, number: int) -> None:
    with keeper(tmp_path) as process:
        group = group_of(tmp_path)
        with pytest.raises(SkyOpsError, match=rf"already runs in .*: process {process.pid}, since"):
            keeping.require_none(Settings(home=tmp_path))
        process.send_signal(number)
        assert process.wait(20) == (-number if number == signal.SIGKILL else 0)
        wait_for(lambda: not lives(group))
    assert keeping.find(tmp_path) is None
    # At once, and again: neither the file nor a number in it is in the way.
    with keeper(tmp_path) as process:
        process.terminate()
    assert not keeping.end(tmp_path, print)


def test_a_closed_terminal_that_nohup_ignores_ends_nothing(tmp_path: Path) -> None:
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    with keeper(tmp_path, before=ignored) as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        assert keeping.end(tmp_path, print)
        assert process.wait(5) == 0


def test_down_waits_until_the_keeper_is_gone(tmp_path: Path) -> None:
    """Which frees its lock before it ends the embedded server."""
    lingers = "import atexit, time; atexit.register(time.sleep, 1)\n"
    with keeper(tmp_path, before=lingers) as process:
        (tmp_path / "postgres.lock").touch()
        with pytest.raises(SkyOpsError, match=f"The process {process.pid}, since .* still uses"):
            purge.removable(Settings(home=tmp_path))
        assert keeping.end(tmp_path, print)
        # One that nobody has waited for yet.
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
        purge.removable(Settings(home=tmp_path))


def test_down_ends_what_a_keeper_and_its_sentinel_left(tmp_path: Path) -> None:
    with keeper(tmp_path) as process:
        group = group_of(tmp_path)
        for child in psutil.Process(process.pid).children():
            if child.pid != group:
                child.kill()
        process.kill()
    assert lives(group)
    said: list[str] = []
    # A number that is another's by now: this home is not in its environment.
    left = keeping.left_in(tmp_path)
    assert not keeping.end_leftovers(tmp_path / "other", left, said.append)
    assert keeping.end(tmp_path, said.append)
    assert said == ["Stopping what an earlier `skyops up` left running: stand-in"]
    assert not lives(group)


def test_a_sentinel_that_dies_is_started_again_and_knows_the_services(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    sentinel = Sentinel(tmp_path)
    service = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        sentinel.add(service.pid)
        sentinel._process.kill()
        sentinel._process.wait()
        sentinel.watch()
        assert sentinel._process.stdin is not None
        sentinel._process.stdin.close()
        assert service.wait(10) == -signal.SIGTERM
        assert sentinel._process.wait(10) == 0
    finally:
        service.kill()


def test_a_group_that_does_not_end_is_killed() -> None:
    service = subprocess.Popen(["sh", "-c", STUBBORN], start_new_session=True)
    wait_for(lambda: psutil.Process(service.pid).children())
    end_groups([service.pid], wait_s=0.2)
    assert service.wait(5) == -signal.SIGKILL
    wait_for(lambda: not lives(service.pid))


def test_a_port_that_cannot_be_taken_is_named_with_the_reason(
    tmp_path: Path,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        free = unused.getsockname()[1]
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for ports, said in (
            ({"ui_port": port}, f"Port {port} is taken by another process.* Set SKYOPS_UI_PORT"),
            ({"ui_port": free, "docs_port": port}, "Set SKYOPS_DOCS_PORT"),
            ({"ui_port": 4000, "docs_port": 4000}, "are both 4000"),
        ):
            with pytest.raises(SkyOpsError, match=said):
                supervise.require_ports(Settings(home=tmp_path, **ports))


def test_an_ordinary_user_is_told_that_port_80_needs_more_rights(tmp_path: Path) -> None:
    limit = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not limit.exists() or int(limit.read_text()) <= 80:
        pytest.skip("this system lets every user take port 80")
    settings = Settings(home=tmp_path, ui_port=80)
    user = os.geteuid() or embedded._nobody()
    assert "Port 80 may not be used: ports below 1024 need more rights. Set SKYOPS_UI_PORT" in (
        as_user(user, lambda: supervise.require_ports(settings))
    )


def test_a_log_that_grew_begins_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "ui.log"
    with log.open("ab", buffering=0) as file:
        follower = logs.follow(log, 0)
        for round_ in range(3):
            file.write(b"%d first\n" % round_ + b"x" * 90 + b"\n")
            assert next(follower) == f"{round_} first"
            assert next(follower) == "x" * 90
            assert next(follower) is None
            logs.rotate([log, tmp_path / "missing"], largest=90)
            assert log.stat().st_size == 0
            assert next(follower) is None
    assert (tmp_path / "ui.log.1").read_text().startswith("2 first\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ui.log", "ui.log.1"]


def test_the_ends_of_logs(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "daemon.log"
    with pytest.raises(SkyOpsError, match=r"^There are no logs in .* yet; `skyops up` writes them"):
        logs.chosen(tmp_path, None)
    log.parent.mkdir()
    log.write_text("".join(f"line {n}\n" for n in range(20_000)))
    assert logs.chosen(tmp_path, None) == {"daemon": log}
    assert logs.last_lines(log, 2) == ["line 19998", "line 19999"]
    assert logs.last_lines(log, 0) == []
    assert len(logs.last_lines(log, 30_000)) == 20_000
    assert len(logs.last_lines(log, 15_000)) == 15_000
    with pytest.raises(SkyOpsError, match="no log 'nix'; the logs are up, code-server"):
        logs.chosen(tmp_path, "nix")
