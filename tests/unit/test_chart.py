"""What deploy/helm promises, rendered by Helm's own library: no cluster is needed.

What stays unproven without one is in docs/kubernetes.md.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from skyops_assets.setting_names import OTHERS
from skyops_assets.settings import PROJECT_ROOT, Settings
from tests.support.charts import Rendered, render

pytest.importorskip("helm_python", reason="Helm's library has no wheel for this machine")

HELM = PROJECT_ROOT / "deploy" / "helm"
CHART = HELM / "skyops"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
DAGSTER_TEXT = (HELM / "values-dagster.yaml").read_text()
DAGSTER: dict[str, Any] = yaml.safe_load(DAGSTER_TEXT)
COMPOSE = yaml.safe_load((PROJECT_ROOT / "docker" / "compose.yaml").read_text())["services"]
OFFICIAL = os.environ.get("OFFICIAL_CHART")

LEAST: dict[str, Any] = {"database": {"host": "db.example.org"}, "store": "s3://bucket/prefix"}
FULL: dict[str, Any] = {
    **LEAST,
    "database": {"host": "db.example.org", "options": "sslmode=verify-full"},
    "imagePullSecrets": [{"name": "registry"}],
    "secrets": {"keys": ["service_token", "opensky_client_secret", "limits_url"]},
    "settings": {"SKYOPS_WATCH_AIRPORTS": "LSZH", "SKYOPS_OPENSKY_CLIENT_ID": "me"},
    "environment": {"AWS_REGION": "eu-central-1"},
    "serviceAccount": {"annotations": {"example.org/role": "bucket"}},
    "backup": {"place": "s3://backups/skyops"},
    "ingress": {
        "enabled": True, "className": "nginx", "host": "skyops.example.org", "tlsSecret": "tls",
        "docs": {"host": "docs.example.org", "tlsSecret": "tls-docs"},
    },
    "monitoring": {"serviceMonitor": True, "rules": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {"egress": [{"ports": [{"port": 5432}]}], "ui": [{"podSelector": {}}]},
    **{
        name: {"nodeSelector": {"disk": "fast"}, "tolerations": [{"operator": "Exists"}]}
        for name in ("collector", "lane", "service", "docs", "migration", "runs")
    },
}  # fmt: skip
VALUES = {"least": LEAST, "full": FULL}
OF_AN_OPERATOR = {"ServiceMonitor", "PrometheusRule"}
"""Their schemas are no part of Kubernetes."""
VERSIONS = ("1.25", "1.31", "1.37")
"""The oldest that Chart.yaml allows, and two after it."""

each = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)


def pods(rendered: Rendered) -> dict[str, dict[str, Any]]:
    """The pods that are described, by the name of what makes them."""
    found = {}
    for one in rendered.manifests:
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            found[one["metadata"]["name"]] = template["spec"]
    return found


def containers(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for pod in pods(render(CHART, values)).values() for one in pod["containers"]]


def instance(values: dict[str, Any]) -> dict[str, Any]:
    (found,) = render(CHART, values).of("ConfigMap", "skyops-instance")
    return yaml.safe_load(found["data"]["dagster.yaml"])


@each
def test_it_lints_and_renders(values: dict[str, Any]) -> None:
    found = render(CHART, values)
    assert found.error == ""
    assert found.findings == []
    assert {"skyops-service", "skyops-lane", "skyops-collector", "skyops-docs",
            "skyops-migrate"} <= set(pods(found))  # fmt: skip


def test_what_can_be_left_out_is_left_out() -> None:
    off = {name: {"enabled": False} for name in ("collector", "lane", "docs", "networkPolicy")}
    found = render(CHART, {**LEAST, **off, "serviceAccount": {"create": False}})
    assert set(pods(found)) == {"skyops-service", "skyops-migrate"}
    assert not found.of("NetworkPolicy")
    assert not found.of("ServiceAccount")
    assert not render(CHART, LEAST).of("Ingress")
    assert not {one["kind"] for one in render(CHART, LEAST).manifests} & OF_AN_OPERATOR


@each
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(values: dict[str, Any], version: str) -> None:
    import kubernetes_validate

    for one in render(CHART, values).manifests:
        if one["kind"] not in OF_AN_OPERATOR:
            kubernetes_validate.validate(one, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    import kubernetes_validate

    (found,) = render(CHART, LEAST).of("Deployment", "skyops-service")
    broken = json.loads(json.dumps(found).replace("runAsNonRoot", "runAsNonroot"))
    with pytest.raises(kubernetes_validate.ValidationError, match="runAsNonroot"):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"colector": {}}, "'colector' not allowed"),
        ({"database": {"host": "db", "hots": "db"}}, "'hots' not allowed"),
        ({"database": {"port": 5432}}, "/database/host"),
        ({"database": {"host": "db", "user": "me@db"}}, "/database/user"),
        ({"store": "/var/lib/files"}, "/store"),
        ({"collector": {"volume": {"sise": "5Gi"}}}, "'sise' not allowed"),
        ({"service": {"resources": {"limits": {"memory": "512 Mi"}}}}, "memory"),
        ({"service": {"resources": {"limit": {"memory": "1Gi"}}}}, "'limit' not allowed"),
        ({"settings": {"WATCH_AIRPORTS": "LSZH"}}, "WATCH_AIRPORTS"),
        ({"settings": {"SKYOPS_ALERT_SMTP_PASSWORD": "x"}}, "SKYOPS_ALERT_SMTP_PASSWORD"),
        ({"settings": {"SKYOPS_STORE": "s3://other"}}, "SKYOPS_STORE"),
        ({"environment": {"AWS_SECRET_ACCESS_KEY": "x"}}, "AWS_SECRET_ACCESS_KEY"),
        ({"secrets": {"keys": ["sevice_token"]}}, "/secrets/keys/0"),
        ({"ingress": {"enabled": True, "host": "skyops.example.org"}}, "tlsSecret"),
        ({"networkPolicy": {"ui": [{}]}}, "/networkPolicy/ui/0"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: dict[str, Any], said: str) -> None:
    found = render(CHART, {**LEAST, **values})
    assert not found.manifests
    assert said in found.error


def test_replicas_without_a_common_token_are_refused() -> None:
    found = render(CHART, {**LEAST, "secrets": {"keys": []}})
    assert "service_token into the secret" in found.error
    assert not render(CHART, {**LEAST, "secrets": {"keys": []}, "service": {"replicas": 1}}).error


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for one in schema.values():
            yield from objects(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from objects(one)


def test_the_schema_asks_no_web_and_lets_no_unknown_key_pass() -> None:
    text = json.dumps(SCHEMA)
    assert '"$schema"' not in text
    assert '"$id"' not in text
    assert all(ref.startswith("#/$defs/") for ref in re.findall(r'"\$ref": "([^"]*)"', text))
    with_keys = [one for one in objects(SCHEMA) if "properties" in one]
    assert len(with_keys) > 20
    assert all(one["additionalProperties"] is False for one in with_keys)


def test_values_and_schema_have_the_same_keys() -> None:
    def compare(given: Any, schema: dict[str, Any], at: str) -> None:
        if "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        if "properties" not in schema or not isinstance(given, dict):
            return
        if at.rsplit(".", 1)[-1] not in {"resources"}:
            assert set(given) == set(schema["properties"]) - {"global"}, at
        for name, value in given.items():
            compare(value, schema["properties"][name], f"{at}.{name}")

    compare(DEFAULTS, SCHEMA, "values")


def test_secrets_are_named_as_the_settings_that_hold_them() -> None:
    hidden = {
        name for name, field in Settings.model_fields.items()
        if re.search("Secret|AlertRoute", str(field.annotation)) and not field.exclude
    }  # fmt: skip
    # The address is made from `database`, its password has a key of its own, no Celery is used, and
    # a model is copied by a person.
    assert set(SCHEMA["properties"]["secrets"]["properties"]["keys"]["items"]["enum"]) == (
        hidden - {"database_url", "postgres_password", "celery_broker", "source_database_url"}
    )
    refused = set(SCHEMA["properties"]["settings"]["propertyNames"]["not"]["enum"])
    assert refused >= {f"SKYOPS_{name.upper()}" for name in hidden}


# --- what runs ---------------------------------------------------------------------------------


@each
def test_every_command_exists(values: dict[str, Any]) -> None:
    import typer
    from dagster._cli import create_dagster_cli

    from skyops_assets.cli import app

    skyops = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for container in containers(values):
        assert "command" not in container, "it would skip the image's entry point"
        line = " ".join(container["args"])
        called = re.findall(r"\bskyops ([a-z-]+)", line)
        assert all(name in skyops for name in called), line
        for module in re.findall(r"python -m ([\w.]+)", line):
            assert (PROJECT_ROOT / f"{module.replace('.', '/')}.py").is_file(), line
            called.append(module)
        if container["args"][0] == "dagster":
            found = create_dagster_cli()
            for name in container["args"][1:]:
                found = found.commands[name]
            called.append(line)
        assert called, line


@each
def test_every_variable_is_a_setting(values: dict[str, Any]) -> None:
    fields = {f"SKYOPS_{name.upper()}" for name in Settings.model_fields}
    known = fields | {f"{name}_FILE" for name in fields} | OTHERS
    (shared,) = render(CHART, values).of("ConfigMap", "skyops-settings")
    for container in containers(values):
        given = {one["name"]: one["value"] for one in container["env"]}
        assert {name for name in given if name.startswith("SKYOPS_")} <= known
        # Runs, and Dagster's pods, have the same.
        assert {**shared["data"], **given} == shared["data"]
        assert set(shared["data"]) - set(given) == {"SKYOPS_DAGSTER_URL"}
    for name in values.get("settings", {}):
        assert shared["data"][name] == values["settings"][name]


@each
def test_the_variables_are_settings_that_can_be_used(
    values: dict[str, Any], tmp_path: Path
) -> None:
    (shared,) = render(CHART, values).of("ConfigMap", "skyops-settings")
    secrets = {
        "postgresql-password": "p@ss:/word", "service_token": "t" * 40,
        "limits_url": "redis://cache:6379/0", "opensky_client_secret": "x",
        "reader_database_url": "postgresql://reader:x@db.example.org/skyops",
        "service_database_url": "postgresql://service:x@db.example.org/skyops",
    }  # fmt: skip
    given = dict(shared["data"])
    for name in [name for name in given if name.endswith("_FILE")]:
        key = given[name].removeprefix("/run/secrets/skyops/")
        (tmp_path / key).write_text(secrets[key])
        given[name] = str(tmp_path / key)
    code = (
        "from skyops_assets.settings import load_settings; s = load_settings()\n"
        "print(s.store, s.service_port, s.postgres_password.get_secret_value())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": os.environ["PATH"], **given},
        capture_output=True, text=True, check=False, cwd=PROJECT_ROOT,
    )  # fmt: skip
    assert done.stdout.split() == ["s3://bucket/prefix", "8000", "p@ss:/word"], done.stderr


@each
def test_every_pod_may_do_little_and_has_limits(values: dict[str, Any]) -> None:
    for name, pod in pods(render(CHART, values)).items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["cpu"]
            mounted = {one["mountPath"] for one in container["volumeMounts"]}
            assert {"/tmp", "/var/lib/skyops"} <= mounted
            assert container["image"] == f"skyops:{DAGSTER['dagsterDaemon']['image']['tag']}"


def test_collector_and_lane_are_one_each_and_the_service_is_not() -> None:
    found = render(CHART, LEAST)
    single = {one["metadata"]["name"]: one["spec"]["replicas"] for one in found.of("StatefulSet")}
    assert single == {"skyops-collector": 1, "skyops-lane": 1}
    (service,) = found.of("Deployment", "skyops-service")
    assert service["spec"]["replicas"] == 2
    (budget,) = found.of("PodDisruptionBudget")
    assert budget["spec"]["selector"] == service["spec"]["selector"]


def test_tables_are_migrated_before_pods_change() -> None:
    (job,) = render(CHART, LEAST).of("Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    # Nothing of the chart is there yet, at the first installation.
    assert "serviceAccountName" not in pod
    assert not [one for one in pod["volumes"] if "configMap" in one]
    assert "configMapRef" not in json.dumps(pod)


@pytest.mark.parametrize("name", ["service", "docs", "lane", "collector"])
def test_what_is_healthy_is_what_compose_asks_for(name: str) -> None:
    (container,) = pods(render(CHART, LEAST))[f"skyops-{name}"]["containers"]
    asked = COMPOSE[{"lane": "follow"}.get(name, name)]["healthcheck"]["test"]
    probes = [container.get(f"{kind}Probe") for kind in ("startup", "readiness", "liveness")]
    if asked[0] == "CMD-SHELL":
        commands = [probe["exec"]["command"] for probe in probes if probe]
        assert commands == [["sh", "-c", asked[1].replace("$$", "$")]] * 2
        return
    url = re.search(r"127\.0\.0\.1:(\d+)(/[^']*)", asked[-1])
    assert url
    assert probes[1]["httpGet"]["path"] == url[2]
    assert container["ports"] == [{"name": "http", "containerPort": int(url[1])}]
    # A service whose database is away is not started again for that.
    assert probes[2]["httpGet"]["path"] == url[2].replace("ready", "live")


# --- what is around it -------------------------------------------------------------------------


@each
def test_no_secret_is_made_and_none_is_written_down(values: dict[str, Any]) -> None:
    found = render(CHART, values)
    assert not found.of("Secret")
    for container in containers(values):
        for one in container["env"]:
            assert one["name"].endswith("_FILE") or not re.search(
                "PASSWORD|SECRET|TOKEN|_KEY", one["name"]
            )
    assert not re.search(r"://[^/@\s\"]*:[^/@\s\"]*@", json.dumps(found.manifests))


@each
def test_no_service_gives_pods_variables_that_look_like_settings(values: dict[str, Any]) -> None:
    """Kubernetes gives pods X_PORT for each Service x: SKYOPS_SERVICE_PORT=tcp://..., a setting."""
    names = [
        one["metadata"]["name"] for one in render(CHART, values).of("Service")
        if one["spec"].get("clusterIP") != "None"
    ]  # fmt: skip
    assert len(names) == 2
    names += [one["name"] for one in DAGSTER["dagster-user-deployments"]["deployments"]]
    names.append(f"dagster-{DAGSTER['dagsterWebserver']['nameOverride']}")
    assert not [name for name in names if name.startswith("skyops")]


