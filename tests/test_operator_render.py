"""Custom resources become KubeRay's manifests, held against golden files and KubeRay's schemas."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cluster_world as world
import pytest
from cluster import modules, structural

from slipway_contracts import resources
from slipway_contracts.workload import Kind, Workload, workload_from_json
from slipway_operator import config as configs
from slipway_operator import crds
from slipway_operator.render import runs, served

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "run_queued": lambda: runs.render(world.run(gpus=1, priority=20), world.config()),
    "run_group": lambda: runs.render(
        world.run(
            workers=4, gpus=8, placement={"gpuResource": "nvidia.com/mig-3g.40gb", "cpu": 16}
        ),
        world.config(),
    ),
    "run_on_a_claim": lambda: runs.render(world.run(gpus=1), world.pvc_config()),
    "served": lambda: served.render(world.served(replicas=3, gpus=1), world.config()),
}


@pytest.mark.parametrize("name", CASES)
def test_manifests_are_as_reviewed(name: str) -> None:
    """`SLIPWAY_GOLDEN=write` writes them anew; the change is then there to be reviewed."""
    text = crds.text(*CASES[name]())
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("SLIPWAY_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", CASES)
def test_kuberays_own_schema_takes_every_manifest(name: str) -> None:
    for manifest in CASES[name]():
        schema = modules.kuberay_schema(manifest["kind"])
        assert structural.faults(manifest, schema) == []


def test_kuberays_schema_refuses_what_is_wrong() -> None:
    job = CASES["run_group"]()[0]
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replica"] = 3
    job["spec"]["backoffLimit"] = "many"
    assert structural.faults(job, modules.kuberay_schema("RayJob")) == [
        "spec.backoffLimit: 'many' is no integer",
        "spec.rayClusterSpec.workerGroupSpecs[0].replica: unknown",
    ]


def templates(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    spec = manifest["spec"]
    cluster = spec.get("rayClusterSpec") or spec["rayClusterConfig"]
    found = [cluster["headGroupSpec"]["template"]]
    found += [group["template"] for group in cluster.get("workerGroupSpecs", [])]
    return found + ([spec["submitterPodTemplate"]] if "submitterPodTemplate" in spec else [])


@pytest.mark.parametrize("name", CASES)
def test_every_pod_keeps_to_restricted(name: str) -> None:
    for manifest in CASES[name]():
        for template in templates(manifest):
            assert structural.unrestricted(template["spec"]) == []


def test_a_group_is_admitted_as_one_and_its_head_trains_nothing() -> None:
    job = CASES["run_group"]()[0]
    cluster = job["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (4, 4, 4)
    resources = group["template"]["spec"]["containers"][0]["resources"]
    bounded = {"memory": "16Gi", "nvidia.com/mig-3g.40gb": "8"}
    assert resources == {"limits": bounded, "requests": bounded | {"cpu": "16"}}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"


def test_a_workload_arrives_in_the_pod_as_it_was_asked_for() -> None:
    """The kubelet turns `$$` into `$`; without that, `$(HOME)` in a setting would be expanded."""
    run = world.run()
    (job,) = runs.render(run, world.config())
    container = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    text = next(e["value"] for e in container["env"] if e["name"] == "SLIPWAY_WORKLOAD")
    assert "$(" not in text.replace("$$", "")
    assert workload_from_json(text.replace("$$", "$")) == resources.workload_of(run)


def test_rendering_twice_is_the_same_and_a_change_shows() -> None:
    hashes = {
        runs.render(run, config)[0]["metadata"]["annotations"]["slipway.dev/rendered"]
        for run, config in [
            (world.run(), world.config()),
            (world.run(), world.config()),
            (world.run(gpus=2), world.config()),
        ]
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(
    "workload",
    [
        Workload(name="train-a-3", kind=Kind.TRAIN, inputs={"base": "s3://b/k", "dataset": "s3://d/k"},
                 settings={"a": [1, {"b": None}]}, output_uri="s3://o/k", attempt=3,
                 submitted_at=1.5, priority=-2, workers=2, gpus=1),
        Workload(name="evaluate-a-1", kind=Kind.EVALUATE, inputs={"dataset": "file:///d"},
                 output_uri="file:///o"),
        Workload(name="serve-a-1", kind=Kind.SERVE, inputs={"base": "s3://b/k"},
                 replicas=4, gpus=2),
    ],
)  # fmt: skip
def test_a_workload_survives_the_way_there_and_back(workload: Workload) -> None:
    resource = json.loads(json.dumps(resources.to_resource(workload)))
    assert resources.workload_of(resource) == workload
    (definition,) = [
        d for d in crds.definitions() if d["spec"]["names"]["kind"] == resource["kind"]
    ]
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert structural.faults(resource, schema) == []


def test_our_schemas_refuse_what_a_workload_is_not() -> None:
    definition = crds.definition(resources.RUN)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    wrong = world.run()
    wrong["spec"] |= {"kind": "serve", "workers": 0, "gpu": 1}
    wrong["spec"]["inputs"]["base"] = "/etc/passwd"
    del wrong["spec"]["outputUri"]
    assert structural.faults(wrong, schema) == [
        "spec: outputUri is missing",
        "spec.kind: 'serve' is not one of train, evaluate",
        "spec.inputs.base: '/etc/passwd' does not match ^(file|s3)://.+$",
        "spec.workers: 0 is below 1",
        "spec.gpu: unknown",
    ]


def test_configuration_with_a_typo_is_refused_with_the_word_that_was_meant() -> None:
    good = {
        "image": "a@b",
        "rayVersion": "2.60.0",
        "claim": "c",
        "worker": {"cpu": "1", "memory": "1Gi"},
    }
    assert configs.read(good).worker.memory == "1Gi"
    for wrong, sentence in [
        ({"gpuResorce": "x"}, "gpuResorce is not known; did you mean gpuResource?"),
        ({"worker": {"cpus": "1", "memory": "1Gi"}}, "worker.cpus is not known; did you mean cpu?"),
        ({"claim": None}, "neither objectsSecret nor claim is set"),
        ({"rayAuth": "off"}, "rayAuth is 'off'; it must be token or disabled"),
    ]:
        with pytest.raises(configs.BadConfig, match=sentence.replace("?", r"\?")):
            configs.read(good | wrong)
