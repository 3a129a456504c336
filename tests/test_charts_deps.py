"""The chart of what Slipway stands on, in every mode, under the rules of Slipway's own chart."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from functools import cache
from typing import Any

import psycopg
import pytest
import servers
import yaml
from cluster import structural
from test_charts import DIGEST, HELM, helm, selects

PARTS = ("postgres", "valkey", "objects", "mlflow")
OPERATORS = ("kuberay", "kueue")
IMAGE = {"registry": "registry.example.com/team"}
ELSEWHERE: dict[str, Any] = {
    "postgres": {"mode": "existing"},
    "valkey": {"mode": "existing"},
    "objects": {"mode": "existing", "secret": "store"},
    "mlflow": {"mode": "existing", "url": "http://mlflow.mlflow:5000"},
}
MODES: dict[str, dict[str, Any]] = {
    "install": {"image": IMAGE},
    "digests": {"image": IMAGE | {"requireDigests": True, "pullSecrets": ["registry"]}}
    | {part: {"image": {"digest": DIGEST}} for part in PARTS}
    | {"storageClass": "fast", "network": {"callers": [{"podSelector": {}}]}},
    "own secrets": {"image": IMAGE}
    | {part: {"secret": f"my-{part}"} for part in ("postgres", "valkey", "objects")},
    "existing": ELSEWHERE,
    "off": {part: {"mode": "off"} for part in (*PARTS, *OPERATORS)},
    "operators": {"image": IMAGE}
    | {part: {"mode": "off"} for part in PARTS}
    | {part: {"mode": "install"} for part in OPERATORS},
    "all by digest": {"image": IMAGE | {"requireDigests": True, "pullSecrets": ["registry"]}}
    | {part: {"mode": "install", "image": {"digest": DIGEST}} for part in (*PARTS, *OPERATORS)},
    "mixed": {"image": IMAGE} | {part: ELSEWHERE[part] for part in ("objects", "mlflow")},
}
INSTALLED = {
    name: [part for part in PARTS if values.get(part, {}).get("mode", "install") == "install"]
    for name, values in MODES.items()
}
OPERATED = {
    name: [part for part in OPERATORS if values.get(part, {}).get("mode") == "install"]
    for name, values in MODES.items()
}
CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding")
every_mode = pytest.mark.parametrize("name", MODES)


@cache
def rendered(name: str) -> list[dict[str, Any]]:
    done = helm("template", "deps", "slipway-deps", "-n", "ml", values=MODES[name])
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def of_kind(name: str, kind: str) -> dict[str, dict[str, Any]]:
    return {i["metadata"]["name"]: i for i in rendered(name) if i["kind"] == kind}


@every_mode
def test_helms_own_linter_finds_nothing(name: str) -> None:
    done = helm("lint", "slipway-deps", "--strict", values=MODES[name])
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@every_mode
def test_only_what_is_to_be_installed_is(name: str) -> None:
    names = {f"deps-{part}" for part in INSTALLED[name]}
    operators = {f"deps-{part}" for part in OPERATED[name]}
    assert of_kind(name, "StatefulSet").keys() == names
    for kind in ("Deployment", "ServiceAccount", "Role", "RoleBinding", *CLUSTER_WIDE):
        assert of_kind(name, kind).keys() == operators, kind
    own = name == "own secrets"
    kueue = operators & {"deps-kueue"}
    assert of_kind(name, "Secret").keys() == (set() if own else names - {"deps-mlflow"}) | kueue
    assert of_kind(name, "NetworkPolicy").keys() == names | operators
    assert of_kind(name, "Service").keys() == names | kueue
    kinds = {"StatefulSet", "Service", "NetworkPolicy", "Secret", "ConfigMap"}
    if not operators:
        made = {item["kind"] for item in rendered(name)}
        assert made <= kinds, "nothing of the whole cluster"


@every_mode
def test_every_pod_is_restricted_probed_and_keeps_its_data(name: str) -> None:
    for item in of_kind(name, "StatefulSet").values():
        spec = item["spec"]["template"]["spec"]
        assert structural.unrestricted(spec) == []
        assert spec["automountServiceAccountToken"] is False
        [container] = spec["containers"]
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert container.keys() >= {"startupProbe", "livenessProbe", "readinessProbe"}
        names = [variable["name"] for variable in container["env"]]
        assert len(names) == len(set(names))
        for variable in container["env"]:
            secret = "PASSWORD" in variable["name"] or "URL" in variable["name"]
            assert ("valueFrom" in variable) == secret, variable["name"]
        mounted = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
        claims = [claim["metadata"]["name"] for claim in item["spec"]["volumeClaimTemplates"]]
        assert claims == ["data"]
        assert mounted["data"] == "/data"
        assert mounted.keys() == {v["name"] for v in spec["volumes"]} | {"data"}


@every_mode
def test_every_pod_has_one_policy_that_denies_all_but_what_it_names(name: str) -> None:
    policies = [policy["spec"] for policy in of_kind(name, "NetworkPolicy").values()]
    for pod_name, item in of_kind(name, "StatefulSet").items():
        labels = item["spec"]["template"]["metadata"]["labels"]
        [policy] = [spec for spec in policies if selects(spec["podSelector"], labels)]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        [hole] = policy["ingress"]
        [port] = item["spec"]["template"]["spec"]["containers"][0]["ports"]
        assert hole["ports"] == [{"port": port["containerPort"]}]
        assert all(peer for peer in hole["from"]), "an empty peer is everybody"
        assert bool(policy["egress"]) == pod_name.endswith("-mlflow")


def test_slipways_own_pods_are_the_ones_let_in() -> None:
    """Labels of the pods that Slipway's chart makes, against the holes of this one."""
    done = helm("template", "slipway", "slipway", "-n", "ml", values={
        "url": "https://slipway.example.com", "image": IMAGE, "mlflowUrl": "http://deps-mlflow:5000",
        "secrets": {"controlPlane": "slipway", "objects": "deps-objects"},
    })  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = [item for item in yaml.safe_load_all(done.stdout) if item]
    templates = [item["spec"]["template"] for item in made if item["kind"] in {"Deployment", "Job"}]
    pods = [t["metadata"]["labels"] for t in templates]
    pods += [{"slipway.dev/role": role} for role in ("run", "served")]

    def admitted(part: str) -> set[str]:
        peers = of_kind("install", "NetworkPolicy")[f"deps-{part}"]["spec"]["ingress"][0]["from"]
        return {
            labels.get("app.kubernetes.io/component") or labels["slipway.dev/role"]
            for labels in pods
            for peer in peers
            if selects(peer["podSelector"], labels)
            and all(
                labels.get(rule["key"]) in rule["values"]
                for rule in peer["podSelector"].get("matchExpressions", [])
            )
        }

    assert admitted("postgres") == {"web", "gateway", "worker", "migrate"}
    assert admitted("valkey") == admitted("mlflow") == {"web", "gateway", "worker"}
    assert admitted("objects") == {"web", "gateway", "worker", "run", "served"}


