"""Two ordinary users and root on one machine, each with a demo and services, at once."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from skyops_assets.warehouse import embedded
from tests.support.databases import short_dir, stop_server
from tests.support.servers import free_port

BIN = Path(sys.executable).parent


def each(
    users: Sequence[pwd.struct_passwd], variables: Mapping[str, dict[str, str]], *arguments: str
) -> dict[str, str]:
    """What the command says to each of them, all at once."""
    running = {
        user.pw_name: subprocess.Popen(
            [str(BIN / "skyops"), *arguments],
            user=user.pw_uid, group=user.pw_gid, extra_groups=[], env=variables[user.pw_name],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for user in users
    }  # fmt: skip
    said = {name: process.communicate(timeout=1000)[0] for name, process in running.items()}
    for name, process in running.items():
        assert process.returncode == 0, f"{name}: {said[name]}"
    return said


@pytest.mark.xdist_group("torture")
@pytest.mark.usefixtures("manifest")
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")
def test_two_users_and_root_each_have_a_demo_and_services_at_once(
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("three demos at once; make torture runs it")
    programs = (embedded.program("postgres"), Path(sys.executable).resolve())
    if closed := next(filter(None, map(embedded._closed_folder, programs)), None):
        pytest.skip(f"an ordinary user may not pass {closed} here")
    users = [entry for entry in pwd.getpwall() if entry.pw_name in ("nobody", "daemon", "root")]
    assert len(users) == 3
    homes = {user.pw_name: short_dir() for user in users}
    variables = {
        user.pw_name: {
            "PATH": "/usr/bin:/bin",
            "HOME": str(homes[user.pw_name]),
            "SKYOPS_HOME": str(homes[user.pw_name] / "state"),
            "SKYOPS_DATA_MIRROR": os.environ.get("SKYOPS_DATA_MIRROR", ""),
            "SKYOPS_UI_PORT": str(free_port()),
            "SKYOPS_DOCS_PORT": str(free_port()),
            "SKYOPS_SERVICE_PORT": str(free_port()),
        }
        for user in users
    }
    all_at_once = partial(each, users, variables)

    try:
        for user in users:
            os.chown(homes[user.pw_name], user.pw_uid, user.pw_gid)
        for name, said in all_at_once("demo").items():
            assert "\nAsk\n" in said, f"{name}: {said}"
        try:
            for name, said in all_at_once("up", "--detach").items():
                assert f"localhost:{variables[name]['SKYOPS_UI_PORT']}" in said, f"{name}: {said}"
        finally:
            ended = all_at_once("down")
        assert all(said.endswith("SkyOps is down.\n") for said in ended.values()), ended
        for user in users:
            made = {path.lstat().st_uid for path in homes[user.pw_name].rglob("*")}
            assert made <= {user.pw_uid, *([embedded.SERVER_UID] if user.pw_uid == 0 else [])}
    finally:
        for home in homes.values():
            stop_server(home / "state" / "postgres")
            shutil.rmtree(home, ignore_errors=True)
