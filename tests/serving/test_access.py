"""Who may ask the service for what: keys, a browser's session, neither."""

from __future__ import annotations

import stat
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from skyops_assets.audit import api_keys
from tests.support.serving import Served, Start, new_key

pytestmark = pytest.mark.xdist_group("serving")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def anybody(probed: Served) -> httpx.Client:
    """A client without a key."""
    with httpx.Client(base_url=probed.client.base_url, timeout=20) as client:
        yield client


def entered(probed: Served) -> tuple[httpx.Client, str]:
    """A browser that has followed the link, and the link's token."""
    (file,) = probed.home.glob("service-*.token")
    token = file.read_text().strip()
    browser = httpx.Client(base_url=probed.client.base_url, timeout=20)
    answer = browser.get("/", params={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return browser, token


def test_nobody_is_let_in_without_a_key_from_this_machine_either(anybody: httpx.Client) -> None:
    answer = anybody.get("/probe/read")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["detail"] == (
        "No key was given: send it as `Authorization: Bearer ...`; `skyops key create` makes one. "
        "In a browser, open the link that `skyops link` prints."
    )
    for given in ("", "Bearer", "Basic c2s6", "sk_x"):
        assert anybody.get("/probe/read", headers={"Authorization": given}).status_code == 401


def test_every_route_but_a_few_wants_a_key(served: Served, anybody: httpx.Client) -> None:
    paths = served.client.get("/v1/openapi.json").json()["paths"]
    assert "/health/live" in paths
    for path, methods in paths.items():
        if path == "/" or path.startswith("/health/"):
            continue
        for method in methods:
            address = f"http://127.0.0.1:{served.port}{path}"
            answer = anybody.request(method, address, json={})
            # What is wrong with the rest of it may be told first, but never an answer.
            assert answer.status_code == 401, (method, path, answer.text)


def test_a_key_may_do_what_its_scopes_say(probed: Served, anybody: httpx.Client) -> None:
    ways = {"read": ("GET", "/probe/read"), "predict": ("POST", "/probe/predict"),
            "admin": ("POST", "/probe/train")}  # fmt: skip
    for scope in ways:
        key = new_key(probed.warehouse, scope)
        for wanted, (method, path) in ways.items():
            answer = anybody.request(method, path, json={}, headers=bearer(key))
            if scope == wanted:
                assert answer.status_code == 200, answer.text
            else:
                assert answer.status_code == 403
                assert answer.json()["detail"].endswith(f"lacks the scope {wanted!r}.")


def test_a_wrong_an_expired_and_a_revoked_key_are_refused(
    probed: Served, anybody: httpx.Client
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    expiring = new_key(probed.warehouse, "read", expires_at=soon)
    revoked = new_key(probed.warehouse, "read")
    assert anybody.get("/probe/read", headers=bearer(expiring)).status_code == 200
    answer = anybody.get("/probe/read", headers=bearer(revoked))
    assert answer.status_code == 200
    api_keys.revoke(probed.warehouse, answer.json()["caller"], actor="tests")
    time.sleep(2.1)
    for key in (expiring, revoked, "sk_" + "A" * 43, revoked.upper()):
        refused = anybody.get("/probe/read", headers=bearer(key))
        assert refused.status_code == 401
        assert key not in refused.text


def test_a_browser_enters_by_the_link_and_has_a_session(probed: Served) -> None:
    browser, token = entered(probed)
    with closing(browser):
        (cookie,) = browser.cookies.jar
        assert cookie.name == f"skyops-{probed.port}"
        assert (cookie.path, cookie.domain_specified) == ("/", False)
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "strict"
        assert 6.9 < (cookie.expires - time.time()) / 86400 < 7.1
        assert token not in cookie.value
        assert browser.get("/probe/read").json() == {
            "caller": "browser", "scopes": ["predict", "read"],
        }  # fmt: skip
        own = {"Origin": f"http://127.0.0.1:{probed.port}"}
        assert browser.post("/probe/predict", json={}, headers=own).status_code == 200
        refused = browser.post("/probe/train", headers=own)
        assert (refused.status_code, refused.json()["detail"]) == (
            403,
            "A browser's session may not do this: send a key with the scope 'admin'.",
        )


def test_a_session_that_was_made_up_or_is_over_is_none(
    probed: Served, anybody: httpx.Client
) -> None:
    from itsdangerous import TimestampSigner

    _, token = entered(probed)
    name = f"skyops-{probed.port}"

    class Before(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - 8 * 86400

    late = Before(token, salt="skyops session").sign("x").decode()
    valid = TimestampSigner(token, salt="skyops session").sign("x").decode()
    other = TimestampSigner("guessed", salt="skyops session").sign("x").decode()
    for cookie, status in ((valid, 200), (late, 401), (other, 401), (token, 401), ("", 401)):
        answer = anybody.get("/probe/read", headers={"Cookie": f"{name}={cookie}"})
        assert answer.status_code == status


def test_another_page_cannot_use_a_session(probed: Served) -> None:
    browser, _ = entered(probed)
    here, there = f"http://127.0.0.1:{probed.port}", "http://127.0.0.1:3000"
    with closing(browser):
        for headers, status in (
            ({}, 403),
            ({"Origin": there}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": here, "Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": here, "Sec-Fetch-Site": "cross-site"}, 403),
            ({"Origin": here}, 200),
            ({"Origin": here, "Sec-Fetch-Site": "same-origin"}, 200),
        ):
            answer = browser.post("/probe/predict", json={}, headers=headers)
            assert answer.status_code == status, headers
        for headers, status in (
            ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, 200),
            ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
            ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ):
            answer = browser.get("/probe/read", headers=headers)
            assert answer.status_code == status, headers
            assert "access-control-allow-origin" not in answer.headers
        # A key is sent by a program that has it, from wherever.
        key = {**bearer(new_key(probed.warehouse, "predict")), "Origin": there}
        assert browser.post("/probe/predict", json={}, headers=key).status_code == 200


def test_the_token_is_its_owners_and_is_not_in_the_log(
    probed: Served, anybody: httpx.Client
) -> None:
    _, token = entered(probed)
    (file,) = probed.home.glob("service-*.token")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    wrong = anybody.get("/", params={"token": "not-the-token-" + "x" * 30})
    assert (wrong.status_code, wrong.headers.get("set-cookie")) == (401, None)
    assert "not-the-token" not in wrong.text
    assert token not in probed.log
    assert "token=" not in probed.log


def test_no_secret_is_in_an_answer_or_in_the_log(probed: Served, anybody: httpx.Client) -> None:
    key = new_key(probed.warehouse, "read", "predict")
    _, token = entered(probed)
    texts = [
        anybody.get("/probe/failure", headers=bearer(key)).text,
        anybody.post("/probe/predict", headers=bearer(key), content=b'{"password": "p4ss').text,
        anybody.get(f"/nothing/{key[:3]}", headers=bearer(key)).text,
        anybody.request("TRACE", "/probe/read", headers=bearer(key)).text,
    ]
    assert texts[0] == (
        '{"type":"about:blank","title":"Internal Server Error","status":500,'
        '"detail":"The service failed; its log says how."}'
    )
    for text in (*texts, probed.log):
        for secret in (key, token, "p4ss"):
            assert secret not in text
    assert "secret-of-the-inside" in probed.log
    assert not any("secret-of-the-inside" in text for text in texts)


def test_what_reads_is_open_where_a_setting_says_so(starts: Start) -> None:
    probed = starts("tests.support.probe_service", SKYOPS_PUBLIC_READ="1")
    with httpx.Client(base_url=probed.client.base_url) as anybody:
        assert anybody.get("/probe/read").json() == {"caller": "public", "scopes": ["read"]}
        assert anybody.post("/probe/predict", json={}).status_code == 403
        assert anybody.post("/probe/train").status_code == 403
        assert anybody.get("/probe/read", headers=bearer("sk_wrong")).status_code == 401
        # Of another name no page is taken, and here none would need a cookie.
        rebound = anybody.get("/probe/read", headers={"Host": "evil.example"})
        assert (rebound.status_code, rebound.json()["detail"]) == (
            421,
            "This service does not go by the name 'evil.example'. If it should, add it to "
            "SKYOPS_SERVICE_HOSTS.",
        )
