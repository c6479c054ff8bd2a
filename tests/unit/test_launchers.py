"""Launchers by a setting: what is refused, and Dagster's instance file for each."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from pydantic import SecretStr

from skyops_assets import launchers
from skyops_assets.cli.services import worker
from skyops_assets.errors import SkyOpsError
from skyops_assets.runtime import WITHHELD
from skyops_assets.settings import PROJECT_ROOT, Settings, load_settings

SHARED = {"database_url": "postgresql://u@db/skyops", "store": "s3://bucket/skyops"}
BROKER = "redis://:zQsecretQz@redis:6379/1"
POD = Settings(
    **SHARED, launcher="kubernetes", kubernetes_namespace="flights",
    kubernetes_image="registry/skyops:1", kubernetes_service_account="runs",
    kubernetes_secrets="database, bucket", kubernetes_config_maps="skyops",
)  # fmt: skip
CELERY = {**SHARED, "launcher": "celery", "celery_broker": BROKER}


def settings(**given: Any) -> Settings:
    return Settings(**given)


def test_one_machine_is_the_default_and_needs_nothing() -> None:
    launchers.check(settings())
    assert launchers.variables(settings(celery_broker=BROKER)) == {}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"database_url": None}, "cannot reach the embedded Postgres: name a server of yours in "),
        ({"store": None, "home": "/srv/home"}, "SKYOPS_STORE is a folder (/srv/home), which each"),
        (
            {"store": "/srv/store"},
            "SKYOPS_STORE is a folder (/srv/store), which each of",
        ),
        ({"mlflow_artifacts": "/srv/mlflow"}, "SKYOPS_MLFLOW_ARTIFACTS is a folder (/srv/mlflow)"),
        ({"celery_broker": None}, "needs a Redis in SKYOPS_CELERY_BROKER, such as redis://host"),
    ],
)
def test_what_runs_elsewhere_would_not_find_is_refused(changed: dict[str, Any], said: str) -> None:
    launchers.check(settings(**CELERY))
    with pytest.raises(SkyOpsError) as refused:
        launchers.check(settings(**CELERY | changed))
    text = str(refused.value)
    text = str(refused.value)
    assert said in text
    assert text.startswith("SKYOPS_LAUNCHER=celery ")
    assert text.count(". ") == 0
    assert "zQsecretQz" not in text


def test_a_folder_that_all_machines_mount_is_taken_at_ones_word() -> None:
    launchers.check(settings(**CELERY | {"store": "/mnt/skyops", "store_shared": True}))


def test_kubernetes_needs_a_server_and_a_store_too() -> None:
    launchers.check(POD)
    with pytest.raises(SkyOpsError, match=r"^SKYOPS_LAUNCHER=kubernetes starts runs on other"):
        launchers.check(settings(launcher="kubernetes", store="s3://bucket/skyops"))


def test_a_launcher_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "find_spec", lambda name: None)
    with pytest.raises(
        SkyOpsError, match=r"run `make celery`, or install requirements-celery\.lock"
    ):
        launchers.check(settings(**CELERY))
    for name in ("celery", "kubernetes"):
        assert (PROJECT_ROOT / f"requirements-{name}.lock").is_file()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SKYOPS_LAUNCHER", "docker", "'local', 'celery' or 'kubernetes'"),
        ("SKYOPS_CELERY_BROKER", "amqp://u:zQsecretQz@h", "it is not the address of a Redis"),
        ("SKYOPS_TRAINING_QUEUE", "big machine", "letters, digits, ., - and _ only"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SkyOpsError) as refused:
        load_settings()
    assert str(refused.value).startswith(f"{variable} cannot be used: ")
    assert said in str(refused.value)
    assert "zQsecretQz" not in str(refused.value)


def test_certificates_are_verified_unless_something_else_is_said() -> None:
    def broker(url: str) -> str:
        return launchers.variables(settings(**CELERY | {"celery_broker": url}))[launchers.BROKER]

    assert broker(BROKER) == BROKER
    assert broker("rediss://h:1/1") == "rediss://h:1/1?ssl_cert_reqs=required"
    asked = "rediss://h:1/1?ssl_ca_certs=/ca.pem"
    assert broker(asked) == f"{asked}&ssl_cert_reqs=required"
    assert broker("rediss://h:1/1?ssl_cert_reqs=none") == "rediss://h:1/1?ssl_cert_reqs=none"


def test_the_broker_is_written_nowhere_and_the_service_does_not_see_it() -> None:
    assert "zQsecretQz" not in launchers.instance_file(settings(**CELERY))
    assert isinstance(settings(**CELERY).celery_broker, SecretStr)
    assert launchers.BROKER.startswith(WITHHELD)


def test_jobs_that_train_go_to_their_queue() -> None:
    assert launchers.training_tags(settings()) == {}
    assert launchers.training_tags(settings(training_queue="large")) == {
        "dagster-celery/queue": "large"
    }


def test_a_worker_to_which_nothing_is_sent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKYOPS_LAUNCHER", raising=False)
    with pytest.raises(SkyOpsError, match=r"^No runs come here with SKYOPS_LAUNCHER=local: set it"):
        worker(queue=None, concurrency=1)
    with pytest.raises(SkyOpsError, match=r"^--queue 'big machine' cannot be used: the name of a"):
        worker(queue=["large", "big machine"], concurrency=1)


# The instance file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dagster" / "dagster.yaml"


def in_a_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pod has of its service account; the client reads it at once, and asks nothing yet."""
    from kubernetes.config import incluster_config

    (folder / "token").write_text("token")
    (folder / "ca.crt").write_text("a certificate")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")


