"""Servers that are not SkyOps' own: the system's Postgres, PgBouncer, Redis, and one of S3.

Belongs here: starting and stopping them. Does not: what is asked of them.
"""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

PASSWORD = "not-a-secret"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _nobody(folder: Path) -> dict[str, Any]:
    """Postgres and PgBouncer refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    import pwd

    entry = pwd.getpwnam("nobody")
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def system_binaries() -> Path | None:
    """The folder of the newest installed Postgres's programs, 15 or later."""
    usable = []
    for path in (shutil.which("initdb"), *glob.glob("/usr/lib/postgresql/*/bin/initdb")):
        if path is None:
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        version = said.stdout.split()[-1:] or ["0"]
        if version[0].split(".")[0].isdigit() and int(version[0].split(".")[0]) >= 15:
            usable.append((int(version[0].split(".")[0]), Path(path).parent))
    return max(usable)[1] if usable else None


@dataclass(frozen=True)
class Server:
    """A Postgres, or a pooler, on a TCP port of this machine; `owner` is its superuser."""

    port: int
    folder: Path

    def address(
        self, user: str = "owner", database: str = "skyops", password: str = PASSWORD
    ) -> str:
        url = URL.create("postgresql", user, password, "127.0.0.1", self.port, database)
        return url.render_as_string(hide_password=False)

    def run(
        self, *statements: str, database: str = "postgres", user: str = "owner"
    ) -> list[tuple[Any, ...]]:
        """Run statements, each for itself; the rows of the last."""
        import psycopg2

        connection = psycopg2.connect(self.address(user, database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


@contextmanager
def postgres(
    *initdb: str,
    data_in: Path | None = None,
    is_standby: bool = False,
    certificate: tuple[Path, Path] | None = None,
    also_at: str | None = None,
) -> Iterator[Server]:
    """A Postgres of the system with password logins.

    Args:
        initdb: more options, such as the encoding.
        data_in: where its data lies, such as a small disk; its log of writes lies elsewhere, as
            without room for that a server ends. Else a folder of its own.
        certificate: of a server that takes logins over TLS only, and the key.
        is_standby: it waits for a primary server, which there is not.
        also_at: one more address of this machine, whose network (/24) may log in there.
    """
    binaries = system_binaries()
    if binaries is None:
        pytest.skip("no Postgres 15 or later is installed to serve as an external server")
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    user = _nobody(folder)
    if data_in is not None:
        _nobody(data_in)
    data, port = (data_in or folder) / "data", free_port()
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)

    def run(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)

    try:
        run(str(binaries / "initdb"), "-D", str(data), "-U", "owner", "--no-sync",
            "--auth=scram-sha-256", f"--pwfile={secret}", f"--waldir={folder / 'wal'}",
            *initdb)  # fmt: skip
        if is_standby:
            (data / "standby.signal").touch()
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
        if certificate:
            for path, name in zip(certificate, ("server.crt", "server.key"), strict=True):
                shutil.copy(path, data / name)
                (data / name).chmod(0o600)
                shutil.chown(data / name, **{k: user[k] for k in ("user", "group") if k in user})
            (data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256\n")
            options += " -c ssl=on"
        if also_at:
            options = options.replace("127.0.0.1", f"127.0.0.1,{also_at}")
            with (data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {also_at}/24 scram-sha-256\n")
        run(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o",
            options, "start")  # fmt: skip
        yield Server(port, folder)
    finally:
        if (data / "postmaster.pid").exists():
            run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


class Authority:
    """Who signs certificates of servers at 127.0.0.1; `path` is its own certificate."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self.path, self._key = folder / f"{name}.crt", folder / f"{name}.key"
        _openssl("req", "-x509", *NEW_KEY, "-days", "1", "-subj", f"/CN={name}", "-out",
                 str(self.path), "-keyout", str(self._key))  # fmt: skip

    def certificate(self, name: str) -> tuple[Path, Path]:
        """A server's certificate and its key."""
        made, key, asked, more = (
            self._folder / f"{self._name}-{name}.{kind}" for kind in ("crt", "key", "csr", "ext")
        )
        more.write_text("subjectAltName=IP:127.0.0.1\n")
        _openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-out", str(asked), "-keyout", str(key))
        _openssl("x509", "-req", "-in", str(asked), "-CA", str(self.path), "-CAkey", str(self._key),
                 "-CAcreateserial", "-days", "1", "-extfile", str(more), "-out",
                 str(made))  # fmt: skip
        return made, key


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def control(server: Server, act: str) -> None:
    """Stop a server at once, or start it again (`act` of pg_ctl)."""
    binaries = system_binaries()
    assert binaries is not None
    how = {"stop": ["-m", "immediate"], "start": ["-w", "-l", str(server.folder / "log"), "-o",
           f"-p {server.port} -h 127.0.0.1 -k {server.folder} -c fsync=off"]}  # fmt: skip
    subprocess.run(
        [str(binaries / "pg_ctl"), "-D", str(server.folder / "data"), *how[act], act],
        check=True, stdout=subprocess.DEVNULL, cwd=server.folder, **_nobody(server.folder),
    )  # fmt: skip


@contextmanager
def pgbouncer(server: Server, pool_mode: str, *settings: str) -> Iterator[Server]:
    """PgBouncer before a server, as Debian packages it, for every database of it."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer is installed")
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    user, port = _nobody(folder), free_port()
    hashes = server.run("select usename, passwd from pg_shadow where passwd is not null")
    (folder / "users.txt").write_text("".join(f'"{n}" "{PASSWORD}"\n' for n, _ in hashes))
    (folder / "pgbouncer.ini").write_text(
        "\n".join([
            "[databases]", f"* = host=127.0.0.1 port={server.port}", "[pgbouncer]",
            "listen_addr = 127.0.0.1", f"listen_port = {port}", "auth_type = scram-sha-256",
            f"auth_file = {folder}/users.txt", f"logfile = {folder}/log", "unix_socket_dir = ",
            f"pool_mode = {pool_mode}", "default_pool_size = 20", "admin_users = owner", *settings,
        ])
    )  # fmt: skip
    for path in folder.iterdir():
        path.chmod(0o644)
    process = subprocess.Popen(
        [program, "-q", str(folder / "pgbouncer.ini")],
        cwd=folder,
        stderr=subprocess.DEVNULL,
        **user,
    )
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield Server(port, folder)
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redis(
    port: int, folder: Path, *options: str, certificate: tuple[Path, Path] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis of the system on a port of this machine, with `PASSWORD`.

    Args:
        options: more of its command line, such as an address beside the loopback.
        certificate: of the server, and its key; with them it speaks TLS only.
    """
    from redis import ConnectionError as RedisConnectionError
    from redis import Redis

    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis is installed")
    ports = ["--port", str(port)]
    if certificate:
        ports = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no",
                 "--tls-cert-file", str(certificate[0]), "--tls-key-file", str(certificate[1]),
                 "--tls-ca-cert-file", str(certificate[0])]  # fmt: skip
    process = subprocess.Popen(
        [program, *ports, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder),
         "--requirepass", PASSWORD, *options],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        client = Redis(
            port=port, password=PASSWORD, ssl=certificate is not None, ssl_cert_reqs="none"
        )
        for _ in range(100):
            with suppress(RedisConnectionError):
                client.ping()
                break
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of so many megabytes."""
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir="/tmp"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("no small disk can be mounted here")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


@contextmanager
def object_store(bucket: str) -> Iterator[str]:
    """Address of a server that speaks S3 and takes any key; it has the bucket."""
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        fs.S3FileSystem(
            access_key="key", secret_key=PASSWORD, endpoint_override=url, region="eu-west-1",
            allow_bucket_creation=True, request_timeout=60,
        ).create_dir(bucket)  # fmt: skip
        yield url
    finally:
        server.stop()


@contextmanager
def bucket_in_environment(bucket: str) -> Iterator[None]:
    """Such a server with the bucket, by AWS' own variables."""
    with object_store(bucket) as url, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": url,
        }.items():  # fmt: skip
            patch.setenv(name, value)
        yield