@every_mode
def test_no_image_comes_from_a_registry_of_ours(name: str) -> None:
    for item in of_kind(name, "StatefulSet").values():
        image = item["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image.startswith("registry.example.com/team/")
        assert ("@sha256:" in image) == ("digest" in name)
    for path in (HELM / "slipway-deps").rglob("*.*"):
        for host in ("docker.io", "quay.io", "ghcr.io", "gcr.io", "registry.k8s.io"):
            assert "files" in path.parts or host not in path.read_text(), path


def test_made_secrets_outlive_the_chart_and_say_the_address_of_the_store() -> None:
    made = of_kind("install", "Secret")
    words = [b64decode(word).decode() for item in made.values() for word in item["data"].values()]
    assert len(words) == len(set(words)) == 5
    assert all(len(word) >= 32 for word in words)
    for item in made.values():
        assert item["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    url = b64decode(made["deps-objects"]["data"]["SLIPWAY_OBJECTS_URL"]).decode()
    assert url.startswith("s3://slipway:")
    assert url.endswith("@deps-objects.ml:8333/slipway?secure=0")
    text = json.dumps([item for item in rendered("install") if item["kind"] != "Secret"])
    assert not [word for word in words if word in text]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a typo": ({"postgress": {}}, "'postgress' not allowed"),
    "a typo below": ({"valkey": {"sizes": "1Gi"}}, "'sizes' not allowed"),
    "no such mode": ({"mlflow": {"mode": "yes"}}, "must be one of 'install', 'existing', 'off'"),
    "half a KubeRay": ({"kuberay": {"mode": "on"}}, "must be one of 'install', 'existing', 'off'"),
    "no digest of Kueue": (
        MODES["all by digest"] | {"kueue": {"mode": "install"}},
        "kueue.image.digest is empty, and image.requireDigests is on",
    ),
    "half a digest": ({"objects": {"image": {"digest": "sha256:1"}}}, "does not match pattern"),
    "no registry": ({"image": {"registry": ""}}, "image.registry is empty: set it to the registry"),
    "no digest": (
        {"image": IMAGE | {"requireDigests": True}},
        "postgres.image.digest is empty, and image.requireDigests is on",
    ),
    "no tag": ({"postgres": {"image": {"tag": ""}}}, "postgres.image.tag and digest are empty"),
    "MLflow over nothing": (
        {"postgres": {"mode": "existing"}},
        "postgres.mode is existing: MLflow is installed over the installed PostgreSQL only",
    ),
    "MLflow nowhere": ({"mlflow": {"mode": "existing"}}, "mlflow.url is empty: set it to"),
    "MLflow twice": ({"mlflow": {"url": "http://m"}}, "set mlflow.mode to existing, or leave"),
    "a store nowhere": (
        {"objects": {"mode": "existing"}},
        "make a Secret with SLIPWAY_OBJECTS_URL",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_values_are_refused_with_the_sentence_that_mends_them(name: str) -> None:
    changes, sentence = REFUSED[name]
    done = helm("template", "deps", "slipway-deps", values={"image": IMAGE} | changes)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_databases_are_made_each_with_an_owner_that_is_no_superuser() -> None:
    """The script that PostgreSQL's image runs once, against a real one."""
    server = servers.own_postgres(servers.new_folder("postgres"))
    script = of_kind("install", "ConfigMap")["deps-postgres"]["data"]["databases.sh"]
    own = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port)}
    own |= {"SLIPWAY_PASSWORD": "it's", "MLFLOW_PASSWORD": 'a "quote"'}
    try:
        subprocess.run(["bash", "-ec", script], env=os.environ | own, check=True)
        base = f"host=127.0.0.1 port={server.port}"
        with psycopg.connect(f"{base} user=slipway dbname=slipway") as connection:
            [row] = connection.execute(
                "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles "
                "WHERE rolname = current_user"
            )
            assert row == (False, False, False)
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
            connection.execute("CREATE TABLE public.mine (number int)")
        psycopg.connect(f"{base} user=mlflow dbname=mlflow").close()
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(f"{base} user=mlflow dbname=slipway")
    finally:
        server.kill()