def test_rules_are_those_of_docker_and_the_job_has_their_name() -> None:
    found = render(CHART, FULL)
    (rules,) = found.of("PrometheusRule")
    text = (PROJECT_ROOT / "docker" / "prometheus" / "rules.yml").read_text()
    assert rules["spec"] == yaml.safe_load(text)
    (monitor,) = found.of("ServiceMonitor")
    (service,) = found.of("Service", "service-skyops")
    labels = service["metadata"]["labels"]
    assert labels[monitor["spec"]["jobLabel"]] == "skyops"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert {"release": "prometheus"}.items() <= monitor["metadata"]["labels"].items()
    # Of all that the release has, only this is asked.
    others = [one for one in found.of("Service") if one is not service]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert not [o for o in others if wanted.items() <= o["metadata"]["labels"].items()]


def test_browsers_come_by_tls_only() -> None:
    for one in render(CHART, FULL).of("Ingress"):
        (rule,) = one["spec"]["rules"]
        (tls,) = one["spec"]["tls"]
        assert tls["hosts"] == [rule["host"]]
        assert tls["secretName"]
    (shared,) = render(CHART, FULL).of("ConfigMap", "skyops-settings")
    assert shared["data"]["SKYOPS_PUBLIC_URL"] == "https://skyops.example.org"
    assert shared["data"]["SKYOPS_DOCS_URL"] == "https://docs.example.org"


