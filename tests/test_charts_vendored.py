"""KubeRay and Kueue in the chart of what Slipway stands on: theirs unchanged, pods by our rules."""

from __future__ import annotations

import json

import pytest
import yaml
from cluster import structural, vendored
from test_charts import HELM, helm, selects
from test_charts_deps import IMAGE, OPERATORS, of_kind


@pytest.mark.parametrize("part", OPERATORS)
@pytest.mark.parametrize("name", ["operators", "all by digest"])
def test_operators_are_restricted_probed_and_find_what_they_mount(name: str, part: str) -> None:
    spec = of_kind(name, "Deployment")[f"deps-{part}"]["spec"]["template"]["spec"]
    assert structural.unrestricted(spec) == []
    assert spec["serviceAccountName"] == f"deps-{part}"
    [container] = spec["containers"]
    assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    assert container["image"].startswith("registry.example.com/team/")
    assert ("@sha256:" in container["image"]) == (name == "all by digest")
    mounted = [mount["name"] for mount in container.get("volumeMounts", [])]
    assert mounted == [volume["name"] for volume in spec.get("volumes", [])]
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            assert volume["configMap"]["name"] in of_kind(name, "ConfigMap")
        else:
            assert volume["secret"]["secretName"] in of_kind(name, "Secret")


def test_what_comes_from_others_is_what_their_pinned_modules_say() -> None:
    """Where this fails: `make vendor`."""
    folder = vendored.CHART / "files"
    kept = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert kept == vendored.files()
    for part in OPERATORS:
        assert "Apache License" in (folder / part / "LICENSE").read_text()
        version = (folder / part / "ORIGIN").read_text().strip().rpartition("@")[2]
        values = yaml.safe_load((HELM / "slipway-deps/values.yaml").read_text())
        assert values[part]["image"]["tag"] == version


def test_definitions_and_rights_reach_the_cluster_unchanged_and_definitions_stay() -> None:
    made = of_kind("operators", "CustomResourceDefinition")
    for part in OPERATORS:
        folder = HELM / "slipway-deps/files" / part
        for path in folder.glob("definitions/*.json"):
            given = json.loads(path.read_text())
            item = made.pop(path.stem)
            assert item["spec"] == given["spec"]
            notes = item["metadata"]["annotations"]
            assert notes.pop("helm.sh/resource-policy") == "keep"
            assert notes == given["metadata"]["annotations"]
        rules = of_kind("operators", "ClusterRole")[f"deps-{part}"]["rules"]
        assert rules == json.loads((folder / "rights.json").read_text())
    assert made == {}


def test_webhooks_are_those_of_ray_and_kueue_and_ask_the_charts_service() -> None:
    service = of_kind("operators", "Service")["deps-kueue"]
    pod = of_kind("operators", "Deployment")["deps-kueue"]["spec"]["template"]
    assert selects({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
    configuration = yaml.safe_load(
        of_kind("operators", "ConfigMap")["deps-kueue"]["data"]["kueue.yaml"]
    )
    ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
    assert ports["webhooks"] == configuration["webhook"]["port"]
    own = configuration["internalCertManagement"]
    assert (own["webhookServiceName"], own["webhookSecretName"]) == ("deps-kueue", "deps-kueue")
    kinds = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    found = [item for kind in kinds for item in of_kind("operators", kind).values()]
    asked = set()
    for hook in (hook for item in found for hook in item["webhooks"]):
        to = hook["clientConfig"]["service"]
        assert (to["name"], to["namespace"]) == ("deps-kueue", "ml")
        asked |= {
            (g, r) for rule in hook["rules"] for g in rule["apiGroups"] for r in rule["resources"]
        }
    ray = {("ray.io", kind) for kind in ("rayjobs", "rayclusters")}
    assert ray < asked
    assert {group for group, _ in asked} == {"ray.io", "kueue.x-k8s.io"}
    # One kind of work in two words: what is queued, and whose making is asked about.
    frameworks = {
        f"{group}/{kind}s"
        for group, kind in (w.split("/") for w in configuration["integrations"]["frameworks"])
    }
    assert frameworks == {f"{group}/{kind}" for group, kind in ray}


def test_rays_ports_are_open_to_the_installed_operator_alone() -> None:
    """The values that the notes print, in Slipway's own chart, against the operator's pod."""
    done = helm("template", "slipway", "slipway", "-n", "ml", values={
        "url": "https://slipway.example.com", "image": IMAGE, "mlflowUrl": "http://deps-mlflow:5000",
        "secrets": {"controlPlane": "slipway", "objects": "deps-objects"},
        "network": {"kuberayNamespace": "ml", "kuberayPods": {
            "app.kubernetes.io/name": "slipway-deps", "app.kubernetes.io/component": "kuberay"}},
    })  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = [item for item in yaml.safe_load_all(done.stdout) if item]
    for role in ("run", "served"):
        [policy] = [
            i
            for i in made
            if i["kind"] == "NetworkPolicy" and i["metadata"]["name"] == f"slipway-{role}"
        ]
        [peer] = [
            p
            for hole in policy["spec"]["ingress"]
            for p in hole["from"]
            if "namespaceSelector" in p
        ]
        labels = {
            part: item["spec"]["template"]["metadata"]["labels"]
            for kind in ("Deployment", "StatefulSet")
            for part, item in of_kind("all by digest", kind).items()
        }
        assert [p for p, own in labels.items() if selects(peer["podSelector"], own)] == [
            "deps-kuberay"
        ]
        assert not selects(peer["podSelector"], {"slipway.dev/role": role})
