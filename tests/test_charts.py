"""The charts, rendered by the real Helm in every profile, and rules on what comes out."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import modules, structural

from slipway.cli.web import TLS_ONLY
from slipway_operator import __main__ as operator_files
from slipway_operator import config as configs
from slipway_operator import rights

HELM = Path(__file__).parent.parent / "helm"
DIGEST = "sha256:" + "ab" * 32
NEEDED: dict[str, Any] = {
    "url": "https://slipway.example.com",
    "image": {"registry": "registry.example.com/team"},
    "secrets": {"controlPlane": "slipway", "objects": "slipway-objects"},
    "mlflowUrl": "http://mlflow:5000",
}
WITH_DIGESTS = NEEDED | {
    "image": {"registry": "registry.example.com/team"}
    | {part: {"digest": DIGEST} for part in ("controlPlane", "operator", "runtime")},
    "caBundle": "slipway-ca",
}
ALL_ON = WITH_DIGESTS | {
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "tlsSecret": "tls",
        "annotations": {"a": "b"},
    },
    "operator": {"scope": "cluster"},
    "network": {
        "callers": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "database": {"to": [{"ipBlock": {"cidr": "10.1.0.5/32"}}], "port": 5433},
        "monitoringNamespace": "monitoring",
    },
    "workloads": {
        "queue": "research",
        "queuePriorities": [{"atLeast": 10, "name": "urgent"}],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "nodeSelector": {"pool": "gpu"},
    },
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "nodeSelector": {"pool": "system"},
    "environment": {"SLIPWAY_LOG_LEVEL": "WARNING"},
}
PROFILES = {
    "plain": (None, NEEDED),
    "small": ("small", NEEDED),
    "high-availability": ("high-availability", NEEDED),
    "air-gap": ("air-gap", WITH_DIGESTS),
    "all on": ("high-availability", ALL_ON),
}


def helm(*arguments: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(modules.helm()), *arguments, "--kube-version", "1.34.0"]
    if values is not None:
        command += ["--values", "-"]
    return subprocess.run(
        command, input=json.dumps(values or {}), capture_output=True, text=True, cwd=HELM
    )


def arguments(profile: str | None) -> list[str]:
    return ["--values", f"slipway/profiles/{profile}.yaml"] if profile else []


@cache
def rendered(name: str) -> list[dict[str, Any]]:
    profile, values = PROFILES[name]
    done = helm("template", "slipway", "slipway", "-n", "ml", *arguments(profile), values=values)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def of_kind(name: str, *kinds: str) -> list[dict[str, Any]]:
    return [item for item in rendered(name) if item["kind"] in kinds]


def pods(name: str) -> dict[str, dict[str, Any]]:
    made = {
        item["metadata"]["name"]: item["spec"]["template"]
        for item in of_kind(name, "Deployment", "Job")
    }
    return made | {item["metadata"]["name"]: item for item in of_kind(name, "Pod")}


every_profile = pytest.mark.parametrize("name", PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_helms_own_linter_finds_nothing(name: str) -> None:
    profile, values = PROFILES[name]
    done = helm("lint", "slipway", "--strict", *arguments(profile), values=values)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


def test_the_definitions_are_a_chart_that_keeps_them() -> None:
    assert helm("lint", "slipway-crds", "--strict").returncode == 0
    done = helm("template", "slipway-crds", "slipway-crds")
    definitions = [item for item in yaml.safe_load_all(done.stdout) if item]
    assert {item["kind"] for item in definitions} == {"CustomResourceDefinition"}
    assert len(definitions) == 4
    for item in definitions:
        assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@every_profile
def test_every_pod_is_restricted_and_has_its_limits(name: str) -> None:
    for pod_name, template in pods(name).items():
        spec = template["spec"]
        assert structural.unrestricted(spec) == [], pod_name
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            resources = container["resources"]
            assert resources["requests"].keys() >= {"cpu", "memory"}, container["name"]
            assert "memory" in resources["limits"], container["name"]
        token = spec["automountServiceAccountToken"]
        assert token == any(part in pod_name for part in ("web", "worker", "operator")), pod_name


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items()


@every_profile
def test_every_pod_has_a_policy_of_its_own_and_the_rest_is_denied(name: str) -> None:
    policies = of_kind(name, "NetworkPolicy")
    (deny,) = [p for p in policies if p["metadata"]["name"] == "slipway-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    own = [p["spec"] for p in policies if p["spec"]["podSelector"]]
    every = {n: t["metadata"]["labels"] for n, t in pods(name).items()}
    every |= {role: {"slipway.dev/role": role} for role in ("run", "served")}
    for pod_name, labels in every.items():
        matching = [spec for spec in own if selects(spec["podSelector"], labels)]
        assert len(matching) == 1, pod_name
        assert matching[0]["policyTypes"] == ["Ingress", "Egress"]


@every_profile
def test_only_the_gateway_reaches_an_engine(name: str) -> None:
    for policy in of_kind(name, "NetworkPolicy"):
        opens = [
            rule for rule in policy["spec"].get("egress") or []
            if {"port": 8100} in rule.get("ports", [])
        ]  # fmt: skip
        assert bool(opens) == (policy["metadata"]["name"] == "slipway-gateway")


@every_profile
def test_no_image_comes_from_a_registry_of_ours(name: str) -> None:
    images = {
        container["image"]
        for template in pods(name).values()
        for container in [
            *template["spec"].get("initContainers", []), *template["spec"]["containers"]
        ]
    }  # fmt: skip
    (config,) = [
        i for i in of_kind(name, "ConfigMap") if i["metadata"]["name"] == "slipway-operator"
    ]
    images.add(yaml.safe_load(config["data"]["config.yaml"])["image"])
    assert all(image.startswith("registry.example.com/team/slipway/") for image in images)
    assert all(("@sha256:" in image) == (PROFILES[name][1] is not NEEDED) for image in images)
    for path in (HELM / "slipway").rglob("*.yaml"):
        text = path.read_text()
        for host in ("docker.io", "quay.io", "ghcr.io", "gcr.io", "registry.k8s.io"):
            assert host not in text, path


@every_profile
def test_the_operator_takes_its_configuration(name: str) -> None:
    (item,) = [i for i in of_kind(name, "ConfigMap") if i["metadata"]["name"] == "slipway-operator"]
    found = configs.read(yaml.safe_load(item["data"]["config.yaml"]))
    assert found.objects_secret == "slipway-objects"
    assert found.priority_class == "slipway-ml-workloads"
    if name == "all on":
        assert found.queue_priorities[0].at_least == 10
        assert found.node_selector == {"pool": "gpu"}
        assert found.ca_bundle == "slipway-ca"


@every_profile
def test_rights_are_those_of_the_table_and_no_others(name: str) -> None:
    roles = {item["metadata"]["name"]: item for item in of_kind(name, "Role", "ClusterRole")}
    wide = name == "all on"
    operator = "ml-slipway-operator" if wide else "slipway-operator"
    assert set(roles) == {"slipway-control-plane", operator}
    assert roles["slipway-control-plane"]["rules"] == rights.rules("control-plane")
    assert roles[operator]["rules"] == rights.rules("operator")
    assert (roles[operator]["kind"] == "ClusterRole") == wide
    for bound in of_kind(name, "RoleBinding", "ClusterRoleBinding"):
        assert bound["roleRef"]["name"] in roles
    for account, rules in rights.RIGHTS.items():
        for group, resources, verbs in rules:
            assert "*" not in {group, *resources, *verbs}, account
            assert not {"secrets", "configmaps", "nodes"} & set(resources), account


@every_profile
def test_copies_are_counted_in_one_place_and_survive_a_drained_node(name: str) -> None:
    scalers = {
        i["spec"]["scaleTargetRef"]["name"] for i in of_kind(name, "HorizontalPodAutoscaler")
    }
    budgets = {i["metadata"]["name"] for i in of_kind(name, "PodDisruptionBudget")}
    for item in of_kind(name, "Deployment"):
        deployment = item["metadata"]["name"]
        assert ("replicas" in item["spec"]) != (deployment in scalers)
        several = deployment in scalers or item["spec"]["replicas"] > 1
        assert (deployment in budgets) == several
        assert item["spec"]["template"]["spec"]["topologySpreadConstraints"]


@every_profile
def test_streams_have_time_to_end(name: str) -> None:
    template = pods(name)["slipway-gateway"]["spec"]
    command = template["containers"][0]["command"]
    drain = int(command[command.index("--timeout-graceful-shutdown") + 1])
    before = 5
    assert template["terminationGracePeriodSeconds"] >= drain + before + 10
    assert [
        c["name"] for c in template["initContainers"] if c.get("restartPolicy") == "Always"
    ] == ["settle"]


def test_browsers_are_told_to_come_back_by_tls_only() -> None:
    """As on one machine, so in a cluster."""
    for url, told in (("https://slipway.example.com", True), ("http://slipway.example.com", False)):
        done = helm("template", "slipway", "slipway", values=NEEDED | {"url": url})
        made = [item for item in yaml.safe_load_all(done.stdout) if item]
        for part in ("web", "gateway"):
            [found] = [
                item for item in made
                if (item["kind"], item["metadata"]["name"]) == ("Deployment", f"slipway-{part}")
            ]  # fmt: skip
            command = found["spec"]["template"]["spec"]["containers"][0]["command"]
            header = ["--header", ":".join(TLS_ONLY)]
            pairs = [command[i : i + 2] for i in range(len(command))]
            assert (header in pairs) == told, part


@every_profile
def test_secrets_are_named_and_never_held(name: str) -> None:
    assert of_kind(name, "Secret") == []
    for template in pods(name).values():
        for container in template["spec"]["containers"]:
            for variable in container["env"]:
                secret = any(word in variable["name"] for word in SECRET_WORDS)
                assert ("valueFrom" in variable) == secret, variable["name"]
            names = [variable["name"] for variable in container["env"]]
            assert len(names) == len(set(names)), "a name twice is refused by server-side apply"


SECRET_WORDS = ("SECRET", "PASSWORD", "DATABASE", "OBJECTS", "BROKER")
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a typo": ({"gatewy": {}}, "'gatewy' not allowed"),
    "a typo below": ({"web": {"replica": 2}}, "'replica' not allowed"),
    "a word for a number": ({"web": {"replicas": "two"}}, "got string, want integer"),
    "no such policy": ({"image": {"pullPolicy": "Sometimes"}}, "'Always', 'IfNotPresent', 'Never'"),
    "half a digest": ({"image": {"runtime": {"digest": "sha256:12"}}}, "does not match pattern"),
    "no registry": ({"image": {"registry": ""}}, "image.registry is empty: set it to the registry"),
    "no secret": ({"secrets": {"controlPlane": ""}}, "make a Secret with SLIPWAY_SECRET_KEY"),
    "no store": ({"secrets": {"objects": ""}}, "make a Secret with SLIPWAY_OBJECTS_URL"),
    "no address": ({"url": ""}, "url is empty: set it to the address people will use"),
    "a path in the address": ({"url": "https://a.example/x"}, "with no path"),
    "no MLflow": ({"mlflowUrl": ""}, "mlflowUrl is empty"),
    "no digest": ({"image": {"requireDigests": True}}, "digest is empty, and image.requireDigests"),
    "bounds crossed": (
        {"web": {"autoscaling": {"enabled": True, "min": 5, "max": 2}}},
        "web.autoscaling.min is 5 and max is 2: min must not be above max",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_values_are_refused_with_the_sentence_that_mends_them(name: str) -> None:
    changes, sentence = REFUSED[name]
    values = json.loads(json.dumps(NEEDED))
    for key, value in changes.items():
        values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
    done = helm("template", "slipway", "slipway", values=values)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_a_migration_that_would_be_another_is_another_job() -> None:
    """The API server takes no change of a Job's pods."""

    def job(**more: Any) -> tuple[str, dict[str, Any]]:
        done = helm("template", "slipway", "slipway", values=NEEDED | more)
        assert done.returncode == 0, done.stderr
        [found] = [item for item in yaml.safe_load_all(done.stdout) if item["kind"] == "Job"]
        return found["metadata"]["name"], found["spec"]["template"]

    assert job() == job()
    for more in ({"nodeSelector": {"a": "b"}}, {"url": "https://other.example.com"}):
        assert job(**more)[0] != job()[0]
        assert job(**more)[1] != job()[1]


def test_what_is_made_from_contracts_and_values_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("describe", HELM / "describe.py")
    assert spec is not None
    assert spec.loader is not None
    describe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(describe)
    made = {HELM / name: text for name, text in operator_files.files().items()} | describe.files()
    assert len(made) >= 8
    for path, text in made.items():
        assert path.read_text() == text, f"{path}: make charts writes it anew"


def test_every_value_is_described() -> None:
    text = (HELM / "slipway" / "README.md").read_text()
    for line in text.splitlines():
        if line.startswith("| `") and not line.startswith("| `network."):
            assert line.rstrip("| ").count("|") == 3, line
