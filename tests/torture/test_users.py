"""Two ordinary users and root on one machine, each with a demo of their own, at once."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skyops_assets.warehouse import embedded
from tests.support.databases import short_dir, stop_server

BIN = Path(sys.executable).parent


@pytest.mark.xdist_group("torture")
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")
def test_two_users_and_root_each_have_a_demo_at_once(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("three demos at once; make torture runs it")
    programs = (embedded._program("postgres"), Path(sys.executable).resolve())
    if closed := next(filter(None, map(embedded._closed_folder, programs)), None):
        pytest.skip(f"an ordinary user may not pass {closed} here")
    users = [entry for entry in pwd.getpwall() if entry.pw_name in ("nobody", "daemon", "root")]
    assert len(users) == 3
    homes = {user.pw_name: short_dir() for user in users}
    try:
        running = {}
        for user in users:
            home = homes[user.pw_name]
            os.chown(home, user.pw_uid, user.pw_gid)
            running[user.pw_name] = subprocess.Popen(
                [str(BIN / "skyops"), "demo"],
                user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                env={
                    "PATH": "/usr/bin:/bin", "HOME": str(home), "SKYOPS_HOME": str(home / "state"),
                    "SKYOPS_DATA_MIRROR": os.environ.get("SKYOPS_DATA_MIRROR", ""),
                },
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        for name, process in running.items():
            said, _ = process.communicate(timeout=1000)
            assert process.returncode == 0, f"{name}: {said}"
            assert "make up" in said, f"{name}: {said}"
        for user in users:
            made = {path.lstat().st_uid for path in homes[user.pw_name].rglob("*")}
            assert made <= {user.pw_uid, *([embedded.SERVER_UID] if user.pw_uid == 0 else [])}
    finally:
        for home in homes.values():
            stop_server(home / "state" / "postgres")
            shutil.rmtree(home, ignore_errors=True)
