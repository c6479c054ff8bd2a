"""Keep SkyOps' services running: code server, daemon, UI, service, docs; all on loopback."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from skyops_assets.errors import SkyOpsError
from skyops_assets.operations import documentation, entrance, logs
from skyops_assets.operations.keeping import Claim
from skyops_assets.operations.sentinel import Sentinel
from skyops_assets.settings import Settings
from skyops_assets.store import DOCS_PAGE, open_store

HOST = "127.0.0.1"
STOP_S = 15
READY_S = 180
RESTARTS = 5
RESTARTS_WITHIN_S = 600.0
"""A service that ends by itself is started again, unless it ends more often than this."""
CODE_SERVER_START_S = 60.0
ROTATED_EVERY_S = 10.0
DOCS_BUILD = "docs build"
FOLLOW = "follow"
SERVICE = "service"
SPARED = (FOLLOW, SERVICE)
"""What the others do without."""
COLOURS = ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE")

Say = Callable[[str], None]


@contextmanager
def until_stopped(say: Say) -> Iterator[None]:
    """Within it, SIGINT, SIGTERM and SIGHUP (a closed terminal) end the work in order.

    A SIGHUP that is ignored stays so, as `nohup` wants it.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        yield
    except _Stopped:
        _safely(say, "Stopped")


class _Stopped(BaseException):
    """A signal asked for the end; no `except Exception` of a library may take it."""


def _stop(_number: int, _frame: object) -> None:
    # What ends now must not be interrupted; it is done within half a minute.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise _Stopped