@each
def test_nobody_reaches_a_pod_but_by_a_policy_of_its_own(values: dict[str, Any]) -> None:
    found = render(CHART, values)
    policies = {one["metadata"]["name"]: one["spec"] for one in found.of("NetworkPolicy")}
    closed = policies["skyops"]
    assert "ingress" not in closed
    assert "Ingress" in closed["policyTypes"]
    selector = closed["podSelector"]["matchLabels"].items()
    for one in found.manifests:
        template = one.get("spec", {}).get("template")
        if template:
            assert selector <= template["metadata"]["labels"].items()
    assert selector <= instance(values)["run_launcher"]["config"]["labels"].items()
    opened = {name for name, spec in policies.items() if spec.get("ingress")}
    assert opened == {"skyops-service", "skyops-docs", "skyops-dagster-code", "skyops-dagster-ui"}
    assert all(rule["from"] for name in opened for rule in policies[name]["ingress"])


# --- with Dagster's chart ----------------------------------------------------------------------


@each
def test_dagster_has_the_repositorys_instance_and_a_launcher(values: dict[str, Any]) -> None:
    found = instance(values)
    launcher = found.pop("run_launcher")
    assert found == yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    assert launcher["class"] == "K8sRunLauncher"
    assert launcher["config"]["job_image"].endswith(DAGSTER["dagsterDaemon"]["image"]["tag"])


