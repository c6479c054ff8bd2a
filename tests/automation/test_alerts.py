"""Alerts from end to end: Dagster's events, the sensor's ticks, and real servers that are told."""

from __future__ import annotations

import base64
import email
import json
import logging
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from skyops_assets.alerts import channels, store
from skyops_assets.alerts.problems import Observation, of_check, of_r2, of_run
from skyops_assets.alerts.routes import targets
from skyops_assets.audit.log import MONITOR
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import AlertRoute, Settings, load_settings
from skyops_assets.warehouse.connection import Warehouse
from tests.support.databases import Query
from tests.support.ticks import Ticks

PREDICTIONS = dg.AssetKey(["ml", "predictions"])
CHECK = "predictions_hold_together"
OWNER = "team:skyops"
AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "s3cr3t-path"


# The servers


class Hooks:
    """A webhook's server; `status` is what it answers, and `refused` a text that it never takes."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.status = 200
        self.refused = "\0"
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = 400 if hooks.refused in body["text"] else hooks.status
                if status == 200:
                    hooks.texts.setdefault(self.path, []).append(body["text"])
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def heard(self, path: str = f"/{SECRET}") -> list[str]:
        return self.texts.get(path, [])


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    found = Hooks()
    with served(found.server):
        yield found


class Mail(socketserver.ThreadingTCPServer):
    """A mail server: as much of SMTP (RFC 5321, 3207, 4954) as a client that sends needs."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None, is_implicit: bool = False) -> None:
        self.tls, self.is_implicit = tls, is_implicit
        self.password: str | None = None
        self.is_refusing = False
        self.got: list[tuple[list[str], Message, bool]] = []
        super().__init__(("127.0.0.1", 0), Talk)


class Talk(socketserver.StreamRequestHandler):
    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def secure(self, tls: ssl.SSLContext) -> None:
        self.connection = tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)

    def say_what_it_can(self, has_tls: bool) -> None:
        self.wfile.write(b"250-here\r\n")
        if has_tls:
            self.wfile.write(b"250-STARTTLS\r\n")
        self.say("250 AUTH PLAIN")

    def message(self) -> Message:
        body = b""
        while not body.endswith(b"\r\n.\r\n"):
            body += self.rfile.readline()
        return email.message_from_bytes(body[:-3], policy=policy.default)

    def handle(self) -> None:
        mail: Mail = self.server
        is_secure, is_known, to = mail.is_implicit, mail.password is None, []
        if mail.tls and mail.is_implicit:
            self.secure(mail.tls)
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                self.say_what_it_can(mail.tls is not None and not is_secure)
            elif verb == "STARTTLS" and mail.tls:
                self.say("220 go")
                self.secure(mail.tls)
                is_secure = True
            elif verb == "AUTH":
                said = base64.b64decode(line.split()[2]).decode().split("\0")[2]
                is_known = said == mail.password
                self.say("235 yes" if is_known else f"535 {said} is wrong")
            elif verb == "RCPT":
                to.append(line.partition("<")[2].partition(">")[0])
                self.say("250 ok")
            elif verb == "DATA" and (mail.is_refusing or not is_known):
                self.say("554 no")
            elif verb == "DATA":
                self.say("354 go on")
                mail.got.append((to, self.message(), is_secure))
                self.say("250 ok")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


@pytest.fixture
def mail() -> Iterator[Mail]:
    found = Mail()
    with served(found):
        yield found


@pytest.fixture
def servers(hooks: Hooks, mail: Mail) -> tuple[Hooks, Mail]:
    return hooks, mail


@pytest.fixture
def told(
    pointed: Warehouse, hooks: Hooks, mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> Warehouse:
    """The warehouse, with this process's settings on all three channels."""
    for name, value in {
        "WEBHOOK_URL": f"{hooks.url}/{SECRET}",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail.server_address[1]),
        "SMTP_STARTTLS": "false",
        "RECIPIENTS": "a@example.org, b@example.org",
    }.items():
        monkeypatch.setenv(f"SKYOPS_ALERT_{name}", value)
    return pointed


