"""What docker/ promises, read from its files: no container engine is needed."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from skyops_assets.settings import PROJECT_ROOT

DOCKER = PROJECT_ROOT / "docker"
STACK: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
CORE = {"postgres", "code", "daemon", "webserver", "service", "follow", "docs"}
PROXY = "proxy"
ONCE = {"access"}
"""What ends when it is done."""

each = pytest.mark.parametrize("name", SERVICES)


def profiles(name: str) -> set[str]:
    return set(SERVICES[name].get("profiles", ()))


def test_the_profiles_hold_what_they_are_named_for() -> None:
    assert {name for name in SERVICES if not profiles(name)} == CORE
    assert {one for name in SERVICES for one in profiles(name)} == {
        "live", "observability", "mlflow", "tls", "celery",
    }  # fmt: skip
    assert {name for name in SERVICES if "celery" in profiles(name)} == {
        "redis", "worker1", "worker2",
    }  # fmt: skip
    assert profiles("collector") == {"live"}
    assert profiles(PROXY) == {"tls"}


@each
def test_each_has_a_health_check_and_a_limit_of_memory(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    if name in ONCE:
        assert service["restart"] == "on-failure"
        return
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["restart"] == "unless-stopped"


@each
def test_each_is_read_only_and_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service.get("network_mode") is None


@each
def test_only_the_proxy_is_reached_from_elsewhere(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert name == PROXY or port.startswith("127.0.0.1:"), port


def test_no_two_take_the_same_port_of_this_machine() -> None:
    taken = [
        re.sub(r"\$\{\w+:-(\d+)\}", r"\1", port).rsplit(":", 1)[0].split(":")[-1]
        for service in SERVICES.values() for port in service.get("ports", ())
    ]  # fmt: skip
    assert len(taken) == len(set(taken))


@each
def test_images_have_fixed_versions(name: str) -> None:
    image = SERVICES[name]["image"]
    if image.startswith("${SKYOPS_IMAGE"):
        assert SERVICES[name]["build"]["dockerfile"] == "docker/Dockerfile"
        return
    tag = image.rsplit(":", 1)[1]
    assert re.match(r"v?\d+(\.\d+)*", tag), image


@each
def test_volumes_are_named_or_files_of_docker(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source, *rest = volume.split(":")
        if source.startswith("./"):
            assert rest[-1] == "ro"
            assert (DOCKER / source).exists() or source.startswith("./grafana/")
        elif source.startswith("/"):
            # What watches the machine sees it, and changes nothing.
            assert name in {"cadvisor", "node-exporter"}
            assert "ro" in rest[-1].split(",")
        else:
            assert source in STACK["volumes"]


def test_every_named_volume_is_used() -> None:
    used = {v.split(":")[0] for one in SERVICES.values() for v in one.get("volumes", ())}
    assert used >= set(STACK["volumes"])


@each
def test_no_secret_is_written_down(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN|KEY", variable):
            assert variable.endswith("_FILE"), variable
            assert value.removeprefix("/run/secrets/") in SERVICES[name]["secrets"]
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), variable
    assert set(SERVICES[name].get("secrets", ())) <= set(STACK["secrets"])


def test_with_celery_all_that_write_dagsters_file_have_one_launcher() -> None:
    more: dict[str, Any] = yaml.safe_load((DOCKER / "celery.yaml").read_text())["services"]
    ours = {name for name, one in SERVICES.items() if "SKYOPS_HOME" in one.get("environment", {})}
    workers = {"worker1", "worker2"}
    assert set(more) == ours - workers
    for given in [*more.values(), *(SERVICES[name] for name in workers)]:
        assert given["environment"]["SKYOPS_LAUNCHER"] == "celery"
        assert given["environment"]["SKYOPS_STORE_SHARED"] == "1"
        file = given["environment"]["SKYOPS_CELERY_BROKER_FILE"]
        assert file == "/run/secrets/celery_broker"
        assert set(given["secrets"]) == {"postgres_password", "celery_broker"}
    for name in ours:
        assert "home:/var/lib/skyops" in SERVICES[name]["volumes"]


def test_secrets_are_files_that_git_does_not_take() -> None:
    for name, secret in STACK["secrets"].items():
        assert secret == {"file": f"${{SKYOPS_SECRETS:-./secrets}}/{name}"}
    assert "/docker/secrets/" in (PROJECT_ROOT / ".gitignore").read_text().splitlines()


def test_prometheus_asks_the_same_jobs_as_on_one_machine() -> None:
    def jobs(file: str) -> dict[str, list[str]]:
        read = yaml.safe_load((DOCKER / "prometheus" / file).read_text())
        return {
            job["job_name"]: [one for given in job["static_configs"] for one in given["targets"]]
            for job in read["scrape_configs"]
        }

    inside = jobs("containers.yml")
    assert set(inside) == {*jobs("prometheus.yml"), "cadvisor"}
    assert {target.split(":")[0] for targets in inside.values() for target in targets} <= set(
        SERVICES
    )


def test_the_proxy_stands_before_every_page() -> None:
    """A login before all of them, but the service, which asks for its own."""
    sites = re.split(r"\n(?=\S*\{\$SKYOPS_DOMAIN\} \{)", (DOCKER / "Caddyfile").read_text())[1:]
    reached = {}
    for site in sites:
        target = re.search(r"reverse_proxy \{\$\w+:([\w-]+):(\d+)\}", site)
        assert target
        reached[target[1]] = "import login" in site
    with_a_page = {
        name for name, service in SERVICES.items() if service.get("ports") and name != PROXY
    }
    assert set(reached) == with_a_page
    assert {name for name, asks in reached.items() if not asks} == {"service"}