@each
def test_the_launcher_takes_its_configuration(values: dict[str, Any]) -> None:
    """And the Job that it makes of it is one that Kubernetes knows, confined as the others are."""
    job = pytest.importorskip("dagster_k8s.job", reason="requirements-kubernetes.lock has it")
    import kubernetes
    import kubernetes_validate
    from dagster import Shape
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s.container_context import K8sContainerContext

    given = instance(values)["run_launcher"]["config"]
    kind = resolve_to_config_type(Shape(job.DagsterK8sJobConfig.config_type_run_launcher()))
    done = process_config(kind, given)
    assert done.success, done.errors
    context = K8sContainerContext(
        **{
            name: given[name]
            for name in ("env_config_maps", "image_pull_policy", "service_account_name", "labels")
        },
        run_k8s_config=job.UserDefinedDagsterK8sConfig.from_dict(given["run_k8s_config"]),
    )
    made = job.construct_dagster_k8s_job(
        job_config=job.DagsterK8sJobConfig(
            job_image=given["job_image"], dagster_home=given["dagster_home"],
            instance_config_map=given["instance_config_map"], labels=given["labels"],
            env_config_maps=given["env_config_maps"],
        ),
        args=["dagster", "api", "execute_run"], job_name="run", component="run_worker",
        user_defined_k8s_config=context.run_k8s_config,
    )  # fmt: skip
    manifest = kubernetes.client.ApiClient().sanitize_for_serialization(made)
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    alike = pods(render(CHART, values))["skyops-lane"]
    assert pod["securityContext"] == alike["securityContext"]
    assert pod["volumes"] == alike["volumes"]
    assert pod["containers"][0]["securityContext"] == alike["containers"][0]["securityContext"]
    assert manifest["spec"]["ttlSecondsAfterFinished"] == 3600


