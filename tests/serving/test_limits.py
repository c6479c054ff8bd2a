"""How often one may ask: told, refused, and kept low where nobody can count."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from skyops_assets.serving.limits import PREDICTIONS, Limits
from skyops_assets.settings import Settings
from tests.support.servers import PASSWORD, Authority, free_port, redis
from tests.support.serving import Served, Start, new_key

pytestmark = pytest.mark.xdist_group("serving")

PROBE = "tests.support.probe_service"
FEW = {"SKYOPS_PREDICTIONS_A_MINUTE": "20", "SKYOPS_TRAININGS_AN_HOUR": "2"}


def bearer(one: Served, *scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {new_key(one.warehouse, *scopes)}"}


@pytest.fixture(scope="module")
def few(starts: Start) -> Served:
    return starts(PROBE, **FEW)


def test_each_key_has_its_predictions_of_a_minute(few: Served) -> None:
    one, other = bearer(few), bearer(few)
    for asked in range(1, 21):
        answer = few.client.post("/probe/predict", json=[1] * 500, headers=one)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"predictions";q=20;w=60'
        left = re.fullmatch(r'"predictions";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
        assert left is not None
        assert int(left[1]) == 20 - asked
        assert 1 <= int(left[2]) <= 60
    refused = few.client.post("/probe/predict", json={}, headers=one)
    seconds = refused.headers["retry-after"]
    assert refused.status_code == 429
    assert 1 <= int(seconds) <= 60
    assert refused.headers["ratelimit"].startswith('"predictions";r=0;t=')
    assert re.fullmatch(
        rf"The key 'key-\w+' has used its 20 predictions of this minute; "
        rf"try again in {seconds} s\.",
        refused.json()["detail"],
    )
    assert few.client.post("/probe/predict", json={}, headers=other).status_code == 200
    assert 'skyops_limited_total{limit="predictions"} 1.0' in few.client.get("/metrics").text
    # What only reads is not counted, nor is what was refused for another reason.
    assert "ratelimit" not in few.client.get("/probe/read", headers=one).headers
    reader = bearer(few, "read")
    for _ in range(25):
        assert few.client.post("/probe/predict", json={}, headers=reader).status_code == 403


def test_trainings_are_counted_by_the_hour(few: Served) -> None:
    one = bearer(few)
    codes = [few.client.post("/probe/train", headers=one).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    refused = few.client.post("/probe/train", headers=one)
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    assert "has used its 2 trainings of this hour" in refused.json()["detail"]


def test_copies_count_together_in_redis_and_are_careful_without_it(
    starts: Start, tmp_path: Path
) -> None:
    port = free_port()
    variables = {**FEW, "SKYOPS_LIMITS_URL": f"redis://:{PASSWORD}@127.0.0.1:{port}/0"}
    with redis(port, tmp_path) as server:
        first, second = starts(PROBE, **variables), starts(PROBE, **variables)
        one = bearer(first)
        codes = [
            copy.client.post("/probe/predict", json={}, headers=one).status_code
            for copy in (first, second) * 11
        ]
        assert codes == [200] * 20 + [429] * 2
        assert first.client.post("/probe/train", headers=one).status_code == 200
        server.kill()
        server.wait()
        # Nobody can count: no training, and a tenth of the predictions.
        closed = second.client.post("/probe/train", headers=bearer(first))
        assert (closed.status_code, closed.headers["retry-after"], closed.json()["detail"]) == (
            503,
            "5",
            "No trainings are started: the Redis that counts them does not answer. Try again in "
            "5 s.",
        )
        other = bearer(first)
        began = time.monotonic()
        answers = [second.client.post("/probe/predict", json={}, headers=other) for _ in range(4)]
        assert time.monotonic() - began < 3
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        assert answers[0].headers["ratelimit-policy"] == '"predictions";q=2;w=60'
        assert f"{PASSWORD}@" not in second.log
        assert "SKYOPS_LIMITS_URL does not answer" in second.log
    with redis(port, tmp_path):
        patience = time.monotonic() + 15
        while second.client.post("/probe/train", headers=one).status_code == 503:
            assert time.monotonic() < patience
            time.sleep(0.5)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl makes certificates here")
def test_counts_go_over_tls_to_a_redis_whose_certificate_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is tried is the certificate, not how busy this machine is.
    monkeypatch.setattr("skyops_assets.serving.limits.ANSWERS_WITHIN_S", 20)
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    port = free_port()

    def counted(authority: Authority) -> bool:
        address = f"rediss://:{PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs={authority.path}"
        limits = Limits(Settings(limits_url=SecretStr(address)))
        assert asyncio.run(limits.spend("key", PREDICTIONS))
        return limits.is_counted

    with redis(port, tmp_path, certificate=ours.certificate("redis")):
        assert counted(ours)
        assert not counted(other)


def test_a_redis_that_hangs_holds_nobody_up(starts: Start) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        copy = starts(PROBE, **FEW, SKYOPS_LIMITS_URL=address)
        one = bearer(copy)
        copy.client.get("/probe/read", headers=one)
        began = time.monotonic()
        codes = [
            copy.client.post("/probe/predict", json={}, headers=one).status_code for _ in range(3)
        ]
        assert codes == [200, 200, 429]
        assert time.monotonic() - began < 2
