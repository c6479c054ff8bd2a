"""What the service reads, by which names it goes, and that it stays up: with real sockets."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest

from skyops_assets.serving.guard import BODY_MAX, is_ours
from tests.support.serving import Served, Start

pytestmark = pytest.mark.xdist_group("serving")

SECURITY = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "private, no-cache",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def head(one: Served, *lines: str, path: str = "/probe/predict", host: str = "localhost") -> bytes:
    key = one.client.headers["authorization"]
    first = [f"POST {path} HTTP/1.1", f"Host: {host}:{one.port}", f"Authorization: {key}",
             "Content-Type: application/json"]  # fmt: skip
    return "\r\n".join([*first, *lines, "", ""]).encode()


@contextmanager
def connected(one: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", one.port), timeout=20) as connection:
        yield connection


def status(connection: socket.socket) -> int:
    """Of the answer that comes; 0 where the connection ends without one."""
    said = b""
    while b"\r\n" not in said:
        try:
            part = connection.recv(4096)
        except ConnectionError:
            return 0
        if not part:
            return 0
        said += part
    return int(said.split()[1])


def answers_at_once(one: Served) -> None:
    began = time.monotonic()
    assert one.client.get("/health/live").is_success
    assert one.client.post("/probe/predict", json={}).is_success
    assert time.monotonic() - began < 2


def test_every_answer_has_what_browsers_go_by_and_lets_no_other_page_read(probed: Served) -> None:
    other = {"Origin": "http://evil.example"}
    with httpx.Client(base_url=probed.client.base_url) as anybody:
        answers = {
            200: probed.client.get("/health/live", headers=other),
            404: probed.client.get("/nothing", headers=other),
            401: anybody.get("/probe/read", headers=other),
            405: probed.client.options("/probe/read", headers={
                **other, "Access-Control-Request-Method": "GET",
            }),
            413: probed.client.post("/probe/predict", content=b"1" * 1_000_001, headers=other),
            421: probed.client.get("/health/live", headers={"Host": "evil.example", **other}),
            500: probed.client.get("/probe/failure", headers=other),
        }  # fmt: skip
    for code, answer in answers.items():
        assert answer.status_code == code
        for name, value in SECURITY.items():
            assert answer.headers[name] == value, (code, name)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("localhost:8000", True), ("skyops.localhost:8000", True), ("127.0.0.1:8000", True),
        ("127.0.0.1", True), ("[::1]:8000", True), ("10.2.3.4:8000", True), ("service", True),
        ("SERVICE:80", True), ("evil.example", False), ("evil.example:8000", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("", False),
        ("evil@localhost", True), ("localhost@evil.example", False), ("[::1", False),
        ("\xe9vil", False),
    ],
)  # fmt: skip
def test_names_that_the_service_goes_by(host: str, is_known: bool) -> None:
    assert is_ours(host.encode("latin-1"), frozenset({"service"})) == is_known


def test_more_names_are_set(starts: Start) -> None:
    one = starts(
        SKYOPS_SERVICE_HOSTS="service, other.example", SKYOPS_PUBLIC_URL="https://sky.example"
    )
    for host, code in (("service:1", 200), ("other.example", 200), ("sky.example", 200),
                       ("localhost", 200), ("evil.example", 421)):  # fmt: skip
        assert one.client.get("/health/live", headers={"Host": host}).status_code == code
    (file,) = one.home.glob("service-*.token")
    entered = one.client.get("/", params={"token": file.read_text().strip()})
    assert "; Secure" in entered.headers["set-cookie"]


def test_a_body_that_is_too_long_is_refused_however_it_comes(probed: Served) -> None:
    fits = json.dumps("x" * (BODY_MAX - 2)).encode()
    assert len(fits) == BODY_MAX
    assert probed.client.post("/probe/predict", content=fits, headers={
        "Content-Type": "application/json"}).json()["length"] == BODY_MAX - 2  # fmt: skip
    refused = probed.client.post("/probe/predict", content=fits + b" ")
    assert refused.status_code == 413
    assert refused.json()["detail"] == "The body has 1,000,001 bytes; at most 1,000,000 are taken."
    with connected(probed) as connection:
        # Before any of it is sent.
        connection.sendall(head(probed, "Content-Length: 5000000000"))
        assert status(connection) == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"1" * 20_000

    refused = probed.client.post("/probe/predict", content=chunks())
    assert refused.json()["detail"] == (
        "The body has more than 1,000,000 bytes; at most 1,000,000 are taken."
    )
    answers_at_once(probed)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000, b"[" * 400_000 + b"]" * 400_000, b'{"a":' * 150_000, b"\xff\xfe{", b"{",
        b"", b"nul", b'"\\ud800"', b"1e999999", b"-", b"[1,]", b'{"a":1,"a":2', b"\x00" * 1000,
        b"9" * 100_000,
    ],
)  # fmt: skip
def test_a_malformed_or_deeply_nested_body_is_the_senders_fault(
    probed: Served, body: bytes
) -> None:
    answer = probed.client.post(
        "/probe/predict", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (200, 400, 422), answer.text
    assert answer.status_code != 200 or body in (b'"\\ud800"', b"1e999999")
    answers_at_once(probed)


def test_requests_that_are_none_end_their_connection_alone(probed: Served) -> None:
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 600_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ):
        with connected(probed) as connection:
            try:
                connection.sendall(sent)
                assert status(connection) in (0, 400, 408, 421, 431)
            except ConnectionError:
                pass
    answers_at_once(probed)


def test_slow_senders_are_cut_off_and_hold_nobody_up(probed: Served) -> None:
    with ExitStack() as stack:
        slow = []
        for _ in range(300):
            connection = stack.enter_context(connected(probed))
            connection.sendall(head(probed, "Content-Length: 1000") + b"[1,")
            slow.append(connection)
        answers_at_once(probed)
        began = time.monotonic()
        for second in range(8):
            for connection in slow[:20]:
                connection.sendall(b"1,")
            time.sleep(1)
            if second == 4:
                answers_at_once(probed)
        codes = {status(connection) for connection in slow}
        assert time.monotonic() - began < 16
        assert codes == {408}
    answers_at_once(probed)


def test_connections_that_ask_nothing_hold_nobody_up(probed: Served) -> None:
    with ExitStack() as stack:
        for number in range(600):
            connection = stack.enter_context(connected(probed))
            if number % 2:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: lo")
        answers_at_once(probed)
    answers_at_once(probed)


def test_many_long_bodies_at_once_take_a_bounded_memory(probed: Served) -> None:
    process = psutil.Process(probed.process.pid)

    def memory() -> int:
        return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])

    before = memory()
    with ExitStack() as stack:
        senders = []
        for _ in range(200):
            connection = stack.enter_context(connected(probed))
            connection.sendall(head(probed, "Content-Length: 1000000") + b"1" * 500_000)
            senders.append(connection)
        time.sleep(1)
        assert memory() - before < 200_000_000
        answers_at_once(probed)
        answered, _, _ = select.select(senders, [], [], 5)
        assert {status(connection) for connection in answered} == {503}
    answers_at_once(probed)


def test_a_flood_is_answered(probed: Served) -> None:
    """300 connections, 20 requests each, most of them refused."""
    began = time.monotonic()
    wanted = b"GET /probe/read HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk_no\r\n\r\n"
    with ExitStack() as stack:
        many = [stack.enter_context(connected(probed)) for _ in range(300)]
        for connection in many:
            connection.sendall(wanted * 20)
        assert {status(connection) for connection in many} == {401}
        answers_at_once(probed)
    assert time.monotonic() - began < 30


def test_what_is_refused_is_counted(probed: Served) -> None:
    def counted() -> dict[str, float]:
        text = probed.client.get("/metrics").text
        lines = [one.split() for one in text.splitlines() if one.startswith("skyops_rejected_")]
        return {name: float(value) for name, value in lines}

    before = counted()
    probed.client.get("/health/live", headers={"Host": "evil.example"})
    probed.client.post("/probe/predict", content=b"1" * 1_000_001)
    probed.client.get("/probe/read", headers={"Authorization": "Bearer sk_no"})
    after = counted()
    for reason in ("other_host", "too_large", "unauthenticated"):
        name = f'skyops_rejected_total{{reason="{reason}"}}'
        # What a test before has sent may still be answered.
        assert after[name] > before[name], reason
