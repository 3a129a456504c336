"""The operator as a process: kopf's watches over HTTP, cut and lost, and two copies at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cluster_world as world
import pytest
import servers
import yaml
from cluster.api_server import ApiServer, status

ROOT = Path(__file__).parent.parent
KINDS = {"runs", "servedmodels", "rayjobs", "rayservices", "pods", "workloads", "kopfpeerings"}
RUN = "train-0123456789ab-1"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    found = ApiServer(KINDS)
    yield found
    found.stop()


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": "test"}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "slipway"}}
        ],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def operator(folder: Path, url: str, name: str, *more: str) -> subprocess.Popen[bytes]:
    config = folder / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {"image": "a.example/b@c", "rayVersion": "2.60.0", "objectsSecret": "slipway-objects"}
        )
    )
    ports = ["--port", str(servers.free_port()), "--metrics-port", str(servers.free_port())]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "slipway_operator",
                "run",
                "--config",
                str(config),
                *ports,
                *more,
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {
                "PYTHONPATH": f"{ROOT}/platform:{ROOT}/operators",
                "KUBECONFIG": str(kubeconfig(folder, url)),
                "SLIPWAY_NAMESPACE": "slipway",
                "SLIPWAY_PEERING": "slipway",
            },
        )


def state(server: ApiServer, name: str = RUN) -> str:
    return str(((server.get("runs", name) or {}).get("status") or {}).get("state", ""))


def asked(server: ApiServer, number: int = 0) -> str:
    run = world.run()
    name = RUN if not number else f"train-{number:012d}-1"
    run["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    run["metadata"].pop("generation")
    server.put("runs", name, run)
    return name


def test_watches_that_are_cut_or_too_old_miss_nothing(server: ApiServer, tmp_path: Path) -> None:
    process = operator(tmp_path, server.url, "one", "--standalone")
    try:
        asked(server)
        wait_for(lambda: state(server) == "waiting")
        server.drop_watches()
        second = asked(server, 2)
        wait_for(lambda: state(server, second) == "waiting")
        gone = {"type": "ERROR", "object": status(410, "Expired", "too old resource version")}
        server.tell_watchers(gone)
        server.put(
            "rayjobs",
            RUN,
            {"status": {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}},
        )
        wait_for(lambda: state(server) == "succeeded")
        server.delete("runs", RUN)
        wait_for(lambda: server.get("runs", RUN) is None)
        process.kill()
        process.wait()
        third = asked(server, 3)
        server.delete("runs", second)
        process = operator(tmp_path, server.url, "two", "--standalone")
        wait_for(lambda: state(server, third) == "waiting")
        wait_for(lambda: server.get("runs", second) is None)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_bad_configuration_is_refused_before_anything_is_watched(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("image: a\nrayVersion: 2.60.0\nqueu: research\nclaim: c\n")
    done = subprocess.run(
        [sys.executable, "-m", "slipway_operator", "run", "--config", str(config)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}/platform:{ROOT}/operators"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "queu is not known; did you mean queue?" in done.stderr