def test_the_chart_of_dagster_is_that_of_the_locked_dagster() -> None:
    lock = (PROJECT_ROOT / "requirements.lock").read_text()
    locked = re.search(r"^dagster==(\S+)", lock, re.MULTILINE)
    named = re.search(r"official chart, version ([\d.]+):", DAGSTER_TEXT)
    assert locked
    assert named
    assert locked[1] == named[1]
    page = (PROJECT_ROOT / "docs" / "kubernetes.md").read_text()
    assert f"--version {locked[1]} " in page


def test_dagsters_pods_find_what_the_chart_makes() -> None:
    found = render(CHART, LEAST)
    maps = {one["metadata"]["name"] for one in found.of("ConfigMap")}
    (code,) = DAGSTER["dagster-user-deployments"]["deployments"]
    web, daemon = DAGSTER["dagsterWebserver"], DAGSTER["dagsterDaemon"]
    for pod in (web, daemon, code):
        assert {one["name"] for one in pod["envConfigMaps"]} <= maps
        assert [one["name"] for one in pod["envSecrets"]] == [DEFAULTS["secrets"]["environment"]]
        volumes = {one["name"]: one for one in pod["volumes"]}
        assert volumes["secrets"]["secret"]["secretName"] == DEFAULTS["secrets"]["name"]
        assert {one["name"] for one in pod["volumeMounts"]} == set(volumes)
        alike = pods(found)["skyops-lane"]
        assert pod["podSecurityContext"] == alike["securityContext"]
        assert pod["securityContext"] == alike["containers"][0]["securityContext"]
        assert pod["resources"]["limits"]["memory"]
    for pod in (web, daemon):
        volumes = {one["name"]: one for one in pod["volumes"]}
        assert volumes["skyops-instance"]["configMap"]["name"] in maps
        home = {one["name"]: one["value"] for one in pod["env"]}["DAGSTER_HOME"]
        mounted = {one["mountPath"]: one for one in pod["volumeMounts"]}
        assert mounted[f"{home}/dagster.yaml"]["subPath"] == "dagster.yaml"
        # The folder is a volume: else it would be root's.
        assert "emptyDir" in volumes[mounted[home]["name"]]
    (shared,) = found.of("ConfigMap", "skyops-settings")
    assert shared["data"]["SKYOPS_UI_URL"] == (
        f"http://dagster-{web['nameOverride']}:{web['service']['port']}"
    )
    database = DAGSTER["postgresql"]
    assert shared["data"]["SKYOPS_DAGSTER_URL"] == (
        f"postgresql://{database['postgresqlUsername']}@{database['postgresqlHost']}:"
        f"{database['service']['port']}/{database['postgresqlDatabase']}"
    )


