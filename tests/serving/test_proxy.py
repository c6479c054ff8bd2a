"""docker/Caddyfile in a real Caddy: it asks who you are, lets you in, and holds no event back."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from skyops_assets.settings import PROJECT_ROOT
from tests.support.databases import Query
from tests.support.prometheus import program
from tests.support.servers import free_port
from tests.support.serving import Served, told

pytestmark = pytest.mark.xdist_group("serving")
DOMAIN = "skyops.localhost"
PASSED = {"service": "SERVICE", "dagster": "DAGSTER", "docs": "DOCS", "grafana": "GRAFANA",
          "mlflow": "MLFLOW", "prometheus": "PROMETHEUS", "alerts": "ALERTS"}  # fmt: skip
USER = ("me", "a long password")


class Echo(http.server.BaseHTTPRequestHandler):
    """Stands where the UIs stand, and says which login it was shown."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write((self.headers.get("Authorization") or "none").encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def behind(over_paris: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Caddy with the Caddyfile of docker/; its address without the name."""
    caddy = program("caddy")
    folder = tmp_path_factory.mktemp("caddy")
    said = subprocess.run(
        [caddy, "hash-password", "--plaintext", USER[1]], capture_output=True, text=True, check=True
    )
    (folder / "users").write_text(f"{USER[0]} {said.stdout.strip()}\n")
    port = free_port()
    # The file as it is, with ports that are free and a folder of the test's own.
    options = (
        f"admin off\nhttp_port {free_port()}\nhttps_port {port}\nskip_install_trust\n"
        f"storage file_system {folder / 'data'}\n"
    )
    as_it_is = (PROJECT_ROOT / "docker" / "Caddyfile").read_text()
    assert "\n{\n" in as_it_is
    (folder / "Caddyfile").write_text(as_it_is.replace("\n{\n", f"\n{{\n{options}", 1))
    echo = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=echo.serve_forever, daemon=True).start()
    reached = {f"SKYOPS_PROXY_{name}": f"127.0.0.1:{echo.server_port}" for name in PASSED.values()}
    variables = {
        **reached, "SKYOPS_PROXY_SERVICE": f"127.0.0.1:{over_paris.port}", "SKYOPS_DOMAIN": DOMAIN,
        "SKYOPS_PROXY_USERS": str(folder / "users"), "HOME": str(folder),
    }  # fmt: skip
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            [caddy, "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"],
            env={**os.environ, **variables}, stdout=log, stderr=log,
        )  # fmt: skip
    address = f"https://127.0.0.1:{port}"
    try:
        patience = time.monotonic() + 30
        while True:
            assert process.poll() is None, (folder / "caddy.log").read_text()
            try:
                # Each name has a certificate of its own, and Caddy makes one after the other.
                for name in PASSED.keys() - {"service"}:
                    ask(address, f"{name}.{DOMAIN}")
                if ask(address, DOMAIN, "/health/live").is_success:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < patience, (folder / "caddy.log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(20)
        echo.shutdown()


def ask(address: str, name: str, path: str = "/", **given: Any) -> httpx.Response:
    with httpx.Client(verify=False, timeout=20) as client:
        request = client.build_request("GET", f"{address}{path}", headers={"Host": name})
        request.extensions["sni_hostname"] = name
        return client.send(request, **given)


@pytest.mark.parametrize("name", sorted(PASSED.keys() - {"service"}))
def test_a_page_is_shown_to_who_logs_in_and_to_nobody_else(behind: str, name: str) -> None:
    host = f"{name}.{DOMAIN}"
    refused = ask(behind, host)
    assert (refused.status_code, refused.text) == (401, "")
    assert "Basic" in refused.headers["www-authenticate"]
    assert ask(behind, host, auth=(USER[0], "another")).status_code == 401
    assert ask(behind, host, auth=("you", USER[1])).status_code == 401
    let_in = ask(behind, host, auth=USER)
    assert let_in.status_code == 200
    # Grafana would take the proxy's login for a wrong one of its own.
    assert (let_in.text == "none") == (name == "grafana")


def test_the_service_asks_for_its_own_login(behind: str, over_paris: Served) -> None:
    assert ask(behind, DOMAIN, "/v1/aircraft").status_code == 401
    with httpx.Client(verify=False, headers=over_paris.client.headers) as client:
        found = client.get(
            f"{behind}/v1/aircraft", headers={"Host": DOMAIN}, extensions={"sni_hostname": DOMAIN}
        )
    assert found.status_code == 200


def test_an_event_is_there_at_once(behind: str, over_paris: Served, query: Query) -> None:
    """It is small, and no second one comes: a proxy that buffers would keep it."""
    key = {"Authorization": over_paris.client.headers["Authorization"], "Host": DOMAIN}
    with (
        httpx.Client(verify=False, timeout=10) as client,
        client.stream(
            "GET", f"{behind}/v1/events?kinds=phase", headers=key,
            extensions={"sni_hostname": DOMAIN},
        ) as stream,
    ):  # fmt: skip
        events = told(stream.iter_lines())
        assert [next(events)[0] for _ in range(2)] == ["begin", "phase"]
        warehouse = over_paris.warehouse
        (icao24, phase), *_ = query(
            warehouse, "select icao24, phase from live.aircraft where phase <> 'LEVEL' order by 1"
        )
        change = "update intermediate.int_positions__phased set phase = %s where icao24 = %s"
        query(warehouse, change, "LEVEL", icao24)
        began = time.monotonic()
        query(warehouse, "notify skyops_live")
        kind, rows = next(events)
        took = time.monotonic() - began
        assert (kind, [row["icao24"] for row in rows]) == ("phase", [icao24])
        assert took < 2, took
    query(warehouse, change, phase, icao24)