# The sensor


@pytest.fixture
def tick(told: Warehouse, repository: Any, instance: dg.DagsterInstance) -> Ticks:
    return Ticks(repository, instance)


def checked(
    instance: dg.DagsterInstance,
    passed: bool,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    name: str = CHECK,
) -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=PREDICTIONS, check_name=name, passed=passed, severity=severity, metadata={},
            description=None if passed else "3 crossings have no prediction",
        )
    )  # fmt: skip


@dg.op
def breaks(context) -> None:  # type: ignore[no-untyped-def]
    if "break" in context.run.tags:
        raise ValueError("no water")


@dg.job
def pump() -> None:
    breaks()


def ran(instance: dg.DagsterInstance, *, breaking: bool) -> None:
    tags = {"break": "yes"} if breaking else {}
    pump.execute_in_process(instance=instance, raise_on_error=False, tags=tags)


def test_a_failed_check_in_a_green_run_is_told_on_every_channel_once_and_its_recovery_too(
    tick: Ticks,
    instance: dg.DagsterInstance,
    hooks: Hooks,
    mail: Mail,
    caplog: pytest.LogCaptureFixture,
) -> None:
    checked(instance, passed=False)
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    (text,) = hooks.heard()
    assert text == (
        f"*[SkyOps] Check {CHECK} of ml/predictions failed*\n3 crossings have no prediction"
    )
    ((to, message, _),) = mail.got
    assert to == ["a@example.org", "b@example.org"]
    assert message["Subject"] == f"[SkyOps] Check {CHECK} of ml/predictions failed"
    assert "3 crossings have no prediction" in message.get_payload()
    checked(instance, passed=False)
    assert tick() == "0 new, 0 recovered, 0 notices sent."
    checked(instance, passed=True)
    assert tick() == "0 new, 1 recovered, 3 notices sent."
    assert "Recovered: Check" in hooks.heard()[1] and "seen 2 times" in hooks.heard()[1]
    assert [m["Subject"].strip()[:19] for _, m, _ in mail.got] == [
        "[SkyOps] Check pred",
        "[SkyOps] Recovered:",
    ]
    checked(instance, passed=True)
    assert tick() == "0 new, 0 recovered, 0 notices sent."
    # It is a new problem when it comes back.
    checked(instance, passed=False)
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    in_log = [r.getMessage() for r in caplog.records if r.name == "skyops_assets.alerts"]
    assert len(in_log) == 3 and "Recovered" in in_log[1]


def test_a_failed_run_is_told_with_its_error_and_recovers_with_the_next_that_succeeds(
    tick: Ticks, instance: dg.DagsterInstance, hooks: Hooks
) -> None:
    ran(instance, breaking=True)
    ran(instance, breaking=True)
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    (text,) = hooks.heard()
    assert "Run of pump failed" in text and "breaks: ValueError: no water" in text
    ran(instance, breaking=False)
    assert tick() == "0 new, 1 recovered, 3 notices sent."
    assert "Recovered: Run of pump failed" in hooks.heard()[1]


def test_of_assets_that_automation_runs_each_has_its_own_alert(
    tick: Ticks, instance: dg.DagsterInstance, hooks: Hooks
) -> None:
    """All such runs are of one job: another asset's success is no recovery, its failure is news."""
    dry: set[str] = set()

    def source(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name)
        def made() -> None:
            if name in dry:
                raise ValueError(f"{name} is dry")

        return made

    well, pond = source("well"), source("pond")
    both = dg.define_asset_job("both")
    repository = dg.Definitions([well, pond], jobs=[both]).get_repository_def()

    def made(*assets: dg.AssetsDefinition, job: str = "__ASSET_JOB") -> None:
        repository.get_job(job).get_subset(
            asset_selection={one.key for one in assets}
        ).execute_in_process(instance=instance, raise_on_error=False)

    dry |= {"well"}
    made(well)
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    assert hooks.heard()[0].startswith("*[SkyOps] Run of well failed*\nwell: ValueError: well is")
    made(pond)
    assert tick() == "0 new, 0 recovered, 0 notices sent."
    dry |= {"pond"}
    made(pond)
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    dry -= {"pond"}
    # Of a run that failed again the half that did not.
    made(well, pond)
    assert tick() == "0 new, 1 recovered, 3 notices sent."
    assert "Recovered: Run of pond failed" in hooks.heard()[2]
    dry.clear()
    made(well, pond, job="both")
    assert tick() == "0 new, 1 recovered, 3 notices sent."