@pytest.mark.parametrize("part", ["dagsterWebserver", "dagsterDaemon", "code"])
def test_what_dagsters_chart_passes_on_is_known_to_kubernetes(part: str) -> None:
    import kubernetes_validate

    (code,) = DAGSTER["dagster-user-deployments"]["deployments"]
    given = code if part == "code" else DAGSTER[part]
    probes = {
        name: {key: value for key, value in given[name].items() if key != "enabled"}
        for name in ("startupProbe", "readinessProbe", "livenessProbe") if name in given
    }  # fmt: skip
    container = {
        "name": "dagster",
        "image": "{repository}:{tag}".format(**given["image"]),
        "imagePullPolicy": given["image"]["pullPolicy"],
        "env": given.get("env", []),
        "envFrom": [
            *({"configMapRef": one} for one in given["envConfigMaps"]),
            *({"secretRef": one} for one in given["envSecrets"]),
        ],
        **{name: given[name] for name in ("volumeMounts", "securityContext", "resources")},
        **probes,
    }
    spec = {
        "containers": [container],
        "volumes": given["volumes"],
        "securityContext": given["podSecurityContext"],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": part}, "spec": spec}
    for version in VERSIONS:
        kubernetes_validate.validate(pod, version, strict=True)


def test_dagsters_pods_are_asked_as_compose_asks() -> None:
    (code,) = DAGSTER["dagster-user-deployments"]["deployments"]
    command = COMPOSE["code"]["command"]
    assert set(code["codeServerArgs"]) <= set(command)
    assert f"--port={code['port']}" in command
    web = DAGSTER["dagsterWebserver"]
    assert f"--port={web['service']['port']}" in COMPOSE["webserver"]["command"]
    for kind in ("readiness", "liveness", "startup"):
        asked = web[f"{kind}Probe"]["httpGet"]
        assert (
            f":{asked['port']}{asked['path']}'" in COMPOSE["webserver"]["healthcheck"]["test"][-1]
        )
    probe = DAGSTER["dagsterDaemon"]["livenessProbe"]["exec"]["command"]
    assert probe == COMPOSE["daemon"]["healthcheck"]["test"][-2:]
    policies = {one["metadata"]["name"]: one for one in render(CHART, LEAST).of("NetworkPolicy")}
    for name, port in (("code", code["port"]), ("ui", web["service"]["port"])):
        (rule,) = policies[f"skyops-dagster-{name}"]["spec"]["ingress"]
        assert rule["ports"] == [{"port": port}]


@pytest.mark.skipif(OFFICIAL is None, reason="OFFICIAL_CHART names no chart of Dagster")
def test_dagsters_chart_has_every_key_and_renders() -> None:
    """A misspelt key would vanish silently: the chart's own schema asks the web."""
    import kubernetes_validate

    chart = Path(str(OFFICIAL))
    theirs = yaml.safe_load((chart / "values.yaml").read_text())

    def unknown(given: Any, known: Any, at: str) -> Iterator[str]:
        if not isinstance(given, dict) or not isinstance(known, dict) or not known:
            return
        for name, value in given.items():
            if name not in known:
                yield f"{at}.{name}"
            elif not name.endswith("Probe"):  # Theirs is passed on as it is.
                yield from unknown(value, known[name], f"{at}.{name}")

    ours = {**DAGSTER, "dagster-user-deployments": {}}
    assert not list(unknown(ours, theirs, ""))
    (their_code,) = theirs["dagster-user-deployments"]["deployments"]
    (our_code,) = DAGSTER["dagster-user-deployments"]["deployments"]
    assert set(our_code) - set(their_code) <= {"codeServerArgs"}
    found = render(chart, DAGSTER, release="dagster")
    assert found.error == ""
    for one in found.manifests:
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
    assert found.of("Service", "dagster-webserver")
    assert found.of("ServiceAccount", DEFAULTS["runs"]["serviceAccount"])