def into_a_file(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process whose output is a log: nothing asks for colours."""
    return {name: value for name, value in variables.items() if name not in COLOURS}


def _safely(say: Say, line: str) -> None:
    """Say it where anyone still listens: the terminal may be closed."""
    with suppress(OSError):
        say(line)


def require_ports(settings: Settings) -> None:
    """Raise `SkyOpsError` where a port of the services cannot be taken."""
    taken: dict[int, str] = {}
    for name in ("ui", "docs", "service"):
        port, variable = getattr(settings, f"{name}_port"), f"SKYOPS_{name.upper()}_PORT"
        if other := taken.get(port):
            raise SkyOpsError(f"{other} and {variable} are both {port}; change one of them.")
        taken[port] = variable
        if problem := cannot_bind(HOST, port):
            raise SkyOpsError(f"{problem} Set {variable} to another port.")


def run_services(
    settings: Settings,
    claim: Claim,
    say: Say,
    service_environment: Mapping[str, str],
) -> None:
    """Start all services and stay until a signal; a service that ends is started again.

    Args:
        say: prints a line for the person who waits.
        service_environment: of the service, which sees less than the others.

    Raises:
        SkyOpsError: a service does not start, or one ends again and again.
    """
    services = _Services(settings, claim, say, service_environment)
    try:
        services.start()
        services.keep()
    except _Stopped:
        _safely(say, "Stopping")
        raise
    finally:
        services.end()


class _Services:
    """The services of one home, by name, in the order in which they are started."""

    def __init__(
        self, settings: Settings, claim: Claim, say: Say, service_environment: Mapping[str, str]
    ) -> None:
        self._settings = settings
        # One token for as long as this runs, however often the service is started again.
        token = {entrance.VARIABLE: entrance.token(settings)}
        self._environments = {SERVICE: {**service_environment, **token}}
        self._claim = claim
        self._say = say
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (settings.home / "logs").mkdir(parents=True, exist_ok=True)
        logs.rotate(logs.files(settings.home).values())
        self._sentinel = Sentinel(settings.home)
        code_port = _free_port()
        self._code_port = code_port
        workspace = settings.home / "workspace.yaml"
        workspace.write_text(
            f"load_from:\n"
            f"  - grpc_server: {{host: {HOST}, port: {code_port}, location_name: skyops}}\n"
        )
        python = [sys.executable, "-m"]
        dagster = [*python, "skyops_assets.instance.plain"]
        self._commands = {
            "code-server": [*dagster, "dagster", "code-server", "start", "-h", HOST,
                            "-p", str(code_port), "-m", "skyops_assets.definitions",
                            "--location-name", "skyops"],
            "daemon": [*dagster, "dagster._daemon", "run", "-w", str(workspace)],
            "ui": [*dagster, "dagster_webserver", "-h", HOST, "-p", str(settings.ui_port),
                   "-w", str(workspace)],
            "docs": [*python, "skyops_assets.operations.documentation"],
            DOCS_BUILD: [*python, "skyops_assets.cli", "docs"],
            FOLLOW: [*python, "skyops_assets.cli", "follow"],
            SERVICE: [*python, "skyops_assets.serving", HOST],
        }  # fmt: skip

    def start(self) -> None:
        """Start all, and return when their addresses answer."""
        say, ui = self._say, f"http://{HOST}:{self._settings.ui_port}/server_info"
        service = f"http://localhost:{self._settings.service_port}"
        say("Starting the code server")
        self._launch("code-server")
        self._wait(lambda: _listens(self._code_port))
        say("Starting the UI and the daemon")
        for name in ("ui", "docs", "daemon", SERVICE):
            self._launch(name)
        self._wait(lambda: _answers(ui))
        process = self._processes[SERVICE]
        self._wait(lambda: _answers(f"{service}/health/live") or process.poll() is not None)
        is_documented = _is_documented(self._settings)
        say(f"Dagster UI  http://localhost:{self._settings.ui_port}")
        if process.poll() is None:
            at = entrance.address(self._settings)
            say(f"Live page   {self._way_in()}")
            say(f"Analysis    {at}/analysis")
            say(f"Fleet       {at}/fleet")
            say(f"Service     {at}/v1")
        being = "" if is_documented else ", which are being built"
        docs = f"http://localhost:{self._settings.docs_port}"
        if documentation.SITE.exists():
            say(f"Handbook    {docs}")
        say(f"dbt docs    {docs}{documentation.DBT}{being}")
        if self._settings.postgres_port and self._settings.database_url is None:
            at = f"127.0.0.1:{self._settings.postgres_port}"
            say(f"Postgres    {at}, database skyops, user skyops_reader")
        if process.poll() is not None:
            say(f"The service exited unexpectedly; see {_log(self._settings, SERVICE)}")
        if not is_documented:
            self._build_docs()
        # Last: nobody who waits for a page waits for it.
        self._launch(FOLLOW)
        logs_are = f"Logs are in {self._settings.home / 'logs'}"
        # A session of its own has no terminal whose Ctrl-C would come here.
        ends = "" if os.getsid(0) == os.getpid() else "Ctrl-C or "
        say(f"{logs_are}; {ends}`skyops down` stops everything.")
        self._claim.note(is_ready=True)

    def _way_in(self) -> str:
        """The link for a browser; where what is said goes to a log, how to get it."""
        if os.isatty(1):
            return entrance.link(self._settings)
        return f"{entrance.address(self._settings)}; `skyops link` prints the link to log in"

    def _build_docs(self) -> None:
        self._launch(DOCS_BUILD)
        process = self._processes[DOCS_BUILD]
        self._wait(lambda: process.poll() is not None)
        del self._processes[DOCS_BUILD]
        if not process.returncode:
            self._say("The dbt docs are built")
        else:
            self._say(
                "The dbt docs could not be built; run `skyops docs` to try again, "
                f"and see {self._settings.home / 'logs' / 'docs.log'}."
            )

    def keep(self) -> None:
        """Start again what ends, and keep the logs short; without end."""
        restarts: dict[str, list[float]] = {}
        rotated_at = 0.0
        while True:
            for name, process in list(self._processes.items()):
                last = restarts.get(name, [-CODE_SERVER_START_S])[-1]
                if not _is_over(name, process, time.monotonic() - last):
                    continue
                try:
                    restarts[name] = _again(self._settings, name, restarts.get(name, []))
                except SkyOpsError as error:
                    if name not in SPARED:
                        raise
                    # What is live waits for the hourly build, and who asks over HTTP waits; that is
                    # no reason to end all.
                    _safely(self._say, f"{error}. It stays down; everything else keeps running.")
                    del self._processes[name]
                    continue
                _safely(self._say, f"The {name} exited unexpectedly and is being restarted.")
                process.kill()
                process.wait()
                self._launch(name)
            self._sentinel.watch()
            if time.monotonic() - rotated_at > ROTATED_EVERY_S:
                logs.rotate(logs.files(self._settings.home).values())
                rotated_at = time.monotonic()
            time.sleep(1)

    def end(self) -> None:
        """End all, and what they have started, such as runs."""
        # The UI and the daemon first: they would complain about a missing code server.
        for process in reversed(self._processes.values()):
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        self._sentinel.end()
        for process in self._processes.values():
            process.wait()

    def _launch(self, name: str) -> None:
        log = logs.files(self._settings.home)["docs" if name == DOCS_BUILD else name]
        with log.open("ab") as file:
            process = subprocess.Popen(
                self._commands[name],
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=into_a_file(self._environments.get(name, os.environ)),
            )
        self._processes[name] = process
        self._sentinel.add(process.pid)
        self._claim.note(groups={**self._claim.keeper.groups, name: process.pid})

    def _wait(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_S
        while not is_ready():
            for name, process in self._processes.items():
                if name not in (DOCS_BUILD, *SPARED) and process.poll() is not None:
                    raise SkyOpsError(
                        f"The {name} exited unexpectedly (exit code {process.returncode}); "
                        f"see {_log(self._settings, name)}"
                    )
            if time.monotonic() > deadline:
                raise SkyOpsError(
                    f"The services did not respond within {READY_S} s; "
                    f"see {self._settings.home / 'logs'}"
                )
            time.sleep(0.1)


def _is_documented(settings: Settings) -> bool:
    """Whether the dbt docs are built; with a bucket that is away they would not be built either."""
    try:
        return open_store(settings).find(DOCS_PAGE) is not None
    except OSError:
        return True


def _log(settings: Settings, name: str) -> Path:
    return logs.files(settings.home)[name]


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
            f"The {name} exited unexpectedly {len(late) + 1} times within {RESTARTS_WITHIN_S:.0f} "
            f"s; see {_log(settings, name)}"
        )
    return [*late, now]


def _answers(url: str) -> bool:
    import httpx

    try:
        # No proxy of the surroundings leads to this machine.
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def cannot_bind(host: str, port: int) -> str | None:
    """Why a port cannot be taken, in a sentence; None where it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                return f"Port {port} may not be used: ports below 1024 need more rights."
            if error.errno == errno.EADDRINUSE:
                return f"Port {port} is taken by another process, perhaps another `skyops up`."
            return f"Port {port} cannot be used ({error.strerror})."
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
