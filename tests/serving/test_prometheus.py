"""Alert rules, who is told of them and who is told next, and what tasks push."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from pydantic import SecretStr

from skyops_assets.errors import SkyOpsError, Stopped
from skyops_assets.operations.pushing import PUSHED, reported, reports
from skyops_assets.serving.metrics_page import asked, own, pushed
from skyops_assets.settings import PROJECT_ROOT, Settings
from tests.support.prometheus import FILES, alertmanager, program, pushgateway
from tests.support.servers import free_port

pytestmark = pytest.mark.xdist_group("serving")
TESTS = ("rules_test.yml", "rules_hours_test.yml")
ALERTS = [
    rule
    for group in yaml.safe_load((FILES / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


def said(*arguments: str) -> str:
    """What a program prints, which succeeds."""
    found = subprocess.run(arguments, cwd=FILES, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_each_alert_fires_on_its_condition_and_only_then() -> None:
    said(program("promtool", "prometheus"), "test", "rules", *TESTS)


def test_each_alert_has_cases_that_fire_and_that_do_not() -> None:
    fires: set[str] = set()
    rests: set[str] = set()
    for name in TESTS:
        for case in yaml.safe_load((FILES / name).read_text())["tests"]:
            alert = case["name"].partition(":")[0]
            for look in case["promql_expr_test"]:
                (fires if look["exp_samples"] else rests).add(alert)
    names = {rule["alert"] for rule in ALERTS}
    assert names - fires == set()
    assert names - rests == set()


def test_the_files_are_what_the_programs_take(home: Path) -> None:
    promtool = program("promtool", "prometheus")
    (home / "skyops.key").write_text("sk_1")
    (home / "rules.yml").write_text((FILES / "rules.yml").read_text())
    config = (FILES / "prometheus.yml").read_text()
    (home / "prometheus.yml").write_text(config.replace("/etc/prometheus", str(home)))
    said(promtool, "check", "config", str(home / "prometheus.yml"))
    amtool = program("amtool", "prometheus-alertmanager")
    said(amtool, "check-config", "alertmanager.yml")
    for severity, told in (("page", "first,second"), ("ticket", "team"), ("none", "team")):
        route = said(amtool, "config", "routes", "test", "--config.file=alertmanager.yml",
                     f"severity={severity}")  # fmt: skip
        assert route.strip() == told


def test_each_alert_has_a_runbook_and_asks_for_metrics_that_there_are() -> None:
    page = (PROJECT_ROOT / "docs" / "runbooks.md").read_text()
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert headings == [rule["alert"] for rule in ALERTS]
    known = {one.name for one in (*own(), *asked(), *pushed())}
    for rule in ALERTS:
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"page", "ticket"}
        for name in re.findall(r"\bskyops_\w+", rule["expr"]):
            assert name.removesuffix("_bucket") in known, rule["alert"]


class Told(http.server.BaseHTTPRequestHandler):
    """A receiver's webhook: notes who is told of which alerts, and whether they are over."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in body["alerts"]:
            notes: list[tuple[str, str, str]] = self.server.notes  # type: ignore[attr-defined]
            notes.append((self.path[1:], alert["labels"]["alertname"], alert["status"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None: ...


def test_who_is_told_next_is_told_after_thirty_minutes_unless_it_is_over_or_silenced(
    home: Path,
) -> None:
    """The shipped file, with seconds for minutes and a webhook for each address."""
    port = free_port()
    config = (FILES / "alertmanager.yml").read_text()
    for shipped, quick in (("30m", "4s"), ("10s", "200ms"), ("5m", "500ms"), ("30s", "200ms")):
        assert shipped in config
        config = config.replace(shipped, quick)
    config, count = re.subn(
        r"- name: (\w+)\n    email_configs:\n      - to: \S+",
        rf"- name: \1\n    webhook_configs:\n      - url: http://127.0.0.1:{port}/\1",
        config,
    )
    assert count == 3
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Told)
    notes: list[tuple[str, str, str]] = []
    server.notes = notes  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with alertmanager(config, home) as client:
            for name, severity in (("Lasting", "page"), ("Over", "page"), ("Mine", "page"),
                                   ("Small", "ticket")):  # fmt: skip
                fire(client, name, severity)
            wait_for(lambda: {note[:2] for note in notes} == {
                ("first", "Lasting"), ("first", "Over"), ("first", "Mine"), ("team", "Small")
            })  # fmt: skip
            fire(client, "Over", "page", is_over=True)
            silence(client, "Mine")
            wait_for(lambda: ("second", "Lasting", "firing") in notes)
            wait_for(lambda: ("first", "Over", "resolved") in notes)
            time.sleep(1.5)
            assert {note[1] for note in notes if note[0] == "second"} == {"Lasting"}
            assert [note for note in notes if note[1] == "Small"] == [("team", "Small", "firing")]
    finally:
        server.shutdown()
        server.server_close()


def fire(client: httpx.Client, name: str, severity: str, *, is_over: bool = False) -> None:
    """Tell Alertmanager of an alert, as Prometheus does."""
    ends = {"endsAt": datetime.now(UTC).isoformat()} if is_over else {}
    alert = {"labels": {"alertname": name, "severity": severity, "instance": "i"}, **ends}
    assert client.post("/api/v2/alerts", json=[alert]).is_success


def silence(client: httpx.Client, name: str) -> None:
    now = datetime.now(UTC)
    answer = client.post("/api/v2/silences", json={
        "matchers": [{"name": "alertname", "value": name, "isRegex": False}],
        "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "first", "comment": "I am on it",
    })  # fmt: skip
    assert answer.is_success, answer.text


def wait_for(holds: object) -> None:
    assert callable(holds)
    patience = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < patience, "it never was so"
        time.sleep(0.1)


def test_tasks_tell_the_pushgateway_how_they_went(home: Path) -> None:
    with pushgateway(home) as client:
        gateway = Settings(pushgateway_url=SecretStr(str(client.base_url)), env="staging")

        def told(task: str) -> dict[str, float]:
            text = client.get("/metrics").text
            found = re.findall(
                rf'^(skyops_\w+){{.*env="staging",.*task="{task}"}} (\S+)$', text, re.MULTILINE
            )
            return {name: float(number) for name, number in found}

        with reported("load", gateway):
            time.sleep(0.05)
        before = told("load")
        assert set(before) == {metric.name for metric in PUSHED}
        assert before["skyops_task_success"] == 1
        assert 0.05 <= before["skyops_task_duration_seconds"] < 5
        with pytest.raises(SkyOpsError), reported("load", gateway):
            raise SkyOpsError("The file cannot be read.")
        after = told("load")
        assert after["skyops_task_success"] == 0
        # When it last went well is still known.
        stays = "skyops_task_success_timestamp_seconds"
        assert after[stays] == before[stays]
        assert after["skyops_task_end_timestamp_seconds"] > before[stays]
        with pytest.raises(Stopped), reported("demo", gateway):
            raise Stopped("A person stopped it.")
        assert told("demo") == {}


def test_no_task_fails_for_want_of_a_pushgateway(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    password = "hidden"
    address = f"http://user:{password}@127.0.0.1:{free_port()}"
    with reported("load", Settings(pushgateway_url=SecretStr(address))):
        done = True
    assert done
    assert "The result of load could not be pushed to the Pushgateway: " in caplog.text
    assert password not in caplog.text

    @reports
    def load(path: str, *, as_json: bool = False) -> str:
        return f"{path} {as_json}"

    monkeypatch.setenv("SKYOPS_PUSHGATEWAY_URL", address)
    assert load("a", as_json=True) == "a True"
    monkeypatch.delenv("SKYOPS_PUSHGATEWAY_URL")
    caplog.clear()
    assert load("a") == "a False"
    assert caplog.text == ""