def test_dagster_loads_what_is_written_for_each_launcher(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    in_a_cluster(path.parent.parent, monkeypatch)
    found = {}
    chosen_for = {"local": settings(), "celery": settings(**CELERY), "kubernetes": POD}
    for name, chosen in chosen_for.items():
        assert launchers.write(chosen, path) is None
        written = yaml.safe_load(path.read_text())
        differs = {key for key in written if written[key] != project.get(key)}
        found[name] = differs
        assert set(project) <= set(written)
        for variable, value in {
            **launchers.variables(chosen), "DAGSTER_HOME": str(path.parent),
            "SKYOPS_DAGSTER_URL": "postgresql://nobody@127.0.0.1:1/none",
        }.items():  # fmt: skip
            monkeypatch.setenv(variable, value)
        # All but the storage, which connects.
        written.pop("storage")
        path.with_name("loaded").mkdir(exist_ok=True)
        path.with_name("loaded").joinpath("dagster.yaml").write_text(yaml.safe_dump(written))
        with dg.DagsterInstance.from_config(str(path.with_name("loaded"))) as instance:
            launcher: Any = instance.run_launcher
            found[f"{name} launcher"] = type(instance.run_launcher).__name__
            assert instance.run_monitoring_enabled
    assert found == {
        "local": set(), "local launcher": "DefaultRunLauncher",
        "celery": {"run_launcher", "run_monitoring"}, "celery launcher": "CeleryRunLauncher",
        "kubernetes": {"run_launcher", "run_monitoring"}, "kubernetes launcher": "K8sRunLauncher",
    }  # fmt: skip
    assert (launcher.job_namespace, launcher.job_image, launcher.service_account_name) == (
        "flights", "registry/skyops:1", "runs",
    )  # fmt: skip
    assert (launcher.env_secrets, launcher.env_config_maps) == (["database", "bucket"], ["skyops"])
    kept = launcher.run_k8s_config["job_spec_config"]["ttl_seconds_after_finished"]
    assert kept == launchers.JOB_STAYS_S


def test_what_skyops_wrote_is_written_anew(path: Path) -> None:
    for chosen in (settings(), settings(**CELERY), settings()):
        assert launchers.write(chosen, path) is None
        assert path.read_text() == launchers.instance_file(chosen)
    before = path.stat().st_mtime_ns
    assert launchers.write(settings(), path) is None
    assert path.stat().st_mtime_ns == before


def test_a_file_of_an_earlier_version_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(f"{launchers.FORMER}variables\n# it names.\nstorage: {{}}\n")
    assert launchers.write(settings(), path) is None
    assert path.read_text() == launchers.instance_file(settings())


@pytest.mark.parametrize("is_edited", [True, False])
def test_a_file_of_somebody_else_stays_and_that_is_told(path: Path, is_edited: bool) -> None:
    launchers.write(settings(), path)
    theirs = path.read_text() + "\n# Mine.\n" if is_edited else "run_launcher: {}\n"
    path.write_text(theirs)
    said = launchers.write(settings(**CELERY), path)
    assert said is not None
    assert said.startswith(f"{path} was changed or mounted by somebody and stays as it is: ")
    assert path.read_text() == theirs
    path.unlink()
    assert launchers.write(settings(**CELERY), path) is None


@pytest.fixture
def mounted(path: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of what SkyOps writes, mounted where it would write."""
    launchers.write(settings(), path)
    source = tmp_path / "theirs.yaml"
    source.write_text(path.read_text())
    mount = ["mount", "--bind", str(source), str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_mounted_file_stays_even_if_it_is_as_skyops_writes_it(mounted: Path) -> None:
    assert launchers.write(settings(), mounted) is None
    said = launchers.write(settings(**CELERY), mounted)
    assert said is not None
    assert "not as SKYOPS_LAUNCHER=celery" in said
    assert mounted.read_text() == launchers.instance_file(settings())
    assert [one.name for one in mounted.parent.iterdir()] == ["dagster.yaml"]