def test_an_error_that_postgres_cannot_hold_is_told_all_the_same(
    tick: Ticks, instance: dg.DagsterInstance, told: Warehouse, hooks: Hooks
) -> None:
    """Of a NUL, or half a character, the tick would fail on the same event for ever."""
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=PREDICTIONS, check_name=CHECK, passed=False, metadata={},
            description="bad\0byte in postgresql://me:s3cr3t@db/x " + "x" * 9_000,
        )
    )  # fmt: skip
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    (text,) = hooks.heard()
    assert "bad\ufffdbyte in postgresql://***@db/x xx" in text
    assert text.endswith("x ... (6034 more)") and len(text) < 4_000
    seen = replace(run_of(0, errors=[]), details="name of a file: \udcff")
    assert store.note(told, load_settings(), [seen]).opened == 1


def test_a_notice_that_is_refused_lets_the_others_pass(
    tick: Ticks, instance: dg.DagsterInstance, hooks: Hooks
) -> None:
    """A server that is there takes all but the one; it stays unsent, and behind them."""
    hooks.refused = "3 crossings"
    checked(instance, passed=False)
    assert "webhook: The webhook answered 400." in tick()
    ran(instance, breaking=True)
    for _ in range(store.TRIES):
        tick()
    (text,) = hooks.heard()
    assert "Run of pump failed" in text
    # Not ahead of what it is the recovery of.
    checked(instance, passed=True)
    ran(instance, breaking=False)
    tick()
    assert [text.splitlines()[0] for text in hooks.heard()[1:]] == [
        "*[SkyOps] Recovered: Run of pump failed*"
    ]
    hooks.refused = "\0"
    tick()
    assert [text.splitlines()[0][10:25] for text in hooks.heard()[2:]] == [
        "Check predictio",
        "Recovered: Chec",
    ]


def test_a_run_that_a_blocking_check_stopped_is_the_checks_alert_alone(
    tick: Ticks, instance: dg.DagsterInstance, hooks: Hooks
) -> None:
    @dg.asset
    def well() -> None: ...

    @dg.asset_check(asset=well, blocking=True)
    def has_water() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    @dg.asset(deps=[well])
    def glass() -> None: ...

    done = dg.materialize([well, has_water, glass], instance=instance, raise_on_error=False)
    assert not done.success
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    assert "Check has_water of well failed" in hooks.heard()[0]


