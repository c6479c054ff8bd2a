"""What Grafana, Prometheus and the Postgres exporter read SkyOps with, as files of a volume.

Runs once, before they start: the addresses of the two roles that can do less than SkyOps' own user,
and an API key that only reads. So nobody has to make them by hand, and none of the three sees
SKYOPS_HOME.
"""

from __future__ import annotations

import secrets
import shlex
import sys
from pathlib import Path
from urllib.parse import urlencode

from skyops_assets.audit import api_keys
from skyops_assets.errors import SkyOpsError
from skyops_assets.runtime import prepare
from skyops_assets.settings import load_settings
from skyops_assets.warehouse.connection import TLS_OPTIONS
from skyops_assets.warehouse.roles import READER, SERVICE, Role, connected, grant_reading


def main(folder: Path) -> None:
    """Write the three files.

    Raises:
        SkyOpsError: a role cannot be used: what is shown must not be able to write.
    """
    settings = load_settings()
    warehouse = prepare(settings)

    def reader(role: Role) -> dict[str, str]:
        found, why = connected(warehouse, settings, role)
        if why:
            raise SkyOpsError(f"There is nothing to read with: {why}")
        return found.parts

    shown = reader(READER)
    for database in (settings.dagster_database, settings.mlflow_database):
        grant_reading(warehouse, database, shown["user"])
    address = ("host", "port", "user", "password")
    _write(folder / "grafana.env", {
        **{f"SKYOPS_GRAFANA_POSTGRES_{one.upper()}": shown[one] for one in address},
        "SKYOPS_GRAFANA_POSTGRES_DATABASE": shown["dbname"],
    })  # fmt: skip
    told = reader(SERVICE)
    _write(folder / "exporter.env", {
        "DATA_SOURCE_URI": f"{told['host']}:{told['port']}/{told['dbname']}?{_tls(told)}",
        "DATA_SOURCE_USER": told["user"], "DATA_SOURCE_PASS": told["password"],
    })  # fmt: skip
    key = folder / "prometheus.key"
    if not key.exists():
        made = api_keys.create(
            warehouse, f"prometheus-{secrets.token_hex(4)}", owner="prometheus",
            scopes=[api_keys.READ], expires_at=None, actor="docker/access.py",
        )  # fmt: skip
        _replace(key, made)


def _tls(parts: dict[str, str]) -> str:
    """Options of the exporter's driver, which does not know libpq's "if there is any"."""
    given = {name: value for name, value in parts.items() if name in TLS_OPTIONS}
    if given.get("sslmode") in {None, "allow", "prefer"}:
        given["sslmode"] = "disable"
    return urlencode(given)


def _write(path: Path, variables: dict[str, str]) -> None:
    """Lines for a shell to read."""
    _replace(path, "".join(f"export {k}={shlex.quote(v)}\n" for k, v in variables.items()))


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.chmod(0o444)  # The three run as users of their own, and nobody else has the volume.
    part.replace(path)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except SkyOpsError as error:
        sys.exit(f"Error: {error}")
