"""A cluster that stays: it can be entered, keeps others out, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import images, node, standing
from cluster.control_plane import wait_for


def asked(word: str) -> subprocess.CompletedProcess[str]:
    """`make cluster` or `make cluster-down`, once all is set up."""
    own = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    own["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    command = [sys.executable, "-m", "cluster.standing", word]
    return subprocess.run(command, env=os.environ | own, capture_output=True, text=True)


def enter(*words: str) -> subprocess.CompletedProcess[str]:
    command = [str(standing.FOLDER / "enter"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def nothing_left() -> bool:
    """Neither files, control groups, nor processes of the cluster are there."""
    lines = [_words(each) for each in Path("/proc").glob("[0-9]*/cmdline")]
    ours = [line for line in lines if str(standing.FOLDER).encode() in line]
    groups = [each for each in node.groups("slipway-cluster") if each.exists()]
    return not (ours or groups or standing.FOLDER.exists())


def _words(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it ended while it was looked at
        return b""


@pytest.fixture
def stands() -> Iterator[None]:
    assert nothing_left(), "a cluster stands already: make cluster-down"
    made = asked("up")
    try:
        assert not made.returncode, made.stderr
        assert str(standing.FOLDER / "enter") in made.stdout
        yield
    finally:
        ended = asked("down")
    assert not ended.returncode, ended.stderr
    assert nothing_left()
    with images.store():
        pass  # the next one may have it
    assert not asked("down").returncode


@pytest.mark.usefixtures("stands")
def test_it_is_entered_and_keeps_others_out() -> None:
    assert not nothing_left()
    nodes = json.loads(enter("kubectl", "get", "nodes", "-o", "json").stdout)["items"]
    assert [each["metadata"]["name"] for each in nodes] == [node.NAME]
    for name in ("coredns", "deps-kuberay", "deps-kueue"):
        found = enter("kubectl", "get", "deployments", "-A", "-o", "json").stdout
        known = {each["metadata"]["name"]: each["status"] for each in json.loads(found)["items"]}
        assert known[name]["availableReplicas"] == 1
    releases = json.loads(enter("helm", "list", "-A", "-o", "json").stdout)
    assert [each["name"] for each in releases] == ["deps"], "nothing else of ours is there"
    assert enter("sh", "-c", 'exit "$1"', "sh", "7").returncode == 7
    second = asked("up")
    assert second.returncode == 1
    assert "make cluster-down" in second.stderr
    assert enter("kubectl", "get", "nodes").returncode == 0


@pytest.mark.usefixtures("stands")
def test_one_that_was_killed_says_so_and_is_cleared_away() -> None:
    os.kill(int((standing.FOLDER / "pid").read_text()), signal.SIGKILL)
    wait_for(lambda: enter("true").returncode, "the cluster to be gone")
    assert "the cluster has ended" in enter("true").stderr