def test_a_warning_is_no_alert_unless_its_check_is_on_the_list(
    tick: Ticks, instance: dg.DagsterInstance, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked(instance, passed=False, severity=dg.AssetCheckSeverity.WARN)
    assert tick() == "0 new, 0 recovered, 0 notices sent."
    monkeypatch.setenv("SKYOPS_ALERT_WARN_CHECKS", "drift, disk_has_room")
    checked(instance, False, severity=dg.AssetCheckSeverity.WARN, name="disk_has_room")
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    assert "disk_has_room" in hooks.heard()[0]


def test_what_was_before_the_first_tick_is_no_news(
    told: Warehouse, repository: Any, instance: dg.DagsterInstance, query: Query, hooks: Hooks
) -> None:
    checked(instance, passed=False)
    ran(instance, breaking=True)
    changed(query, told, "promote")
    tick = Ticks(repository, instance)
    assert tick() == "0 new, 0 recovered, 0 notices sent."


def test_a_tick_whose_warehouse_is_away_is_repeated_and_a_lost_cursor_tells_nobody_twice(
    tick: Ticks, instance: dg.DagsterInstance, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tick.cursor
    checked(instance, passed=False)
    with monkeypatch.context() as broken, pytest.raises(SkyOpsError):
        broken.setenv("SKYOPS_WAREHOUSE_URL", "postgresql://x@127.0.0.1:1/x")
        tick()
    assert tick.cursor == before
    assert tick().startswith("1 new")
    checked(instance, passed=True)
    assert tick().startswith("0 new, 1 recovered")
    tick.cursor = before
    assert tick() == "0 new, 0 recovered, 0 notices sent."
    assert len(hooks.heard()) == 2


def changed(query: Query, warehouse: Warehouse, action: str) -> None:
    query(
        warehouse,
        "insert into audit.champion_changes (model_name, action, from_version, to_version, "
        "to_mlflow_run_id, actor, reason) values ('m', %s, '1', '2', 'x', 'anna', 'is <it>?')",
        action,
    )


def test_promotions_and_rollbacks_are_told_once_and_need_no_recovery(
    tick: Ticks, told: Warehouse, query: Query, hooks: Hooks
) -> None:
    before = tick.cursor
    for action in ("gatekeeper", "rollback"):
        changed(query, told, action)
    assert tick() == "2 new, 0 recovered, 6 notices sent."
    assert "m: promoted to version 2" in hooks.heard()[0]
    # As Slack wants it.
    assert "m: rolled back to version 2" in hooks.heard()[1]
    assert "By anna: is &lt;it&gt;?" in hooks.heard()[1]
    tick.cursor = before
    assert tick() == "0 new, 0 recovered, 0 notices sent."
    kinds = query(told, "select kind, recovered_at is null from audit.alerts order by alert_id")
    assert kinds == [("promotion", False), ("rollback", False)]


def test_an_r2_below_the_floor_is_told_until_it_is_above_again(
    tick: Ticks, told: Warehouse, query: Query, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def window(r2: float | None, kind: str = MONITOR) -> None:
        query(told, "insert into audit.monitoring_log (kind, r2, model_version) "
              "values (%s, %s, '3')", kind, r2)  # fmt: skip

    window(0.1)
    assert tick().startswith("0 new"), "no floor is set"
    monkeypatch.setenv("SKYOPS_ALERT_R2_FLOOR", "0.3")
    window(0.2, kind="evaluation")
    window(None)
    window(0.3)
    assert tick().startswith("0 new")
    window(0.29)
    assert tick().startswith("1 new")
    assert "R2 fell to 0.29, below 0.3" in hooks.heard()[0]
    # What could not be computed is no recovery.
    window(None)
    window(0.1)
    assert tick() == "0 new, 0 recovered, 0 notices sent."
    # Another ring's model is neither better nor worse for it.
    query(told, "insert into audit.monitoring_log (kind, r2, model_name, model_version) "
          "values (%s, 0.9, 'arrival-transit-100nm', '1')", MONITOR)  # fmt: skip
    assert tick() == "0 new, 0 recovered, 0 notices sent."
    window(0.4)
    assert tick().startswith("0 new, 1 recovered")


def test_a_channel_that_is_down_holds_up_no_other_and_is_told_when_it_is_back(
    tick: Ticks,
    instance: dg.DagsterInstance,
    told: Warehouse,
    servers: tuple[Hooks, Mail],
    query: Query,
) -> None:
    hooks, mail = servers
    hooks.status = 503
    checked(instance, passed=False)
    said = tick()
    assert said.startswith("1 new, 0 recovered, 2 notices sent. webhook: The webhook answered 503.")
    assert len(mail.got) == 1 and SECRET not in said
    checked(instance, passed=True)
    assert tick().startswith("0 new, 1 recovered, 2 notices sent. webhook: ")
    unsent = "select attempts, last_error from audit.alert_notices where sent_at is null"
    rows = query(told, unsent + " order by 1 desc")
    assert [attempts for attempts, _ in rows] == [2, 0], "once a tick, whatever waits"
    hooks.status, mail.is_refusing = 200, True
    ran(instance, breaking=True)
    said = tick()
    assert "4 notices sent. email: The mail server did not take the message" in said
    assert [text.splitlines()[0][10:19] for text in hooks.heard()] == [
        "Check pre",
        "Recovered",
        "Run of pu",
    ]
    mail.is_refusing = False
    assert tick() == "0 new, 0 recovered, 1 notices sent."
    assert len(mail.got) == 3 and query(told, unsent) == []


def test_a_channel_that_cannot_even_be_tried_stops_no_tick(
    tick: Ticks, instance: dg.DagsterInstance, mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a host that was misspelt: what Python raises then is no error of the network."""
    host = load_settings().alert_smtp_host
    monkeypatch.setenv("SKYOPS_ALERT_SMTP_HOST", f"{SECRET}..org")
    checked(instance, passed=False)
    said = tick()
    assert said.startswith(
        "1 new, 0 recovered, 2 notices sent. email: Nothing could be sent through "
    )
    assert "SKYOPS_ALERT_ variables" in said and SECRET not in said
    monkeypatch.setenv("SKYOPS_ALERT_SMTP_HOST", str(host))
    assert tick() == "0 new, 0 recovered, 1 notices sent."
    assert len(mail.got) == 1


def test_an_owners_alerts_go_where_the_route_says(
    tick: Ticks,
    instance: dg.DagsterInstance,
    hooks: Hooks,
    mail: Mail,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routes = {OWNER: {"webhook_url": f"{hooks.url}/ours", "recipients": ["us@example.org"]}}
    monkeypatch.setenv("SKYOPS_ALERT_ROUTES", json.dumps(routes))
    checked(instance, passed=False)
    assert tick() == "1 new, 0 recovered, 3 notices sent."
    assert len(hooks.heard("/ours")) == 1 and hooks.heard() == []
    assert mail.got[0][0] == ["us@example.org"]


# Routes


def test_each_address_is_told_once_whatever_owners_share_it() -> None:
    settings = Settings(
        alert_webhook_url=SecretStr("https://all"),
        alert_smtp_host="mail",
        alert_recipients=("all@x",),
        alert_routes={"b": AlertRoute(recipients=("b@x",))},
    )
    found = [(one.channel, one.owner, one.address) for one in targets(settings, ["a", "b", "c"])]
    assert found == [
        ("log", "a", ""), ("webhook", "a", "https://all"), ("email", "a", "all@x"),
        ("email", "b", "b@x"),
    ]  # fmt: skip
    assert "https://all" not in repr(targets(settings, ["a"])) + repr(settings)


def test_without_settings_the_log_is_all_there_is() -> None:
    assert [one.channel for one in targets(Settings(), ["a"])] == ["log"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SKYOPS_ALERT_ROUTES", f'{{"x": {SECRET}'),
        ("SKYOPS_ALERT_ROUTES", f'{{"x": {{"webhook": "{SECRET}"}}}}'),
        ("SKYOPS_ALERT_WEBHOOK_URL", SECRET),
        ("SKYOPS_ALERT_R2_FLOOR", "1.5"),
        ("SKYOPS_ALERT_SMTP_PORT", "0"),
    ],
)
def test_a_bad_setting_is_named_and_no_secret_of_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SkyOpsError, match=f"^{name}") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


# Channels


def test_no_error_and_no_log_tells_a_secret(
    hooks: Hooks, mail: Mail, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = Settings(
        alert_smtp_host="127.0.0.1",
        alert_smtp_port=mail.server_address[1],
        alert_smtp_starttls=False,
        alert_smtp_user="me",
        alert_smtp_password=SecretStr("wr0ng"),
    )
    mail.password = "right"
    said = []
    channels.send(settings, "webhook", f"{hooks.url}/{SECRET}", "t", "d")
    hooks.status = 404
    for channel, address in (
        ("webhook", f"{hooks.url}/{SECRET}"),
        ("webhook", f"http://127.0.0.1:1/{SECRET}"),
        ("webhook", f"http://[/{SECRET}"),
        ("email", "a@example.org"),
    ):
        with pytest.raises(SkyOpsError) as caught:
            channels.send(settings, channel, address, "t", "d")
        said.append(str(caught.value))
        assert caught.value.__context__ is None
    assert "did not take the message (SMTPAuthenticationError 535)" in said[-1]
    for secret in (SECRET, "wr0ng"):
        assert secret not in "".join(said) + caplog.text


def certificate(folder: Path) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself, in one file."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    pem = folder / "mail.pem"
    pem.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(encoding)
    )
    return pem


@pytest.mark.parametrize("is_implicit", [False, True])
def test_mail_goes_over_tls_with_a_login_and_only_to_a_server_that_proves_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_implicit: bool
) -> None:
    pem = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    with served(mail := Mail(tls, is_implicit)):
        mail.password = "right"
        if is_implicit:
            monkeypatch.setattr(channels, "IMPLICIT_TLS_PORT", mail.server_address[1])
        settings = Settings(
            alert_smtp_host="127.0.0.1",
            alert_smtp_port=mail.server_address[1],
            alert_smtp_user="me",
            alert_smtp_password=SecretStr("right"),
            alert_sender="ops@example.org",
        )
        with pytest.raises(SkyOpsError, match="SSLCertVerificationError"):
            channels.send(settings, "email", "a@example.org", "t", "d")
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        channels.send(settings, "email", "a@example.org", "first\r\nBcc: x@y", "d")
    ((to, message, is_secure),) = mail.got
    assert is_secure and to == ["a@example.org"]
    assert message["From"] == "ops@example.org" and message["Subject"] == "first Bcc: x@y"


def test_a_password_does_not_leave_the_machine_in_the_clear() -> None:
    settings = Settings(
        alert_smtp_host="mail.invalid", alert_smtp_user="me",
        alert_smtp_password=SecretStr("secret"), alert_smtp_starttls=False,
    )  # fmt: skip
    with pytest.raises(SkyOpsError, match="over TLS only"):
        channels.send(settings, "email", "a@example.org", "t", "d")


# Observations


def run_of(minute: int, *, errors: list[str] | None) -> Observation:
    return of_run("main", f"r{minute}", AT + timedelta(minutes=minute), errors, [OWNER])


def test_observations_count_in_the_order_in_which_they_were(
    warehouse: Warehouse, query: Query
) -> None:
    settings = Settings()
    found = store.note(warehouse, settings, [run_of(2, errors=None), run_of(1, errors=["x"])])
    assert (found.opened, found.recovered) == (1, 1)
    # Seen late: it was over by then.
    late = store.note(warehouse, settings, [run_of(1, errors=["x"]), run_of(0, errors=["x"])])
    assert (late.opened, late.recovered) == (0, 0)
    assert query(warehouse, "select times_seen, recovered_at is null from audit.alerts") == [
        (1, False)
    ]


def test_nothing_is_opened_by_what_is_green(warehouse: Warehouse) -> None:
    found = store.note(
        warehouse,
        Settings(),
        [run_of(0, errors=None), of_r2(AT, 0.5, 0.5, "a", model=None, version=None)],
    )
    assert (found.opened, found.recovered) == (0, 0)


@pytest.mark.parametrize(
    ("is_passed", "is_error", "listed", "red"),
    [(False, True, False, True), (False, False, False, None), (False, False, True, True),
     (True, True, False, False), (True, False, False, False)],
)  # fmt: skip
def test_what_a_check_says(is_passed: bool, is_error: bool, listed: bool, red: bool | None) -> None:
    found = of_check(
        "a/b", "c", AT, is_passed=is_passed, is_error=is_error, description="why", run_id="r",
        owners=[OWNER], warn_checks=["c"] if listed else [],
    )  # fmt: skip
    assert (found and found.is_red) is red
