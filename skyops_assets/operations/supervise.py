"""Keep SkyOps' services running: code server, daemon, UI and docs, all on loopback."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings

HOST = "127.0.0.1"
STOP_S = 15
READY_S = 180
RESTARTS = 5
RESTARTS_WITHIN_S = 600.0
"""A service that ends by itself is started again, unless it ends more often than this."""
CODE_SERVER_START_S = 60.0


def run_services(settings: Settings, say: Callable[[str], None]) -> None:
    """Start all services and stay until a signal; a service that ends is started again.

    Args:
        say: prints a line for the person who waits.

    Raises:
        SkyOpsError: a port is taken, a service does not start, or one ends again and again.
    """
    for port, variable in ((settings.ui_port, "UI"), (settings.docs_port, "DOCS")):
        _require_free(port, f"SKYOPS_{variable}_PORT")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    services: dict[str, subprocess.Popen[bytes]] = {}
    restarts: dict[str, list[float]] = {}
    try:
        commands = _start_all(settings, services, say)
        while True:
            for name, process in services.items():
                last = restarts.get(name, [-CODE_SERVER_START_S])[-1]
                if not _is_over(name, process, time.monotonic() - last):
                    continue
                restarts[name] = _again(settings, name, restarts.get(name, []))
                say(f"The {name} ended by itself and is started again.")
                process.kill()
                process.wait()
                services[name] = _launch(settings, name, commands[name])
            time.sleep(1)
    except _Stopped:
        say("Stopping")
    finally:
        # The UI and the daemon first: they would complain about a missing code server.
        for process in reversed(services.values()):
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in services.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class _Stopped(Exception):
    """A signal asked for the end."""


def _stop(_number: int, _frame: object) -> None:
    raise _Stopped


def _start_all(
    settings: Settings, services: dict[str, subprocess.Popen[bytes]], say: Callable[[str], None]
) -> dict[str, list[str]]:
    """Start every service, and return the command of each."""
    code_port = _free_port()
    workspace = settings.home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: {HOST}, port: {code_port}, location_name: skyops}}\n"
    )
    bare = [sys.executable, "-m"]
    commands = {
        "code-server": [*bare, "dagster", "code-server", "start", "-h", HOST, "-p", str(code_port),
                        "-m", "skyops_assets.definitions", "--location-name", "skyops"],
        "daemon": [*bare, "dagster._daemon", "run", "-w", str(workspace)],
        "ui": [*bare, "dagster_webserver", "-h", HOST, "-p", str(settings.ui_port),
               "-w", str(workspace)],
        "docs": [*bare, "http.server", str(settings.docs_port), "--bind", HOST,
                 "--directory", str(settings.home / "docs")],
    }  # fmt: skip
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for name, command in commands.items():
        services[name] = _launch(settings, name, command)
        if name == "code-server":
            say("Starting the code server")
            _wait(settings, services, lambda: not _is_free(code_port))
    say("Starting the UI and the daemon")
    _wait(settings, services, lambda: _answers(f"http://{HOST}:{settings.ui_port}/server_info"))
    say(f"Dagster UI  http://localhost:{settings.ui_port}")
    say(f"dbt docs    http://localhost:{settings.docs_port}")
    say(f"Logs are in {logs}; Ctrl-C stops everything.")
    return commands


def _launch(settings: Settings, name: str, command: list[str]) -> subprocess.Popen[bytes]:
    with (settings.home / "logs" / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )


def _is_over(name: str, process: subprocess.Popen[bytes], age_s: float) -> bool:
    """Whether a service ended; the code server also when the process that it stands for did.

    That one holds the graph, and Dagster's code server does not start it again: it goes on to take
    connections, and no sensor, schedule or run works any more.
    """
    import psutil

    if process.poll() is not None:
        return True
    if name != "code-server" or age_s < CODE_SERVER_START_S:
        return False
    try:
        children = psutil.Process(process.pid).children()
        return all(child.status() == psutil.STATUS_ZOMBIE for child in children)
    except psutil.NoSuchProcess:
        return False  # It went between the two looks; the next one tells.


def _again(settings: Settings, name: str, before: list[float]) -> list[float]:
    """The times of a service's late restarts, with one now.

    Raises:
        SkyOpsError: they are too many.
    """
    now = time.monotonic()
    late = [at for at in before if now - at < RESTARTS_WITHIN_S]
    if len(late) >= RESTARTS:
        raise SkyOpsError(
            f"The {name} ended by itself {len(late) + 1} times within {RESTARTS_WITHIN_S:.0f} s; "
            f"see {settings.home / 'logs' / (name + '.log')}"
        )
    return [*late, now]


def _wait(
    settings: Settings, services: dict[str, subprocess.Popen[bytes]], is_ready: Callable[[], bool]
) -> None:
    deadline = time.monotonic() + READY_S
    while not is_ready():
        _require_alive(settings, services)
        if time.monotonic() > deadline:
            raise SkyOpsError(
                f"The services did not answer within {READY_S} s; see {settings.home / 'logs'}"
            )
        time.sleep(0.3)


def _require_alive(settings: Settings, services: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in services.items():
        if process.poll() is not None:
            raise SkyOpsError(
                f"The {name} ended by itself (exit code {process.returncode}); "
                f"see {settings.home / 'logs' / (name + '.log')}"
            )


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _require_free(port: int, variable: str) -> None:
    if not _is_free(port):
        raise SkyOpsError(
            f"Port {port} is taken, perhaps by another `skyops up`. End that, or set {variable}."
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
