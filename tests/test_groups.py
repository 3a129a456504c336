"""Both hosts with the real recipe: equal weights, also when a worker is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from test_node import Node, gone, wait_for

from slipway_contracts import progress
from slipway_contracts.workload import Kind, State, Workload, report_from_json, report_name
from slipway_runtime import files

BASE = Path(__file__).parents[1] / "platform" / "slipway_demo" / "chart_base"
WORKER = "RayTrainWorker"
#: A fresh group imports torch and trl in every process; the machine may be busy besides.
SECONDS = 300.0


class RealNode(Node):
    recipes = None


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = RealNode(tmp_path_factory.mktemp("g") / "h")
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"华北地区2019年{month}月的销售额,第{number}种画法。"},
                {"role": "assistant", "content": f'{{"chart":"kind-{number}"}}'},
            ]
        }
        for month in range(1, 9)
        for number in range(5)
    ]
    node.rows = node.home / "rows.jsonl"
    node.rows.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    yield node
    node.stop()
    assert node.processes() == {}


def sft(node, name, **settings):
    return Workload(
        name=name,
        kind=Kind.TRAIN,
        inputs={"base": f"file://{BASE}", "dataset": f"file://{node.rows}"},
        settings={
            "method": "sft",
            "scale": "lora",
            "hyperparameters": {"epochs": 6, "batch_size": 10},
            "seed": 7,
        }
        | settings,
        output_uri=f"file://{node.home}/objects/{name}",
        submitted_at=time.time(),
    )


def checkpoints(workload):
    root = files.join(workload.output_uri, "progress")
    return [
        note
        for name in files.names(root)
        for note in progress.from_lines(files.read(files.join(root, name)))
        if note.kind is progress.NoteKind.CHECKPOINT
    ]


def weights(workload):
    report = report_from_json(
        files.read(files.join(workload.output_uri, report_name(workload.attempt)))
    )
    return {name: sha for name, sha in report.files.items() if name.endswith(".safetensors")}


def ended(node, workload):
    wait_for(
        lambda: node.compute.observe(workload.name).state in {State.SUCCEEDED, State.FAILED},
        SECONDS,
    )
    return node.compute.observe(workload.name)


def test_a_group_whose_worker_is_killed_gives_the_weights_of_the_warmed_host(node):
    group = sft(node, "train-group-1", host="workers")
    warmed = sft(node, "train-warmed-1")
    # Submitted while the node still warms: a group does not need the warm parent.
    wait_for((node.home / "run" / "node.sock").exists)
    node.compute.apply(group)
    node.compute.apply(warmed)
    wait_for(lambda: checkpoints(group), SECONDS)
    for pid in node.find(WORKER):
        os.kill(pid, signal.SIGKILL)
    assert ended(node, group).state is State.SUCCEEDED
    assert ended(node, warmed).state is State.SUCCEEDED
    assert weights(group)
    assert weights(group) == weights(warmed)
    assert "resum" in "\n".join(node.compute.logs(group.name)).lower()


def test_a_cancelled_group_is_gone_with_all_its_processes(node):
    asked = sft(node, "train-cancelled-1", host="workers")
    node.compute.apply(asked)
    workers = wait_for(lambda: node.find(WORKER), SECONDS)
    node.compute.delete(asked.name)
    wait_for(lambda: node.compute.observe(asked.name).state is State.ABSENT, SECONDS)
    wait_for(lambda: all(gone(pid) for pid in workers))
    wait_for(lambda: not [p for p in node.find("ray::") if "Train" in node.processes().get(p, "")])


def test_a_fault_of_the_request_ends_a_group_without_starting_it_again(node):
    asked = sft(node, "train-fault-1", host="workers")
    asked.inputs["dataset"] = f"file://{node.home}/nowhere.jsonl"
    node.compute.apply(asked)
    seen = ended(node, asked)
    assert seen.state is State.FAILED
    assert "nowhere.jsonl" in seen.reason
    assert files.exists(files.join(asked.output_uri, "failure-1.json"))
